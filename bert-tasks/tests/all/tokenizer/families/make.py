#!/usr/bin/env python3
"""Makes the small tokenizers of this folder, and records what the tokenizers library does with them.

    pip install tokenizers && python make.py [CORPUS.txt.zst]

byte-level-bpe/ is laid out as roberta-base is published: tokenizer.json, and vocab.json with merges.txt. unigram/ is laid
out as xlm-roberta-base is, with NFKC in the place of SentencePiece's table of chars.

golden.json holds for each tokenizer ids, offsets (in bytes of the text, [0, 0] for special tokens) and pairs. Offsets are
without the blanks before a word, for which it has U+2581, or a mask; RoBERTa's post-processor does that by itself.
`spaced` is the Unigram tokenizer without its WhitespaceSplit, so that blanks reach Metaspace.
With a corpus, golden.json also gets the CRC-32 of the ids (u32, little endian) of every hundred of its first 2000 lines.
"""
import json
import subprocess
import sys
import zlib
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
TRAINING = """The capital of France is Paris, and the capital of England is London. Paris lies on the river Seine.
My name is Sarah Connor and I live in Los Angeles. She works for Siemens in Munich, doesn't she? They've met André.
It was the best of times, it was the worst of times; it was the age of wisdom, it was the age of foolishness.
A café is a place where people drink coffee. The cafés of Paris are full of naïve young men, and of éclairs.
In 1900, Tesla was granted patents for a "system of transmitting electrical energy" and an "electrical transmitter".
The movie was not very good: 2 hours and 30 minutes of boredom. I'd rather have watched the grass grow, wouldn't you?
Where does the river flow? It flows through the city into the sea. Who lives in Los Angeles? Sarah lives there.
Le capitaine est à la tête de son équipe depuis l'été. Où est la bibliothèque? Elle est là-bas, près de la gare.
Der Fluss fließt durch die Stadt. Die größten Städte liegen an großen Flüssen. 日本語テキスト 中国人 的人有
What the model expects where a text has a mask, it says with a probability for each word of the vocabulary.""".split("\n")
TEXTS = ["", "   ", "UNwantéd,running", "ah博推zz", " \tHeLLo!how  \n Are yoU?  ", "Héllo", " \tHäLLo!how  \n Are yoU?  ",
         "a\n'll !!to?'d of, can't.", "\xad", "Test\xadtest", "A, naïve [MASK] AllenNLP sentence.", "的人有", "…",
         "This is a sample sentence to be tokénized", "Wondering how this will get tokenized 🤔 ?",
         "İs th!s 𩸽 Ϻ Šœ Ugljšić dấu nặng", "İs th!s   𩸽 [SEP] Ϻ Šœ  Uglj[SEP]šić   dấu nặng",
         "   İs th!s    𩸽 Ϻ Šœ   Ugljšić  dấu nặng     ", "  �� İs th!s   ���� 𩸽 Ϻ Šœ   Ugljšić  dấu nặng     ",
         "<s> </s> <mask> <pad> <unk> <s>NOTUSED", "a<mask>b", "Paris is the  <mask>, of\t<mask> .", "<mask> is", "is <mask>",
         "<mask><mask> <mask>", "a </s> b</s>c", "x" * 120, "éclair é", "ﬁne ﬂuffy", "\u200bzero\u200bwidth", "tab\there",
         "nul\x00byte", "\xa0nbsp\u3000ideographic", "1,234.56 $5.00 50%", "don't—stop", "ÅÄÖ åäö ß ẞ",
         "Ｆｕｌｌｗｉｄｔｈ １２３", "עברית שלום", "مرحبا بالعالم", "हिन्दी पाठ", "ภาษาไทย", "한국어 텍스트", "日本語テキスト カタカナ",
         "👩\u200d👩\u200d👧\u200d👦 family", "💩", "🙂🙂 x🙂y", "a_b-c.d@e.com", "http://example.com/a?b=c&d=e",
         "~`!@#$%^&*()_+-={}[]|\\:;\"'<>,.?/", "ΑΒΓ ΣΑΣ ς", "Ǆ ǅ ǆ", "\ud7ff", "\ue000 private", "line\r\nbreak",
         "\u2028sep\u2029", "ⅷ ½ ²", "a  b   c", "trailing ", "▁a ▁ Ġb", "e\u0301 a\u0308\u0323",
         "The Panthers defense gave up just 308 points, ranking sixth in the league.",
         "She'll say they've DONE what we'd \"do\"; isn't it?"]


def mask():
    return AddedToken("<mask>", lstrip=True, normalized=False, special=True)


def byte_level_bpe():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=599, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TRAINING, trainer)
    tokenizer.add_special_tokens(SPECIAL + [mask()])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True,
                                                            add_prefix_space=False)
    # The published vocab.json has the mask, as its last token.
    described = json.loads(tokenizer.to_str())
    described["model"]["vocab"]["<mask>"] = tokenizer.token_to_id("<mask>")
    return Tokenizer.from_str(json.dumps(described))


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    trainer = trainers.UnigramTrainer(vocab_size=399, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(TRAINING, trainer)
    tokenizer.add_special_tokens(SPECIAL + [mask()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    # The published vocabulary has the mask, as its last token.
    described = json.loads(tokenizer.to_str())
    described["model"]["vocab"].append(["<mask>", 0.0])
    return Tokenizer.from_str(json.dumps(described))


def spaced(tokenizer):
    described = json.loads(tokenizer.to_str())
    described["pre_tokenizer"] = described["pre_tokenizer"]["pretokenizers"][1]
    return Tokenizer.from_str(json.dumps(described))


def save(tokenizer, folder):
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False) + "\n")
    if isinstance(tokenizer.model, models.BPE):
        model = json.loads(tokenizer.to_str())["model"]
        (folder / "vocab.json").write_text(json.dumps(model["vocab"]) + "\n")
        merges = [" ".join(pair) for pair in model["merges"]]
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")


def in_bytes(text, token, start, end):
    """Offsets in chars as those in bytes, without blanks before a word or a mask."""
    if token[:1] == "▁" or token[:1].isspace():
        start += len(text[start:end]) - len(text[start:end].lstrip())
    return [len(text[:at].encode()) for at in (start, end)]


def golden(tokenizer):
    texts = []
    for text in TEXTS:
        encoded = tokenizer.encode(text)
        offsets = [in_bytes(text, *place) if sequence is not None else [0, 0] for sequence, place in
                   zip(encoded.sequence_ids, zip(encoded.tokens, *zip(*encoded.offsets)))]
        texts.append(dict(text=text, ids=encoded.ids, offsets=offsets, words=encoded.word_ids))
    pairs = []
    for first, second in zip(TEXTS, TEXTS[1:]):
        encoded = tokenizer.encode(first, second)
        pairs.append(dict(ids=encoded.ids, segments=encoded.type_ids))
    return dict(texts=texts, pairs=pairs)


def checksums(tokenizer, lines):
    for at in range(0, len(lines), 100):
        ids = [id for line in lines[at:at + 100] for id in tokenizer.encode(line).ids]
        yield zlib.crc32(b"".join(id.to_bytes(4, "little") for id in ids))


tokenizers = {"byte-level-bpe": byte_level_bpe(), "unigram": unigram()}
for name, tokenizer in tokenizers.items():
    save(tokenizer, HERE / name)
tokenizers["spaced"] = spaced(tokenizers["unigram"])
goldens = {name: golden(tokenizer) for name, tokenizer in tokenizers.items()}
if len(sys.argv) > 1:
    text = subprocess.run(["zstd", "-dc", sys.argv[1]], stdout=subprocess.PIPE, check=True).stdout.decode()
    lines = text.split("\n")[:2000]
    for name, tokenizer in tokenizers.items():
        goldens[name]["corpus"] = list(checksums(tokenizer, lines))
(HERE / "golden.json").write_text(json.dumps(goldens, ensure_ascii=False, separators=(",", ":")) + "\n")
