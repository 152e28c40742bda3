//! `bert entities`: the names in a text, and what they name.

use std::borrow::Cow;
use std::io::{self, Write};

use anstyle::Style;
use bert_tasks::Head;
use bert_tasks::TokenClassification;
use bert_tasks::records::TokenClassificationRecord;
use bert_tasks::token_classification::{Aggregation, Entity, OUTSIDE, Scheme, TokenClassificationOptions};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;

use crate::batch::answer_all;
use crate::built_in;
use crate::error::{Error, Result};
use crate::input::{InputArgs, Inputs};
use crate::model::{ModelArgs, Requirement};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink};
use crate::reporter::Reporter;
use crate::style::{self, Screen, visible};
use crate::values::{positive, probability};

pub(super) const REQUIREMENT: Requirement = Requirement {
    kind: "a token classifier",
    example: "dslim/bert-base-NER",
    head: Head::TokenClassification,
    built_in: built_in::ENTITIES,
};

/// Find names in texts: people, places, whatever a model knows
#[derive(Args, Debug)]
#[command(after_help = "\
Texts may be of any length: long ones are read through overlapping windows.

Examples:
  bert entities --model dslim/bert-base-NER \"My name is Sarah Connor and I live in Los Angeles.\"
  bert entities -m path/to/model --aggregation average --ignore-labels MISC --input articles.txt --csv
  bert entities -m path/to/model --aggregation none \"Sarah Connor\" --json
  bert entities --input letters.csv --keep id --min-score 0.8 -o found.jsonl
  bert entities --redact --input letters.txt -o redacted.txt")]
pub struct EntitiesCommand {
    /// Texts; `-` reads lines from stdin
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    /// How the labels of tokens become entities: none (each token by itself), simple (tokens are joined, also where a
    /// beginning touches what is before it), or whole words with the label of their first token, of the average, or of their surest token
    #[arg(
        long, value_name = "HOW", default_value = "first",
        value_parser = PossibleValuesParser::new(["none", "simple", "first", "average", "max"])
            .try_map(|word| word.parse::<Aggregation>())
    )]
    aggregation: Aggregation,

    /// Leave out entities of these kinds, separated by commas
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    ignore_labels: Vec<String>,

    /// Leave out entities whose score is less
    #[arg(long, value_name = "SCORE", value_parser = probability, allow_negative_numbers = true)]
    min_score: Option<f32>,

    /// Give the texts with `[LABEL]` in the place of each entity, and nothing else of them
    #[arg(long)]
    redact: bool,

    /// The tagging scheme of the labels, if the labels themselves do not show it
    #[arg(
        long, value_name = "SCHEME",
        value_parser = PossibleValuesParser::new(["iob", "bioes", "plain"]).try_map(|word| word.parse::<Scheme>())
    )]
    scheme: Option<Scheme>,

    /// The longest window of a long text in tokens; as long as the model takes, if not given
    #[arg(long, value_name = "TOKENS", value_parser = positive, allow_negative_numbers = true)]
    max_length: Option<usize>,

    /// The distance in tokens from the start of one window of a long text to the start of the next
    #[arg(long, value_name = "TOKENS", value_parser = positive, allow_negative_numbers = true)]
    stride: Option<usize>,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl EntitiesCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        if self.redact && self.aggregation == Aggregation::None {
            let reason = "--aggregation none gives tokens, and whole entities are to be replaced";
            return Err(Error::NoMeaning { option: "--redact", reason });
        }
        let inputs = Inputs::texts(&self.input, self.texts)?;
        let sink = Sink::for_inputs(&self.output, &inputs, reporter)?;
        let mut ignore_labels = self.ignore_labels;
        ignore_labels.push(OUTSIDE.to_owned());
        let options = TokenClassificationOptions {
            aggregation: self.aggregation,
            scheme: self.scheme,
            ignore_labels,
            max_length: self.max_length,
            stride: self.stride,
        };
        let task = self.model.load(reporter, &REQUIREMENT, |files, device, precision| {
            TokenClassification::from_pretrained(files, device, precision)?.with_options(options)
        })?;
        let text = |texts: &[String]| texts[0].clone();
        let min_score = self.min_score.unwrap_or(0.0);
        let record = |mut texts: Vec<String>, mut entities: Vec<Entity>| {
            entities.retain(|entity| entity.score >= min_score);
            TokenClassificationRecord { text: texts.swap_remove(0), entities }
        };
        if self.redact {
            return answer_all(reporter, inputs, sink, &task, text, |texts, entities| {
                Redacted::new(&record(texts, entities))
            });
        }
        answer_all(reporter, inputs, sink, &task, text, record)
    }
}

impl Record for TokenClassificationRecord {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["label", "score", "start", "end", "entity"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |Entity { label, score, range, text }: &Entity| {
            vec![
                label.clone(),
                score.to_string(),
                range.start.to_string(),
                range.end.to_string(),
                text.clone(),
            ]
        };
        self.entities.iter().map(row).collect()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        let styles: Vec<Style> =
            self.entities.iter().map(|entity| page.kind(kind_of(&entity.label))).collect();
        if screen.terminal {
            writeln!(page, "{}", marked(&self.text, &self.entities, &styles, screen))?;
        } else if page.titled {
            writeln!(page, "{}", visible(&self.text))?;
        }
        page.table(|table| {
            for (Entity { label, score, range, text }, style) in self.entities.iter().zip(&styles) {
                let label = screen.paint(*style, visible(label));
                writeln!(table, "  {label}\t{score:.4}\t{}..{}\t{}", range.start, range.end, visible(text))?;
            }
            Ok(())
        })
    }
}

/// A text with its entities in colours, or in brackets where there are none.
fn marked(text: &str, entities: &[Entity], styles: &[Style], screen: Screen) -> String {
    let mut marked = String::new();
    let mut done = 0;
    for (Entity { label, range, .. }, style) in entities.iter().zip(styles) {
        let (before, name) = (visible(&text[done..range.start]), visible(&text[range.clone()]));
        let label = visible(label);
        marked += &match screen.color {
            true => {
                let (name, label) = (screen.paint(*style, name), screen.paint(style::FAINT, &label));
                format!("{before}{name} {label}")
            }
            false => format!("{before}[{name}]({label})"),
        };
        done = range.end;
    }
    marked + &visible(&text[done..])
}

/// The kind that a label names, without its prefix.
fn kind_of(label: &str) -> &str {
    label.split_once('-').filter(|(prefix, _)| prefix.len() == 1).map_or(label, |(_, kind)| kind)
}

/// A text with the labels of its entities in their places.
#[derive(Serialize)]
struct Redacted {
    redacted: String,
}

impl Redacted {
    fn new(record: &TokenClassificationRecord) -> Self {
        let TokenClassificationRecord { text, entities } = record;
        let mut redacted = String::with_capacity(text.len());
        let (mut done, mut last) = (0, "");
        for Entity { label, range, .. } in entities {
            redacted += &text[done..range.start];
            // The pieces of one thing, such as an address, leave one mark.
            if range.start > done || label != last {
                redacted += &format!("[{label}]");
            }
            (done, last) = (range.end, label);
        }
        Self { redacted: redacted + &text[done..] }
    }
}

impl Record for Redacted {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        vec!["redacted".into()]
    }

    fn rows(&self) -> Vec<Vec<String>> {
        vec![vec![self.redacted.clone()]]
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        // A file has the lines of its input; a person sees what would steer the terminal.
        match page.screen.terminal {
            true => writeln!(page, "{}", visible(&self.redacted)),
            // A whole file has its last line end already.
            false if self.redacted.ends_with('\n') => page.write_all(self.redacted.as_bytes()),
            false => writeln!(page, "{}", self.redacted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stand_in_the_text() {
        let text = "I am Sarah Connor.\0";
        let entity = Entity { label: "PER".into(), score: 1.0, range: 5..17, text: "Sarah Connor".into() };
        let screen = Screen { color: false, terminal: true, width: 80 };
        let styles = [style::FOUND];
        assert_eq!(
            marked(text, std::slice::from_ref(&entity), &styles, screen),
            "I am [Sarah Connor](PER).␀"
        );
        let coloured = marked(text, &[entity], &styles, Screen { color: true, ..screen });
        assert!(coloured.contains("Sarah Connor\x1b[0m") && coloured.ends_with(".␀"), "{coloured:?}");
        assert_eq!(
            ["B-PER", "PER", "E-MAIL", "X-Y-Z", "AB-C"].map(kind_of),
            ["PER", "PER", "MAIL", "Y-Z", "AB-C"]
        );
    }

    #[test]
    fn labels_stand_in_the_place_of_entities() {
        let entity = |label: &str, range: std::ops::Range<usize>| Entity {
            label: label.into(),
            score: 1.0,
            range,
            text: String::new(),
        };
        let redacted = |text: &str, entities| {
            Redacted::new(&TokenClassificationRecord { text: text.into(), entities }).redacted
        };
        assert_eq!(redacted("é Ann, Bob", vec![entity("PER", 3..6), entity("PER", 8..11)]), "é [PER], [PER]");
        assert_eq!(redacted("AnnBob", vec![entity("A", 0..3), entity("B", 3..6)]), "[A][B]");
        assert_eq!(
            redacted(
                "a@b c",
                vec![entity("M", 0..1), entity("M", 1..2), entity("M", 2..3), entity("M", 4..5)]
            ),
            "[M] [M]"
        );
        assert_eq!(redacted("none", vec![]), "none");
    }
}
