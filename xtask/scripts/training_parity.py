#!/usr/bin/env python3
"""Holds training against PyTorch: the same model, examples and settings.

  training_parity.py curve XTASK OUT -- ARGS    one run: the losses of each step, ours and PyTorch's, on the same examples
                                                from the same weights, without dropout
  training_parity.py seeds XTASK OUT -- ARGS    three seeds each: PyTorch shuffles by itself and has its own fresh head;
                                                all models are scored by the same evaluation

XTASK is the command, such as `target/release/xtask`, OUT a new folder, and ARGS are those of `xtask training-parity
record` but for --seed and --out. Needs torch and transformers.

PyTorch's AdamW is the usual one: betas 0.9 and 0.999, eps 1e-8, weight decay 0.01 but for biases and LayerNorms;
gradients are clipped to the norm 1; the learning rates are those of the recorded run.
"""
import json
import statistics
import subprocess
import sys
from pathlib import Path

import torch
import transformers
from torch.nn.functional import cross_entropy

SEEDS = (1, 2, 3)


def record(xtask, out, args, seed):
    command = [*xtask.split(), "training-parity", "record", *args, "--seed", str(seed), "--out", str(out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    steps = [json.loads(line) for line in (out / "batches.jsonl").read_text().splitlines()]
    return steps, json.loads(done.stdout) if done.stdout.strip() else None


def score(xtask, model, args):
    kept, words = [], iter(args)
    for word in words:
        if word in ("--model", "--steps", "--learning-rate"):
            next(words)
        else:
            kept.append(word)
    command = [*xtask.split(), "training-parity", "score", "--model", str(model), *kept]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def load(folder):
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    model = getattr(transformers, name).from_pretrained(folder, attn_implementation="eager")
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model.train()


def padded(sequences):
    longest = max(len(sequence["ids"]) for sequence in sequences)
    ids, segments = (torch.zeros(len(sequences), longest, dtype=torch.long) for _ in range(2))
    mask = torch.zeros(len(sequences), longest, dtype=torch.long)
    for row, sequence in enumerate(sequences):
        length = len(sequence["ids"])
        ids[row, :length] = torch.tensor(sequence["ids"])
        segments[row, :length] = torch.tensor(sequence["segments"])
        mask[row, :length] = 1
    return dict(input_ids=ids, token_type_ids=segments, attention_mask=mask)


def loss_of(model, examples):
    """The mean over what counts in the step, as `bert train` has it."""
    sequences = [sequence for example in examples for sequence in example["sequences"]]
    targets = [example["target"] for example in examples]
    inputs = padded(sequences)
    out = model(**inputs)
    kind = next(iter(targets[0]))
    if kind == "class":
        return cross_entropy(out.logits, torch.tensor([target["class"] for target in targets]))
    if kind == "tokens":
        labels = torch.full(inputs["input_ids"].shape, -100)
        for row, target in enumerate(targets):
            labels[row, :len(target["tokens"])] = torch.tensor(
                [-100 if label is None else label for label in target["tokens"]])
        return cross_entropy(out.logits.transpose(1, 2), labels)
    if kind == "span":
        # Padding is no class: what is left out would depend on the longest text of the step.
        hidden = inputs["attention_mask"] == 0
        starts = out.start_logits.masked_fill(hidden, -torch.inf)
        ends = out.end_logits.masked_fill(hidden, -torch.inf)
        spans = torch.tensor([target["span"] for target in targets])
        return (cross_entropy(starts, spans[:, 0]) + cross_entropy(ends, spans[:, 1])) / 2
    if kind in ("words", "is_next"):
        words, places = [], []
        for row, (sequence, target) in enumerate(zip(sequences, targets)):
            places += [(row, place) for place in sequence["masked"]]
            words += target["words"]
        rows, columns = zip(*places)
        scores = out.prediction_logits if hasattr(out, "prediction_logits") else out.logits
        loss = cross_entropy(scores[list(rows), list(columns)], torch.tensor(words))
        follows = [target["is_next"] for target in targets]
        pairs = [row for row, is_next in enumerate(follows) if is_next is not None]
        if pairs and hasattr(out, "seq_relationship_logits"):
            labels = torch.tensor([int(not follows[row]) for row in pairs])
            loss = loss + cross_entropy(out.seq_relationship_logits[pairs], labels)
        return loss
    sys.exit(f"no loss for {kind}")


def train(model, batches, rates):
    decayed, plain = [], []
    for name, parameter in model.named_parameters():
        (plain if name.endswith("bias") or "LayerNorm" in name else decayed).append(parameter)
    optimiser = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}])
    losses = []
    for examples, rate in zip(batches, rates):
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = loss_of(model, examples)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    return losses


def curve(xtask, out, args):
    steps, _ = record(xtask, out, args, SEEDS[0])
    theirs = train(load(out / "initial"), [step["examples"] for step in steps], [s["learning_rate"] for s in steps])
    differences = [abs(step["loss"] - loss) for step, loss in zip(steps, theirs)]
    for step, loss in list(zip(steps, theirs))[:: max(1, len(steps) // 10)]:
        print(f"step {step['step']:4}: {step['loss']:.6f}, PyTorch {loss:.6f}")
    print(f"{len(steps)} steps: the losses differ by {max(differences):.2e} at most, "
          f"{statistics.mean(differences):.2e} in the mean")
    return max(differences) <= 1e-3


def fresh_head(model, seed):
    """What the base does not have, drawn anew."""
    torch.manual_seed(seed)
    for name, module in model.named_modules():
        if name in ("classifier", "qa_outputs"):
            module.weight.data.normal_(0.0, model.config.initializer_range)
            module.bias.data.zero_()


def seeds(xtask, out, args):
    ours, theirs = [], []
    for seed in SEEDS:
        steps, evaluation = record(xtask, out / f"seed-{seed}", args, seed)
        ours.append(evaluation["value"])
        model = load(out / f"seed-{seed}" / "initial")
        fresh_head(model, 100 + seed)
        sizes = [len(step["examples"]) for step in steps]
        examples = [example for step in steps for example in step["examples"]]
        order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(100 + seed)).tolist()
        shuffled = iter([examples[place] for place in order])
        train(model, [[next(shuffled) for _ in range(size)] for size in sizes], [s["learning_rate"] for s in steps])
        folder = out / f"torch-{seed}"
        model.save_pretrained(folder)
        for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
            if (source := out / f"seed-{seed}" / "run" / name).is_file():
                (folder / name).write_bytes(source.read_bytes())
        theirs.append(score(xtask, folder, args)["value"])
        print(f"seed {seed}: {evaluation['metric']} {ours[-1]:.4f}, PyTorch {theirs[-1]:.4f}", flush=True)
    mean, deviation = statistics.mean(theirs), statistics.stdev(theirs)
    print(f"ours {statistics.mean(ours):.4f} ± {statistics.stdev(ours):.4f}, PyTorch {mean:.4f} ± {deviation:.4f}")
    return statistics.mean(ours) >= mean - deviation


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[4] != "--" or sys.argv[1] not in ("curve", "seeds"):
        sys.exit(__doc__)
    held = {"curve": curve, "seeds": seeds}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]), sys.argv[5:])
    print("held" if held else "NOT HELD")
    sys.exit(0 if held else 1)
