#!/usr/bin/env python3
"""Shows that transformers loads the models that this project makes and saves, and computes the same with them.

    pip install torch transformers safetensors && python check_initialised.py [--tolerance 1e-5] [CLASS...]

For each class, or those that are named: a small config, as transformers writes it, from which the example `initialise`
of bert-core makes a model in a temporary folder, once with the numbers that training begins with and once with some far
from there. What it recorded is compared as check.py does. Prints a line for each; exits with 1 if one is wrong.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import transformers as hf

from check import check
from make import ALBERT, BERT, DISTILBERT, ELECTRA, ENTITIES, HERE, ROBERTA, config

HEADS = ("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering",
         "ForMultipleChoice")
# The class names of a family, its fields, and the heads that it has beside those of all.
FAMILIES = {
    "Bert": (BERT, ("ForPreTraining", "ForNextSentencePrediction")),
    "DistilBert": (DISTILBERT, ()),
    "Roberta": (ROBERTA, ()),
    "Camembert": (ROBERTA, ()),
    "XLMRoberta": (ROBERTA, ()),
    "RobertaPreLayerNorm": (ROBERTA, ()),
    "Electra": (ELECTRA, ("ForPreTraining",)),
    "Albert": (ALBERT | dict(num_hidden_groups=2), ("ForPreTraining",)),
}
SEED = "7"


def cases():
    """The name of each case, its class, and the config."""
    for family, (fields, more) in FAMILIES.items():
        kind = getattr(hf, f"{family}Config")
        for head in (*HEADS, *more):
            # To transformers, start and end of an answer are labels, and to ALBERT the two orders of sentences.
            two = head == "ForQuestionAnswering" or (family, head) == ("Albert", "ForPreTraining")
            labels = ("first", "second") if two else ENTITIES
            yield f"{family}{head}", f"{family}{head}", config(kind, fields, labels)
        untied = config(kind, fields, tie_word_embeddings=False)
        yield f"{family}ForMaskedLM-untied", f"{family}ForMaskedLM", untied


def initialise(folder, name, made, *numbers):
    """The folder of a new model with its outputs."""
    made.save_pretrained(folder / "config")
    arguments = [folder / "config" / "config.json", name, SEED, folder, *numbers]
    command = ["cargo", "run", "--quiet", "-p", "bert-core", "--example", "initialise", "--", *map(str, arguments)]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("classes", nargs="*", metavar="CLASS")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    args = parser.parse_args()
    hf.logging.set_verbosity_error()
    hf.logging.disable_progress_bar()
    chosen = [case for case in cases() if not args.classes or case[1] in args.classes]
    if not chosen:
        sys.exit(f"no such class: {', '.join(args.classes)}")
    failed = False
    with tempfile.TemporaryDirectory() as root:
        for name, kind, made in chosen:
            for numbers in ((), ("spread",)):
                label = "-".join((name, *numbers))
                try:
                    line, good = check(initialise(Path(root) / label, kind, made, *numbers), args.tolerance)
                except Exception as error:  # one that fails must not hide the others
                    line, good = f"{type(error).__name__}: {error}", False
                print(f"{'ok   ' if good else 'WRONG'} {label}: {line}", flush=True)
                failed |= not good
    sys.exit(failed)


if __name__ == "__main__":
    main()
