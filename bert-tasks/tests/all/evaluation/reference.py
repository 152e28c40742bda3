"""Records what the reference implementations say about random and hard cases, for the tests beside it.

    python3 -m venv /tmp/reference
    /tmp/reference/bin/pip install scikit-learn scipy seqeval rouge-score
    /tmp/reference/bin/python bert-tasks/tests/all/evaluation/reference.py

writes golden.json anew. The figures of SQuAD are computed by the functions of evaluate-v2.0.py, which are copied
here (CC BY-SA 4.0, https://rajpurkar.github.io/SQuAD-explorer/), since no package has them.
"""

import collections
import json
import math
import pathlib
import random
import re
import string
import warnings

import numpy as np
import scipy.stats
import seqeval.metrics
import sklearn.metrics
from rouge_score import rouge_scorer
from seqeval.scheme import IOB2

warnings.filterwarnings("ignore")
RANDOM = random.Random(20)


def number(value):
    value = float(value)
    return None if math.isnan(value) else value


def classification():
    cases = []
    for labels, count, skew in [(2, 50, 0), (2, 7, 0), (3, 200, 0), (5, 300, 2), (4, 3, 0)]:
        draw = lambda: min(RANDOM.randrange(labels + skew), labels - 1)
        gold = [draw() for _ in range(count)]
        answers = [label if RANDOM.random() < 0.6 else draw() for label in gold]
        cases.append((labels, gold, answers))
    cases += [
        (2, [0, 1, 1, 0], [1, 1, 1, 1]),  # constant answers
        (2, [1, 1, 1], [1, 1, 1]),  # one class, all right
        (2, [1, 1, 1], [0, 0, 0]),  # one class, all wrong
        (3, [0, 1, 2], [1, 2, 0]),
        (3, [0], [0]),
        (2, [0, 1], [1, 0]),
    ]
    result = []
    for labels, gold, answers in cases:
        names = list(range(labels))
        metric = lambda f, **kw: [number(x) for x in f(gold, answers, labels=names, average=None, zero_division=0, **kw)]
        result.append({
            "labels": labels, "gold": gold, "answers": answers,
            "accuracy": number(sklearn.metrics.accuracy_score(gold, answers)),
            "matthews": number(sklearn.metrics.matthews_corrcoef(gold, answers)),
            "macro_f1": number(sklearn.metrics.f1_score(gold, answers, average="macro", zero_division=0)),
            "precision": metric(sklearn.metrics.precision_score),
            "recall": metric(sklearn.metrics.recall_score),
            "f1": metric(sklearn.metrics.f1_score),
        })
    return result


def label_sets():
    result = []
    for labels, count, share in [(4, 40, 0.4), (3, 10, 0.1), (2, 5, 0.0), (3, 6, 1.0)]:
        row = lambda: [int(RANDOM.random() < share) for _ in range(labels)]
        gold = [row() for _ in range(count)]
        answers = [[x if RANDOM.random() < 0.7 else y for x, y in zip(g, row())] for g in gold]
        result.append({
            "gold": gold, "answers": answers,
            "exact": number(sklearn.metrics.accuracy_score(gold, answers)),
            "micro_f1": number(sklearn.metrics.f1_score(gold, answers, average="micro", zero_division=0)),
            "macro_f1": number(sklearn.metrics.f1_score(gold, answers, average="macro", zero_division=0)),
        })
    return result


def correlation():
    draw = lambda n: [RANDOM.gauss(0, 1) for _ in range(n)]
    a = draw(60)
    cases = [
        (a, [x + y for x, y in zip(a, draw(60))]),
        ([RANDOM.randrange(6) / 2 for _ in range(80)], [RANDOM.randrange(4) / 3 for _ in range(80)]),  # many ties
        (draw(2), draw(2)),
        ([1.0, 1.0, 1.0, 2.0], [0.0, 0.0, 5.0, 0.0]),
        (draw(5), [0.1] * 5),  # constant answers
        ([3.0] * 4, [3.0] * 4),
        ([x * 1e8 + 1e12 for x in draw(20)], draw(20)),
        ([x * 1e-9 for x in a], [-x for x in a]),
    ]
    return [{
        "gold": gold, "answers": answers,
        "pearson": number(scipy.stats.pearsonr(gold, answers)[0]),
        "spearman": number(scipy.stats.spearmanr(gold, answers)[0]),
    } for gold, answers in cases]


def entities():
    def tags(count, wild):
        result = []
        for _ in range(count):
            previous = result[-1] if result else "O"
            if wild:
                result.append(RANDOM.choice(["O", "B-A", "I-A", "B-B", "I-B"]))
            elif previous != "O" and RANDOM.random() < 0.5:
                result.append("I" + previous[1:])
            else:
                result.append(RANDOM.choice(["O", "O", "B-A", "B-B", "B-LONG-NAME"]))
        return result

    cases = []
    for wild_gold, wild in [(False, False), (False, True), (True, True)]:
        gold = [tags(RANDOM.randrange(1, 15), wild_gold) for _ in range(20)]
        answers = [[x if RANDOM.random() < 0.8 else y for x, y in zip(g, tags(len(g), wild))] for g in gold]
        cases.append((gold, answers))
    cases += [
        ([["O", "O"]], [["O", "O"]]),
        ([["B-A", "I-A"]], [["O", "O"]]),
        ([["O", "O"]], [["B-A", "I-A"]]),
        ([["B-A", "I-A", "O"]], [["I-A", "I-A", "O"]]),  # right when lenient, wrong when strict
        ([["B-A", "B-A"]], [["B-A", "I-A"]]),
    ]
    result = []
    for gold, answers in cases:
        case = {"gold": gold, "answers": answers}
        for mode, options in [("lenient", {}), ("strict", {"mode": "strict", "scheme": IOB2})]:
            scores = [f(gold, answers, zero_division=0, **options) for f in (
                seqeval.metrics.precision_score, seqeval.metrics.recall_score, seqeval.metrics.f1_score)]
            case[mode] = {"overall": [number(x) for x in scores]}
            # seqeval's report breaks where nothing is an entity.
            if any(tag != "O" for row in gold + answers for tag in row):
                report = seqeval.metrics.classification_report(
                    gold, answers, output_dict=True, zero_division=0, **options)
                for name, scores in report.items():
                    if not name.endswith(" avg"):
                        case[mode][name] = [number(scores[x]) for x in ("precision", "recall", "f1-score")]
        result.append(case)
    return result


def ranking():
    """NDCG by scikit-learn; the others written out by their definitions, as sentence-transformers computes them."""
    result = []
    for count, shown, grades, relevant in [(30, 30, 2, 0.2), (20, 10, 4, 0.3), (12, 12, 2, 0.0), (5, 5, 3, 1.0), (200, 150, 2, 0.9)]:
        for _ in range(3):
            gains = [float(RANDOM.randrange(1, grades)) if RANDOM.random() < relevant else 0.0 for _ in range(count)]
            found, all_relevant = gains[:shown], [gain for gain in gains if gain > 0]
            case = {"found": found, "relevant": all_relevant, "at": {}}
            # What was not found counts as last.
            scores = list(range(count, 0, -1))
            for k in (1, 3, 10, 100):
                hits, precisions = 0, 0.0
                for place, gain in enumerate(found[:k]):
                    if gain > 0:
                        hits += 1
                        precisions += hits / (place + 1)
                first = next((place for place, gain in enumerate(found[:k]) if gain > 0), None)
                ndcg = sklearn.metrics.ndcg_score([gains], [scores], k=min(k, shown), ignore_ties=True)
                if k > shown:
                    # scikit-learn's ideal order is cut where the answer is; ours at k.
                    ideal = sorted(gains, reverse=True)[:k]
                    dcg = lambda list: sum(gain / math.log2(place + 2) for place, gain in enumerate(list))
                    ndcg = dcg(found[:k]) / dcg(ideal) if dcg(ideal) > 0 else 0.0
                case["at"][str(k)] = [
                    number(first is not None), number(0 if first is None else 1 / (first + 1)), number(ndcg),
                    number(precisions / min(k, len(all_relevant)) if all_relevant else 0.0),
                ]
            result.append(case)
    return result


def rouge():
    words = "the cat Sat on a mat. It's 5.3 miles, é naïve x-ray 北京 THE".split()
    text = lambda n: " ".join(RANDOM.choice(words) for _ in range(n))
    cases = [(text(RANDOM.randrange(1, 14)), text(RANDOM.randrange(1, 14))) for _ in range(20)]
    cases += [("", ""), ("a", ""), ("", "a"), ("!?", "!?"), ("the the the", "the"), ("\u212a\u0130", "k i"), ("a_b", "a b")]
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    result = []
    for gold, answer in cases:
        scores = scorer.score(gold, answer)
        result.append({"gold": gold, "answer": answer,
                       **{name: [number(x) for x in score] for name, score in scores.items()}})
    return result


# From evaluate-v2.0.py.
def normalize_answer(s):
    def remove_articles(text):
        regex = re.compile(r"\b(a|an|the)\b", re.UNICODE)
        return re.sub(regex, " ", text)

    def white_space_fix(text):
        return " ".join(text.split())

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    return white_space_fix(remove_articles(remove_punc(s.lower())))


def get_tokens(s):
    return normalize_answer(s).split() if s else []


def compute_exact(a_gold, a_pred):
    return int(normalize_answer(a_gold) == normalize_answer(a_pred))


def compute_f1(a_gold, a_pred):
    gold_toks, pred_toks = get_tokens(a_gold), get_tokens(a_pred)
    common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision, recall = 1.0 * num_same / len(pred_toks), 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


def apply_no_ans_threshold(scores, na_probs, qid_to_has_ans, na_prob_thresh):
    return {qid: float(not qid_to_has_ans[qid]) if na_probs[qid] > na_prob_thresh else s for qid, s in scores.items()}


def find_best_thresh(preds, scores, na_probs, qid_to_has_ans):
    num_no_ans = sum(1 for k in qid_to_has_ans if not qid_to_has_ans[k])
    cur_score = num_no_ans
    best_score, best_thresh = cur_score, 0.0
    for qid in sorted(na_probs, key=lambda k: na_probs[k]):
        if qid not in scores:
            continue
        if qid_to_has_ans[qid]:
            diff = scores[qid]
        else:
            diff = -1 if preds[qid] else 0
        cur_score += diff
        if cur_score > best_score:
            best_score, best_thresh = cur_score, na_probs[qid]
    return 100.0 * best_score / len(scores), best_thresh


def squad():
    words = ["the", "Seine", "a", "river,", "Paris", "U.S.", "–", "‘an’", "5"]
    text = lambda: " ".join(RANDOM.choice(words) for _ in range(RANDOM.randrange(1, 5)))
    result = []
    for count, answerable, ties in [(60, 0.5, False), (60, 0.5, True), (8, 1.0, False), (8, 0.0, False), (1, 1.0, False)]:
        questions = []
        for at in range(count):
            golds = [text() for _ in range(RANDOM.randrange(1, 4))] if RANDOM.random() < answerable else []
            if golds and RANDOM.random() < 0.1:
                golds = ["the"]  # nothing is left of it
            prediction = RANDOM.choice([text(), "", RANDOM.choice(golds) if golds else text()])
            odds = float(RANDOM.randrange(-3, 4)) if ties else RANDOM.gauss(0, 3)
            questions.append({"id": f"q{at}", "golds": golds, "prediction": prediction, "odds": odds})
        has = {q["id"]: bool(q["golds"]) for q in questions}
        preds = {q["id"]: q["prediction"] for q in questions}
        odds = {q["id"]: q["odds"] for q in questions}
        raw = []
        for compute in (compute_exact, compute_f1):
            scores = {}
            for q in questions:
                golds = [a for a in q["golds"] if normalize_answer(a)] or [""]
                scores[q["id"]] = max(compute(a, q["prediction"]) for a in golds)
            raw.append(scores)
        figures = {}
        for name, scores in zip(("exact", "f1"), raw):
            thresholded = apply_no_ans_threshold(scores, odds, has, 1.0)
            for prefix, wanted in (("", None), ("HasAns_", True), ("NoAns_", False)):
                part = [s for qid, s in thresholded.items() if wanted is None or has[qid] == wanted]
                figures[prefix + name] = 100.0 * sum(part) / len(part) if part else None
            figures["best_" + name], figures[f"best_{name}_thresh"] = find_best_thresh(preds, scores, odds, has)
        result.append({"questions": questions, "figures": figures})
    return result


if __name__ == "__main__":
    golden = {name.__name__: name() for name in (
        classification, label_sets, correlation, entities, ranking, rouge, squad)}
    path = pathlib.Path(__file__).with_name("golden.json")
    lines = (f'{json.dumps(name)}: [\n' + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]"
             for name, cases in golden.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(path, np.__version__, sklearn.__version__, scipy.__version__)
