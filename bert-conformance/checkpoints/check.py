#!/usr/bin/env python3
"""Shows that transformers loads checkpoints and computes with them what is recorded beside them.

    python check.py [--tolerance 1e-5] FOLDER...

A folder holds config.json, model.safetensors or pytorch_model.bin, and golden.safetensors: a batch (input_ids,
token_type_ids, attention_mask, padded) and a tensor for each output, as make.py records them. The class is what the
config names in `architectures`. Prints a line for each folder; the number is the greatest difference of any output,
relative to the root mean square of that output. Exits with 1 if a tensor is missing, is not known to the class or has
the wrong shape, or if a difference is above the tolerance.
"""
import argparse
import json
import sys
from pathlib import Path

import torch
import transformers as hf
from safetensors.torch import load_file

from make import record

INPUTS = ("input_ids", "token_type_ids", "attention_mask")


def load(folder):
    """The model in f64 without dropout, and what is wrong with the names and shapes in the file."""
    config = json.loads((folder / "config.json").read_text())
    architecture = (config.get("architectures") or ["AutoModel"])[0]
    kind = getattr(hf, architecture, None)
    if kind is None:
        raise ValueError(f"transformers has no class {architecture}")
    model, info = kind.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    wrong = [f"{what.removesuffix('_keys')} {name}" for what, names in info.items() for name in sorted(map(str, names))
             if not name.endswith("position_ids")]  # a buffer that every model computes for itself
    return model.eval().double(), wrong


def difference(name, found, wanted, file):
    """The greatest difference of an output, padding aside, relative to the root mean square."""
    mask = file["attention_mask"].bool()
    if name == "mlm_logits" and "mlm_logits_rows" in file:
        rows = file["mlm_logits_rows"].long()
        found, mask = found[rows, :wanted.shape[1]], mask[rows, :wanted.shape[1]]
    if found.shape != wanted.shape:
        raise ValueError(f"{name} is {list(wanted.shape)}, transformers gives {list(found.shape)}")
    if wanted.shape[:2] == mask.shape and wanted.ndim > 2:
        found, wanted = found[mask], wanted[mask]
    found, wanted = found.double(), wanted.double()
    if not wanted.isfinite().all():
        raise ValueError(f"{name} is not finite")
    # Outputs that are all zero have no scale of their own.
    scale = found.square().mean().sqrt().clamp_min(1e-30)
    return ((found - wanted).abs().max() / scale).item()


def check(folder, tolerance):
    """The line to print, and whether all is well."""
    file = load_file(folder / "golden.safetensors")
    outputs = {name: x for name, x in file.items() if name not in (*INPUTS, "mlm_logits_rows")}
    if not outputs:
        return "no outputs are recorded", False
    model, wrong = load(folder)
    found = record(model, {name: file[name].long() for name in INPUTS})
    differences = {}
    for name, wanted in outputs.items():
        if name not in found:
            wrong.append(f"{type(model).__name__} gives no {name}")
            continue
        try:
            differences[name] = difference(name, found[name], wanted, file)
        except ValueError as error:
            wrong.append(str(error))
    # Not by max: it passes over what is not a number.
    wrong += [f"{name} differs by {x:.1e}" for name, x in differences.items() if not x <= tolerance]
    said = f"{type(model).__name__}, " + ", ".join(f"{name} {x:.1e}" for name, x in differences.items())
    return "; ".join([said, *wrong]), not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    args = parser.parse_args()
    hf.logging.set_verbosity_error()
    hf.logging.disable_progress_bar()
    failed = False
    for folder in args.folders:
        try:
            line, good = check(folder, args.tolerance)
        except Exception as error:  # a folder that cannot be read must not hide the others
            line, good = f"{type(error).__name__}: {error}", False
        print(f"{'ok   ' if good else 'WRONG'} {folder.name}: {line}")
        failed |= not good
    sys.exit(failed)


if __name__ == "__main__":
    main()
