#!/usr/bin/env python3
"""Makes the small checkpoints of this folder, one for each head, and records what transformers computes with them.

    pip install torch transformers safetensors && python make.py

Weights are random, rounded to f32, and wide enough that attention is peaked and a parameter left out is seen. Outputs
are computed in f64 and rounded to f32; rows are padded, and what lies in the padding means nothing. The checkpoints
differ where published ones do: BERT and DistilBERT, safetensors and pickles, gamma and weight.
"""
import json
from pathlib import Path

import torch
import transformers as hf
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
LENGTHS = [17, 1, 64, 5, 33]
WORDS = """[PAD] [UNK] [CLS] [SEP] [MASK] the a of is in and to paris london france england capital river bank money
good bad movie not very you he she it this that live work works at for with . , ! ? -""".split()
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
# All letters, alone and as continuations, so that any English text can be spelled.
VOCAB = WORDS + [token for c in LETTERS for token in (c, "##" + c) if token not in WORDS]
ENTITIES = ["O", "B-PLACE", "I-PLACE", "B-NAME", "I-NAME"]
SENTIMENTS = ["negative", "neutral", "positive"]

BERT = dict(vocab_size=len(VOCAB), hidden_size=36, num_hidden_layers=2, num_attention_heads=3, intermediate_size=70,
            max_position_embeddings=65)
DISTILBERT = dict(vocab_size=len(VOCAB), dim=36, n_layers=3, n_heads=3, hidden_dim=70, max_position_embeddings=65)


def randomise(model):
    """Published weights are not centred on 0 and 1 either; a bias or a scale that is left out has to be seen."""
    for name, x in model.named_parameters():
        noise = torch.randn(x.shape)
        if "LayerNorm.weight" in name or "layer_norm.weight" in name:
            x.data = 1 + 0.3 * noise
        elif x.ndim == 1:
            x.data = 0.3 * noise
        elif "embeddings" in name:
            x.data = noise
        else:
            x.data = noise * 1.5 / x.shape[1] ** 0.5


def batch():
    """Ragged sequences of any tokens but [PAD], the second half of each in segment 1."""
    ids = torch.zeros(len(LENGTHS), max(LENGTHS), dtype=torch.int64)
    segments, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, length in enumerate(LENGTHS):
        ids[row, :length] = torch.randint(1, len(VOCAB), (length,))
        segments[row, (length + 1) // 2:length] = 1
        mask[row, :length] = 1
    return dict(input_ids=ids, token_type_ids=segments, attention_mask=mask)


def record(model, inputs):
    given = dict(inputs)
    if model.config.model_type == "distilbert":
        del given["token_type_ids"]
    several = isinstance(model, hf.BertForMultipleChoice)  # [questions, choices, tokens]
    if several:
        given = {name: x[None] for name, x in given.items()}
    with torch.no_grad():
        found = model(**given, output_hidden_states=True)
    outputs = {name: found[name] for name in ("logits", "prediction_logits", "seq_relationship_logits",
                                              "start_logits", "end_logits", "pooler_output") if name in found}
    outputs["last_hidden_state"] = found.hidden_states[-1]
    if several:
        outputs["logits"] = outputs["logits"].T
    if "start_logits" in outputs:
        outputs["logits"] = torch.stack([outputs.pop("start_logits"), outputs.pop("end_logits")], -1)
    if isinstance(model, hf.BertModel):
        mask = inputs["attention_mask"][..., None]
        outputs["mean_pooled"] = (found.last_hidden_state * mask).sum(1) / mask.sum(1)
    if isinstance(model, (hf.BertForMaskedLM, hf.DistilBertForMaskedLM)):
        outputs["mlm_logits"] = outputs.pop("logits")
    return {name: x.float().contiguous() for name, x in outputs.items()}


def make(name, model):
    torch.manual_seed(len(name))
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    model.eval()
    randomise(model)
    model.tie_weights()
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCAB) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(do_lower_case=True, model_max_length=65)) + "\n")
    inputs = batch()
    model.double()
    save_file({**inputs, **record(model, inputs)}, folder / "golden.safetensors")
    return folder


def as_pickle(folder, rename=lambda name: name):
    """As checkpoints were published before safetensors."""
    weights = folder / "model.safetensors"
    torch.save({rename(name): x for name, x in load_file(weights).items()}, folder / "pytorch_model.bin")
    weights.unlink()


if __name__ == "__main__":
    def bert(labels=("0", "1")):
        return hf.BertConfig(**BERT, id2label=dict(enumerate(labels)))

    make("bert-pretraining", hf.BertForPreTraining(bert()))
    make("bert-masked-lm", hf.BertForMaskedLM(bert()))
    make("bert-question-answering", hf.BertForQuestionAnswering(bert()))
    make("bert-token-classification", hf.BertForTokenClassification(bert(ENTITIES)))
    make("bert-multiple-choice", hf.BertForMultipleChoice(bert()))
    as_pickle(make("bert-sequence-classification", hf.BertForSequenceClassification(bert(SENTIMENTS))),
              lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"))
    folder = make("bert-embedding", hf.BertModel(bert()))
    pooling = folder / "1_Pooling"
    pooling.mkdir(exist_ok=True)
    (pooling / "config.json").write_text(json.dumps(dict(word_embedding_dimension=36, pooling_mode_mean_tokens=True)) + "\n")
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    modules = [dict(idx=i, name=str(i), path=path, type=f"sentence_transformers.models.{kind}")
               for i, (kind, path) in enumerate(modules)]
    (folder / "modules.json").write_text(json.dumps(modules, indent=2) + "\n")
    make("distilbert-masked-lm", hf.DistilBertForMaskedLM(hf.DistilBertConfig(**DISTILBERT)))
