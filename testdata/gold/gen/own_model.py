"""DeepSeek-V2 and -V3 in plain PyTorch: short, slow and complete, multi-token prediction and balance loss included.

A model is its config.json as a dict and its weights as a dict from checkpoint name to tensor, so that gradients come
out under the names of the checkpoint. Everything is computed in the dtype of the weights (float64 for gold values).
Shapes: B sequences, T positions, D hidden size, H heads, E experts, K experts a token, V vocabulary.
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

LATENT_EPS = 1e-6  # of q_a_layernorm and kv_a_layernorm, whatever rms_norm_eps says: so in the published code
IGNORED = -100     # a target that has no part in the loss


def shapes(c):
    """The tensors of a checkpoint with config c: name -> shape. Embedding and head are stored once."""
    d, heads = c["hidden_size"], c["num_attention_heads"]
    out = {"model.embed_tokens.weight": (c["vocab_size"], d)}
    mtp = c.get("num_nextn_predict_layers", 0)
    for i in range(c["num_hidden_layers"] + mtp):
        p = f"model.layers.{i}."
        if i >= c["num_hidden_layers"]:
            out |= {p + "enorm.weight": (d,), p + "hnorm.weight": (d,), p + "eh_proj.weight": (d, 2 * d)}
        out[p + "input_layernorm.weight"] = (d,)
        out |= attention_shapes(c, p + "self_attn.", d, heads)
        out[p + "post_attention_layernorm.weight"] = (d,)
        out |= ffn_shapes(c, i, p + "mlp.", d)
        if i >= c["num_hidden_layers"]:
            out[p + "shared_head.norm.weight"] = (d,)
    out["model.norm.weight"] = (d,)
    if not c["tie_word_embeddings"]:
        out["lm_head.weight"] = (c["vocab_size"], d)
    return out


def attention_shapes(c, p, d, heads):
    nope, rope, value = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
    rq, rkv = c["q_lora_rank"], c["kv_lora_rank"]
    out = {}
    if rq is None:
        out[p + "q_proj.weight"] = (heads * (nope + rope), d)
    else:
        out[p + "q_a_proj.weight"] = (rq, d)
        out[p + "q_a_layernorm.weight"] = (rq,)
        out[p + "q_b_proj.weight"] = (heads * (nope + rope), rq)
    out[p + "kv_a_proj_with_mqa.weight"] = (rkv + rope, d)
    out[p + "kv_a_layernorm.weight"] = (rkv,)
    out[p + "kv_b_proj.weight"] = (heads * (nope + value), rkv)
    out[p + "o_proj.weight"] = (d, heads * value)
    return out


def ffn_shapes(c, layer, p, d):
    if layer < c["first_k_dense_replace"]:
        return mlp_shapes(p, d, c["intermediate_size"])
    e, m = c["n_routed_experts"], c["moe_intermediate_size"]
    out = {p + "gate.weight": (e, d)}
    if c["topk_method"] == "noaux_tc":
        out[p + "gate.e_score_correction_bias"] = (e,)
    for i in range(e):
        out |= mlp_shapes(f"{p}experts.{i}.", d, m)
    return out | mlp_shapes(p + "shared_experts.", d, c["n_shared_experts"] * m)


def mlp_shapes(p, d, m):
    return {p + "gate_proj.weight": (m, d), p + "up_proj.weight": (m, d), p + "down_proj.weight": (d, m)}


@dataclass
class Routing:
    """What one gate saw and did, for the checks of generate.py. N = B*T tokens."""

    score: torch.Tensor   # [N, E] sigmoid or softmax
    choice: torch.Tensor  # [N, E] what experts are chosen by: score + bias
    group: torch.Tensor   # [N, G] group scores
    index: torch.Tensor   # [N, K] the chosen experts


@dataclass
class Output:
    logits: torch.Tensor                                # [B, T, V]
    ce: torch.Tensor                                    # mean cross entropy over the valid targets
    loss: torch.Tensor                                  # ce + mtp_lambda * mean(mtp_ce) + balance
    balance: torch.Tensor                               # balance_alpha * sum over layers; 0 where alpha is 0
    mtp_logits: list = field(default_factory=list)      # per depth [B, T, V]
    mtp_ce: list = field(default_factory=list)          # per depth
    routings: list = field(default_factory=list)        # per MoE layer, MTP's last


class Model:
    def __init__(self, config, weights, mtp_lambda=0.0, balance_alpha=0.0):
        self.c, self.w = config, weights
        self.mtp_lambda, self.balance_alpha = mtp_lambda, balance_alpha

    def forward(self, ids, targets):
        """ids, targets [B, T]; targets[:, i] is the token after ids[:, i], or IGNORED."""
        self.routings, self.balance = [], torch.zeros((), dtype=self.head().dtype)
        h = self.w["model.embed_tokens.weight"][ids]
        for i in range(self.c["num_hidden_layers"]):
            h = self.layer(i, h)
        logits = self.norm("model.norm", h) @ self.head().T
        ce = cross_entropy(logits, targets)
        mtp_logits, mtp_ce = self.predict_further(h, targets)
        loss = ce + self.balance_alpha * self.balance
        if mtp_ce:
            loss = loss + self.mtp_lambda * sum(mtp_ce) / len(mtp_ce)
        return Output(logits, ce, loss, self.balance_alpha * self.balance, mtp_logits, mtp_ce, self.routings)

    def predict_further(self, h, targets):
        """Multi-token prediction from h [B, T, D], the last layer's output before the final norm.

        Depth k sees t_{i+k} = targets[i+k-1] (0 past the end) at position i and predicts t_{i+k+1} = targets[i+k].
        """
        logits, ces = [], []
        for k in range(1, self.c.get("num_nextn_predict_layers", 0) + 1):
            i = self.c["num_hidden_layers"] + k - 1
            p = f"model.layers.{i}."
            emb = self.w["model.embed_tokens.weight"][shift(targets, k - 1, 0)]
            pair = torch.cat([self.norm(p + "enorm", emb), self.norm(p + "hnorm", h)], -1)
            h = self.layer(i, pair @ self.w[p + "eh_proj.weight"].T)
            logits.append(self.norm(p + "shared_head.norm", h) @ self.head().T)
            ces.append(cross_entropy(logits[-1], shift(targets, k, IGNORED)))
        return logits, ces

    def head(self):
        return self.w["model.embed_tokens.weight" if self.c["tie_word_embeddings"] else "lm_head.weight"]

    def norm(self, name, x, eps=None):
        eps = self.c["rms_norm_eps"] if eps is None else eps
        return self.w[name + ".weight"] * x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + eps)

    def layer(self, i, x):
        p = f"model.layers.{i}."
        x = x + self.attention(p + "self_attn.", self.norm(p + "input_layernorm", x))
        y = self.norm(p + "post_attention_layernorm", x)
        if i < self.c["first_k_dense_replace"]:
            return x + self.mlp(p + "mlp.", y)
        return x + self.moe(p + "mlp.", y)

    def mlp(self, p, x):
        gate, up = x @ self.w[p + "gate_proj.weight"].T, x @ self.w[p + "up_proj.weight"].T
        return (F.silu(gate) * up) @ self.w[p + "down_proj.weight"].T

    def attention(self, p, x):
        """Multi-head latent attention, causal, keys and values per head."""
        c, (b, t, _), heads = self.c, x.shape, self.c["num_attention_heads"]
        nope, rope, value, rkv = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"], c["kv_lora_rank"]
        if c["q_lora_rank"] is None:
            q = x @ self.w[p + "q_proj.weight"].T
        else:
            latent = self.norm(p + "q_a_layernorm", x @ self.w[p + "q_a_proj.weight"].T, LATENT_EPS)
            q = latent @ self.w[p + "q_b_proj.weight"].T
        q_nope, q_rope = q.view(b, t, heads, nope + rope).split([nope, rope], -1)
        latent, k_rope = (x @ self.w[p + "kv_a_proj_with_mqa.weight"].T).split([rkv, rope], -1)
        kv = self.norm(p + "kv_a_layernorm", latent, LATENT_EPS) @ self.w[p + "kv_b_proj.weight"].T
        k_nope, v = kv.view(b, t, heads, nope + value).split([nope, value], -1)

        cos, sin = rope_table(c, t, x.dtype)
        q_rope = rotate(q_rope, cos[:, None], sin[:, None])
        k_rope = rotate(k_rope, cos, sin)
        score = torch.einsum("bthn,bshn->bhts", q_nope, k_nope) + torch.einsum("bthr,bsr->bhts", q_rope, k_rope)
        future = torch.ones(t, t, dtype=torch.bool).triu(1)
        prob = (score * softmax_scale(c)).masked_fill(future, -torch.inf).softmax(-1)
        return torch.einsum("bhts,bshv->bthv", prob, v).reshape(b, t, heads * value) @ self.w[p + "o_proj.weight"].T

    def moe(self, p, x):
        c, flat = self.c, x.reshape(-1, x.shape[-1])
        logits = flat @ self.w[p + "gate.weight"].T
        score = logits.sigmoid() if c["scoring_func"] == "sigmoid" else logits.softmax(-1)
        routing = route(c, score.detach(), self.w.get(p + "gate.e_score_correction_bias"))
        self.routings.append(routing)
        self.balance = self.balance + balance_loss(score.view(*x.shape[:2], -1), c["num_experts_per_tok"])

        weight = score.gather(1, routing.index)
        if c["norm_topk_prob"]:
            weight = weight / weight.sum(-1, keepdim=True)
        weight = weight * c["routed_scaling_factor"]
        y = self.mlp(p + "shared_experts.", flat)
        for e in range(c["n_routed_experts"]):
            token, slot = torch.where(routing.index == e)
            y = y.index_add(0, token, weight[token, slot, None] * self.mlp(f"{p}experts.{e}.", flat[token]))
        return y.view_as(x)


def route(c, score, bias):
    """Chooses K experts for each row of score [N, E]; bias [E] or None."""
    choice = score if bias is None else score + bias
    groups = c["n_group"] if c["topk_method"] != "greedy" else 1
    by_group = choice.unflatten(1, (groups, -1))
    best = 2 if c["topk_method"] == "noaux_tc" else 1
    group = by_group.topk(best, -1).values.sum(-1)
    left = choice
    if groups > 1:
        drop = torch.ones_like(group, dtype=torch.bool).scatter(1, group.topk(c["topk_group"], -1).indices, False)
        left = by_group.masked_fill(drop[..., None], -torch.inf).flatten(1)
    return Routing(score, choice, group, left.topk(c["num_experts_per_tok"], -1).indices)


def balance_loss(score, k):
    """sum_i f_i P_i of each sequence, averaged over the sequences. score [B, T, E].

    f_i = E/(K T) * (how often i is among the K best scores: no bias, no group limit); it is a constant.
    P_i = mean over the sequence of score_i / sum_j score_j.
    """
    b, t, e = score.shape
    chosen = torch.zeros_like(score).scatter(2, score.detach().topk(k, -1).indices, 1)
    f = chosen.sum(1) * e / (k * t)
    p = (score / score.sum(-1, keepdim=True)).mean(1)
    return (f * p).sum(-1).mean()


def get_mscale(factor, m):
    return 0.1 * m * math.log(factor) + 1 if factor > 1 else 1.0


def softmax_scale(c):
    scale = (c["qk_nope_head_dim"] + c["qk_rope_head_dim"]) ** -0.5
    if yarn := c["rope_scaling"]:
        scale *= get_mscale(yarn["factor"], yarn["mscale_all_dim"]) ** 2
    return scale


def rope_table(c, t, dtype):
    """cos and sin [T, R/2] of the angles of each adjacent pair; YaRN whenever the config has rope_scaling."""
    r, theta = c["qk_rope_head_dim"], c["rope_theta"]
    freq = theta ** (-torch.arange(0, r, 2, dtype=dtype) / r)
    magnitude = 1.0
    if yarn := c["rope_scaling"]:
        def pair(turns):  # the pair that turns so often within the original context
            return r * math.log(yarn["original_max_position_embeddings"] / (turns * 2 * math.pi)) / (2 * math.log(theta))

        low = max(math.floor(pair(yarn["beta_fast"])), 0)
        high = min(math.ceil(pair(yarn["beta_slow"])), r - 1)
        ramp = ((torch.arange(r // 2, dtype=dtype) - low) / (high - low)).clamp(0, 1)
        freq = freq / yarn["factor"] * ramp + freq * (1 - ramp)
        magnitude = get_mscale(yarn["factor"], yarn["mscale"]) / get_mscale(yarn["factor"], yarn["mscale_all_dim"])
    angle = torch.arange(t, dtype=dtype)[:, None] * freq
    return angle.cos() * magnitude, angle.sin() * magnitude


def rotate(x, cos, sin):
    """Rotates the pairs (x0, x1), (x2, x3), ... of the last dimension."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1).flatten(-2)


def shift(x, k, fill):
    """x [B, T] moved k to the left, filled at the end."""
    return F.pad(x, (0, k), value=fill)[:, k:]


def cross_entropy(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
