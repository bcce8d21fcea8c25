"""Loads a checkpoint directory with transformers and prints the logits of some ids, a JSON line for each position:

    python check_dir.py DIR 5 17 3        {"pos": 0, "logits": [...]} ...

A tensor that is missing, unknown (but for MTP layers) or of another shape is an error. float32, eager attention.
"""

import argparse
import json

import torch

import hf

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("directory")
parser.add_argument("ids", type=int, nargs="+")
args = parser.parse_args()
with torch.no_grad():
    logits = hf.load(args.directory, torch.float32)(torch.tensor([args.ids]), use_cache=False).logits[0]
for pos, row in enumerate(logits.tolist()):
    print(json.dumps({"pos": pos, "logits": row}))
