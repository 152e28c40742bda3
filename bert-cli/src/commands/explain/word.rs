//! `bert explain word`: what a word means where it stands.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;

use bert_tasks::explain::{Occurrence, Senses, SensesOptions, WordSenses};
use clap::{Args, ValueHint};

use super::form::{Drawing, FormArgs};
use crate::commands::features::REQUIREMENT;
use crate::error::{Error, Result, describe};
use crate::input::{InputArgs, Inputs};
use crate::model::ModelArgs;
use crate::outcome::Outcome;
use crate::output::{Page, Record};
use crate::reporter::Reporter;
use crate::style::{self, bar, counted, visible};
use crate::values::positive;

/// Group the places of a word by what it means there
#[derive(Args, Debug)]
#[command(after_help = "\
The hidden states of the word are grouped by Ward's method; how many groups part best is chosen by
their silhouette, which is 1 for groups far apart and 0 for none. A word that is longer than one
token is the mean of its tokens. Of long lines the model sees what stands around the word.
A letter or a digit beside the word makes a longer one, which is not taken; but in scripts without
blanks (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar) the word may stand anywhere.
Without --model the English model that is built in answers.

Examples:
  bert explain word bank reviews.txt
  bert explain word 银行 reviews.txt -m bert-base-chinese
  bert explain word bank reviews.jsonl --column body --clusters 3 --layer -2 --json
  bert explain word bank reviews.txt -o bank.html")]
pub struct WordCommand {
    /// The word, in whatever case; not as a part of a longer word
    #[arg(value_name = "WORD")]
    word: String,

    /// A file of texts: .jsonl, .csv, or anything else as one text a line; `-` is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,

    /// The layer whose hidden states are compared: 0 is the output of the embeddings, -1 that of the last layer
    #[arg(short, long, value_name = "LAYER", default_value = "-1", allow_negative_numbers = true)]
    layer: i64,

    /// How many groups; as many as part best, if not given
    #[arg(long, value_name = "COUNT", value_parser = positive, allow_negative_numbers = true)]
    clusters: Option<usize>,

    /// After how many places of the word reading ends, 2000 at most
    #[arg(long, value_name = "COUNT", default_value = "500", value_parser = positive, allow_negative_numbers = true)]
    limit: usize,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    form: FormArgs,
}

/// What reading the lines left behind.
#[derive(Default)]
struct Read {
    failed: u64,
    ended: Option<Error>,
}

impl WordCommand {
    pub fn run(mut self, reporter: &Reporter) -> Result<Outcome> {
        match (&self.file, &self.input.input) {
            (Some(path), Some(_)) => return Err(Error::TwoSources { path: path.clone() }),
            (None, None) => return Err(Error::NoText),
            _ => self.input.input = self.file.take().or(self.input.input),
        }
        let mut inputs = Inputs::texts(&self.input, vec![])?;
        inputs.keep_nothing("places of all texts are grouped")?;
        let place = self.form.open(Drawing::None, reporter)?;
        let options = SensesOptions { layer: self.layer, clusters: self.clusters, limit: self.limit };
        let senses = self.model.load(reporter, &REQUIREMENT, |files, device, precision| {
            Senses::new(files.load(REQUIREMENT.head, device, precision)?, &self.word, options)
        })?;
        let name = inputs.name().to_owned();
        let bar = (!inputs.interactive()).then(|| reporter.text_bar(inputs.size()));
        let read = RefCell::new(Read::default());
        let lines = std::iter::from_fn(|| {
            loop {
                let next = inputs.next();
                if let Some(notice) = inputs.notice() {
                    reporter.notice(notice);
                }
                match next {
                    Ok(Some(Ok(mut item))) => {
                        if let Some(bar) = &bar {
                            bar.advance(item.end);
                        }
                        return Some((item.place.line().unwrap_or(1), item.texts.swap_remove(0)));
                    }
                    Ok(Some(Err(bad))) => {
                        let line = bad.place.line().unwrap_or(1);
                        reporter.error(format_args!("{name}, line {line}: {}", describe(&bad.error)));
                        let mut read = read.borrow_mut();
                        read.failed += 1;
                        if inputs.most_errors().is_some_and(|most| read.failed > most) {
                            read.ended = Some(Error::TooManyErrors { failed: read.failed });
                            return None;
                        }
                    }
                    Ok(None) => return None,
                    Err(error) => {
                        read.borrow_mut().ended = Some(error);
                        return None;
                    }
                }
            }
        });
        let found = senses.group_numbered(lines);
        drop(bar);
        let Read { failed, ended } = read.into_inner();
        if let Some(error) = ended {
            return Err(error);
        }
        let found = found?;
        if found.limited {
            let places = found.occurrences.len();
            reporter.notice(format_args!(
                "reading ended after {places} places; --limit reads more, 2000 at most"
            ));
        }
        if found.may_be_by_position() {
            reporter.notice(
                "the groups part as well in the embeddings, which know where the word stands and nothing of what surrounds \
                 it; they may tell places in the text apart, and not meanings",
            );
        }
        place.write(&found, WordSenses::to_html)?;
        Ok(if failed > 0 { Outcome::Incomplete } else { Outcome::Done })
    }
}

impl Record for WordSenses {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["group", "line", "start", "end", "before", "word", "after", "x", "y"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |place: &Occurrence| {
            let Occurrence { line, range, before, word, after, group, point: [x, y] } = place;
            vec![
                (group + 1).to_string(),
                line.to_string(),
                range.start.to_string(),
                range.end.to_string(),
                before.clone(),
                word.clone(),
                after.clone(),
                x.to_string(),
                y.to_string(),
            ]
        };
        self.occurrences.iter().map(row).collect()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        let places = |count: usize| counted(count as u64, "place", "places");
        write!(
            page,
            "{}  {}, layer {}",
            screen.paint(style::STRONG, visible(&self.word)),
            places(self.occurrences.len()),
            self.layer
        )?;
        match (self.silhouette, self.why_one_group()) {
            (Some(silhouette), _) => {
                writeln!(page, "; {} groups, silhouette {silhouette:.3}", self.groups.len())?;
            }
            (None, Some(why)) => writeln!(page, "; one group: {why}")?,
            (None, None) => writeln!(page)?,
        }
        for (index, group) in self.groups.iter().enumerate() {
            let style = style::nth_kind(index);
            let name = format!("group {}", index + 1);
            writeln!(page, "{}  {}", screen.paint(style, name), places(group.size))?;
            page.table(|table| {
                writeln!(table, "  {}\ttext", screen.paint(style::FAINT, "line"))?;
                for &example in &group.examples {
                    let Occurrence { line, before, word, after, .. } = &self.occurrences[example];
                    let [before, word, after] = [before, word, after].map(|text| visible(text));
                    let line = screen.paint(style::FAINT, line);
                    writeln!(table, "  {line}\t{before}{}{after}", screen.paint(style, word))?;
                }
                if group.examples.len() < group.size { writeln!(table, "  …") } else { Ok(()) }
            })?;
        }
        if self.by_layer.len() > 1 {
            writeln!(page, "silhouette of these groups in each layer")?;
            page.table(|table| {
                for (layer, &silhouette) in self.by_layer.iter().enumerate() {
                    write!(table, "  {layer}\t{silhouette:.3}")?;
                    if screen.terminal {
                        write!(table, "\t{}", screen.paint(style::VALUE, bar(silhouette as f32, 24)))?;
                    }
                    writeln!(table)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}
