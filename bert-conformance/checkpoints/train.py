#!/usr/bin/env python3
"""Records ten training steps on some of the checkpoints of this folder, in f64 and without dropout.

    python train.py [NAME...]

Without names, all that RUNS lists. Each run is written to training.safetensors beside the weights that it starts from.
Numbers are rounded to f32 or i64. Rows are padded to 17 tokens; padding takes no part in any loss.

    input_ids, token_type_ids, attention_mask   [10, rows, 17]  a batch for each step
    learning_rate                               [10]            see below
    loss                                        [10]            before the step
    gradient_norm                               [10]            L2 of all gradients of the step, before clipping
    gradient.NAME                                               of the first step, before clipping
    final.NAME                                                  the weights after ten steps

NAME is the one in transformers, without tied tensors: the decoder of masked words is the word embedding, and its
gradient is the sum over both uses. The labels, which are -100 where a token has none:

    masked words, tokens         labels [10, rows, 17]; mean cross-entropy over all labels of the batch
    pre-training                 labels as above, next_sentence_label [10, rows]; the sum of two mean cross-entropies
    sequences                    labels [10, rows]; mean cross-entropy
    multiple choice              labels [10, questions]: which row of each question's, two that follow each other
    questions                    start_positions, end_positions [10, rows]; cross-entropy over the tokens of each
                                 sequence, mean over sequences, mean of start and end. transformers' own loss has the
                                 padding among the classes; that is left out, since it depends on the longest row.
    replaced tokens              labels [10, rows, 17], 0 or 1; mean binary cross-entropy over all tokens

Step s, from 0: gradients are scaled by min(1, 1 / (norm + 1e-6)). The learning rate is 1e-3 times s / 3 below 3, and
(10 - s) / 7 from there, as transformers' get_linear_schedule_with_warmup has it; so the first step changes moments but
no weights. AdamW is that of torch: betas 0.9 and 0.999, eps 1e-8, weight decay 0.01 times the learning rate, of
everything but biases and the weights of LayerNorm.

`bert-sequence-classification` has a second run on the same batches from the same start: bert_adamw.loss,
bert_adamw.gradient_norm and bert_adamw.final.NAME, the latter for the second layer and what follows it. Its AdamW is
that of the first BERT: no correction of the moments' bias, eps 1e-6. The rest is as above.

Some gradients are 0 but for rounding: those of the key biases, of the classifier bias of multiple choice, and with
answer spans those of the last bias and of the last LayerNorm's bias. A softmax does not see what they add. In f64 they
are far below eps and the weights stay. In f32 they are not, and AdamW makes steps of full size out of noise: leave
these weights out there.
"""
import sys

import torch
import transformers as hf
from safetensors.torch import save_file
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from check import load
from make import HERE, VOCAB, arguments

STEPS, WARM_UP, ROWS, LENGTH = 10, 3, 3, 17
RATE, DECAY, BETAS = 1e-3, 0.01, (0.9, 0.999)
NONE = -100  # what cross_entropy leaves out


def inputs(config, rows):
    """A ragged batch of any tokens but [PAD]; the first row is a full one."""
    first = config.pad_token_id + 1
    lengths = [LENGTH] + torch.randint(2, LENGTH, (rows - 1,)).tolist()
    ids = torch.full((rows, LENGTH), config.pad_token_id)
    segments, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(first, len(VOCAB), (length,))
        mask[row, :length] = 1
        if getattr(config, "type_vocab_size", 1) > 1:
            segments[row, (length + 1) // 2:length] = 1
    return dict(input_ids=ids, token_type_ids=segments, attention_mask=mask)


def some(mask, share):
    """A share of the tokens, at least one in every row."""
    chosen = (torch.rand(mask.shape) < share) & mask.bool()
    chosen[:, 1] = True
    return chosen


def masked_words(batch):
    chosen = some(batch["attention_mask"], 0.2)
    labels = torch.where(chosen, batch["input_ids"], NONE)
    batch["input_ids"] = torch.where(chosen, VOCAB.index("[MASK]"), batch["input_ids"])
    return dict(labels=labels)


def labels(kind, model, batch):
    """Random ones, and what has to be done to the batch for them."""
    rows, mask = len(batch["input_ids"]), batch["attention_mask"]
    if kind == "ForPreTraining":
        return masked_words(batch) | dict(next_sentence_label=torch.randint(2, (rows,)))
    if kind == "ForMaskedLM":
        return masked_words(batch)
    if kind == "ForSequenceClassification":
        return dict(labels=torch.randint(model.config.num_labels, (rows,)))
    if kind == "ForMultipleChoice":
        return dict(labels=torch.randint(2, (rows // 2,)))
    if kind == "ForTokenClassification":
        found = torch.randint(model.config.num_labels, mask.shape)
        return dict(labels=torch.where(some(mask, 0.7), found, NONE))
    if kind == "ForReplacedTokens":
        return dict(labels=torch.where(mask.bool(), (torch.rand(mask.shape) < 0.2).long(), NONE))
    start = (torch.rand(rows) * mask.sum(1)).long()
    end = start + (torch.rand(rows) * (mask.sum(1) - start)).long()
    return dict(start_positions=start, end_positions=end)


def loss(kind, model, batch, labels):
    mask = batch["attention_mask"].bool()
    if kind == "ForMultipleChoice":
        batch = {name: x.reshape(-1, 2, LENGTH) for name, x in batch.items()}
        return cross_entropy(model(**batch).logits, labels["labels"])
    found = model(**arguments(model, batch))
    if kind == "ForPreTraining":
        pairs = found["sop_logits" if "sop_logits" in found else "seq_relationship_logits"]
        return (cross_entropy(found.prediction_logits.flatten(0, 1), labels["labels"].flatten())
                + cross_entropy(pairs, labels["next_sentence_label"]))
    if kind == "ForQuestionAnswering":
        start, end = (x.masked_fill(~mask, -torch.inf) for x in (found.start_logits, found.end_logits))
        return (cross_entropy(start, labels["start_positions"]) + cross_entropy(end, labels["end_positions"])) / 2
    if kind == "ForReplacedTokens":
        return binary_cross_entropy_with_logits(found.logits[mask], labels["labels"][mask].double())
    if kind == "ForSequenceClassification":
        return cross_entropy(found.logits, labels["labels"])
    return cross_entropy(found.logits.flatten(0, 1), labels["labels"].flatten())


class BertAdamW(torch.optim.Optimizer):
    """That of the first BERT, in TensorFlow."""

    def __init__(self, groups):
        super().__init__(groups, dict(lr=RATE, weight_decay=0.0))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for x in group["params"]:
                state = self.state[x]
                if not state:
                    state.update(mean=torch.zeros_like(x), square=torch.zeros_like(x))
                state["mean"].lerp_(x.grad, 1 - BETAS[0])
                state["square"].lerp_(x.grad.square(), 1 - BETAS[1])
                change = state["mean"] / (state["square"].sqrt() + 1e-6) + group["weight_decay"] * x
                x -= group["lr"] * change


def torch_adamw(groups):
    return torch.optim.AdamW(groups, lr=RATE, betas=BETAS, eps=1e-8)


def train(kind, model, steps, adamw):
    """What is recorded of a run on batches with labels."""
    # Those of vectors: biases and LayerNorm.
    parameters = dict(model.named_parameters())
    is_vector = {name: name.endswith("bias") or "norm" in name.split(".")[-2].lower() for name in parameters}
    assert all((x.ndim == 1) == is_vector[name] for name, x in parameters.items())
    optimizer = adamw([dict(params=[x for x in parameters.values() if x.ndim > 1], weight_decay=DECAY),
                       dict(params=[x for x in parameters.values() if x.ndim == 1], weight_decay=0.0)])
    schedule = hf.get_linear_schedule_with_warmup(optimizer, WARM_UP, STEPS)
    rates, losses, norms, gradients = [], [], [], {}
    for batch, wanted in steps:
        optimizer.zero_grad()
        found = loss(kind, model, batch, wanted)
        found.backward()
        assert all(x.grad is not None for x in parameters.values())
        if not gradients:
            gradients = {name: x.grad.clone() for name, x in parameters.items()}
        rates.append(schedule.get_last_lr()[0])
        losses.append(found.item())
        norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0).item())
        optimizer.step()
        schedule.step()
    recorded = dict(learning_rate=torch.tensor(rates), loss=torch.tensor(losses), gradient_norm=torch.tensor(norms))
    recorded |= {f"gradient.{name}": x for name, x in gradients.items()}
    return recorded | {f"final.{name}": x.detach() for name, x in parameters.items()}


RUNS = ["bert-pretraining", "bert-sequence-classification", "bert-token-classification", "bert-question-answering",
        "bert-multiple-choice", "distilbert-masked-lm", "roberta-sequence-classification", "electra-replaced-tokens",
        "roberta-prelayernorm-sequence-classification", "albert-pretraining"]


def run(name):
    torch.manual_seed(len(name))
    model, wrong = load(HERE / name)
    assert not wrong, wrong
    kind = type(model).__name__
    kind = "ForReplacedTokens" if kind == "ElectraForPreTraining" else kind[kind.index("For"):]
    steps = []
    for _ in range(STEPS):
        batch = inputs(model.config, 4 if kind == "ForMultipleChoice" else ROWS)
        steps.append((batch, labels(kind, model, batch)))
    recorded = train(kind, model, steps, torch_adamw)
    if name == "bert-sequence-classification":
        again = train(kind, load(HERE / name)[0], steps, BertAdamW)
        kept = ("loss", "gradient_norm", "final.bert.encoder.layer.1.", "final.bert.pooler.", "final.classifier.")
        recorded |= {f"bert_adamw.{name}": x for name, x in again.items() if name.startswith(kept)}
    recorded = {name: x.float().contiguous() for name, x in recorded.items()}
    for part in (0, 1):
        recorded |= {name: torch.stack([step[part][name] for step in steps]) for name in steps[0][part]}
    save_file(recorded, HERE / name / "training.safetensors")


if __name__ == "__main__":
    unknown = [name for name in sys.argv[1:] if name not in RUNS]
    if unknown:
        sys.exit(f"no such run: {', '.join(unknown)}; known are {', '.join(RUNS)}")
    hf.logging.disable_progress_bar()
    for name in sys.argv[1:] or RUNS:
        run(name)
