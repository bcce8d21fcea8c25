"""Writes ../grpo.json: advantages, loss and gradient of GRPO's objective and its corrections, in float64. Usage: python grpo.py

README.md, one level up, says what the file holds. Every formula stands here as its paper prints it and is differentiated by
torch; none is shared with the program that the values are for.
"""

import json
import math
from pathlib import Path

import torch

OUT = Path(__file__).resolve().parent.parent / "grpo.json"
torch.set_default_dtype(torch.float64)

# What a case does where it says nothing: DeepSeekMath's objective, without KL.
PLAIN = dict(std="population", aggregate="sequence", constant=0, ratio="token", clip_low=0.2, clip_high=0.2, beta=0.0, kl="k3",
             off_policy=None, overlong=None)
OVERLONG = dict(max=9, cache=4)
CASES = {  # name: (source, batch, options)
    "reinforce": ("no clipping to speak of, no KL", "even", dict(clip_low=1.0, clip_high=1e9)),
    "deepseekmath": ("DeepSeekMath, eq. 3 and 4", "even", dict(beta=0.04)),
    "deepseekmath-uneven": ("the same, groups of 5, 3, 2 and 1", "uneven", dict(beta=0.04)),
    "sample-std": ("the same, divided by n-1 under the root", "uneven", dict(beta=0.04, std="sample")),
    "r1": ("R1's settings: eps 10, KL 0.001", "even", dict(clip_low=10.0, clip_high=10.0, beta=0.001)),
    "dapo": ("DAPO: clip-higher, mean over the batch's tokens, as its program has it", "even", dict(aggregate="token_batch", clip_high=0.28)),
    "dapo-uneven": ("the same", "uneven", dict(aggregate="token_batch", clip_high=0.28)),
    "dapo-printed": ("DAPO, eq. 8: the mean over each group's tokens", "uneven", dict(aggregate="token_group", clip_high=0.28)),
    "dapo-overlong": ("DAPO, eq. 13: soft punishment of length, added to the reward", "even",
                      dict(aggregate="token_batch", clip_high=0.28, overlong=OVERLONG)),
    "dr-grpo": ("Dr. GRPO: no division by spread or length, a constant in its place", "even",
                dict(std="none", aggregate="constant", constant=12)),
    "dr-grpo-kl": ("the same with KL", "uneven", dict(std="none", aggregate="constant", constant=12, beta=0.02)),
    "gspo": ("GSPO, eq. 5 to 7: one ratio a sequence, its geometric mean over tokens", "even",
             dict(ratio="sequence", clip_low=0.04, clip_high=0.06)),
    "gspo-uneven": ("the same", "uneven", dict(ratio="sequence", clip_low=0.04, clip_high=0.06)),
    "unbiased-kl": ("DeepSeek-V3.2, eq. 7: k3 times the ratio to the old policy", "even", dict(beta=0.1, kl="unbiased")),
    "off-policy": ("DeepSeek-V3.2, eq. 8 and 9: sequences masked, their KL kept", "even", dict(beta=0.04, off_policy=0.05)),
    "v3.2": ("DeepSeek-V3.2: all of it, no division by the spread", "uneven",
             dict(std="none", beta=0.04, kl="unbiased", off_policy=0.05)),
    "everything": ("what the program may be asked for at once", "uneven",
                   dict(std="sample", aggregate="token_batch", clip_high=0.28, beta=0.05, kl="unbiased", off_policy=0.05, overlong=OVERLONG)),
}


def punished(reward, length, overlong):
    """DAPO's soft punishment: none up to max - cache tokens, a whole point at max, a straight line between."""
    if overlong is None or length <= overlong["max"] - overlong["cache"]:
        return reward
    if length > overlong["max"]:
        return reward - 1
    return reward + ((overlong["max"] - overlong["cache"]) - length) / overlong["cache"]


def advantages(rewards, std):
    """(R - mean) / std over a group; all alike, or a single one: 0."""
    r = torch.tensor(rewards)
    centred = r - r.mean()
    if std == "none":
        return centred
    if len(rewards) == 1 or len(set(rewards)) == 1:
        return torch.zeros_like(r)
    return centred / r.std(correction=0 if std == "population" else 1)


def ratios(new, old, kind):
    """Of each token, or GSPO's: (pi(o|q) / pi_old(o|q)) ** (1/|o|), the same for all."""
    return (new - old).exp() if kind == "token" else (new - old).sum().div(len(new)).exp().expand(len(new))


def objective(groups, news, o):
    """What is maximised, and what the page of a run shows of it: mean k3 a token, share of tokens whose gradient the clip took."""
    parts, kls, clipped = [], [], []
    for group, new in zip(groups, news):
        rewards = [punished(r, len(s["old"]), o["overlong"]) for r, s in zip(group["rewards"], group["samples"])]
        for a, sample, logp in zip(advantages(rewards, o["std"]), group["samples"], new):
            old, ref = torch.tensor(sample["old"]), torch.tensor(sample["ref"])
            r = ratios(logp, old, o["ratio"])
            gain = torch.minimum(r * a, r.clamp(1 - o["clip_low"], 1 + o["clip_high"]) * a)
            masked = o["off_policy"] is not None and a < 0 and (old - logp).mean() > o["off_policy"]
            clipped.append((((a > 0) & (r > 1 + o["clip_high"])) | ((a < 0) & (r < 1 - o["clip_low"]))) & (not masked))
            if masked:
                gain = gain * 0
            x = ref - logp
            k3 = x.exp() - x - 1
            kls.append(k3.detach())
            if o["kl"] == "unbiased":
                k3 = (logp - old).exp() * k3
            parts.append((group, gain - o["beta"] * k3))
    lengths = sum(len(p) for _, p in parts)
    total = 0
    for group, p in parts:
        tokens = sum(len(s["old"]) for s in group["samples"])
        weight = dict(sequence=1 / (len(parts) * len(p)), token_group=1 / (len(groups) * tokens), token_batch=1 / lengths,
                      constant=1 / (len(parts) * max(o["constant"], 1)))[o["aggregate"]]
        total = total + weight * p.sum()
    return total, torch.cat(kls).mean().item(), torch.cat(clipped).double().mean().item()


def draw(rng, sizes, longest):
    """Groups of samples whose new, old and reference policies are apart by about a quarter of a nat a token. The values are such
    that float32 holds them exactly. The rewards of a group's first and last differ; the second group's are all alike."""
    groups = []
    for g, size in enumerate(sizes):
        samples = []
        for _ in range(size):
            n = int(torch.randint(1, longest + 1, (1,), generator=rng))
            shift = 0.1 * torch.randn(1, generator=rng)  # of the whole sample: some have gone far
            old = -torch.rand(n, generator=rng) * 3 - 0.9
            new, ref = (old + shift + 0.25 * torch.randn(n, generator=rng) for _ in range(2))
            samples.append({k: v.clamp(max=-2**-10).float().double().tolist() for k, v in dict(new=new, old=old, ref=ref).items()})
        rewards = [1.0] * size if g == 1 else [1.0 if i == 0 else float(torch.randint(0, 5, (1,), generator=rng)) / 4 for i in range(size - 1)] + [0.0]
        groups.append(dict(rewards=rewards, samples=samples))
    return groups


def tells(groups):
    """Whether a draw has all that cases are to tell apart, and nothing at the edge of a decision."""
    seen = set()
    for g, group in enumerate(groups):
        for a, s in zip(advantages(group["rewards"], "population").tolist(), group["samples"]):
            new, old = torch.tensor(s["new"]), torch.tensor(s["old"])
            edges = [e for b in (0.04, 0.2, 10) for e in (1 - b, 1 + b)] + [1.06, 1.28]
            for kind in ("token", "sequence"):
                r = ratios(new, old, kind)
                if any((r - e).abs().min() < 1e-3 for e in edges):
                    return False
                seen |= {(kind, "up" if a > 0 else "down", v > 1.06, v < 0.96) for v in r.tolist() if a != 0}
                seen |= {(kind, "up" if a > 0 else "down", v > 1.28, v < 0.8) for v in r.tolist() if a != 0 and kind == "token"}
            far = (old - new).mean().item()
            if abs(far - 0.05) < 1e-3:
                return False
            if a != 0:
                seen.add(("mask", a > 0, far > 0.05))
            if len(old) > 9:
                seen.add("over")
            if 5 < len(old) <= 9:
                seen.add("long")
    wanted = {("mask", up, far) for up in (True, False) for far in (True, False)} | {"over", "long"}
    wanted |= {(kind, side, up, down) for kind in ("token", "sequence") for side in ("up", "down")
               for up, down in ((True, False), (False, True), (False, False))}
    return wanted <= seen


def batch(seed, sizes):
    while True:
        groups = draw(torch.Generator().manual_seed(seed), sizes, 12)
        if tells(groups):
            return dict(seed=seed, groups=groups)
        seed += 1


def result(groups, o):
    news = [[torch.tensor(s["new"], requires_grad=True) for s in g["samples"]] for g in groups]
    j, kl, clipped = objective(groups, news, o)
    loss = -j
    loss.backward()
    check(groups, news, o)
    rewards = [[punished(r, len(s["old"]), o["overlong"]) for r, s in zip(g["rewards"], g["samples"])] for g in groups]
    return dict(rewards=rewards, advantages=[advantages(r, o["std"]).tolist() for r in rewards], loss=loss.item(), kl=kl, clip_share=clipped,
                gradient=[[t.grad.tolist() for t in g] for g in news])


def check(groups, news, o, h=1e-5):
    """Central differences of the loss against torch's gradient, for every token."""
    values = [[t.detach().clone() for t in g] for g in news]
    for g, group in enumerate(values):
        for i, logp in enumerate(group):
            for t in range(len(logp)):
                at, both = logp[t].item(), []
                for x in (at + h, at - h):
                    logp[t] = x
                    both.append(-objective(groups, values, o)[0].item())
                logp[t] = at
                want = (both[0] - both[1]) / (2 * h)
                assert abs(news[g][i].grad[t].item() - want) < 1e-8, (o, g, i, t, news[g][i].grad[t].item(), want)


def published():
    """Advantages and k3 that anybody can work out on paper."""
    rewards = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    for std, right, wrong in (("population", math.sqrt(3), -1 / math.sqrt(3)), ("sample", 0.75 / math.sqrt(1.5 / 7), -0.25 / math.sqrt(1.5 / 7)),
                              ("none", 0.75, -0.25)):
        for r, a in zip(rewards, advantages(rewards, std).tolist()):
            assert abs(a - (right if r else wrong)) < 1e-15, (std, a)
    ks = {x: math.exp(x) - x - 1 for x in (-0.5, -0.1, 0.1, 0.5)}
    assert all(abs(ks[x] - k) < 5e-8 for x, k in ((-0.5, .1065307), (-0.1, .0048374), (0.1, .0051709), (0.5, .1487213)))
    return [dict(rewards=rewards, std=std, advantages=rounded(advantages(rewards, std).tolist())) for std in ("population", "sample", "none")]


def main():
    batches = dict(even=batch(1, [4, 4, 4]), uneven=batch(1, [5, 3, 2, 1]))
    cases = []
    for name, (source, b, options) in CASES.items():
        o = PLAIN | options
        cases.append(dict(name=name, source=source, batch=b, options=o) | rounded(result(batches[b]["groups"], o)))
    text = json.dumps(dict(advantages=published(), batches=batches, cases=cases), indent=1)
    OUT.write_text(compact(text) + "\n")


def rounded(v):
    """To 13 digits: another processor's exp may differ in the last."""
    if isinstance(v, dict):
        return {k: rounded(x) for k, x in v.items()}
    return [rounded(x) for x in v] if isinstance(v, list) else float(f"{v:.13g}")


def compact(text):
    """Lists of numbers on one line."""
    lines, out = text.split("\n"), []
    for line in lines:
        s = line.strip()
        if out and (out[-1].endswith("[") or out[-1].endswith(",")) and s.lstrip("-")[:1].isdigit():
            out[-1] += ("" if out[-1].endswith("[") else " ") + s
        elif out and s.startswith("]") and out[-1][-1:].isdigit():
            out[-1] += s
        else:
            out.append(line)
    return "\n".join(out)


if __name__ == "__main__":
    main()
