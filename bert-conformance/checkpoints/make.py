#!/usr/bin/env python3
"""Makes the small checkpoints of this folder, one for each head, and records what transformers computes with them.

    pip install torch transformers safetensors && python make.py [NAME...]

Without names, all of them. Weights are random, rounded to f32, and wide enough that attention is peaked and a parameter
left out is seen. Outputs are computed in f64 and rounded to f32; rows are padded, and what lies in the padding means
nothing. The checkpoints differ where published ones do: families, safetensors and pickles, gamma and weight, buffers
and tied tensors that are in the file or not, activations.

golden.safetensors holds the batch (input_ids, token_type_ids, attention_mask: [sequences, tokens]) and a tensor for
each output. Where mlm_logits_rows is there, mlm_logits holds the first few tokens of those sequences only.
"""
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers as hf
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
LENGTHS = (17, 1, 64, 5, 33)
SHORTER = (17, 1, 5, 33)
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
# Positions count from pad_token_id + 1, so that 65 of 67 can be used.
ROBERTA = BERT | dict(max_position_embeddings=67, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1,
                      bos_token_id=0, eos_token_id=2)
ELECTRA = BERT | dict(embedding_size=20)
ALBERT = ELECTRA | dict(num_hidden_layers=3, num_hidden_groups=1, inner_group_num=1, hidden_act="gelu_new")
# The model_types with the layout and the position ids of RoBERTa.
LIKE_ROBERTA = ("roberta", "camembert", "xlm-roberta", "roberta-prelayernorm")


def randomise(model):
    """Published weights are not centred on 0 and 1 either; a bias or a scale that is left out has to be seen."""
    for name, x in model.named_parameters():
        noise = torch.randn(x.shape)
        if "LayerNorm.weight" in name or "layer_norm.weight" in name:
            x.data = 1 + 0.3 * noise
        elif x.ndim == 1:
            x.data = 0.3 * noise
        elif "embeddings." in name or "decoder.weight" in name:  # the decoder is the embedding by another name
            x.data = noise
        else:
            x.data = noise * 1.5 / x.shape[1] ** 0.5


def batch(config, lengths):
    """Ragged sequences of any tokens but [PAD], the second half of each in segment 1.

    RoBERTa has one segment, and a padding token inside a sequence changes its positions: it takes the position
    pad_token_id and is not counted. The first sequence has two of them.
    """
    like_roberta = config.model_type in LIKE_ROBERTA
    ids = torch.full((len(lengths), max(lengths)), config.pad_token_id)
    segments, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(config.pad_token_id + 1, len(VOCAB), (length,))
        mask[row, :length] = 1
        if like_roberta:
            ids[row, 0] = config.bos_token_id
        else:
            segments[row, (length + 1) // 2:length] = 1
    if like_roberta:
        ids[0, [3, 7]] = config.pad_token_id
    return dict(input_ids=ids, token_type_ids=segments, attention_mask=mask)


def arguments(model, inputs):
    """What the model takes of a batch, and in which shape."""
    given = dict(inputs)
    if model.config.model_type == "distilbert":
        del given["token_type_ids"]
    if type(model).__name__.endswith("ForMultipleChoice"):  # [questions, choices, tokens]
        given = {name: x[None] for name, x in given.items()}
    return given


def record(model, inputs):
    """Every output of a model, under the name that golden.safetensors has for it."""
    kind = type(model).__name__
    with torch.no_grad():
        found = model(**arguments(model, inputs), output_hidden_states=True)
    outputs = {name: found[name] for name in ("logits", "prediction_logits", "seq_relationship_logits",
                                              "start_logits", "end_logits", "pooler_output") if name in found}
    if "sop_logits" in found:  # ALBERT's name for them: which of two sentences comes first
        outputs["seq_relationship_logits"] = found["sop_logits"]
    outputs["last_hidden_state"] = found.hidden_states[-1]
    if kind.endswith("ForMultipleChoice"):
        outputs["logits"] = outputs["logits"].T
    if kind == "ElectraForPreTraining":  # [sequences, tokens]
        outputs["logits"] = outputs["logits"][..., None]
    if "start_logits" in outputs:
        outputs["logits"] = torch.stack([outputs.pop("start_logits"), outputs.pop("end_logits")], -1)
    if kind.endswith("Model"):
        mask = inputs["attention_mask"][..., None]
        outputs["mean_pooled"] = (found.last_hidden_state * mask).sum(1) / mask.sum(1)
    if kind.endswith("ForMaskedLM"):
        outputs["mlm_logits"] = outputs.pop("logits")
    return {name: x.float().contiguous() for name, x in outputs.items()}


@dataclass
class Checkpoint:
    model: Callable
    lengths: tuple = SHORTER
    # Whether last_hidden_state is recorded: once a family is enough.
    hidden: bool = False
    # Of how many tokens of each sequence mlm_logits are recorded; all if None.
    tokens: int | None = 9
    # Changes the folder to what some published checkpoint looks like.
    finish: Callable = lambda folder: None


def make(name):
    checkpoint = CHECKPOINTS[name]
    model = checkpoint.model()
    torch.manual_seed(len(name))
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    model.eval()
    randomise(model)
    model.tie_weights()
    model.save_pretrained(folder)
    if model.config.model_type in ("bert", "distilbert", "electra"):  # those with WordPiece
        (folder / "vocab.txt").write_text("\n".join(VOCAB) + "\n")
        (folder / "tokenizer_config.json").write_text(json.dumps(dict(do_lower_case=True, model_max_length=65)) + "\n")
    inputs = batch(model.config, checkpoint.lengths)
    model.double()
    outputs = record(model, inputs)
    if not checkpoint.hidden:
        del outputs["last_hidden_state"]
    if "mlm_logits" in outputs and checkpoint.tokens is not None:
        outputs["mlm_logits"] = outputs["mlm_logits"][:, :checkpoint.tokens].contiguous()
        outputs["mlm_logits_rows"] = torch.arange(len(checkpoint.lengths))
    save_file({**inputs, **outputs}, folder / "golden.safetensors")
    checkpoint.finish(folder)


def as_pickle(change):
    """As checkpoints were published before safetensors; `change` gives the tensors as they are in the file."""
    def finish(folder):
        weights = folder / "model.safetensors"
        torch.save(change(load_file(weights)), folder / "pytorch_model.bin")
        weights.unlink()
    return finish


def with_gamma(tensors):
    """The names of the first BERT checkpoints."""
    def rename(name):
        return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    return {rename(name): x for name, x in tensors.items()}


def with_decoder(tensors):
    """The names of the first RoBERTa checkpoints: a buffer, and the decoder, which is the embedding, in one storage."""
    positions = dict([position_ids("roberta", ROBERTA)])
    return positions | tensors | {"lm_head.decoder.weight": tensors["roberta.embeddings.word_embeddings.weight"]}


def position_ids(prefix, config):
    """A buffer that checkpoints held until 2023."""
    return f"{prefix}.embeddings.position_ids", torch.arange(config["max_position_embeddings"]).expand((1, -1))


def add_tensors(change):
    """More tensors in the safetensors file; `change` gives them from those that are there."""
    def finish(folder):
        path = folder / "model.safetensors"
        tensors = load_file(path)
        added = {name: x.clone() for name, x in change(tensors)}
        save_file(tensors | added, path, metadata=dict(format="pt"))
    return finish


def leave_out(*prefixes):
    """Fields of the config that published files leave to their defaults."""
    def finish(folder):
        path = folder / "config.json"
        config = json.loads(path.read_text())
        config = {name: x for name, x in config.items() if not name.startswith(prefixes)}
        path.write_text(json.dumps(config, indent=2) + "\n")
    return finish


def sentence_transformers(folder):
    """What sentence-transformers adds: mean, then unit length."""
    pooling = folder / "1_Pooling"
    pooling.mkdir(exist_ok=True)
    mean = dict(word_embedding_dimension=36, pooling_mode_mean_tokens=True)
    (pooling / "config.json").write_text(json.dumps(mean) + "\n")
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    modules = [dict(idx=i, name=str(i), path=path, type=f"sentence_transformers.models.{kind}")
               for i, (kind, path) in enumerate(modules)]
    (folder / "modules.json").write_text(json.dumps(modules, indent=2) + "\n")


def config(kind, fields, labels=("0", "1"), **changes):
    return kind(**fields | changes, id2label=dict(enumerate(labels)))


def bert(labels=("0", "1")):
    return config(hf.BertConfig, BERT, labels)


def distilbert(labels=("0", "1")):
    # Fewer layers than the one that masked words are predicted with: the repository stays small.
    return config(hf.DistilBertConfig, DISTILBERT, labels, n_layers=2)


def roberta(labels=("0", "1")):
    return config(hf.RobertaConfig, ROBERTA, labels)


def prelayernorm(labels=("0", "1")):
    return config(hf.RobertaPreLayerNormConfig, ROBERTA, labels)


def electra(labels=("0", "1"), **changes):
    return config(hf.ElectraConfig, ELECTRA, labels, **changes)


def albert(labels=("0", "1"), **changes):
    return config(hf.AlbertConfig, ALBERT, labels, **changes)


CHECKPOINTS = {
    "bert-pretraining": Checkpoint(lambda: hf.BertForPreTraining(bert()), LENGTHS, hidden=True),
    "bert-masked-lm": Checkpoint(lambda: hf.BertForMaskedLM(bert()), LENGTHS, hidden=True, tokens=None),
    "bert-question-answering": Checkpoint(lambda: hf.BertForQuestionAnswering(bert()), LENGTHS, hidden=True),
    "bert-token-classification": Checkpoint(lambda: hf.BertForTokenClassification(bert(ENTITIES)), LENGTHS,
                                            hidden=True),
    "bert-multiple-choice": Checkpoint(lambda: hf.BertForMultipleChoice(bert()), LENGTHS, hidden=True),
    "bert-sequence-classification": Checkpoint(lambda: hf.BertForSequenceClassification(bert(SENTIMENTS)), LENGTHS,
                                               hidden=True, finish=as_pickle(with_gamma)),
    "bert-embedding": Checkpoint(lambda: hf.BertModel(bert()), LENGTHS, hidden=True, finish=sentence_transformers),
    "bert-next-sentence": Checkpoint(lambda: hf.BertForNextSentencePrediction(bert())),
    "distilbert-masked-lm": Checkpoint(lambda: hf.DistilBertForMaskedLM(hf.DistilBertConfig(**DISTILBERT)), LENGTHS,
                                       hidden=True, tokens=None),
    "distilbert-token-classification": Checkpoint(lambda: hf.DistilBertForTokenClassification(distilbert(ENTITIES))),
    "distilbert-sequence-classification": Checkpoint(
        lambda: hf.DistilBertForSequenceClassification(distilbert(SENTIMENTS))),
    "distilbert-question-answering": Checkpoint(lambda: hf.DistilBertForQuestionAnswering(distilbert())),
    "distilbert-multiple-choice": Checkpoint(lambda: hf.DistilBertForMultipleChoice(distilbert())),
    # One sequence takes every position.
    "roberta-embedding": Checkpoint(lambda: hf.RobertaModel(roberta()), (17, 1, 65), hidden=True),
    "roberta-masked-lm": Checkpoint(lambda: hf.RobertaForMaskedLM(roberta()), finish=as_pickle(with_decoder)),
    "roberta-token-classification": Checkpoint(lambda: hf.RobertaForTokenClassification(roberta(ENTITIES))),
    "roberta-sequence-classification": Checkpoint(lambda: hf.RobertaForSequenceClassification(roberta(SENTIMENTS))),
    "roberta-question-answering": Checkpoint(lambda: hf.RobertaForQuestionAnswering(roberta())),
    "roberta-multiple-choice": Checkpoint(lambda: hf.RobertaForMultipleChoice(roberta())),
    # The head has the gelu of erf, whatever hidden_act is.
    "camembert-masked-lm": Checkpoint(
        lambda: hf.CamembertForMaskedLM(config(hf.CamembertConfig, ROBERTA, hidden_act="gelu_new"))),
    "xlm-roberta-token-classification": Checkpoint(
        lambda: hf.XLMRobertaForTokenClassification(config(hf.XLMRobertaConfig, ROBERTA, ENTITIES)),
        finish=add_tensors(lambda tensors: [position_ids("roberta", ROBERTA)])),
    "roberta-prelayernorm-embedding": Checkpoint(lambda: hf.RobertaPreLayerNormModel(prelayernorm()), (17, 1, 65),
                                                 hidden=True),
    "roberta-prelayernorm-masked-lm": Checkpoint(lambda: hf.RobertaPreLayerNormForMaskedLM(prelayernorm())),
    "roberta-prelayernorm-token-classification": Checkpoint(
        lambda: hf.RobertaPreLayerNormForTokenClassification(prelayernorm(ENTITIES))),
    "roberta-prelayernorm-sequence-classification": Checkpoint(
        lambda: hf.RobertaPreLayerNormForSequenceClassification(prelayernorm(SENTIMENTS))),
    "roberta-prelayernorm-question-answering": Checkpoint(
        lambda: hf.RobertaPreLayerNormForQuestionAnswering(prelayernorm())),
    "roberta-prelayernorm-multiple-choice": Checkpoint(
        lambda: hf.RobertaPreLayerNormForMultipleChoice(prelayernorm())),
    "electra-embedding": Checkpoint(lambda: hf.ElectraModel(electra()), (17, 1, 65), hidden=True),
    # The heads of the generator and of sequences have the gelu of erf, that of the discriminator has hidden_act.
    "electra-masked-lm": Checkpoint(lambda: hf.ElectraForMaskedLM(electra(hidden_act="gelu_new"))),
    "electra-replaced-tokens": Checkpoint(
        lambda: hf.ElectraForPreTraining(electra(hidden_act="gelu_new")),
        finish=add_tensors(lambda tensors: [position_ids("electra", ELECTRA)])),
    "electra-token-classification": Checkpoint(lambda: hf.ElectraForTokenClassification(electra(ENTITIES))),
    "electra-sequence-classification": Checkpoint(
        lambda: hf.ElectraForSequenceClassification(electra(SENTIMENTS, hidden_act="gelu_new"))),
    "electra-question-answering": Checkpoint(lambda: hf.ElectraForQuestionAnswering(electra())),
    # As in the published files, the summary is not in the config.
    "electra-multiple-choice": Checkpoint(lambda: hf.ElectraForMultipleChoice(electra(hidden_act="gelu_new")),
                                          finish=leave_out("summary_")),
    # Two sets of parameters for three layers.
    "albert-embedding": Checkpoint(lambda: hf.AlbertModel(albert(num_hidden_groups=2)), (17, 1, 65), hidden=True),
    "albert-pretraining": Checkpoint(lambda: hf.AlbertForPreTraining(albert())),
    # As in the published files, the decoder is there twice more: as a copy of the embedding, and its bias.
    "albert-masked-lm": Checkpoint(lambda: hf.AlbertForMaskedLM(albert()), finish=add_tensors(lambda tensors: [
        ("predictions.decoder.weight", tensors["albert.embeddings.word_embeddings.weight"]),
        ("predictions.decoder.bias", tensors["predictions.bias"])])),
    "albert-sequence-classification": Checkpoint(lambda: hf.AlbertForSequenceClassification(albert(SENTIMENTS)),
                                                 hidden=True),
    "albert-token-classification": Checkpoint(lambda: hf.AlbertForTokenClassification(albert(ENTITIES))),
    "albert-question-answering": Checkpoint(lambda: hf.AlbertForQuestionAnswering(albert())),
    # Embeddings as wide as hidden states are projected all the same.
    "albert-multiple-choice": Checkpoint(lambda: hf.AlbertForMultipleChoice(albert(embedding_size=36))),
}

if __name__ == "__main__":
    unknown = [name for name in sys.argv[1:] if name not in CHECKPOINTS]
    if unknown:
        sys.exit(f"no such checkpoint: {', '.join(unknown)}; known are {', '.join(CHECKPOINTS)}")
    for name in sys.argv[1:] or CHECKPOINTS:
        make(name)
