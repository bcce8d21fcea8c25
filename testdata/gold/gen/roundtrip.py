"""Directories that sprat writes, in transformers, and back: `python roundtrip.py path/to/sprat`, from anywhere.

For some shapes and types of weights: sprat trains a tokenizer and a model for a few steps and writes them; transformers
loads the directory, and its logits and token ids are compared with sprat's. Then transformers saves the model anew, in one
file and in shards, and sprat's logits of that are compared with the first. Weights in bfloat16 are computed with in float32
by both. Ends with an error where two logits differ by more than LIMIT, or ids at all.
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoTokenizer

import hf

LIMIT = 1e-5  # ||sprat - transformers|| / ||transformers||: float32 on either side
WORDS = "the cat sat on a mat and looked at 7 moons, 12 stars; then it ran to sea".split()

RUN = """
out = "{out}"
dtype = "{dtype}"
[tokenizer]
path = "{work}/tokenizer.json"
vocab_size = 320
[data]
train = ["{work}/text.txt"]
[train]
steps = 20
batch = 2
sequence = 64
lr = 5e-3
warmup = 2
[model]
hidden_size = 64
num_hidden_layers = 3
first_k_dense_replace = 1
intermediate_size = 128
num_attention_heads = 4
kv_lora_rank = 32
qk_nope_head_dim = 16
qk_rope_head_dim = 8
v_head_dim = 16
n_routed_experts = 8
num_experts_per_tok = 3
n_shared_experts = 1
moe_intermediate_size = 32
"""
V3 = 'model_type = "deepseek_v3"\nn_group = 4\ntopk_group = 2\n'
YARN = ('rope_scaling = {type = "yarn", factor = 4.0, original_max_position_embeddings = 16, beta_fast = 32, beta_slow = 1, '
        "mscale = 1.0, mscale_all_dim = 1.0}\n")
SHAPES = {
    "v3": V3 + "q_lora_rank = 48\n",
    "v3, no query latent": V3 + "q_lora_rank = 0\n",
    "v3, YaRN": V3 + "q_lora_rank = 48\n" + YARN,
    "v3, tied": V3 + "q_lora_rank = 48\ntie_word_embeddings = true\n",
    "v3, MTP": V3 + "q_lora_rank = 48\nnum_nextn_predict_layers = 1\n",
    "v2": 'model_type = "deepseek_v2"\ntopk_method = "group_limited_greedy"\nn_group = 4\ntopk_group = 2\nq_lora_rank = 48\n',
    "v2-lite": 'model_type = "deepseek_v2"\nq_lora_rank = 0\n',
}


def sprat(*args, stdin=""):
    done = subprocess.run([SPRAT, *map(str, args)], input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"sprat {' '.join(map(str, args))}: {done.stderr}")
    return done.stdout


def sprat_logits(directory, ids):
    lines = sprat("logits", "--model", directory, "--ids", ",".join(map(str, ids))).splitlines()
    return torch.tensor([json.loads(line)["logits"] for line in lines])


def distance(got, want):
    return ((got - want).norm() / want.norm()).item()


def check(name, dtype, work):
    out = work / f"{name}-{dtype}".replace(", ", "-").replace(" ", "-")
    run = work / "run.toml"
    run.write_text(RUN.format(out=out, work=work, dtype=dtype) + SHAPES[name])
    sprat("train-tokenizer", run)
    sprat("pretrain", run)

    text = "The cat ran 12 miles;\tand then…\n"
    ids = [int(i) for i in sprat("tokenize", "--model", out, stdin=text).split()]
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer.encode(text.rstrip("\n"), add_special_tokens=False) == ids, (name, ids)

    ids = [random.randrange(tokenizer.vocab_size) for _ in range(60)]
    model = hf.load(out, torch.float32)
    with torch.no_grad():
        theirs = model(torch.tensor([ids]), use_cache=False).logits[0]
    ours = sprat_logits(out, ids)
    errors = [distance(ours, theirs)]
    for how, kind, shard in (("one", torch.float32, "1GB"), ("shards", torch.float32, "100KB"), ("bf16", torch.bfloat16, "1GB")):
        saved = out / how
        model.to(kind).save_pretrained(saved, max_shard_size=shard)
        exact = kind == torch.float32 or dtype == "bf16"  # else rounding the weights changes the logits
        if exact:
            errors.append(distance(sprat_logits(saved, ids), theirs))
        else:
            with torch.no_grad():
                rounded = hf.load(saved, torch.float32)(torch.tensor([ids]), use_cache=False).logits[0]
            errors.append(distance(sprat_logits(saved, ids), rounded))
    print(f"| {name} | {dtype} | " + " | ".join(f"{e:.1e}" for e in errors) + " |", flush=True)
    assert max(errors) < LIMIT, errors


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    SPRAT = Path(sys.argv[1]).resolve()
    random.seed(1)
    print("| shape | weights | sprat's in transformers | back, float32 | in shards | bfloat16 |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as tmp:
        (Path(tmp) / "text.txt").write_text(" ".join(random.choice(WORDS) for _ in range(5000)))
        for name in SHAPES:
            for dtype in ("f32", "bf16"):
                check(name, dtype, Path(tmp))
