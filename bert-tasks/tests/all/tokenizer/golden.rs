//! Ids and offsets of public reference implementations, on real vocabularies and real checkpoints.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};

use crate::common::{shared, trained};
use bert_tasks::tokenizer::Tokenizer;
use flate2::read::GzDecoder;
use safetensors::SafeTensors;
use serde::Deserialize;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;

#[derive(Deserialize)]
struct Line {
    text: String,
    ids: Vec<u32>,
    /// In chars; `[0, 0]` for special tokens.
    offsets: Vec<(usize, usize)>,
}

fn lines(name: &str) -> Option<(String, Vec<Line>)> {
    let vocab = shared(&format!("data/vocab/bert-base-{name}.vocab.txt"))?;
    let lines = shared(&format!("golden/tokenizers/golden-bert-base-{name}.jsonl.gz"))?;
    let lines = BufReader::new(GzDecoder::new(File::open(lines).unwrap())).lines();
    let lines = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    Some((fs::read_to_string(vocab).unwrap(), lines))
}

/// The library that the expected ids come from, set up by hand.
fn library(vocab: &str, lowercase: bool) -> tokenizers::Tokenizer {
    let vocab = vocab.lines().zip(0..).map(|(token, id)| (token.to_owned(), id)).collect();
    let id = |vocab: &ahash::AHashMap<String, u32>, token: &str| (token.to_owned(), vocab[token]);
    let ends = (id(&vocab, "[SEP]"), id(&vocab, "[CLS]"));
    let mut library = tokenizers::Tokenizer::new(WordPiece::builder().vocab(vocab).build().unwrap());
    library
        .with_normalizer(Some(BertNormalizer::new(true, true, None, lowercase)))
        .unwrap()
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(Some(BertProcessing::new(ends.0, ends.1)));
    let special = ["[UNK]", "[SEP]", "[CLS]", "[PAD]", "[MASK]"];
    library.add_special_tokens(special.map(|token| tokenizers::AddedToken::from(token, true))).unwrap();
    library
}

/// Compares every line, then neighbouring lines as pairs.
fn compare(name: &str, do_lower_case: bool) {
    let Some((vocab, lines)) = lines(name) else { return };
    assert_eq!(lines.len(), 2953);
    let config = format!(r#"{{"do_lower_case": {do_lower_case}}}"#);
    let tokenizer = Tokenizer::from_parts(&vocab, Some(&config)).unwrap();
    for line in &lines {
        let Line { text, ids, offsets } = line;
        let encoded = tokenizer.encode(text).unwrap();
        assert_eq!(&encoded.ids, ids, "{text:?}");
        let mut bytes: Vec<usize> = text.char_indices().map(|(byte, _)| byte).collect();
        bytes.push(text.len());
        for (token, &(start, end)) in offsets.iter().enumerate() {
            let expected = (start < end).then(|| bytes[start]..bytes[end]);
            assert_eq!(encoded.range(token), expected, "token {token} of {text:?}");
        }
    }

    let library = library(&vocab, do_lower_case);
    for pair in lines.windows(2) {
        let (first, second) = (pair[0].text.as_str(), pair[1].text.as_str());
        let encoded = tokenizer.encode_pair(first, second).unwrap();
        let expected = library.encode((first, second), true).unwrap();
        assert_eq!(encoded.ids, expected.get_ids());
        assert_eq!(encoded.segments, expected.get_type_ids());
        let sequences = encoded.sources.iter().map(|source| source.map(|source| source.sequence.into()));
        assert_eq!(sequences.collect::<Vec<_>>(), expected.get_sequence_ids());
        let words: Vec<_> = encoded.sources.iter().map(|source| source.map(|source| source.word)).collect();
        assert_eq!(words, expected.get_word_ids());
    }
}

#[test]
fn uncased_lines_lowercased() {
    compare("uncased", true);
}

#[test]
fn cased_lines_as_they_are() {
    compare("cased", false);
}

/// `bert-base-chinese` is used with `do_lower_case` false, as its tokenizer_config.json says.
#[test]
fn chinese_lines_as_they_are() {
    compare("chinese", false);
}

/// A text, or a pair as a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    One(String),
    Pair(String, String),
}

#[derive(Deserialize)]
struct Golden {
    texts: Vec<Text>,
}

#[test]
fn checkpoints_give_the_golden_inputs() {
    for name in ["all-MiniLM-L6-v2", "splade-tiny-mlm", "rampart-ner", "antiberty-pretraining"] {
        let Some(golden) = shared(&format!("golden/{name}")) else { return };
        let Some(folder) = trained(name) else { continue };
        let tokenizer = Tokenizer::from_folder(&folder).unwrap();
        let texts: Golden =
            serde_json::from_str(&fs::read_to_string(golden.join("golden.json")).unwrap()).unwrap();
        let tensors = fs::read(golden.join("golden.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&tensors).unwrap();
        let rows = |name: &str| -> Vec<Vec<u32>> {
            let tensor = tensors.tensor(name).unwrap();
            let values = tensor.data().chunks_exact(8).map(|x| i64::from_le_bytes(x.try_into().unwrap()));
            let values: Vec<u32> = values.map(|x| x.try_into().unwrap()).collect();
            values.chunks(tensor.shape()[1]).map(<[u32]>::to_vec).collect()
        };
        let (ids, segments, mask) = (rows("input_ids"), rows("token_type_ids"), rows("attention_mask"));
        assert_eq!(ids.len(), texts.texts.len());
        for (row, text) in texts.texts.iter().enumerate() {
            let encoded = match text {
                Text::One(text) => tokenizer.encode(text),
                Text::Pair(first, second) => tokenizer.encode_pair(first, second),
            }
            .unwrap();
            let len = mask[row].iter().sum::<u32>() as usize;
            assert_eq!(encoded.ids, ids[row][..len], "{name}, text {row}");
            assert_eq!(encoded.segments, segments[row][..len], "{name}, text {row}");
        }
    }
}

/// The two ways to store a tokenizer lead to the same one.
#[test]
fn vocab_txt_and_tokenizer_json_agree() {
    let Some((_, lines)) = lines("uncased") else { return };
    let Some(folder) = trained("all-MiniLM-L6-v2") else { return };
    let read = |name| fs::read_to_string(folder.join(name)).unwrap();
    let json = Tokenizer::from_folder(&folder).unwrap();
    let vocab = Tokenizer::from_parts(&read("vocab.txt"), Some(&read("tokenizer_config.json"))).unwrap();
    assert_eq!(json.special(), vocab.special());
    assert_eq!(json.vocab_size(), vocab.vocab_size());
    assert_eq!(json.max_length(), Some(512));
    for Line { text, .. } in &lines {
        let encoded = json.encode(text).unwrap();
        assert_eq!(encoded, vocab.encode(text).unwrap());
        assert_eq!(json.decode(&encoded.ids, true).unwrap(), vocab.decode(&encoded.ids, true).unwrap());
    }
}
