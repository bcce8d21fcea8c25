#!/usr/bin/env python3
"""Makes the golden files here with Hugging Face's tokenizers (pip install tokenizers==0.23.3):

    python3 gen.py                     trains NAME.json on docs.json for each pattern below, and writes NAME.golden.jsonl
    python3 gen.py TOKENIZER.json N    prints N golden lines for any tokenizer

A golden line has a text, random but for a few with many marks on a letter, and the ids that the Rust library gives it."""
import json, os, random, sys
import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

if tokenizers.__version__ != "0.23.3":
    sys.exit("tokenizers is %s, and the golden files are made with 0.23.3" % tokenizers.__version__)

HERE = os.path.dirname(os.path.abspath(__file__))
SPECIALS = ["<|begin|>", "<|end|>", "<|pad|>"]
ASCII = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"""
PATTERNS = {
    "deepseek": [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
                 ASCII + "[A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"],
    "qwen2": [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "llama3": [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "gpt2": [],
    "other": [r"[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺ]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", r"[一-龥ࠀ-一가-퟿]+"],
}
WORDS = """the The fox's they'll IT'S don'T 'ſ quick 1 12 1234 1/2 ½ ⅷ ٣٤ 0x7f naïve cafe\u0301 é \u1e9b\u0323 Ελληνικά язык हिन्दी 中文 日本語の
テキスト カ゛ 、 。 「」 🙂 👩‍👩‍👧 -- ====== ... #include <a> <|begin|> <|end|> <|pad <| <|begin <think> a_b x++ (y) {z} $5 µ ª ǅ ʰ ـ \u0301\u0302""".split()
ODD = list(" \n\r\t\v\f\0'sStT12aZé中ー") + ["\u0085", "\u00a0", "\u3000", "\u2028", "\u200b", "\u200d", "\ufeff", "\ufffd", "\u212b", "  ", "\r\n", " \n ", "\ue000"]

MARKS = ["a" + "\u0301" * 40, "u\u0308" + "\u0323\u0304" * 20 + "e\u0301", "\u0301" * 33 + "e\u0301"]


def build(name):
    t = Tokenizer(models.BPE())
    steps = [pre_tokenizers.Split(Regex(p), "isolated") for p in PATTERNS[name]]
    if name == "other":
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=name == "gpt2"))
    t.pre_tokenizer = pre_tokenizers.Sequence(steps)
    if name == "qwen2":
        t.normalizer = normalizers.NFC()
    t.decoder = decoders.ByteLevel()
    docs = json.load(open(os.path.join(HERE, "docs.json")))
    t.train_from_iterator(docs, trainers.BpeTrainer(
        vocab_size=480, special_tokens=SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.add_tokens(["<think>"])
    return t


def text(rnd):
    return "".join(rnd.choice(["", " ", " "]) + rnd.choice(WORDS) if rnd.random() < 0.6 else rnd.choice(ODD)
                   for _ in range(rnd.randrange(1, 12)))


def golden(t, n, out):
    rnd = random.Random(1)
    for s in [text(rnd) for _ in range(n)] + MARKS:
        print(json.dumps({"text": s, "ids": t.encode(s, add_special_tokens=False).ids}, ensure_ascii=False, separators=(",", ":")), file=out)


if len(sys.argv) == 3:
    golden(Tokenizer.from_file(sys.argv[1]), int(sys.argv[2]), sys.stdout)
else:
    for name in PATTERNS:
        t = build(name)
        t.save(os.path.join(HERE, name + ".json"), pretty=False)
        with open(os.path.join(HERE, name + ".golden.jsonl"), "w") as f:
            golden(t, 150, f)
