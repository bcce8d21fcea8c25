"""Makes packed/: weights quantised and packed by the compressed-tensors library, and what it makes of them again.

pip install compressed-tensors==0.20.0 && python generate.py
"""

import json
import pathlib

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme
from safetensors.torch import save_file

out = pathlib.Path(__file__).parent / "packed"
compressor = BaseCompressor.get_value_from_registry("pack-quantized")

# module: bits, group (None: a scale for each row), shape, type of the scales
weights = {
    "int4.group32": (4, 32, (5, 96), torch.bfloat16),
    "int4.group64": (4, 64, (3, 128), torch.bfloat16),
    "int4.channel": (4, None, (4, 37), torch.float32),
    "int8.group32": (8, 32, (5, 64), torch.bfloat16),
    "int8.channel": (8, None, (3, 45), torch.float16),
}

torch.manual_seed(1)
tensors, groups = {}, {}
for module, (bits, group, shape, dtype) in weights.items():
    strategy = "group" if group else "channel"
    args = QuantizationArgs(num_bits=bits, type="int", symmetric=True, strategy=strategy, group_size=group)
    scheme = QuantizationScheme(targets=[module], weights=args, format="pack-quantized")
    groups[f"group_{len(groups)}"] = scheme
    w = torch.randn(shape)
    w[0, 0], w[0, 1] = -3, 3  # ends of the range
    size = group or shape[1]
    scale = (w.view(shape[0], -1, size).abs().amax(-1) / ((2**bits - 1) / 2)).to(dtype)
    scale[1] = -scale[1]
    state = compressor.compress({"weight": w, "weight_scale": scale}, scheme)
    back = compressor.decompress(dict(state, weight_scale=scale.float()), scheme)  # or the result would be rounded to its type
    for name, t in state.items():
        tensors[f"{module}.{name}"] = t.contiguous()
    tensors[f"{module}.want"] = back["weight"].float().contiguous()

config = QuantizationConfig(
    config_groups=groups, quant_method="compressed-tensors", format="pack-quantized", quantization_status="compressed", ignore=["lm_head"]
)
out.mkdir(exist_ok=True)
save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
(out / "quantization_config.json").write_text(json.dumps(config.to_dict(), indent=1, default=str) + "\n")
