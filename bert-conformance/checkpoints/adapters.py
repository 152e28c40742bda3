#!/usr/bin/env python3
"""Low-rank adapters against PEFT: makes small ones for a test, and shows that PEFT reads those that `bert` trains.

    pip install torch transformers safetensors peft
    python adapters.py make                  writes the folder `adapters` anew
    python adapters.py check [--bert PATH]   trains adapters with `bert` and computes with them in PEFT

Each folder in `adapters` holds what PEFT saves of an adapter over a small checkpoint of this folder, which
`base_model_name_or_path` names, and golden.safetensors: the batch of the checkpoint, and the logits of the adapted
model, computed in f64 and rounded to f32. Matrices are random and far from where training begins.

`check` trains an adapter of each family with the command `bert`, asks it for probabilities of some texts, and compares
them with what PEFT gives for the folder that came out. Prints a line for each; exits with 1 if one is wrong.
"""
import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers as hf
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from check import load
from make import HERE, record

ADAPTERS = HERE / "adapters"
INPUTS = ("input_ids", "token_type_ids", "attention_mask")
# The checkpoint of each adapter, and the settings that tell it from others.
MADE = {
    # Alphas and ranks of single layers; the classifier is the adapter's.
    "bert": ("bert-sequence-classification", dict(
        task_type="SEQ_CLS", r=2, lora_alpha=3, target_modules=["query", "value", "dense"],
        rank_pattern={"layer.1.attention.self.query": 4},
        alpha_pattern={"layer.1.attention.self.query": 1, r"^bert\.encoder\.layer\.0\.output\.dense": 5})),
    # Other names; another scale; nothing is trained as a whole.
    "distilbert": ("distilbert-masked-lm", dict(
        r=4, lora_alpha=2, use_rslora=True, target_modules="all-linear")),
    # A head of two layers, and labels of its own.
    "roberta": ("roberta-sequence-classification", dict(
        task_type="SEQ_CLS", r=3, lora_alpha=3, target_modules=["key", "intermediate.dense"])),
}


def make(name):
    base, settings = MADE[name]
    torch.manual_seed(len(name))
    model, wrong = load(HERE / base)
    assert not wrong, wrong
    if name == "roberta":  # five labels in place of three
        model.classifier.out_proj = torch.nn.Linear(36, 5, dtype=torch.double)
        model.num_labels = model.config.num_labels = 5
    model = get_peft_model(model.float(), LoraConfig(**settings)).eval()
    for parameter, x in model.named_parameters():
        if "lora_" in parameter or "modules_to_save" in parameter:
            x.data = torch.randn(x.shape) * (0.3 if x.ndim == 1 else 1 / x.shape[1] ** 0.5)
    folder = ADAPTERS / name
    model.save_pretrained(folder)
    (folder / "README.md").unlink()  # a form to fill in
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    if not isinstance(config["target_modules"], str):
        config["target_modules"].sort()  # a set, in any order
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    recorded = load_file(HERE / base / "golden.safetensors")
    inputs = {name: recorded[name].long() for name in INPUTS}
    outputs = record(model.double().get_base_model(), inputs)
    kept = {name: x[:, :9].contiguous() if name == "mlm_logits" else x
            for name, x in outputs.items() if name.endswith("logits")}
    save_file({**inputs, **kept}, folder / "golden.safetensors")


TEXTS = ["a good movie", "not very good", "the river of paris", "bad money for the bank"]
# The checkpoint that each run begins with, and its flags.
TRAINED = {
    "bert": ("bert-sequence-classification", ["--lora-rank", "2", "--lora-targets", "query,value,dense"]),
    "bert-fresh": ("bert-masked-lm", ["--lora-targets", "all-linear", "--lora-alpha", "4", "--lora-dropout", "0.1"]),
    "distilbert": ("distilbert-masked-lm", ["--lora-targets", "query,lin1,lin2"]),
    "electra": ("electra-masked-lm", ["--lora"]),
}


def check(name, bert, folder):
    """The largest difference of a probability."""
    base, flags = TRAINED[name]
    lines = "".join(f"{text}\t{'bad' if 'bad' in text or 'not' in text else 'good'}\n" for text in TEXTS * 4)
    (folder / "train.tsv").write_text("text\tlabel\n" + lines)
    out = folder / name
    def run(*arguments):
        done = subprocess.run([bert, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode:
            raise ValueError(done.stderr.strip())
        return done.stdout
    run("train", "classify", "--model", HERE / base, "--train", folder / "train.tsv", "--out", out, "--device", "cpu",
        "--batch-size", "4", "--epochs", "4", "--lr", "1e-2", "--head-rate-factor", "2", *flags)
    answers = run("classify", "--model", out, "--device", "cpu", "--jsonl", *TEXTS).splitlines()
    found = [{score["label"]: score["score"] for score in json.loads(line)["scores"]} for line in answers]

    config = hf.AutoConfig.from_pretrained(out)
    # The head of the checkpoint may have other labels; that of the adapter takes its place.
    model = hf.AutoModelForSequenceClassification.from_pretrained(HERE / base, config=config,
                                                                  ignore_mismatched_sizes=True)
    model = PeftModel.from_pretrained(model, out).eval()
    tokenizer = hf.AutoTokenizer.from_pretrained(out)
    worst = 0.0
    for text, scores in zip(TEXTS, found):
        with torch.no_grad():
            wanted = model(**tokenizer(text, return_tensors="pt")).logits[0].softmax(-1)
        for index, label in config.id2label.items():
            worst = max(worst, abs(scores[label] - wanted[index].item()))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["make", "check"])
    parser.add_argument("--bert", default=HERE.parents[1] / "target/debug/bert", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-5)
    args = parser.parse_args()
    hf.logging.set_verbosity_error()
    hf.logging.disable_progress_bar()
    if args.what == "make":
        shutil.rmtree(ADAPTERS, ignore_errors=True)
        return [make(name) for name in MADE] and None
    failed = False
    for name in TRAINED:
        with tempfile.TemporaryDirectory() as folder:
            try:
                worst = check(name, args.bert, Path(folder))
                line, good = f"probabilities differ by {worst:.1e}", worst <= args.tolerance
            except Exception as error:  # one that fails must not hide the others
                line, good = f"{type(error).__name__}: {error}", False
        print(f"{'ok   ' if good else 'WRONG'} {name}: {line}")
        failed |= not good
    sys.exit(failed)


if __name__ == "__main__":
    main()
