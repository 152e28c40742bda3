"""Arranges the AntiBERTy wheel's trained model as a BertForPreTraining checkpoint folder.

    python3 antiberty.py SOURCE TARGET

SOURCE is `antiberty/trained_models` of the unpacked wheel. The weights stay the `pytorch_model.bin` that
torch wrote: a zip of stored records, one of them a pickle that names the tensors. Only that record is
replaced, to call the two-way chain head `cls.seq_relationship`, the name under which BertForPreTraining
keeps its two-way head over the pooled output. The other records are not touched, byte for byte.
"""

import json
import shutil
import struct
import sys
import zipfile
from pathlib import Path

RENAMED = {
    "cls.chain.weight": "cls.seq_relationship.weight",
    "cls.chain.bias": "cls.seq_relationship.bias",
    "cls.chain": "cls.seq_relationship",  # the module's own entry in the state dict's metadata
}


def binunicode(text):
    """A string as pickle protocol 2 stores it: opcode, little-endian length, UTF-8."""
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def rename_strings(pickle, renamed):
    for old, new in renamed.items():
        found = pickle.count(binunicode(old))
        if found != 1:
            sys.exit(f"pytorch_model.bin: expected the name {old!r} once in its pickle, found it {found} times")
        pickle = pickle.replace(binunicode(old), binunicode(new))
    return pickle


def rename_tensors(path, renamed):
    with zipfile.ZipFile(path, "a") as archive:
        record = archive.getinfo("archive/data.pkl")
        pickle = rename_strings(archive.read(record), renamed)
        # Taken out of the directory, the old record becomes dead bytes; the new one goes to the end.
        archive.filelist.remove(record)
        del archive.NameToInfo[record.filename]
        archive.writestr(zipfile.ZipInfo(record.filename), pickle)


def main(source, target):
    model = source / "AntiBERTy_md_smooth"

    config = json.loads((model / "config.json").read_text())
    config["architectures"] = ["BertForPreTraining"]
    del config["_name_or_path"]
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    shutil.copyfile(source / "vocab.txt", target / "vocab.txt")
    tokenizer = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": False,
        "model_max_length": 512,
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    (target / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2) + "\n")

    shutil.copyfile(model / "pytorch_model.bin", target / "pytorch_model.bin")
    rename_tensors(target / "pytorch_model.bin", RENAMED)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
