"""Makes golden.safetensors and golden.json, which safetensors_test.go reads.

python -m venv v && v/bin/pip install safetensors==0.8.0 numpy==2.4.6 ml_dtypes==0.6.0 && v/bin/python gen.py

The Python library encodes the file and ml_dtypes rounds the numbers, so both are independent of the Go code.
golden.json holds the float32 value of each element as its bits, NaN as null.
"""
import json

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

edges = np.array([0, -0.0, 1, -1.5, 65504, 65519.99, 65520, 2**-14, 2**-24, 2**-25, 1.5 * 2**-25, 1e-8, 3.3895e38, 1e-40,
                  np.inf, -np.inf, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-11, 1 + 3 * 2**-11], dtype=np.float32)
with np.errstate(over="ignore"):
    tensors = {
        "f32": edges,
        "bf16": edges.astype(ml_dtypes.bfloat16),
        "f16": edges.astype(np.float16),
        "scalar": np.array(3.5, dtype=np.float32),
        "empty": np.zeros((0, 3), dtype=np.float32),
        "i32": np.array([[1, -2], [2**31 - 1, -(2**31)]], dtype=np.int32),
        "i64": np.array([2**53 + 1, -(2**63)], dtype=np.int64),
        # all 256 codes in a ragged matrix: the second block is one column wide
        "e4m3.weight": np.resize(np.arange(256, dtype=np.uint8), (2, 129)).view(ml_dtypes.float8_e4m3fn),
        "e4m3.weight_scale_inv": np.array([[0.25, 3.0]], dtype=np.float32),
    }
save_file(tensors, "golden.safetensors", metadata={"made by": "gen.py"})


def bits(x):
    return [None if np.isnan(v) else int(v.view(np.uint32)) for v in x.astype(np.float32).ravel()]


want = {name: bits(x) for name, x in tensors.items() if not name.startswith(("i", "e4m3.weight"))}
scale = np.where(np.arange(129) < 128, np.float32(0.25), np.float32(3))
want["e4m3.weight"] = bits(tensors["e4m3.weight"].astype(np.float32) * scale)
with open("golden.json", "w") as f:
    json.dump(want, f)
    f.write("\n")
