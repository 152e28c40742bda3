"""Makes the compact form of a checkpoint that the command `bert` embeds.

    python3 compact_mlm.py SOURCE TARGET

Each matrix `X` of SOURCE's model.safetensors becomes int8 with one f32 scale a row: `X` (I8) and `X_scale`
(F32 [rows]), to be read as `X * X_scale[:, None]`. Vectors (biases, LayerNorms) stay as they are, and so do
the segment embeddings: two rows that every token shares. Config and tokenizer files are copied. Needs NumPy.

A scale is its row's largest magnitude / 127, so quantising a loaded matrix by rows again gives the same
integers. Scales of least squared error, with the outliers clipped, change no measured figure.
"""

import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np

from bert_numpy import read_safetensors

NAMES = {"float16": "F16", "float32": "F32", "int8": "I8"}


def quantize(weight):
    """int8 values and f32 scales of a [rows, columns] matrix, and the error relative to the matrix's norm."""
    weight = weight.astype(np.float32)
    limit = np.abs(weight).max(1)
    scale = np.where(limit > 0, limit / 127, 1).astype(np.float32)
    values = np.rint(weight / scale[:, None]).astype(np.int8)
    error = np.linalg.norm(values * scale[:, None] - weight) / np.linalg.norm(weight)
    return values, scale, error


def write_safetensors(path, tensors):
    # The widest elements first, so that every tensor is aligned to its element.
    tensors = dict(sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])))
    header, offset = {"__metadata__": {"format": "pt", "int8": "X * X_scale[:, None]"}}, 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": NAMES[tensor.dtype.name],
            "shape": tensor.shape,
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for tensor in tensors.values():
            file.write(tensor.tobytes())


def main(source, target):
    target.mkdir(parents=True, exist_ok=True)
    compact = {}
    for name, tensor in read_safetensors(source / "model.safetensors").items():
        if tensor.ndim == 2 and "token_type_embeddings" not in name:
            compact[name], compact[name + "_scale"], error = quantize(tensor)
            print(f"{name:60} {list(tensor.shape)!s:14} relative error {error:.5f}")
        else:
            compact[name] = tensor
    write_safetensors(target / "model.safetensors", compact)
    for name in ["config.json", "vocab.txt", "tokenizer_config.json"]:
        shutil.copyfile(source / name, target / name)
    size = (target / "model.safetensors").stat().st_size
    print(f"{target / 'model.safetensors'}: {size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
