"""Writes ../<case>/{config.json, model.safetensors, gold.safetensors}. Usage: python generate.py [case ...]

README.md, one level up, says what the cases are for and what the files hold.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import hf
from own_model import IGNORED, Model, shapes

MARGIN = 1e-3     # no gate decides by less
AGREEMENT = 5e-6  # ||own - transformers|| / ||transformers||, for logits and each gradient
SAME = 1e-6       # what another processor may make of transformers' float32 parts: such a file is left as it is
FLOAT32 = 1e-5    # the same of the own model in float32 against float64: what a float32 program may be held to
HERE = Path(__file__).resolve().parent

V3 = dict(
    architectures=["DeepseekV3ForCausalLM"], attention_bias=False, attention_dropout=0.0, aux_loss_alpha=0.001,
    bos_token_id=0, eos_token_id=1, ep_size=1, first_k_dense_replace=1, hidden_act="silu", hidden_size=32,
    initializer_range=0.02, intermediate_size=28, kv_lora_rank=20, max_position_embeddings=64, model_type="deepseek_v3",
    moe_intermediate_size=6, moe_layer_freq=1, n_group=4, n_routed_experts=16, n_shared_experts=1, norm_topk_prob=True,
    num_attention_heads=4, num_experts_per_tok=4, num_hidden_layers=2, num_key_value_heads=4,
    num_nextn_predict_layers=0, pretraining_tp=1, q_lora_rank=24, qk_nope_head_dim=12, qk_rope_head_dim=8,
    rms_norm_eps=1e-6, rope_scaling=None, rope_theta=10000, routed_scaling_factor=2.5, scoring_func="sigmoid",
    seq_aux=True, tie_word_embeddings=False, topk_group=2, topk_method="noaux_tc", torch_dtype="float32", use_cache=True,
    v_head_dim=10, vocab_size=96)
V2 = {k: v for k, v in V3.items() if k != "num_nextn_predict_layers"} | dict(
    architectures=["DeepseekV2ForCausalLM"], model_type="deepseek_v2", norm_topk_prob=False, scoring_func="softmax")
YARN = dict(type="yarn", factor=40, beta_fast=32, beta_slow=0.125, mscale=1.0, mscale_all_dim=1.0,
            original_max_position_embeddings=8)

# config: what differs from V3 or V2. bias: the range of e_score_correction_bias. idle: an expert never to be chosen.
# The rest are the facts demanded of the draw; see check.
CASES = {
    "v3-basic": dict(
        config=V3 | dict(num_hidden_layers=3), bias=(0.0, 0.5), group_matters=8,
        bias_matters=8, zero_mask_differs=False),
    "v3-yarn": dict(
        config=V3 | dict(qk_rope_head_dim=16, rope_scaling=YARN, rope_theta=1000, max_position_embeddings=320),
        tokens=24, bias=(-1.5, -0.5), group_matters=8, bias_matters=8, zero_mask_differs=True),
    "v3-yarn-ratio": dict(
        config=V3 | dict(first_k_dense_replace=2, qk_rope_head_dim=16, rope_theta=1000, max_position_embeddings=320,
                         rms_norm_eps=1e-5, rope_scaling=YARN | dict(mscale=1.0, mscale_all_dim=0.5)),
        tokens=24, small_latents=True),
    "v3-noq": dict(
        config=V3 | dict(q_lora_rank=None, n_group=1, topk_group=1, n_shared_experts=2, rms_norm_eps=1e-5,
                         rope_theta=50000.0, routed_scaling_factor=2.446, num_experts_per_tok=6), bias=(-0.25, 0.25),
        bias_matters=8, small_latents=True),
    "v2-lite": dict(
        config=V2 | dict(q_lora_rank=None, topk_method="greedy", n_group=1, topk_group=1, n_shared_experts=2,
                         n_routed_experts=8, num_experts_per_tok=3, routed_scaling_factor=1.0, hidden_size=40,
                         qk_rope_head_dim=16, rope_theta=100, max_position_embeddings=64,
                         rope_scaling=dict(type="yarn", factor=4, beta_fast=32, beta_slow=1, mscale=0.707,
                                           mscale_all_dim=0.707, original_max_position_embeddings=16)), tokens=24),
    "v2-group": dict(
        config=V2 | dict(topk_method="group_limited_greedy", routed_scaling_factor=16.0, n_shared_experts=2),
        group_matters=8),
    "v3-tied": dict(
        config=V3 | dict(tie_word_embeddings=True, n_routed_experts=8, n_group=2, topk_group=1, num_experts_per_tok=2),
        bias=(0.0, 0.4), idle=3),
    "v3-mtp": dict(
        config=V3 | dict(num_nextn_predict_layers=2, n_routed_experts=8, num_experts_per_tok=3, n_group=2, topk_group=1,
                         hidden_size=24), bias=(-0.4, 0.4), mtp_lambda=0.3, tokens=14),
    "v3-balance": dict(
        config=V3 | dict(first_k_dense_replace=0), bias=(-0.3, 0.3), group_matters=8, bias_matters=8,
        balance_alpha=0.01, tokens=16),
}


def draw(case, seed):
    """Weights and tokens, float32 values, from one seed."""
    rng, c = np.random.default_rng(seed), case["config"]
    weights = {}
    for name, shape in shapes(c).items():
        x = rng.standard_normal(shape)
        if name.endswith("e_score_correction_bias"):
            low, high = case["bias"]
            x = rng.uniform(low, high, shape)
            if "idle" in case:
                x[case["idle"]] = -2.0
        elif name.endswith("norm.weight"):
            x = 1 + 0.2 * x
        elif name.endswith("embed_tokens.weight"):
            x *= 0.4 if c["tie_word_embeddings"] else 1.0
        elif name.endswith("kv_a_proj_with_mqa.weight") and case.get("small_latents"):
            x[:c["kv_lora_rank"]] *= 0.02 / shape[1] ** 0.5
            x[c["kv_lora_rank"]:] /= shape[1] ** 0.5
        elif name.endswith("q_a_proj.weight") and case.get("small_latents"):
            x *= 0.02 / shape[1] ** 0.5
        elif name.endswith("gate.weight"):
            x *= 1.5 / shape[1] ** 0.5
        else:
            x /= shape[1] ** 0.5
        weights[name] = torch.tensor(x, dtype=torch.float32)
    text = torch.tensor(rng.integers(0, c["vocab_size"], (2, case.get("tokens", 20) + 1)))
    ids, targets = text[:, :-1].contiguous(), text[:, 1:].contiguous()
    if "mtp_lambda" not in case and "balance_alpha" not in case:
        targets[0, 5] = targets[1, -3:] = IGNORED
    return weights, ids, targets


def evaluate(case, weights, ids, targets, dtype=torch.float64):
    """The own model: its Output and {name: gradient}."""
    w = {n: t.to(dtype).requires_grad_(not n.endswith("bias")) for n, t in weights.items()}
    out = Model(case["config"], w, case.get("mtp_lambda", 0.0), case.get("balance_alpha", 0.0)).forward(ids, targets)
    out.loss.backward()
    return out, {n: torch.zeros_like(t) if t.grad is None else t.grad for n, t in w.items() if t.requires_grad}


def check(case, out, grads):
    """Why this draw will not do, or None: a near tie, a gradient that is 0 (but for the idle expert's), or a point of the
    case not made."""
    c, counts = case["config"], dict(group_matters=0, bias_matters=0, zero_mask_differs=0)
    k, e = c["num_experts_per_tok"], c["n_routed_experts"]
    limited = c["topk_method"] != "greedy" and c["n_group"] > 1
    for r in out.routings:
        left = r.choice
        if limited:
            if gap(r.group, c["topk_group"]) < MARGIN:
                return "group scores nearly tie"
            keep = torch.zeros_like(r.group).scatter(1, r.group.topk(c["topk_group"]).indices, 1)
            keep = keep.repeat_interleave(e // c["n_group"], 1).bool()
            left = r.choice.masked_fill(~keep, -torch.inf)
            counts["zero_mask_differs"] += differ(r.choice.masked_fill(~keep, 0.0), r.index)
        if gap(left, k) < MARGIN or ("balance_alpha" in case and gap(r.score, k) < MARGIN):
            return "expert scores nearly tie"
        counts["group_matters"] += differ(r.choice, r.index)
        counts["bias_matters"] += differ(r.score.masked_fill(left == -torch.inf, -torch.inf), r.index)
    idle = f".experts.{case.get('idle')}."
    for name, grad in grads.items():
        if (grad.norm().item() == 0) != (idle in name):
            return f"the gradient of {name} is {'0' if idle not in name else 'not 0'}"
    for name, least in case.items():
        if name in counts and (counts[name] > 0 if least is False else counts[name] < max(int(least), 1)):
            return f"{name} for {counts[name]} tokens"
    print("  " + ", ".join(f"{n} for {v} tokens" for n, v in counts.items()))
    return None


def gap(x, k):
    """The least distance in any row of x between the k-th largest and the next; masked entries are out of the race."""
    top = x.topk(min(k + 1, x.shape[1])).values
    return (top[:, k - 1] - top[:, k]).min().item() if x.shape[1] > k else torch.inf


def differ(by, index):
    """The rows whose best by `by` are not those of index."""
    other = by.topk(index.shape[1]).indices
    return (other.sort(1).values != index.sort(1).values).any(1).sum().item()


def distance(got, want):
    """||got - want|| / ||want||; where want is 0, ||got||."""
    norm = want.norm().item()
    return (got - want).norm().item() / (norm or 1.0)


def compare(out, grads, logits, loss, other_grads, limit=AGREEMENT):
    """Demands that two computations agree within limit; returns the worst distance."""
    assert grads.keys() == other_grads.keys(), grads.keys() ^ other_grads.keys()
    worst = max([distance(out.logits, logits), abs(out.loss - loss).item() / loss.item()] +
                [distance(grads[n], g) for n, g in other_grads.items()])
    assert worst < limit, worst
    return worst


def same(tensors, file):
    """Whether the file holds the tensors already, but for rounding."""
    if not file.exists():
        return False
    old = load_file(file)
    return old.keys() == tensors.keys() and all(
        old[n].shape == t.shape and distance(old[n].double(), t.double()) < SAME for n, t in tensors.items())


def write_checkpoint(path, case, weights):
    path.mkdir(exist_ok=True)
    config = dict(sorted((case["config"] | dict(transformers_version="4.46.0")).items()))
    (path / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})


def generate(name):
    case, path = CASES[name], HERE.parent / name
    for seed in range(10000):
        weights, ids, targets = draw(case, seed)
        out, grads = evaluate(case, weights, ids, targets)
        if check(case, out, grads) is None:
            break
    else:
        raise SystemExit(f"{name}: no seed will do")
    write_checkpoint(path, case, weights)
    hf.assert_round_trip(path)

    gold = dict(logits=out.logits, loss=out.loss) | {f"mtp_logits.{k}": x for k, x in enumerate(out.mtp_logits, 1)}
    gold |= {f"mtp_ce.{k}": x for k, x in enumerate(out.mtp_ce, 1)} | dict(ce=out.ce, balance=out.balance)
    if "balance_alpha" in case:  # transformers has no such loss: compare without it
        plain, plain_grads = evaluate(case | dict(balance_alpha=0.0), weights, ids, targets)
        worst = compare(plain, plain_grads, *hf.evaluate(path, ids, targets))
    elif "mtp_lambda" in case:
        depth = case["config"]["num_nextn_predict_layers"]
        *rest, mtp_logits = hf.evaluate_mtp(path, ids, targets, depth, case["mtp_lambda"])
        worst = max([compare(out, grads, *rest)] + [distance(a, b) for a, b in zip(out.mtp_logits, mtp_logits)])
        assert worst < AGREEMENT, worst
    else:
        logits, loss, hf_grads = hf.evaluate(path, ids, targets)
        worst = compare(out, grads, logits, loss, hf_grads)
        gold, grads = dict(logits=logits, loss=loss), hf_grads

    single, single_grads = evaluate(case, weights, ids, targets, torch.float32)
    rounding = compare(single, single_grads, out.logits, out.loss, grads, FLOAT32)

    gold = {n: t.detach().float().reshape(t.shape or (1,)) for n, t in gold.items()}
    gold |= {f"grad.{n}": t.float() for n, t in grads.items()} | dict(input_ids=ids, targets=targets)
    gold = {n: t.contiguous() for n, t in gold.items()}
    if not same(gold, path / "gold.safetensors"):
        save_file(gold, path / "gold.safetensors")
    size = sum(f.stat().st_size for f in path.iterdir())
    print(f"{name}: seed {seed}, loss {gold['loss'].item():.6f}, own against transformers {worst:.1e}, "
          f"float32 against float64 {rounding:.1e}, {size} bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or CASES:
        generate(name)
