#!/usr/bin/env python3
"""Records the attention of small checkpoints as transformers gives it: `output_attentions` of the eager implementation.

    python attention.py CHECKPOINTS TARGET

CHECKPOINTS is bert-conformance/checkpoints, TARGET is bert-tasks/tests/all/explain/golden.json. Needs torch and
transformers. Numbers are computed in f64 and rounded to six digits.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModel, BertTokenizer

# BERT, normalised before and not after, with layers that share their parameters, with narrow embeddings.
NAMES = ["bert-embedding", "roberta-prelayernorm-embedding", "albert-embedding", "electra-embedding"]
TEXTS = [("the capital of france is paris.", None), ("he opened the door", "the room")]
# For those without a tokenizer of their own.
IDS = [2, 7, 9, 11, 8, 30, 3]


def rounded(numbers):
    return [rounded(part) for part in numbers] if isinstance(numbers, list) else round(numbers, 6)


def batches(folder):
    """The inputs of a checkpoint: texts, or ids where it has no tokenizer."""
    if not (folder / "vocab.txt").exists():
        return [(None, None, {"input_ids": torch.tensor([IDS])})]
    tokenizer = BertTokenizer.from_pretrained(folder)
    return [(text, pair, tokenizer(text, pair, return_tensors="pt")) for text, pair in TEXTS]


def main(checkpoints, target):
    recorded = []
    for name in NAMES:
        folder = checkpoints / name
        model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval().double()
        for text, pair, batch in batches(folder):
            with torch.no_grad():
                attentions = model(**batch, output_attentions=True).attentions
            recorded.append({
                "checkpoint": name,
                "text": text,
                "pair": pair,
                "ids": batch["input_ids"][0].tolist(),
                "attentions": [rounded(layer[0].tolist()) for layer in attentions],
            })
            print(name, tuple(batch["input_ids"].shape), len(attentions), "layers")
    target.write_text(json.dumps(recorded) + "\n")


main(Path(sys.argv[1]), Path(sys.argv[2]))
