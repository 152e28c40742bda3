"""Compares checkpoint folders with the reference outputs, in float64 and apart from the Rust code.

    python3 check_models.py [MODELS [GOLDEN]]

MODELS defaults to `target/models`, GOLDEN to `../shared/golden`. Needs NumPy. Prints the largest difference
of each output, absolute or relative to its row's largest magnitude, whichever is smaller; fails beyond 2e-5.
"""

import json
import sys
from pathlib import Path

import numpy as np

from bert_numpy import Bert, read_safetensors

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 2e-5


def outputs(model, golden, mask):
    """Everything that the model of this golden folder computes, under the golden tensors' names."""
    hidden = model.encode(golden["input_ids"], golden["token_type_ids"], mask)
    yield "last_hidden_state", hidden
    if "pooler_output" in golden:
        yield "pooler_output", model.pooled(hidden)
    if "mean_pooled" in golden:
        weight = mask[..., None]
        mean = (hidden * weight).sum(1) / weight.sum(1)
        yield "mean_pooled", mean
        yield "sentence_embedding", mean / np.linalg.norm(mean, axis=-1, keepdims=True)
    if "logits" in golden:
        yield "logits", model.linear("classifier", hidden)
    if "mlm_logits" in golden:
        positions = golden["mlm_logits"].shape[1]
        yield "mlm_logits", model.masked_lm(hidden[golden["mlm_logits_rows"], :positions])
    if "prediction_logits" in golden:
        yield "prediction_logits", model.masked_lm(hidden)
    if "seq_relationship_logits" in golden:
        yield "seq_relationship_logits", model.linear("cls.seq_relationship", model.pooled(hidden))


def main(models, goldens):
    failed = 0
    for folder in sorted(path.parent for path in goldens.glob("*/golden.safetensors")):
        golden = read_safetensors(folder / "golden.safetensors")
        model = Bert(models / folder.name)
        print(f"{folder.name}: {json.dumps(model.config['architectures'])}")
        mask = golden["attention_mask"] == 1
        inputs = {"input_ids", "token_type_ids", "attention_mask", "mlm_logits_rows"}
        compared = set()
        for name, found in outputs(model, golden, mask):
            expected = golden[name].astype(np.float64)
            difference = np.abs(found - expected).max(-1)
            row = np.abs(expected).max(-1)
            if expected.ndim == 3:  # padded positions hold nothing
                sequences = golden["mlm_logits_rows"] if name == "mlm_logits" else slice(None)
                real = mask[sequences, : expected.shape[1]]
                difference, row = difference[real], row[real]
            worst = np.minimum(difference, difference / row).max()
            failed += not worst < TOLERANCE
            compared.add(name)
            print(f"    {name:24} {list(expected.shape)!s:16} {worst:.1e}{'' if worst < TOLERANCE else '  WRONG'}")
        missed = set(golden) - inputs - compared
        failed += len(missed)
        for name in missed:
            print(f"    {name:24} not compared: unknown output")
    return 1 if failed else 0


if __name__ == "__main__":
    given = [Path(path) for path in sys.argv[1:3]]
    sys.exit(main(*given, *[ROOT / "target" / "models", ROOT.parent / "shared" / "golden"][len(given) :]))
