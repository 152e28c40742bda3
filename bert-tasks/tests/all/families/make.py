#!/usr/bin/env python3
"""Makes the small checkpoints of this folder, and records what the pipelines of transformers answer with them.

    pip install torch transformers && python make.py

They have the tokenizers of ../tokenizer/families, whose files are not copied; ELECTRA's are those of bert-conformance.
Weights are random and wide, so that neighbours get different labels. golden.json holds for fill-mask and
token-classification what `pipeline` gives, places in bytes.

transformers 5 has no pipeline for question answering. `answers` holds the five best spans by the rules that
bert_tasks::question_answering documents, found by a search over all spans: the softmax over the sums of the logits of
first and last token and the logit of no answer; `words` the same with spans widened to words.
"""
import json
import math
import warnings
from pathlib import Path

import torch
import transformers as hf

warnings.filterwarnings("ignore")
HERE = Path(__file__).parent
TOKENIZERS = HERE.parent / "tokenizer" / "families"
CONFORMANCE = HERE.parents[3] / "bert-conformance" / "checkpoints"
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
STRATEGIES = ["none", "simple", "first", "average", "max"]
SHAPE = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
             max_position_embeddings=68, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
             layer_norm_eps=1e-5)
# With these, words that are neighbours get different labels, and some the same.
SEEDS = {"roberta": 6, "xlm-roberta": 13}
MASKED = ["The capital of France is <mask>.", "<mask> lives in Los Angeles", "She works<mask> Munich, doesn't she?",
          "A café is a <mask> where people   drink."]
TEXTS = ["My name is Sarah Connor and I live in Los Angeles.", "Siemens, the river Seine; \"André\" (Munich)!",
         "the movie was not very good:  2 hours", "Teslaville's wouldn't electrical-system of éclairs"]
QUESTIONS = [("Where does Sarah live?", "My name is Sarah Connor, and I live in Los Angeles."),
             ("What is Paris?", "The capital of France is Paris; the river is the \"Seine\".")]


def tokenizer(family):
    if family == "electra":
        return hf.BertTokenizerFast.from_pretrained(CONFORMANCE / "electra-token-classification", do_lower_case=True)
    file = str(TOKENIZERS / {"roberta": "byte-level-bpe", "xlm-roberta": "unigram"}[family] / "tokenizer.json")
    mask = hf.AddedToken("<mask>", lstrip=True, normalized=False, special=True)
    return hf.PreTrainedTokenizerFast(tokenizer_file=file, bos_token="<s>", eos_token="</s>", cls_token="<s>",
                                      sep_token="</s>", unk_token="<unk>", pad_token="<pad>", mask_token=mask)


def model(family, head):
    """A new checkpoint, or ELECTRA's old one."""
    if family == "electra":
        kind = {"token-classification": hf.ElectraForTokenClassification,
                "question-answering": hf.ElectraForQuestionAnswering}[head]
        return kind.from_pretrained(CONFORMANCE / f"electra-{head}").eval()
    config, prefix = {"roberta": (hf.RobertaConfig, "Roberta"), "xlm-roberta": (hf.XLMRobertaConfig, "XLMRoberta")}[family]
    kind = getattr(hf, prefix + {"masked-lm": "ForMaskedLM", "token-classification": "ForTokenClassification",
                                 "question-answering": "ForQuestionAnswering"}[head])
    labels = LABELS if head == "token-classification" else LABELS[:2]
    size = len(tokenizer(family))
    made = kind(config(**SHAPE, vocab_size=size, id2label=dict(enumerate(labels)))).eval()
    torch.manual_seed(SEEDS[family] + len(family + head))
    for name, x in made.named_parameters():
        noise = torch.randn(x.shape)
        if "LayerNorm.weight" in name or "layer_norm.weight" in name:
            x.data = 1 + 0.3 * noise
        else:
            x.data = noise if "embeddings" in name else noise * (1.5 / x.shape[-1] ** 0.5 if x.ndim > 1 else 0.3)
    made.tie_weights()
    made.save_pretrained(HERE / f"{family}-{head}")
    return made


def place(text, start, end):
    """Bytes, without the blank that U+2581 stands for."""
    while start < end and text[start].isspace():
        start += 1
    return [len(text[:at].encode()) for at in (start, end)]


def simple(used, text):
    """The words of a text that have no two tokens of one char: those are one unit to bert-tasks, and several words to
    transformers. A mark alone before a char outside of the vocabulary is such a token."""
    def apart(word):
        places = used(word, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return all(first[1] <= second[0] for first, second in zip(places, places[1:]))
    return " ".join(word for word in text.split(" ") if apart(word))


def entities(family):
    result = []
    for strategy in STRATEGIES:
        pipe = hf.pipeline("token-classification", model=model(family, "token-classification"),
                           tokenizer=tokenizer(family), aggregation_strategy=strategy, device="cpu")
        for text in [simple(tokenizer(family), text) for text in TEXTS]:
            found = [dict(label=e.get("entity_group", e.get("entity")), score=float(e["score"]),
                          range=place(text, e["start"], e["end"])) for e in pipe(text)]
            result.append(dict(aggregation=strategy, text=text, entities=found))
    return result


def masks(family):
    pipe = hf.pipeline("fill-mask", model=model(family, "masked-lm"), tokenizer=tokenizer(family), device="cpu")
    return [dict(text=text, candidates=pipe(text, top_k=5)) for text in MASKED]


def spans(family, question, context):
    """The five best spans, of tokens and of words."""
    used, reader = tokenizer(family), model(family, "question-answering")
    encoded = used(question, context, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    if family != "electra":
        encoded.pop("token_type_ids", None)
    with torch.no_grad():
        logits = reader(**encoded)
    start, end = (x[0].double().tolist() for x in (logits.start_logits, logits.end_logits))
    tokens = [at for at, sequence in enumerate(encoded.sequence_ids(0)) if sequence == 1]
    word = encoded.word_ids(0)
    widened = [([other for other in tokens if word[other] == word[at]]) for at in range(len(word))]
    logit = {(first, last): start[first] + end[last] for first in tokens for last in tokens if first <= last}
    null = start[0] + end[0]
    total = math.log(sum(math.exp(x) for x in [null, *logit.values()]))
    of_tokens, of_words = {}, {}
    for (first, last), x in logit.items():
        p = math.exp(x - total)
        of_tokens[first, last] = p
        whole = widened[first][0], widened[last][-1]
        of_words[whole] = of_words.get(whole, 0) + p

    def best(scores):
        ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:5]
        return [dict(range=place(context, offsets[first][0], offsets[last][1]), score=p) for (first, last), p in ranked]
    return dict(question=question, context=context, tokens=best(of_tokens), words=best(of_words),
                no_answer=math.exp(null - total))


golden = {}
for family in ("roberta", "xlm-roberta", "electra"):
    golden[family] = dict(entities=entities(family), answers=[spans(family, *asked) for asked in QUESTIONS])
    if family != "electra":
        golden[family]["masks"] = masks(family)
(HERE / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")
