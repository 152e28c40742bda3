#!/usr/bin/env python3
"""Times what a user would pick instead, on the same models and inputs as `cargo xtask bench`.

  peers.py make DIR [--sentences MODEL]   write BERT-base's shape with random weights unless it is there, and a
                                          trained sentence model, under DIR in every form that the peers read
  peers.py run DIR PEER CASE [--vectors FILE]
                                          one peer, one case: prints a line of JSON; FILE gets the vectors of texts
  peers.py all DIR [--cases A,B] [--peers X,Y] [--rounds N] [--also NAME='COMMAND {case}'] [--log FILE]
                                          each in a process of its own, in turn, round after round; then the table
  peers.py table LOG...                   the table of the lines in such logs

A case is a batch (b1s128 is one row of 128 tokens, mix16 are 16 rows of 8 to 256 tokens, padded by a peer that
pads), timed from token ids to the last hidden state; or `texts`, the lines of $TEXTS to normalised mean vectors,
tokenised by the same fast tokenizer, sorted by length, 32 a batch, as sentence-transformers does; or a step of
masked-LM training (train-b8s128 and train-mix16 at BERT-base's shape, train-b32s128 at MiniLM-L6's): 15 % of the
tokens decoded, forward, backward, clipping, fused AdamW, no dropout; bf16 is autocast. THREADS says how
many threads compute, BUDGET how many seconds a case takes. A peer that would run in another precision than its
name says fails. A --also command prints such a line of JSON too, and `cargo xtask bench --peers` reads the table.

  python3 -m venv .peers && .peers/bin/pip install torch transformers onnx onnxruntime openvino ctranslate2
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

THREADS = int(os.environ.get("THREADS", os.cpu_count()))
BUDGET = float(os.environ.get("BUDGET", 3))
MIX = [8, 11, 12, 15, 18, 21, 24, 28, 33, 39, 47, 58, 72, 92, 158, 256]
CASES = {"b1s16": [16], "b1s128": [128], "b1s512": [512], "b8s128": [128] * 8, "mix16": MIX}
PEERS = ["torch-f32", "torch-compile-f32", "torch-bf16", "torch-compile-bf16", "torch-int8", "ort-f32", "ort-int8",
         "openvino-f32", "openvino-bf16", "openvino-int8", "ct2-f32", "ct2-bf16", "ct2-int8"]
TRAINING = {"train-b8s128": ("base", [128] * 8), "train-mix16": ("base", MIX), "train-b32s128": ("minilm", [128] * 32)}
TRAINING_PEERS = ["torch-f32", "torch-bf16"]
TEXT_PEERS = ["torch-f32", "torch-bf16", "torch-int8", "ort-f32", "ort-int8"]
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def batch(lengths):
    import numpy as np
    rng = np.random.default_rng(7)
    ids = np.zeros((len(lengths), max(lengths)), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, n in enumerate(lengths):
        ids[row, :n] = rng.integers(1000, 30000, n)
        ids[row, 0], ids[row, n - 1] = 101, 102
        mask[row, :n] = 1
    return ids, mask, lengths


def timed(run):
    run()
    start = time.perf_counter()
    while time.perf_counter() - start < min(1.0, BUDGET):
        run()
    times, start = [], time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - start < BUDGET and len(times) < 200):
        began = time.perf_counter()
        run()
        times.append((time.perf_counter() - began) * 1e3)
    return times


# ---- the forms of a model ------------------------------------------------------------------------------------

def make(directory, sentences):
    if not (Path(directory) / "ct2" / "model.bin").is_file():
        make_base(directory)
    if sentences:
        target = Path(directory) / "sentences"
        target.mkdir(parents=True, exist_ok=True)
        (target / "hf").unlink(missing_ok=True)
        (target / "hf").symlink_to(Path(sentences).resolve(strict=True))
        export(target / "hf", target)


def make_base(directory):
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast
    torch.manual_seed(0)
    base = Path(directory) / "hf"
    BertModel(BertConfig(position_embedding_type="absolute"), add_pooling_layer=True).save_pretrained(base)
    vocab = ["[PAD]"] + [f"[unused{i}]" for i in range(99)] + ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocab += [f"w{i}" for i in range(30522 - len(vocab))]
    (base / "vocab.txt").write_text("\n".join(vocab) + "\n")
    BertTokenizerFast(vocab_file=str(base / "vocab.txt")).save_pretrained(base)
    export(base, Path(directory))
    import ctranslate2
    ctranslate2.converters.TransformersConverter(str(base)).convert(str(Path(directory) / "ct2"), force=True)


def export(checkpoint, target):
    """A checkpoint as ONNX: plain, with fused operators, and both in 8 bits."""
    import numpy as np
    import onnx
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions
    from transformers import BertModel
    model = BertModel.from_pretrained(checkpoint, attn_implementation="eager").eval()

    class Last(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)[0]

    ids = torch.tensor(np.full((1, 32), 1000, dtype=np.int64))
    axes = {name: {0: "batch", 1: "length"} for name in (*INPUTS, "last_hidden_state")}
    plain = str(target / "model.onnx")
    torch.onnx.export(Last(), (ids, torch.ones_like(ids), torch.zeros_like(ids)), plain, input_names=list(INPUTS),
                      output_names=["last_hidden_state"], dynamic_axes=axes, opset_version=17, dynamo=False)
    fused = str(target / "model-fused.onnx")
    heads, hidden = model.config.num_attention_heads, model.config.hidden_size
    optimizer.optimize_model(plain, model_type="bert", num_heads=heads, hidden_size=hidden, opt_level=0,
                             optimization_options=FusionOptions("bert")).save_model_to_file(fused)
    for source, name in ((fused, "model-int8.onnx"), (plain, "model-int8-plain.onnx")):
        quantize_dynamic(source, str(target / name), weight_type=QuantType.QInt8, per_channel=True,
                         extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT})


# ---- engines: each gives a function from padded ids, mask and lengths to the last hidden state --------------

def torch_engine(checkpoint, name):
    import torch
    from transformers import BertModel
    torch.set_num_threads(THREADS)
    model = BertModel.from_pretrained(checkpoint, attn_implementation="sdpa").eval()
    if "bf16" in name:
        model = model.to(torch.bfloat16)
    if "int8" in name:
        model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    if "compile" in name:
        import torch._inductor.config
        torch._inductor.config.freezing = True
        model = torch.compile(model)

    def run(ids, mask, _):
        ids, mask = torch.as_tensor(ids), torch.as_tensor(mask)
        with torch.no_grad() if "compile" in name else torch.inference_mode():
            return model(input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids)).last_hidden_state
    return run


def ort_engine(folder, name):
    import numpy as np
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    file = {"ort-f32": "model-fused.onnx", "ort-int8": "model-int8.onnx"}[name]
    session = ort.InferenceSession(str(folder / file), options, providers=["CPUExecutionProvider"])
    wanted = {x.name for x in session.get_inputs()}

    def run(ids, mask, _):
        feed = dict(zip(INPUTS, (ids, mask, np.zeros_like(ids))))
        return session.run(None, {k: v for k, v in feed.items() if k in wanted})[0]
    return run


def openvino_engine(folder, name):
    import numpy as np
    import openvino as ov
    core = ov.Core()
    hint = "bf16" if "bf16" in name else "f32"
    settings = {"INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    file = "model-int8-plain.onnx" if "int8" in name else "model.onnx"
    compiled = core.compile_model(core.read_model(str(folder / file)), "CPU", settings)
    # It takes any hint, and computes in f32 where the processor cannot do better.
    if (found := compiled.get_property("INFERENCE_PRECISION_HINT").to_string()) != hint:
        sys.exit(f"OpenVINO computes in {found} here, asked for {hint}")

    def run(ids, mask, _):
        feed = dict(zip(INPUTS, (ids, mask, np.zeros_like(ids))))
        return compiled({k: v for k, v in feed.items() if any(k in i.get_names() for i in compiled.inputs)})[0]
    return run


def ct2_engine(folder, name):
    import ctranslate2
    kind = {"f32": "float32", "bf16": "bfloat16", "int8": "int8"}[name.split("-")[1]]
    encoder = ctranslate2.Encoder(str(folder / "ct2"), device="cpu", compute_type=kind, intra_threads=THREADS)
    return lambda ids, _, lengths: encoder.forward_batch([ids[r, :n].tolist() for r, n in enumerate(lengths)])


def engine(folder, name):
    if name.startswith("torch"):
        return torch_engine(folder / "hf", name)
    kinds = {"ort": ort_engine, "openvino": openvino_engine, "ct2": ct2_engine}
    return kinds[name.split("-")[0]](folder, name)


def texts_job(directory, name):
    """The lines of $TEXTS to vectors, with the sentence model."""
    import numpy as np
    from transformers import BertTokenizerFast
    lines = Path(os.environ["TEXTS"]).read_text().splitlines()
    folder = Path(directory) / "sentences"
    tokenizer = BertTokenizerFast.from_pretrained(folder / "hf")
    forward = engine(folder, name)

    def run():
        order = sorted(range(len(lines)), key=lambda i: -len(lines[i]))
        vectors = [None] * len(lines)
        for start in range(0, len(order), 32):
            chosen = order[start:start + 32]
            encoded = tokenizer([lines[i] for i in chosen], padding=True, truncation=True, max_length=256,
                                return_tensors="np")
            mask = encoded["attention_mask"].astype(np.int64)
            hidden = forward(encoded["input_ids"].astype(np.int64), mask, mask.sum(1))
            hidden = hidden if isinstance(hidden, np.ndarray) else hidden.float().numpy()
            means = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
            means /= np.linalg.norm(means, axis=1, keepdims=True)
            for i, vector in zip(chosen, means):
                vectors[i] = vector
        return vectors
    return run, len(lines)


# ---- training -------------------------------------------------------------------------------------------------

def training_job(case, name):
    """A step of masked-LM training. Only the tokens that count reach the decoder."""
    import contextlib
    import torch
    from transformers import BertConfig, BertForMaskedLM
    shape, lengths = TRAINING[case]
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    small = dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    config = BertConfig(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                        **(small if shape == "minilm" else {}))
    model = BertForMaskedLM._from_config(config, attn_implementation="sdpa").train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01, fused=True)
    ids, mask, _ = (torch.as_tensor(x) for x in batch(lengths))
    places = torch.arange(ids.shape[1])
    marked = (mask == 1) & (places * 3 % 20 < 3)
    targets = ids[marked]

    def run():
        cast = torch.autocast("cpu", torch.bfloat16) if "bf16" in name else contextlib.nullcontext()
        with cast:
            hidden = model.bert(input_ids=ids, attention_mask=mask).last_hidden_state
            scores = model.cls(hidden[marked])
            loss = torch.nn.functional.cross_entropy(scores.float(), targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return run, sum(lengths)


def peak_mb():
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


# ---- runs and tables ------------------------------------------------------------------------------------------

def run(directory, name, case, vectors):
    if case == "texts":
        job, count = texts_job(directory, name)
        if vectors:
            Path(vectors).write_text("".join(json.dumps(vector.tolist()) + "\n" for vector in job()))
    elif case in TRAINING:
        job, count = training_job(case, name)
    else:
        (ids, mask, lengths), forward = batch(CASES[case]), engine(Path(directory), name)
        job, count = (lambda: forward(ids, mask, lengths)), sum(lengths)
    times = timed(job)
    median = statistics.median(times)
    line = {"peer": name, "case": case, "runs": len(times), "ms": round(median, 3), "min": round(min(times), 3),
            "max": round(max(times), 3), "per_s": round(count / median * 1e3)}
    if case in TRAINING:
        line["peak_mb"] = round(peak_mb())
    print(json.dumps(line), flush=True)


def everything(args):
    also = dict(word.split("=", 1) for word in args.also)
    lines = []
    for _ in range(args.rounds):
        for case in args.cases.split(","):
            peers = args.peers.split(",") if args.peers else TEXT_PEERS if case == "texts" else \
                TRAINING_PEERS if case in TRAINING else PEERS
            for name in [*also, *(peer for peer in peers if peer)]:
                command = also[name].replace("{case}", case) if name in also else \
                    f"{sys.executable} {__file__} run {args.directory} {name} {case}"
                done = subprocess.run(command, shell=True, capture_output=True, text=True)
                line = next((x for x in reversed(done.stdout.splitlines()) if x.startswith("{")), None)
                if line is None:
                    print(f"# {name} {case}: failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
                    continue
                lines.append({**json.loads(line), "peer": name, "case": case})
                if args.log:
                    with open(args.log, "a") as log:
                        log.write(json.dumps(lines[-1]) + "\n")
    table(lines)


def table(lines):
    cases = list(dict.fromkeys(line["case"] for line in lines))
    print("| peer | " + " | ".join(f"{case} ms (min..max of medians)" for case in cases) + " |")
    print("|---|" + "---|" * len(cases))
    for name in dict.fromkeys(line["peer"] for line in lines):
        row = []
        for case in cases:
            found = [line["ms"] for line in lines if (line["peer"], line["case"]) == (name, case)]
            peaks = [line["peak_mb"] for line in lines
                     if (line["peer"], line["case"]) == (name, case) and "peak_mb" in line]
            peak = f", {max(peaks):.0f} MB" if peaks else ""
            row.append(f"{statistics.median(found):.1f} ({min(found):.1f}..{max(found):.1f}){peak}" if found
                       else "failed")
        print(f"| {name} | " + " | ".join(row) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("make")
    verb.add_argument("directory")
    verb.add_argument("--sentences")
    verb = verbs.add_parser("run")
    verb.add_argument("directory")
    verb.add_argument("peer", choices=PEERS)
    verb.add_argument("case", choices=[*CASES, *TRAINING, "texts"])
    verb.add_argument("--vectors")
    verb = verbs.add_parser("all")
    verb.add_argument("directory")
    verb.add_argument("--cases", default=",".join(CASES))
    verb.add_argument("--peers")
    verb.add_argument("--rounds", type=int, default=3)
    verb.add_argument("--also", action="append", default=[])
    verb.add_argument("--log")
    verb = verbs.add_parser("table")
    verb.add_argument("logs", nargs="+")
    args = parser.parse_args()
    if args.verb == "make":
        make(args.directory, args.sentences)
    elif args.verb == "run":
        run(args.directory, args.peer, args.case, args.vectors)
    elif args.verb == "table":
        table([json.loads(line) for log in args.logs for line in Path(log).read_text().splitlines()])
    else:
        everything(args)
