//! `bert explain attention`: how much each token looks at each other one.

use std::borrow::Cow;
use std::io::{self, Write};

use bert_tasks::Task;
use bert_tasks::explain::{Attention, AttentionOptions, TextAttention};
use bert_tasks::text_classification::Text;
use clap::Args;
use serde::Serialize;

use super::form::{Drawing, FormArgs, Place, texts};
use super::list::{Numbers, counts, numbers};
use crate::commands::features::REQUIREMENT;
use crate::error::Result;
use crate::model::ModelArgs;
use crate::outcome::Outcome;
use crate::output::{Page, Record};
use crate::reporter::Reporter;
use crate::style::{self, bar, shorten, visible};
use crate::values::positive;

/// Show how much each token looks at each other one, in each layer and head
#[derive(Args, Debug)]
#[command(after_help = "\
Attention shows where a head reads from. It is not by itself an explanation of an answer; for that,
see `bert explain tokens`. A word that the model does not know is shown as the text has it, and of
equal ones, each with its number among the tokens, of which [CLS] is 0. Without --model the English
model that is built in is looked at.

Examples:
  bert explain attention \"The bank of the river was steep.\" -o attention.html
  bert explain attention \"He opened the door.\" \"The room was empty.\" --layers -1
  bert explain attention \"The cat sat.\" --layers 2 --heads 1,2,3 --svg -o heads.svg
  bert explain attention \"The cat sat.\" --layers 2 --heads 1 --json")]
pub struct AttentionCommand {
    /// The text, or a pair of texts; `-` is all of stdin
    #[arg(value_name = "TEXT", required = true, num_args = 1..=2)]
    texts: Vec<String>,

    /// Layers, separated by commas: counted from 1, or from the last one with -1; all if not given
    #[arg(long, value_name = "LAYERS", value_parser = numbers, allow_hyphen_values = true)]
    layers: Vec<Numbers<i64>>,

    /// Heads, separated by commas and counted from 1; all if not given
    #[arg(long, value_name = "HEADS", value_parser = counts, allow_hyphen_values = true)]
    heads: Vec<Numbers<usize>>,

    /// How many of the strongest links to show
    #[arg(short = 'k', long, value_name = "COUNT", default_value = "20", value_parser = positive, allow_negative_numbers = true)]
    top_k: usize,

    /// Draw the links of a layer as SVG: of the last one, if several are asked for
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    svg: bool,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    form: FormArgs,
}

/// Above this, a page is large enough to say so.
const LARGE: usize = 20 << 20;

impl AttentionCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let mut texts = texts(self.texts)?.into_iter();
        let text = Text { text: texts.next().unwrap_or_default(), pair: texts.next() };
        let place = self.form.open(if self.svg { Drawing::Asked } else { Drawing::Possible }, reporter)?;
        let (vectors, svg) = (matches!(place, Place::Page(_)), matches!(place, Place::Svg(_)));
        let layers = self.layers.into_iter().flat_map(|Numbers(all)| all).collect();
        let heads = self.heads.into_iter().flat_map(|Numbers(all)| all).collect();
        let options = AttentionOptions { layers, heads, vectors };
        let task = self.model.load(reporter, &REQUIREMENT, |files, device, precision| {
            Attention::from_pretrained(files, device, precision)?.with_options(options)
        })?;
        let record = AttentionRecord { answer: task.predict_one(text)?, top_k: self.top_k };
        place.write(&record, |AttentionRecord { answer, .. }| {
            let last = answer.layers.last().map_or(0, |layer| layer.layer);
            let document = if svg { answer.to_svg(last).unwrap_or_default() } else { answer.to_html() };
            if document.len() > LARGE {
                let size = style::bytes(document.len() as u64);
                reporter.notice(format_args!("the page has {size}; --layers and --heads make it smaller"));
            }
            document
        })?;
        Ok(Outcome::Done)
    }
}

/// A text and what its tokens look at.
#[derive(Serialize)]
struct AttentionRecord {
    #[serde(flatten)]
    answer: TextAttention,
    #[serde(skip)]
    top_k: usize,
}

/// The most cells that a token takes: an unknown word may be long.
const CELLS: usize = 40;

impl AttentionRecord {
    /// What a person calls a token: of several with the same name, each has its number beside it.
    fn label(&self, index: usize) -> String {
        let name = self.answer.name(index);
        let same = (0..self.answer.tokens.len()).filter(|&other| self.answer.name(other) == name).count();
        let shown = shorten(&visible(name), CELLS).into_owned();
        if same > 1 { format!("{shown} ({index})") } else { shown }
    }
}

impl Record for AttentionRecord {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["layer", "head", "from", "from_token", "to", "to_token", "weight"].map(Cow::Borrowed).to_vec()
    }

    /// The strongest links: all of them would be millions.
    fn rows(&self) -> Vec<Vec<String>> {
        let token = |index: usize| self.answer.tokens[index].token.clone();
        let links = self.answer.strongest(self.top_k).into_iter();
        links
            .map(|link| {
                vec![
                    link.layer.to_string(),
                    link.head.to_string(),
                    link.from.to_string(),
                    token(link.from),
                    link.to.to_string(),
                    token(link.to),
                    link.weight.to_string(),
                ]
            })
            .collect()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        let token = |index: usize| self.label(index);
        let links = self.answer.strongest(self.top_k);
        if links.is_empty() {
            writeln!(page, "no links between different words")?;
        }
        page.table(|table| {
            for link in links {
                let [from, to] = [link.from, link.to].map(token);
                write!(
                    table,
                    "  layer {}\thead {}\t{} → {}\t{:.4}",
                    link.layer,
                    link.head,
                    screen.paint(style::nth_kind(0), from),
                    screen.paint(style::nth_kind(1), to),
                    link.weight
                )?;
                if screen.terminal {
                    write!(table, "\t{}", screen.paint(style::VALUE, bar(link.weight, 24)))?;
                }
                writeln!(table)?;
            }
            Ok(())
        })?;
        let note =
            "Attention shows where a head reads from; it is not by itself an explanation of an answer.";
        writeln!(page, "{}", screen.paint(style::FAINT, note))
    }
}
