"""The same computation by transformers: a checkpoint directory's logits, loss and gradients by checkpoint name."""

import re
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import MtpModel
from transformers.utils import logging

from own_model import IGNORED, cross_entropy, shift

logging.disable_progress_bar()
logging.set_verbosity_error()  # load reports what matters itself


def load(directory, dtype):
    """The model of a directory, every tensor of which must be used, but for those of MTP layers."""
    model, info = AutoModelForCausalLM.from_pretrained(
        directory, dtype=dtype, attn_implementation="eager", experts_implementation="eager", output_loading_info=True)
    depth = model.config.num_hidden_layers
    unexpected = [n for n in info["unexpected_keys"] if not is_mtp(n, depth)]
    if info["missing_keys"] or unexpected or info["mismatched_keys"]:
        raise SystemExit(f"{directory}: missing {sorted(info['missing_keys'])}, unexpected {sorted(unexpected)}, "
                         f"of another shape {sorted(info['mismatched_keys'])}")
    return model.eval()


def is_mtp(name, depth):
    layer = re.match(r"model\.layers\.(\d+)\.", name)
    return layer is not None and int(layer[1]) >= depth


def evaluate(directory, ids, targets):
    """Returns logits, loss and {name: gradient}. Weights and products are float64; where transformers itself rounds to
    float32 (norms, gate, softmax, RoPE) it still does."""
    model = load(directory, torch.float64)
    logits = model(ids, use_cache=False).logits
    loss = cross_entropy(logits, targets)
    loss.backward()
    return logits.detach(), loss.detach(), gradients(model)


def evaluate_mtp(directory, ids, targets, depth, mtp_lambda):
    """The same with `depth` MTP layers, as MtpModel loads and computes them; how they are chained is ours (README.md):
    un-normed, labels shifted by one a depth. Returns also the logits of each depth."""
    model = load(directory, torch.float64)
    first = model.config.num_hidden_layers
    model._keys_to_ignore_on_load_unexpected = [rf"model\.layers\.{first + k}\..*" for k in range(depth)]
    mtp = MtpModel.from_pretrained(model).eval()
    mtp.config._attn_implementation = mtp.config._experts_implementation = "eager"

    before_norm = []
    hook = model.model.norm.register_forward_pre_hook(lambda _, args: before_norm.append(args[0]))
    logits = model(ids, use_cache=False).logits
    hook.remove()
    loss, h, mtp_logits = cross_entropy(logits, targets), before_norm[0], []
    positions = torch.arange(ids.shape[1])[None]
    for k, layer in enumerate(mtp.layers, 1):
        embeds = mtp.embed_tokens(shift(targets, k - 1, 0))
        mask = create_causal_mask(config=mtp.config, inputs_embeds=embeds, attention_mask=None, past_key_values=None,
                                  position_ids=positions)
        h = layer.mtp_block(layer.eh_proj(torch.cat([layer.enorm(embeds), layer.hnorm(h)], -1)), attention_mask=mask,
                            position_embeddings=mtp.rotary_emb(embeds, positions), position_ids=positions)
        mtp_logits.append(mtp.shared_head(layer.post_norm(h)))
        loss = loss + mtp_lambda / depth * cross_entropy(mtp_logits[-1], shift(targets, k, IGNORED))
    loss.backward()

    grads = gradients(model)
    for k, layer in enumerate(mtp.layers):
        for name, grad in gradients(layer).items():
            name = name.removeprefix("mtp_block.").replace("post_norm.", "shared_head.norm.")
            name = name.replace("post_attention_layershared_head.norm.", "post_attention_layernorm.")
            grads[f"model.layers.{first + k}.{name}"] = grad
    return logits.detach(), loss.detach(), grads, [x.detach() for x in mtp_logits]


def gradients(module):
    """Gradients by checkpoint name: transformers keeps a layer's experts in two tensors, checkpoints in three each."""
    out = {}
    for name, p in module.named_parameters():
        grad = torch.zeros_like(p) if p.grad is None else p.grad
        if name.endswith("experts.gate_up_proj"):
            prefix = name.removesuffix("gate_up_proj")
            for e, both in enumerate(grad):
                out[f"{prefix}{e}.gate_proj.weight"], out[f"{prefix}{e}.up_proj.weight"] = both.chunk(2)
        elif name.endswith("experts.down_proj"):
            prefix = name.removesuffix("down_proj")
            out |= {f"{prefix}{e}.down_proj.weight": g for e, g in enumerate(grad)}
        else:
            out[name] = grad
    return out


def assert_round_trip(directory):
    """transformers, loading and saving the directory, gives back the same names and values."""
    with tempfile.TemporaryDirectory() as tmp:
        load(directory, torch.float32).save_pretrained(tmp)
        depth = AutoConfig.from_pretrained(directory).num_hidden_layers
        saved = load_file(Path(tmp) / "model.safetensors")
    want = {n: t for n, t in load_file(Path(directory) / "model.safetensors").items() if not is_mtp(n, depth)}
    assert saved.keys() == want.keys(), saved.keys() ^ want.keys()
    for name, t in want.items():
        assert torch.equal(saved[name], t), name
