"""Times training steps of a DeepSeek-V3-shaped model in PyTorch on a CPU, as `sprat bench train` times ours. See compare.sh.

    python step.py config.json --batch 8 --sequence 512 --precision fp32|bf16|autocast [--compile] [--transformers]

A step is forward, backward, clipping, AdamW and the update of the gates' biases, on random tokens: the same work as ours. The
model is written for speed: attention by scaled_dot_product_attention; tokens sorted by expert, then a product for each expert's
run of rows (--experts loop), or one for all experts (--experts grouped, torch's grouped_mm); a fused AdamW; heads, experts
and gate-and-up in one weight each. fp32 computes in float32; bf16 has weights, activations and moments in bfloat16; autocast keeps
float32 weights and multiplies in bfloat16. --transformers times DeepseekV3ForCausalLM on the same config instead.
Prints one JSON line: the least and the median seconds of a step after two that warm up, and the least processor time of all threads,
which says something on a busy machine too where there is one thread.
"""

import argparse
import json
import time
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


def linear(width_in, width_out):
    return nn.Linear(width_in, width_out, bias=False)


class MLA(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, d, h = c, c["hidden_size"], c["num_attention_heads"]
        n, r, v, q, kv = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"], c["q_lora_rank"], c["kv_lora_rank"]
        self.q_a, self.q_norm, self.q_b = linear(d, q), RMSNorm(q), linear(q, h * (n + r))
        self.kv_a, self.kv_norm, self.kv_b = linear(d, kv + r), RMSNorm(kv), linear(kv, h * (n + v))
        self.o = linear(h * v, d)

    def forward(self, x, cos, sin):
        c, (b, t, _), h = self.c, x.shape, self.c["num_attention_heads"]
        n, r, v = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
        q = self.q_b(self.q_norm(self.q_a(x))).view(b, t, h, n + r).transpose(1, 2)
        q_nope, q_rope = q.split([n, r], -1)
        latent, k_rope = self.kv_a(x).split([c["kv_lora_rank"], r], -1)
        k_nope, value = self.kv_b(self.kv_norm(latent)).view(b, t, h, n + v).transpose(1, 2).split([n, v], -1)
        k_rope = rotate(k_rope, cos, sin)[:, None].expand(b, h, t, r)
        q = torch.cat([q_nope, rotate(q_rope, cos, sin)], -1)
        k = torch.cat([k_nope, k_rope], -1)
        # CPU flash attention wants one width: values are padded to that of the keys.
        o = F.scaled_dot_product_attention(q, k, F.pad(value, (0, n + r - v)), is_causal=True)[..., :v]
        return self.o(o.transpose(1, 2).reshape(b, t, h * v))


def rotate(x, cos, sin):
    """Rotates the pairs (x0, x1), (x2, x3), ..."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1).flatten(-2).to(x.dtype)


class MLP(nn.Module):
    def __init__(self, d, width):
        super().__init__()
        self.gate_up, self.down = linear(d, 2 * width), linear(width, d)

    def forward(self, x):
        gate, up = self.gate_up(x).chunk(2, -1)
        return self.down(F.silu(gate) * up)


class MoE(nn.Module):
    def __init__(self, c, grouped):
        super().__init__()
        d, f, e = c["hidden_size"], c["moe_intermediate_size"], c["n_routed_experts"]
        self.c, self.grouped = c, grouped
        self.gate = nn.Parameter(torch.empty(e, d))
        self.gate_up, self.down = nn.Parameter(torch.empty(e, d, 2 * f)), nn.Parameter(torch.empty(e, f, d))
        self.shared = MLP(d, c["n_shared_experts"] * f)
        self.register_buffer("bias", torch.zeros(e))
        self.register_buffer("load", torch.zeros(e))

    def forward(self, x):
        k, e = self.c["num_experts_per_tok"], self.c["n_routed_experts"]
        flat = x.flatten(0, 1)
        with torch.autocast("cpu", enabled=False):
            score = (flat.float() @ self.gate.float().T).sigmoid()
        index = (score + self.bias).topk(k, -1).indices
        weight = score.gather(1, index)
        weight = weight / weight.sum(-1, keepdim=True) * self.c["routed_scaling_factor"]
        order = index.flatten().argsort(stable=True)
        token = order // k
        counts = torch.bincount(index.flatten(), minlength=e)
        self.load += counts
        rows = (self.group if self.grouped else self.loop)(flat[token], counts)
        y = self.shared(flat)
        return y.index_add(0, token, (rows * weight.flatten()[order, None]).to(y.dtype)).view_as(x)

    def group(self, rows, counts):
        offsets, kind = counts.cumsum(0).to(torch.int32), torch.bfloat16
        gate, up = F.grouped_mm(rows.to(kind), self.gate_up.to(kind), offs=offsets).chunk(2, -1)
        return F.grouped_mm(F.silu(gate) * up, self.down.to(kind), offs=offsets)

    @torch.compiler.disable  # sizes differ in every step: it would be compiled again and again
    def loop(self, rows, counts):
        out = []
        for e, part in enumerate(rows.split(counts.tolist())):
            gate, up = (part @ self.gate_up[e]).chunk(2, -1)
            out.append((F.silu(gate) * up) @ self.down[e])
        return torch.cat(out)

    def update_bias(self, speed):
        self.bias += speed * (self.load.mean() - self.load).sign()
        self.load.zero_()


class Block(nn.Module):
    def __init__(self, c, layer, grouped):
        super().__init__()
        d = c["hidden_size"]
        self.attn_norm, self.attn, self.ffn_norm = RMSNorm(d), MLA(c), RMSNorm(d)
        dense = layer < c["first_k_dense_replace"]
        self.ffn = MLP(d, c["intermediate_size"]) if dense else MoE(c, grouped)

    def forward(self, x, cos, sin):
        x = x + self.attn(self.attn_norm(x), cos, sin)
        return x + self.ffn(self.ffn_norm(x))


class Model(nn.Module):
    def __init__(self, c, positions, grouped):
        super().__init__()
        self.embed = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.blocks = nn.ModuleList(Block(c, i, grouped) for i in range(c["num_hidden_layers"]))
        self.norm, self.head = RMSNorm(c["hidden_size"]), linear(c["hidden_size"], c["vocab_size"])
        angle = torch.arange(positions)[:, None] * 10000.0 ** (-torch.arange(0, c["qk_rope_head_dim"], 2) / c["qk_rope_head_dim"])
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, ids, targets):
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    def update_biases(self, speed):
        for block in self.blocks:
            if isinstance(block.ffn, MoE):
                block.ffn.update_bias(speed)


def transformers_model(c, positions):
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

    keys = {k: v for k, v in c.items() if k not in ("model_type", "scoring_func", "topk_method")}
    model = DeepseekV3ForCausalLM(DeepseekV3Config(**keys | dict(
        num_key_value_heads=c["num_attention_heads"], use_cache=False, max_position_embeddings=positions)))

    class Loss(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, ids, targets):
            return F.cross_entropy(self.model(ids).logits.flatten(0, 1).float(), targets.flatten())

        def update_biases(self, speed):
            pass  # transformers does not train them

    return Loss()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--sequence", type=int, default=512)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--precision", choices=["fp32", "bf16", "autocast"], default="fp32")
    parser.add_argument("--experts", choices=["loop", "grouped"], default="loop")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--transformers", action="store_true")
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    c = json.load(open(args.config))
    if args.transformers:
        model = transformers_model(c, args.sequence)
    else:
        model = Model(c, args.sequence, args.experts == "grouped")
    parameters = sum(p.numel() for p in model.parameters())
    if args.precision == "bf16":
        model.to(torch.bfloat16)
    model.train()
    forward = torch.compile(model) if args.compile else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    mixed = torch.autocast("cpu", torch.bfloat16) if args.precision == "autocast" else nullcontext()
    text = torch.randint(c["vocab_size"], (args.batch, args.sequence + 1))
    ids, targets = text[:, :-1].contiguous(), text[:, 1:].contiguous()

    def step():
        with mixed:
            loss = forward(ids, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        model.update_biases(1e-3)
        return loss.item()

    losses = [step() for _ in range(2)]
    took, cpu, start = [], [], time.perf_counter()
    while len(took) < 3 or time.perf_counter() - start < args.seconds:
        began, spent = time.perf_counter(), time.process_time()
        losses.append(step())
        took.append(time.perf_counter() - began)
        cpu.append(time.process_time() - spent)
    took.sort()
    print(json.dumps(dict(
        torch=torch.__version__, parameters=parameters, threads=torch.get_num_threads(), steps=len(took),
        best_step_seconds=took[0], step_seconds=took[len(took) // 2], best_cpu_seconds=min(cpu), first_loss=losses[0], last_loss=losses[-1])))


if __name__ == "__main__":
    main()
