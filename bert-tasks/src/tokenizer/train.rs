//! A WordPiece vocabulary out of raw text, as BERT's was made.
//!
//! The library's trainer does the work. What it takes from the order of its hash tables, which differs from run to
//! run, is decided here, so that the same text always gives the same vocabulary: which letters are kept where two are
//! equally rare, and which ids letters get.

use std::fs;
use std::path::Path;

use ahash::AHashMap;
use compact_str::CompactString;
use serde_json::json;
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{
    AddedToken, NormalizedString, Normalizer as _, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer as _, TokenizerBuilder,
};

use super::error::{Result, TokenizerError};
use super::pipeline::run;

/// What every BERT vocabulary begins with.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// What a piece that goes on with a word begins with.
const PREFIX: &str = "##";
/// The library counts pairs in 32 bits.
const MOST_LETTERS: u64 = i32::MAX as u64;

/// How a vocabulary is made.
#[derive(Clone, Debug, PartialEq)]
pub struct WordPieceOptions {
    /// How many tokens it has at most, special ones included.
    pub size: usize,
    /// Whether text is lower-cased.
    pub lowercase: bool,
    /// Whether accents are taken off; as `lowercase` says, if not given.
    pub strip_accents: Option<bool>,
    /// Whether every Chinese character is a word.
    pub tokenize_chinese_chars: bool,
    /// How often two pieces must stand together to become one.
    pub min_frequency: u64,
    /// How many different characters are kept; words with a rarer one are unknown.
    pub limit_alphabet: usize,
}

impl Default for WordPieceOptions {
    /// As the usual trainer of BERT vocabularies has it, with the size of BERT's own.
    fn default() -> Self {
        Self {
            size: 30522,
            lowercase: true,
            strip_accents: None,
            tokenize_chinese_chars: true,
            min_frequency: 2,
            limit_alphabet: 1000,
        }
    }
}

/// Counts the words of a text, and makes a vocabulary of them.
///
/// ```
/// use bert_tasks::tokenizer::{Tokenizer, WordPieceOptions, WordPieceTrainer};
///
/// let mut trainer = WordPieceTrainer::new(WordPieceOptions { size: 30, ..WordPieceOptions::default() });
/// for line in ["low lower lowest", "new newer newest", "wide wider widest"] {
///     trainer.add(line)?;
/// }
/// let folder = tempfile::tempdir()?;
/// trainer.train()?.save(folder.path())?;
///
/// let tokenizer = Tokenizer::from_folder(folder.path())?;
/// let ids = tokenizer.encode_without_special("newest")?.ids;
/// assert!(ids.len() < "newest".len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WordPieceTrainer {
    options: WordPieceOptions,
    normalizer: BertNormalizer,
    words: AHashMap<CompactString, u64>,
}

/// A vocabulary and how text becomes its words.
#[derive(Clone, Debug, PartialEq)]
pub struct WordPieceVocabulary {
    options: WordPieceOptions,
    tokens: Vec<String>,
}

impl WordPieceTrainer {
    /// Has seen no text.
    pub fn new(options: WordPieceOptions) -> Self {
        let normalizer = BertNormalizer::new(
            true,
            options.tokenize_chinese_chars,
            options.strip_accents,
            options.lowercase,
        );
        Self { options, normalizer, words: AHashMap::new() }
    }

    /// Counts the words of a text. Special tokens that it spells out are text here.
    ///
    /// # Errors
    /// The library failed.
    pub fn add(&mut self, text: &str) -> Result<()> {
        let words = run("normalizer", || {
            let mut text = NormalizedString::from(text);
            self.normalizer.normalize(&mut text)?;
            let mut words = PreTokenizedString::from(text);
            BertPreTokenizer.pre_tokenize(&mut words)?;
            Ok(words)
        })?;
        for (word, _, _) in words.get_splits(OffsetReferential::Original, OffsetType::None) {
            match self.words.get_mut(word) {
                Some(count) => *count += 1,
                None => drop(self.words.insert(word.into(), 1)),
            }
        }
        Ok(())
    }

    /// How many different words were seen.
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// Makes the vocabulary.
    ///
    /// # Errors
    /// [`TokenizerError::EmptyVocab`] without a word; [`TokenizerError::VocabTooSmall`] if not even the letters fit.
    pub fn train(mut self) -> Result<WordPieceVocabulary> {
        if self.words.is_empty() {
            return Err(TokenizerError::EmptyVocab);
        }
        let alphabet = self.alphabet();
        let inside: Vec<String> = self.letters_inside(&alphabet);
        let needed = SPECIAL.len() + alphabet.len() + inside.len();
        if needed > self.options.size {
            return Err(TokenizerError::VocabTooSmall { size: self.options.size, needed });
        }
        self.scale();
        // What is special to the trainer gets the first ids, in this order.
        let special = SPECIAL.map(str::to_owned).into_iter().chain(inside);
        let trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(self.options.size)
            .min_frequency(self.options.min_frequency)
            .continuing_subword_prefix(PREFIX.to_owned())
            .special_tokens(special.map(|token| AddedToken::from(token, true)).collect())
            .limit_alphabet(alphabet.len())
            .initial_alphabet(alphabet.into_iter().collect())
            .build();
        let mut model = BPE::default();
        run("trainer", || trainer.do_train(&self.words, &mut model))?;
        let mut tokens: Vec<(u32, String)> =
            model.get_vocab().into_iter().map(|(token, id)| (id, token)).collect();
        tokens.sort_unstable();
        // Letters at the beginnings of words stand before those inside, as in BERT's own vocabulary.
        let rank = |token: &str| match () {
            () if SPECIAL.contains(&token) => 0,
            () if token.chars().count() == 1 => 1,
            () if token.strip_prefix(PREFIX).is_some_and(|rest| rest.chars().count() == 1) => 2,
            () => 3,
        };
        tokens.sort_by_key(|(_, token)| rank(token));
        let tokens = tokens.into_iter().map(|(_, token)| token).collect();
        Ok(WordPieceVocabulary { options: self.options, tokens })
    }

    /// The characters that are kept: the most frequent ones; of those that are equally so, the first ones.
    fn alphabet(&self) -> Vec<char> {
        let mut counts: AHashMap<char, u64> = AHashMap::new();
        for (word, count) in &self.words {
            for letter in word.chars() {
                *counts.entry(letter).or_default() += count;
            }
        }
        let mut letters: Vec<(char, u64)> = counts.into_iter().collect();
        letters.sort_unstable_by_key(|&(letter, count)| (std::cmp::Reverse(count), letter));
        letters.truncate(self.options.limit_alphabet);
        let mut alphabet: Vec<char> = letters.into_iter().map(|(letter, _)| letter).collect();
        alphabet.sort_unstable();
        alphabet
    }

    /// Those that stand inside of words, as tokens, in order.
    fn letters_inside(&self, alphabet: &[char]) -> Vec<String> {
        let mut inside: Vec<char> = vec![];
        let mut seen = ahash::AHashSet::new();
        for word in self.words.keys() {
            inside.extend(word.chars().skip(1).filter(|&letter| seen.insert(letter)));
        }
        inside.retain(|letter| alphabet.binary_search(letter).is_ok());
        inside.sort_unstable();
        inside.into_iter().map(|letter| format!("{PREFIX}{letter}")).collect()
    }

    /// Makes all counts smaller by a factor if the library could not count that far.
    fn scale(&mut self) {
        let letters: u64 = self.words.iter().map(|(word, count)| word.chars().count() as u64 * count).sum();
        let factor = letters.div_ceil(MOST_LETTERS).max(1);
        if factor > 1 {
            self.words.values_mut().for_each(|count| *count = count.div_ceil(factor));
        }
    }
}

impl WordPieceVocabulary {
    /// The tokens; the place of one is its id.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// Writes `vocab.txt`, `tokenizer.json` and `tokenizer_config.json` to a folder, which is made if need be.
    ///
    /// # Errors
    /// [`TokenizerError::Write`] with the file.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, content: String| {
            let path = folder.join(name);
            fs::write(&path, content).map_err(|source| TokenizerError::Write { path, source })
        };
        fs::create_dir_all(folder)
            .map_err(|source| TokenizerError::Write { path: folder.to_owned(), source })?;
        write("vocab.txt", self.tokens.join("\n") + "\n")?;
        write("tokenizer.json", self.tokenizer_json()?)?;
        let config = json!({
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": self.options.lowercase,
            "strip_accents": self.options.strip_accents,
            "tokenize_chinese_chars": self.options.tokenize_chinese_chars,
            "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]",
            "mask_token": "[MASK]",
        });
        write("tokenizer_config.json", format!("{config:#}\n"))
    }

    fn tokenizer_json(&self) -> Result<String> {
        let WordPieceOptions { lowercase, strip_accents, tokenize_chinese_chars, .. } = self.options;
        let vocab: AHashMap<String, u32> = self.tokens.iter().cloned().zip(0..).collect();
        let id = |token: &str| (token.to_owned(), vocab[token]);
        let (sep, cls) = (id("[SEP]"), id("[CLS]"));
        run("tokenizer", || {
            let model =
                WordPiece::builder().vocab(vocab).unk_token("[UNK]".into()).max_input_chars_per_word(100);
            let normalizer = BertNormalizer::new(true, tokenize_chinese_chars, strip_accents, lowercase);
            let mut tokenizer = TokenizerBuilder::new()
                .with_model(model.build()?)
                .with_normalizer(Some(normalizer))
                .with_pre_tokenizer(Some(BertPreTokenizer))
                .with_post_processor(Some(BertProcessing::new(sep, cls)))
                .with_decoder(Some(WordPieceDecoder::default()))
                .build()?;
            tokenizer.add_special_tokens(SPECIAL.map(|token| AddedToken::from(token, true)))?;
            Ok(tokenizer.to_string(true)? + "\n")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::Tokenizer;

    fn trained(options: &WordPieceOptions, lines: &[&str]) -> Result<WordPieceVocabulary> {
        let mut trainer = WordPieceTrainer::new(options.clone());
        for line in lines {
            trainer.add(line)?;
        }
        trainer.train()
    }

    const TEXT: [&str; 4] = [
        "Unbelievable cafés! Believe it, the unbelievers believed.",
        "The cat sat; the cats sat. A hat, a bat, a rat.",
        "今天天气很好, 今天很好",
        "low lower lowest new newer newest",
    ];

    #[test]
    fn the_same_text_gives_the_same_vocabulary_in_any_order() {
        let options = WordPieceOptions { size: 120, limit_alphabet: 30, ..WordPieceOptions::default() };
        let first = trained(&options, &TEXT).unwrap();
        assert_eq!(first.tokens()[..5], SPECIAL.map(str::to_owned));
        let mut backwards = TEXT;
        backwards.reverse();
        for _ in 0..10 {
            assert_eq!(trained(&options, &backwards).unwrap(), first);
        }
        let mut sorted = first.tokens().to_vec();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), first.tokens().len());
    }

    #[test]
    fn both_files_give_the_same_tokens_and_the_options_count() {
        for (lowercase, strip_accents, tokenize_chinese_chars) in
            [(true, None, true), (false, None, true), (true, Some(false), false), (false, Some(true), true)]
        {
            let options = WordPieceOptions {
                size: 150,
                lowercase,
                strip_accents,
                tokenize_chinese_chars,
                ..WordPieceOptions::default()
            };
            let vocabulary = trained(&options, &TEXT).unwrap();
            let has = |token: &str| vocabulary.tokens().iter().any(|other| other == token);
            assert_eq!(has("U"), !lowercase);
            assert_eq!(has("##é") || has("##és"), !strip_accents.unwrap_or(lowercase), "{vocabulary:?}");
            assert_eq!(has("##天"), !tokenize_chinese_chars);

            let folder = tempfile::tempdir().unwrap();
            vocabulary.save(folder.path()).unwrap();
            let with_json = Tokenizer::from_folder(folder.path()).unwrap();
            fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
            let with_vocab = Tokenizer::from_folder(folder.path()).unwrap();
            for line in TEXT {
                let ids = with_json.encode(line).unwrap().ids;
                assert_eq!(ids, with_vocab.encode(line).unwrap().ids, "{line}");
                // Of a text that it was trained on, nothing is unknown.
                assert!(!ids.contains(&1), "{line}: {ids:?}");
            }
        }
    }

    #[test]
    fn a_vocabulary_without_words_or_room_is_told() {
        let options = WordPieceOptions { size: 12, ..WordPieceOptions::default() };
        assert!(matches!(trained(&options, &["", " \t"]), Err(TokenizerError::EmptyVocab)));
        let error = trained(&options, &TEXT).unwrap_err();
        assert!(
            matches!(error, TokenizerError::VocabTooSmall { size: 12, needed } if needed > 40),
            "{error}"
        );
        let few = WordPieceOptions { size: 12, limit_alphabet: 2, ..options };
        assert!(trained(&few, &TEXT).unwrap().tokens().len() <= 12);
    }

    #[test]
    fn frequent_pairs_become_tokens_first() {
        let options = WordPieceOptions { size: 16, ..WordPieceOptions::default() };
        let tokens = trained(&options, &["ab ab ab ac", "abc"]).unwrap().tokens;
        let after: Vec<_> = tokens.iter().skip(5).map(String::as_str).collect();
        assert_eq!(after, ["a", "b", "c", "##b", "##c", "ab"]);
    }

    #[test]
    fn counts_that_are_too_large_are_made_smaller_together() {
        let mut trainer = WordPieceTrainer::new(WordPieceOptions::default());
        trainer.words = [("abc".into(), 2_000_000_000), ("abd".into(), 1000)].into_iter().collect();
        trainer.scale();
        assert!(
            trainer.words["abc"] * 3 < MOST_LETTERS && trainer.words["abd"] == 334,
            "{:?}",
            trainer.words
        );
    }
}
