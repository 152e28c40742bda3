"""Masked-LM quality of checkpoint folders, each on the same windows and the same masks.

    python3 evaluate_mlm.py [--windows N] FOLDER ... < TEXT

TEXT is a line a paragraph. N windows of up to 64 pieces ([CLS] and [SEP] included) begin at lines spread
evenly over it; a window goes on into the following lines. 15 % of a window's pieces become [MASK], chosen by
a fixed seed. Prints top-1, top-5 and the mean cross entropy (nats) over the masked pieces, and, for each
folder after the first, on how many of them its best guess differs. Needs `pip install numpy tokenizers`.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from tokenizers import BertWordPieceTokenizer

from bert_numpy import Bert

PIECES = 64
MASKED = 0.15
BATCH = 32


def read_windows(tokenizer, lines, count):
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    for start in np.linspace(0, len(lines), count, endpoint=False).astype(int):
        pieces = []
        for index in range(start, len(lines)):
            pieces += tokenizer.encode(lines[index], add_special_tokens=False).ids
            if len(pieces) >= PIECES - 2:
                break
        yield [cls, *pieces[: PIECES - 2], sep]


def measure(model, windows, positions, mask_id):
    """For each masked piece its rank (0 is best), its cross entropy, and the piece ranked first."""
    ranks, losses, guesses = [], [], []
    for begin in range(0, len(windows), BATCH):
        batch = windows[begin : begin + BATCH]
        longest = max(map(len, batch))
        ids = np.array([window + [0] * (longest - len(window)) for window in batch])
        mask = np.array([[1] * len(window) + [0] * (longest - len(window)) for window in batch])
        rows = np.concatenate([np.full(len(at), row) for row, at in enumerate(positions[begin : begin + BATCH])])
        columns = np.concatenate(positions[begin : begin + BATCH])
        truth = ids[rows, columns]
        ids[rows, columns] = mask_id
        hidden = model.encode(ids, np.zeros_like(ids), mask)
        logits = model.masked_lm(hidden[rows, columns])
        logits -= logits.max(-1, keepdims=True)
        true_logits = np.take_along_axis(logits, truth[:, None], -1)
        ranks.append((logits > true_logits).sum(-1))
        losses.append(np.log(np.exp(logits).sum(-1)) - true_logits[:, 0])
        guesses.append(logits.argmax(-1))
    return tuple(map(np.concatenate, (ranks, losses, guesses)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("folders", type=Path, nargs="+")
    args = parser.parse_args()

    first = args.folders[0]
    lower = json.loads((first / "tokenizer_config.json").read_text())["do_lower_case"]
    tokenizer = BertWordPieceTokenizer(str(first / "vocab.txt"), lowercase=lower)
    lines = [line for line in sys.stdin.buffer.read().decode(errors="replace").split("\n") if line.strip()]
    windows = list(read_windows(tokenizer, lines, args.windows))
    random = np.random.default_rng(0)
    positions = [
        np.sort(random.choice(range(1, len(window) - 1), max(1, round(MASKED * (len(window) - 2))), replace=False))
        for window in windows
    ]
    print(f"{len(windows)} windows, {sum(map(len, positions))} masked pieces")

    expected = None
    for folder in args.folders:
        model = Bert(folder, np.float32)
        ranks, losses, guesses = measure(model, windows, positions, tokenizer.token_to_id("[MASK]"))
        top1, top5 = (100 * (ranks < k).mean() for k in (1, 5))
        print(f"{folder}: top-1 {top1:.2f} %  top-5 {top5:.2f} %  loss {losses.mean():.4f}", end="")
        if expected is None:
            expected = guesses
            print()
        else:
            print(f"  other best guess: {(guesses != expected).sum()}")


if __name__ == "__main__":
    main()
