"""BERT's forward pass in NumPy, written apart from the Rust code to check it and the checkpoints.

Reads a checkpoint folder (safetensors or torch's zipped pickle) and computes in any float type: float64 as
an oracle, float32 for evaluation in bulk.
"""

import json
import math
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I8": "i1", "U8": "u1"}


def read_safetensors(path):
    data = np.memmap(path, np.uint8, "r")
    (size,) = struct.unpack("<Q", data[:8].tobytes())
    header = json.loads(data[8 : 8 + size].tobytes())
    header.pop("__metadata__", None)
    tensors = {}
    for name, tensor in header.items():
        begin, end = (8 + size + offset for offset in tensor["data_offsets"])
        tensors[name] = data[begin:end].view(DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
    return tensors


def dequantize(tensors):
    """Multiplies each int8 tensor `X` by its `X_scale`, one number a row, which disappears."""
    result = {}
    for name, tensor in tensors.items():
        if tensor.dtype == np.int8:
            result[name] = tensor.astype(np.float32) * tensors[name + "_scale"][:, None]
        elif not name.endswith("_scale"):
            result[name] = tensor
    return result


def read_torch(path):
    """The tensors of a `pytorch_model.bin`; a class of the pickle that is not expected is an error."""
    with zipfile.ZipFile(path) as archive:
        (index,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        folder = index[: -len("data.pkl")] + "data/"

        class Unpickler(pickle.Unpickler):
            allowed = {
                ("collections", "OrderedDict"): OrderedDict,
                ("torch", "FloatStorage"): "<f4",
                ("torch", "LongStorage"): "<i8",
                ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, strides, *_: (
                    np.lib.stride_tricks.as_strided(
                        storage[offset:], shape, [stride * storage.itemsize for stride in strides]
                    )
                ),
            }

            def find_class(self, module, name):
                return self.allowed[module, name]

            def persistent_load(self, reference):
                _, dtype, key, _, _ = reference
                return np.frombuffer(archive.read(folder + key), dtype)

        with archive.open(index) as file:
            return dict(Unpickler(file).load())


def load(folder, dtype=np.float64):
    """The config and the weights of a checkpoint folder, under names without `bert.` and `gamma`/`beta`."""
    config = json.loads((folder / "config.json").read_text())
    if (folder / "model.safetensors").exists():
        tensors = dequantize(read_safetensors(folder / "model.safetensors"))
    else:
        tensors = read_torch(folder / "pytorch_model.bin")
    weights = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("bert.").replace(".gamma", ".weight").replace(".beta", ".bias")
        weights[name] = np.ascontiguousarray(tensor, dtype)
    return config, weights


# erf on a grid, linear between its points: |error| < 2e-9 (step^2 / 8 * max |erf''|). NumPy has none.
ERF_LIMIT, ERF_STEPS = 6.0, 100_000
ERF = np.array([math.erf(ERF_LIMIT * (2 * i / ERF_STEPS - 1)) for i in range(ERF_STEPS + 2)])


def erf(x):
    at = (np.clip(x, -ERF_LIMIT, ERF_LIMIT).astype(np.float64) + ERF_LIMIT) * (ERF_STEPS / (2 * ERF_LIMIT))
    cell = at.astype(np.int32)
    left = ERF[cell]
    return (left + (at - cell) * (ERF[cell + 1] - left)).astype(x.dtype)


def gelu(x):
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


class Bert:
    def __init__(self, folder, dtype=np.float64):
        self.config, self.weights = load(folder, dtype)
        if self.config["hidden_act"] != "gelu" or self.config.get("position_embedding_type", "absolute") != "absolute":
            raise ValueError(f"{folder}: an activation or position embedding that this script does not know")

    def linear(self, name, x):
        weight = self.weights[name + ".weight"]  # [out, in]
        rows = x.reshape(-1, x.shape[-1]) @ weight.T + self.weights[name + ".bias"]
        return rows.reshape(*x.shape[:-1], -1)

    def layer_norm(self, name, x):
        x = x - x.mean(-1, keepdims=True)
        x /= np.sqrt((x * x).mean(-1, keepdims=True) + self.config["layer_norm_eps"])
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def encode(self, ids, segments, mask):
        """[batch, tokens] of token ids, segment ids and 1 for real tokens -> [batch, tokens, hidden]"""
        batch, tokens = ids.shape
        heads = self.config["num_attention_heads"]

        def split(x):  # -> [batch, heads, tokens, hidden / heads]
            return x.reshape(batch, tokens, heads, -1).transpose(0, 2, 1, 3)

        hidden = (
            self.weights["embeddings.word_embeddings.weight"][ids]
            + self.weights["embeddings.position_embeddings.weight"][:tokens]
            + self.weights["embeddings.token_type_embeddings.weight"][segments]
        )
        hidden = self.layer_norm("embeddings.LayerNorm", hidden)
        bias = np.where(mask, 0.0, -1e30).astype(hidden.dtype)[:, None, None, :]
        for layer in range(self.config["num_hidden_layers"]):
            layer = f"encoder.layer.{layer}."
            query, key, value = (
                split(self.linear(layer + "attention.self." + part, hidden)) for part in ("query", "key", "value")
            )
            scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(query.shape[-1])
            context = softmax(scores + bias) @ value
            context = context.transpose(0, 2, 1, 3).reshape(hidden.shape)
            context = self.linear(layer + "attention.output.dense", context)
            hidden = self.layer_norm(layer + "attention.output.LayerNorm", context + hidden)
            inner = gelu(self.linear(layer + "intermediate.dense", hidden))
            inner = self.linear(layer + "output.dense", inner)
            hidden = self.layer_norm(layer + "output.LayerNorm", inner + hidden)
        return hidden

    def pooled(self, hidden):
        return np.tanh(self.linear("pooler.dense", hidden[:, 0]))

    def masked_lm(self, hidden):
        """Logits over the vocabulary for each row of [.., hidden]; the decoder is tied or has its own weight."""
        head = "cls.predictions."
        hidden = gelu(self.linear(head + "transform.dense", hidden))
        hidden = self.layer_norm(head + "transform.LayerNorm", hidden)
        decoder = self.weights.get(head + "decoder.weight", self.weights["embeddings.word_embeddings.weight"])
        return hidden @ decoder.T + self.weights.get(head + "decoder.bias", self.weights.get(head + "bias"))
