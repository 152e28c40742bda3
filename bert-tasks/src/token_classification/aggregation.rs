//! From the scores of tokens to entities: what is labelled, a token or a word, and how labelled things are
//! joined.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use ndarray::{Array1, ArrayView1};
use serde::Serialize;

use super::{Entity, Scheme, Span};
use crate::Error;
use crate::canonical::with_marks;
use crate::tokenizer::Source;

/// What gets a label, and whether neighbours are joined to entities. The words and their meaning are those
/// of transformers' token classification pipeline.
///
/// What a word is depends on the tokenizer. WordPiece marks the pieces that continue a word, and so words end at blanks
/// and around punctuation marks. Byte-level BPE and Unigram mark what stands after a blank: there, as in transformers, a
/// word is all between two blanks, a full stop at its end included.
///
/// The score of an entity is the mean of the scores of its tokens or words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// Every token by itself, with the label as the model has it (`B-PER`).
    None,
    /// Every token is labelled, then they are joined by the rules of the [`Scheme`]. A word can end up in pieces. Other
    /// than in transformers, neighbours of one type are joined although the second is labelled as a beginning, if nothing
    /// stands between them: so models label the pieces of addresses and numbers that learnt from the first token of each.
    /// In scripts without blanks between words, where two names may touch, they stay two.
    Simple,
    /// A word has the label of its first token: how most models are trained.
    #[default]
    First,
    /// A word has the best label after averaging its tokens' scores.
    Average,
    /// A word has the label of the token that is surest of its own.
    Max,
}

impl Aggregation {
    const ALL: [Self; 5] = [Self::None, Self::Simple, Self::First, Self::Average, Self::Max];

    fn by_words(self) -> bool {
        matches!(self, Self::First | Self::Average | Self::Max)
    }

    /// The index and the score of the label of one unit, from the scores `[labels]` of each of its tokens.
    fn label(self, rows: &[ArrayView1<'_, f32>]) -> (usize, f32) {
        match self {
            Self::None | Self::Simple | Self::First => best(rows[0]),
            Self::Average => {
                let mut sum = Array1::<f64>::zeros(rows[0].len());
                for row in rows {
                    sum.zip_mut_with(row, |sum, &score| *sum += f64::from(score));
                }
                best(sum.mapv(|sum| (sum / rows.len() as f64) as f32).view())
            }
            Self::Max => rows[1..]
                .iter()
                .map(|&row| best(row))
                .fold(best(rows[0]), |best, next| if next.1 > best.1 { next } else { best }),
        }
    }
}

impl FromStr for Aggregation {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let lower = word.trim().to_ascii_lowercase();
        let known = Self::ALL.into_iter().find(|aggregation| aggregation.to_string() == lower);
        known.ok_or_else(|| Error::Setting {
            setting: "aggregation",
            found: format!("{word:?}"),
            expected: "none, simple, first, average or max",
        })
    }
}

impl fmt::Display for Aggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Simple => "simple",
            Self::First => "first",
            Self::Average => "average",
            Self::Max => "max",
        })
    }
}

/// The greatest score and where it stands; of equals the first.
fn best(row: ArrayView1<'_, f32>) -> (usize, f32) {
    let first = (0, row[0]);
    row.iter().copied().enumerate().fold(first, |best, next| if next.1 > best.1 { next } else { best })
}

/// Something with one label: a token or a word.
struct Unit {
    range: Range<usize>,
    label: usize,
    score: f32,
}

/// How scores become entities.
pub(super) struct Decoder<'a> {
    /// The names of the labels, by index.
    pub labels: &'a [String],
    pub scheme: Scheme,
    pub aggregation: Aggregation,
    /// Labels or types of entities to leave out.
    pub ignore: &'a [String],
}

impl Decoder<'_> {
    /// The entities of a text, in its order, from the place and the scores `[labels]` of each of its tokens.
    /// They never overlap.
    pub fn entities<'s>(
        &self,
        text: &str,
        tokens: impl Iterator<Item = (Source, ArrayView1<'s, f32>)>,
    ) -> Vec<Entity> {
        let units = self.units(text, tokens);
        let labels = units.iter().map(|unit| self.labels[unit.label].as_str());
        let mut entities = vec![];
        let mut add = |label: &str, units: &[Unit]| {
            let first = &self.labels[units[0].label];
            let ignored = |name: &String| name == first || name == self.scheme.kind(first);
            let range = units[0].range.start..units[units.len() - 1].range.end;
            if range.is_empty() || self.ignore.iter().any(ignored) {
                return;
            }
            let sum: f64 = units.iter().map(|unit| f64::from(unit.score)).sum();
            let score = (sum / units.len() as f64) as f32;
            entities.push(Entity { label: label.into(), score, text: text[range.clone()].into(), range });
        };
        if self.aggregation == Aggregation::None {
            labels.zip(units.chunks(1)).for_each(|(label, unit)| add(label, unit));
        } else {
            let mut runs = self.scheme.runs(labels);
            if self.aggregation == Aggregation::Simple {
                runs = join_touching(text, &units, runs);
            }
            runs.into_iter().for_each(|run| add(run.label, &units[run.range]));
        }
        entities
    }

    /// Joins tokens to words, if words are labelled. Tokens that share a char, as the letters of a Hangul
    /// syllable may, are always one unit: half a char is no substring. Combining marks that no token has belong to the
    /// unit before them.
    fn units<'s>(
        &self,
        text: &str,
        tokens: impl Iterator<Item = (Source, ArrayView1<'s, f32>)>,
    ) -> Vec<Unit> {
        let mut units = vec![];
        let mut tokens = tokens.peekable();
        let mut rows = vec![];
        while let Some((first, row)) = tokens.next() {
            let mut end = first.end;
            rows.clear();
            rows.push(row);
            while let Some((token, row)) = tokens.next_if(|(token, _)| {
                token.start < end || self.aggregation.by_words() && token.word == first.word
            }) {
                end = end.max(token.end);
                rows.push(row);
            }
            let (label, score) = self.aggregation.label(&rows);
            let next = tokens.peek().map_or(text.len(), |(token, _)| token.start);
            units.push(Unit { range: with_marks(text, first.start..end, next), label, score });
        }
        units
    }
}

/// Joins neighbours of one type with nothing between them, unless they are words of a script without blanks.
fn join_touching<'a>(text: &str, units: &[Unit], runs: Vec<Span<'a>>) -> Vec<Span<'a>> {
    let touch = |left: &Unit, right: &Unit| {
        let last = text[left.range.clone()].chars().next_back();
        let first = text[right.range.clone()].chars().next();
        let words = last.is_some_and(without_blanks) && first.is_some_and(without_blanks);
        left.range.end == right.range.start && !words
    };
    let mut joined: Vec<Span<'a>> = vec![];
    for run in runs {
        match joined.last_mut() {
            Some(last)
                if last.label == run.label && touch(&units[last.range.end - 1], &units[run.range.start]) =>
            {
                last.range.end = run.range.end;
            }
            _ => joined.push(run),
        }
    }
    joined
}

/// Whether a script puts no blanks between words: those of South-East Asia, Chinese, Japanese.
fn without_blanks(c: char) -> bool {
    matches!(
        c,
        '\u{e00}'..='\u{eff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{2e80}'..='\u{a4cf}'
            | '\u{f900}'..='\u{faff}'
            | '\u{ff66}'..='\u{ff9f}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, arr2};
    use proptest::prelude::*;

    use super::*;

    const LABELS: [&str; 5] = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"];

    fn labels() -> Vec<String> {
        LABELS.map(str::to_owned).to_vec()
    }

    /// Tokens of `text` at the places where `pieces` stand in it, in order; one that begins with `##`
    /// continues the word before it.
    fn sources(text: &str, pieces: &str) -> Vec<Source> {
        let mut at = 0;
        let mut words = 0;
        let locate = |piece: &str| {
            let (piece, continues) = match piece.strip_prefix("##") {
                Some(piece) => (piece, true),
                None => (piece, false),
            };
            words += u32::from(!continues);
            let start = at + text[at..].find(piece).unwrap();
            at = start + piece.len();
            Source { sequence: 0, word: words, start, end: at }
        };
        pieces.split_whitespace().map(locate).collect()
    }

    fn decode(aggregation: Aggregation, text: &str, sources: &[Source], scores: &Array2<f32>) -> Vec<Entity> {
        let ignore = ["O".to_owned()];
        let decoder = Decoder { labels: &labels(), scheme: Scheme::Iob, aggregation, ignore: &ignore };
        decoder.entities(text, sources.iter().copied().zip(scores.outer_iter()))
    }

    fn entity(label: &str, score: f32, text: &str, start: usize) -> Entity {
        Entity { label: label.into(), score, text: text.into(), range: start..start + text.len() }
    }

    #[test]
    fn a_word_has_the_label_that_its_aggregation_gives_it() {
        let text = "Mariä Callas, Rom";
        let tokens = sources(text, "Mari ##ä Cal ##las , Rom");
        let scores = arr2(&[
            [0.00, 0.50, 0.50, 0.00, 0.00], // Mari: the first of equals
            [0.25, 0.00, 0.00, 0.75, 0.00], // ä
            [0.25, 0.25, 0.50, 0.00, 0.00], // Cal
            [1.00, 0.00, 0.00, 0.00, 0.00], // las
            [1.00, 0.00, 0.00, 0.00, 0.00],
            [0.00, 0.00, 0.00, 0.00, 1.00],
        ]);
        for (aggregation, expected) in [
            (
                Aggregation::None,
                vec![
                    entity("B-PER", 0.5, "Mari", 0),
                    entity("B-LOC", 0.75, "ä", 4),
                    entity("I-PER", 0.5, "Cal", 7),
                    entity("I-LOC", 1.0, "Rom", 15),
                ],
            ),
            (
                Aggregation::Simple,
                vec![
                    entity("PER", 0.5, "Mari", 0),
                    entity("LOC", 0.75, "ä", 4),
                    entity("PER", 0.5, "Cal", 7),
                    entity("LOC", 1.0, "Rom", 15),
                ],
            ),
            (Aggregation::First, vec![entity("PER", 0.5, "Mariä Callas", 0), entity("LOC", 1.0, "Rom", 15)]),
            (Aggregation::Average, vec![entity("LOC", 0.375, "Mariä", 0), entity("LOC", 1.0, "Rom", 15)]),
            (Aggregation::Max, vec![entity("LOC", 0.75, "Mariä", 0), entity("LOC", 1.0, "Rom", 15)]),
        ] {
            assert_eq!(decode(aggregation, text, &tokens, &scores), expected, "{aggregation}");
        }
    }

    /// As a model labels addresses and numbers whose pieces are all beginnings to it.
    #[test]
    fn simple_joins_what_touches() {
        let read = |aggregation, text: &str, pieces: &str, label: usize| {
            let tokens = sources(text, pieces);
            let mut scores = Array2::zeros((tokens.len(), 5));
            scores.column_mut(label).fill(1.0);
            let entities = decode(aggregation, text, &tokens, &scores);
            entities.into_iter().map(|entity| entity.text).collect::<Vec<_>>().join("|")
        };
        let (mail, pieces) = ("ann@x.org bob", "ann @ x . or ##g bob");
        assert_eq!(read(Aggregation::Simple, mail, pieces, 1), "ann@x.org|bob");
        assert_eq!(read(Aggregation::First, mail, pieces, 1), "ann|@|x|.|org|bob");
        assert_eq!(read(Aggregation::None, mail, pieces, 1), "ann|@|x|.|or|g|bob");
        assert_eq!(read(Aggregation::Simple, "zoë12 é", "zo ##ë 12 é", 3), "zoë12|é");
        assert_eq!(read(Aggregation::Simple, "привет мир", "при ##вет мир", 3), "привет|мир");
        assert_eq!(read(Aggregation::Simple, "12年", "12 年", 3), "12年");
        // Two names of a language without blanks.
        assert_eq!(read(Aggregation::Simple, "张三李四", "张 三 李 四", 1), "张|三|李|四");
        assert_eq!(read(Aggregation::Simple, "张三李四", "张 三 李 四", 2), "张三李四");
    }

    #[test]
    fn an_ignored_name_is_a_label_or_a_type() {
        let text = "a b c d";
        let tokens = sources(text, "a b c d");
        let mut scores = Array2::zeros((4, 5));
        for (token, label) in [1, 2, 4, 0].into_iter().enumerate() {
            scores[[token, label]] = 1.0;
        }
        let found = |aggregation, ignore: &[&str]| {
            let ignore: Vec<_> = ignore.iter().map(|&name| name.to_owned()).collect();
            let decoder = Decoder { labels: &labels(), scheme: Scheme::Iob, aggregation, ignore: &ignore };
            let entities = decoder.entities(text, tokens.iter().copied().zip(scores.outer_iter()));
            entities.into_iter().map(|entity| entity.text).collect::<Vec<_>>().join("|")
        };
        assert_eq!(found(Aggregation::First, &[]), "a b|c|d");
        assert_eq!(found(Aggregation::First, &["O"]), "a b|c");
        assert_eq!(found(Aggregation::First, &["O", "PER"]), "c");
        assert_eq!(found(Aggregation::First, &["B-PER", "B-LOC"]), "c|d");
        assert_eq!(found(Aggregation::None, &["B-PER"]), "b|c|d");
        assert_eq!(found(Aggregation::None, &["PER", "O"]), "c");
    }

    #[test]
    fn tokens_of_one_char_are_one() {
        let text = "x한y";
        let place = |word, start, end| Source { sequence: 0, word, start, end };
        let tokens = [place(0, 0, 1), place(1, 1, 4), place(2, 1, 4), place(3, 4, 4), place(4, 4, 5)];
        let scores = arr2(&[[0.0, 1.0, 0.0, 0.0, 0.0]; 5]);
        for aggregation in Aggregation::ALL {
            let ranges: Vec<_> =
                decode(aggregation, text, &tokens, &scores).into_iter().map(|e| e.range).collect();
            match aggregation {
                // They touch.
                Aggregation::Simple => assert_eq!(ranges, std::slice::from_ref(&(0..5))),
                _ => assert_eq!(ranges, [0..1, 1..4, 4..5], "{aggregation}"),
            }
        }
    }

    /// `Jose`, whose accent no token has, beside a letter whose accent is a token.
    #[test]
    fn marks_without_a_token_belong_to_the_unit_before() {
        let text = "Jose\u{301}e\u{301} a\u{301}";
        let place = |word, start, end| Source { sequence: 0, word, start, end };
        let tokens = [place(0, 0, 4), place(1, 6, 7), place(2, 7, 9), place(3, 10, 11)];
        let scores = arr2(&[[0.0, 1.0, 0.0, 0.0, 0.0]; 4]);
        for aggregation in Aggregation::ALL {
            let ranges: Vec<_> =
                decode(aggregation, text, &tokens, &scores).into_iter().map(|e| e.range).collect();
            match aggregation {
                // They touch.
                Aggregation::Simple => assert_eq!(ranges, [0..9, 10..13]),
                _ => assert_eq!(ranges, [0..6, 6..7, 7..9, 10..13], "{aggregation}"),
            }
        }
    }

    #[test]
    fn aggregations_are_named_by_words() {
        for aggregation in Aggregation::ALL {
            assert_eq!(aggregation.to_string().parse::<Aggregation>().unwrap(), aggregation);
        }
        let error = "last".parse::<Aggregation>().unwrap_err().to_string();
        assert!(error.contains("\"last\"") && error.contains("average"), "{error}");
    }

    /// The same written naively: for each word, a search through all tokens.
    fn naive(
        aggregation: Aggregation,
        text: &str,
        sources: &[Source],
        scores: &Array2<f32>,
    ) -> Vec<(String, Range<usize>)> {
        let words = matches!(aggregation, Aggregation::First | Aggregation::Average | Aggregation::Max);
        let mut units = vec![];
        for (at, source) in sources.iter().enumerate() {
            if words && at > 0 && sources[at - 1].word == source.word {
                continue;
            }
            let members = (at..sources.len()).filter(|&other| match words {
                true => sources[other].word == source.word,
                false => other == at,
            });
            let members: Vec<usize> = members.collect();
            let column = |label| members.iter().map(move |&token| scores[[token, label]]);
            let value = |label| match aggregation {
                Aggregation::Average => column(label).sum::<f32>(),
                Aggregation::Max => column(label).fold(0.0, f32::max),
                _ => scores[[at, label]],
            };
            let values: Vec<f32> = (0..LABELS.len()).map(value).collect();
            let label = values.iter().position(|value| values.iter().all(|other| other <= value)).unwrap();
            units.push((source.start, sources[*members.last().unwrap()].end, LABELS[label]));
        }
        let touches = |range: &Range<usize>, start: usize| {
            // Of the pieces here, one is of a script without blanks.
            let words = text[..start].ends_with('中') && text[start..].starts_with('中');
            aggregation == Aggregation::Simple && range.end == start && !words
        };
        let mut found: Vec<(String, Range<usize>)> = vec![];
        let mut last = None;
        for (start, end, label) in units {
            let kind = label.split('-').next_back().unwrap();
            match found.last_mut() {
                Some((_, range))
                    if last == Some(kind) && (!label.starts_with("B-") || touches(range, start)) =>
                {
                    range.end = end;
                }
                _ if label != "O" => found.push((kind.into(), start..end)),
                _ => {}
            }
            last = (label != "O").then_some(kind);
        }
        assert!(found.iter().all(|(_, range)| text.get(range.clone()).is_some()));
        found
    }

    /// A text of words of one to three pieces, and scores for each piece, all of them different.
    fn labelled() -> impl Strategy<Value = (String, Vec<Source>, Array2<f32>)> {
        let piece = (prop::sample::select(vec!["a", "é", "中", "🙂"]), prop::array::uniform5(0u16..1000));
        let word = (prop::collection::vec(piece, 1..4), prop::sample::select(vec!["", " ", " \u{a0}"]));
        prop::collection::vec(word, 0..12).prop_map(|words| {
            let (mut text, mut sources, mut scores) = (String::new(), vec![], vec![]);
            for (word, (pieces, blank)) in words.into_iter().enumerate() {
                for (piece, row) in pieces {
                    let start = text.len();
                    text.push_str(piece);
                    sources.push(Source { sequence: 0, word: word as u32, start, end: text.len() });
                    // Sums of up to three of them are exact in f32, and never equal: each column has its own
                    // remainder, each row a factor of its own within the remainder's room.
                    let at = scores.len() / LABELS.len() % 3;
                    scores.extend(row.iter().enumerate().map(|(column, &score)| {
                        (f32::from(score) * 512.0 + (column * [1, 6, 36][at]) as f32) / 1_048_576.0
                    }));
                }
                text.push_str(blank);
            }
            let scores = Array2::from_shape_vec((sources.len(), LABELS.len()), scores).unwrap();
            (text, sources, scores)
        })
    }

    proptest! {
        #[test]
        fn entities_are_those_of_a_naive_search((text, sources, scores) in labelled()) {
            for aggregation in [Aggregation::Simple, Aggregation::First, Aggregation::Average, Aggregation::Max] {
                let entities = decode(aggregation, &text, &sources, &scores);
                let found: Vec<_> = entities.into_iter().map(|e| (e.label, e.range)).collect();
                prop_assert_eq!(found, naive(aggregation, &text, &sources, &scores), "{}", aggregation);
            }
        }

        /// Whatever tokens a tokenizer may come up with.
        #[test]
        fn entities_are_sorted_and_apart(
            places in prop::collection::vec((0usize..5, 0usize..4, 0u32..2), 0..20),
            scores in prop::collection::vec(0f32..1.0, 100),
        ) {
            let text: String = "é".repeat(100);
            let (mut start, mut word) = (0, 0);
            let sources: Vec<_> = places.into_iter().map(|(step, length, next)| {
                start += 2 * step;
                word += next;
                Source { sequence: 0, word, start, end: start + 2 * length }
            }).collect();
            let scores = Array2::from_shape_vec((20, 5), scores).unwrap();
            for aggregation in Aggregation::ALL {
                let mut end = 0;
                for entity in decode(aggregation, &text, &sources, &scores) {
                    prop_assert!(entity.range.start >= end && !entity.range.is_empty());
                    prop_assert_eq!(&text[entity.range.clone()], &entity.text);
                    prop_assert!((0.0..=1.0).contains(&entity.score));
                    end = entity.range.end;
                }
            }
        }
    }
}
