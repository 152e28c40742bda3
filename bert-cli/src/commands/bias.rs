//! `bert bias`: what a model expects of one group of people and not of another.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::PathBuf;

use bert_tasks::Bias;
use bert_tasks::bias::{GroupReport, PairReport, SideBySide, TemplateSet, WEAKNESSES, WordDifference};
use bert_tasks::data::stereotypes;
use bert_tasks::evaluation::{Bootstrap, Figure};
use clap::{Args, ValueHint};
use serde::Serialize;

use super::fill_mask::REQUIREMENT;
use crate::error::{Error, Result};
use crate::model::ModelArgs;
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink, rounded};
use crate::reporter::Reporter;
use crate::style::{self, shorten, visible, width};
use crate::values::{positive, up_to};

/// Show what a model expects of one group of people and not of another
#[derive(Args, Debug)]
#[command(after_help = "\
Without texts, sets of English templates are scored: men and women, first names, origins, with jobs and
traits. Log-odds above 0 go with the first group, those below 0 with the second. [MASK] is right for
every model. Words of several tokens take as many masks; words that the vocabulary cannot spell are
counted and left out.

These figures depend on the sentences that are chosen, any two words differ somewhat (the control set
shows how much), and no figure says that a model is fair. Many pairs of CrowS-Pairs are flawed (Blodgett
et al., 2021), and WinoBias knows two genders.

Examples:
  bert bias
  bert bias \"The man worked as a [MASK].\" \"The woman worked as a [MASK].\"
  bert bias --templates my-sets.jsonl --json
  bert bias --pairs crows_pairs_anonymized.csv
  bert bias --pairs pro_stereotyped_type1.txt.dev      (the anti_stereotyped file lies beside it)

A line of --templates:
  {\"name\": \"jobs\", \"labels\": [\"men\", \"women\"], \"first\": [\"man\"], \"second\": [\"woman\"],
   \"templates\": [\"The {} worked as a [MASK].\"], \"words\": [\"nurse\", \"carpenter\"]}")]
pub struct BiasCommand {
    /// Two texts with one [MASK] each, to be set side by side
    #[arg(value_name = "TEXT", num_args = 0..)]
    texts: Vec<String>,

    /// Score the sets of this file of JSON lines in place of those that are built in
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["texts", "pairs"])]
    templates: Option<PathBuf>,

    /// Score pairs of sentences: CrowS-Pairs (CSV), or a file of WinoBias
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "texts")]
    pairs: Option<PathBuf>,

    /// How many words to show of each group, or pairs
    #[arg(short = 'k', long, value_name = "COUNT", default_value = "5", value_parser = positive, allow_negative_numbers = true)]
    top_k: usize,

    /// How many samples are drawn for the intervals; 0 for none
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = up_to::<1_000_000>)]
    samples: usize,

    /// What the samples depend on
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    seed: u64,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl BiasCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let bootstrap = Bootstrap { samples: self.samples, seed: self.seed };
        match (&self.texts[..], &self.pairs) {
            ([first, second], _) => {
                let (mut sink, bias) = self.open(reporter, false)?;
                sink.write(None, &bias.compare([first, second], self.top_k)?)?;
                sink.finish()?;
            }
            ([], Some(path)) => {
                let pairs = stereotypes::read(path).map_err(bert_tasks::Error::from)?;
                let (mut sink, bias) = self.open(reporter, false)?;
                let report = bias.pairs(&pairs, self.top_k, &bootstrap)?;
                sink.write(None, &Noted { report, note: WEAKNESSES.pairs })?;
                sink.finish()?;
                reporter.notice(WEAKNESSES.pairs);
            }
            ([], None) => {
                let sets = match &self.templates {
                    Some(path) => TemplateSet::read(path)?,
                    None => TemplateSet::built_in(),
                };
                let (mut sink, bias) = self.open(reporter, true)?;
                for set in &sets {
                    let report = bias.groups(set, self.top_k, &bootstrap)?;
                    sink.write(None, &Noted { report, note: WEAKNESSES.templates })?;
                    sink.flush()?;
                }
                sink.finish()?;
                reporter.notice(WEAKNESSES.templates);
            }
            (texts, _) => return Err(Error::NotAPair { names: ["one", "another"], found: texts.len() }),
        }
        Ok(Outcome::Done)
    }

    fn open(&self, reporter: &Reporter, many: bool) -> Result<(Sink, Bias)> {
        let sink = Sink::open(&self.output, many, reporter)?;
        Ok((sink, self.model.load(reporter, &REQUIREMENT, Bias::from_pretrained)?))
    }
}

/// A report, and what has to be known of its figures.
#[derive(Serialize)]
struct Noted<R> {
    #[serde(flatten)]
    report: R,
    note: &'static str,
}

/// Words with their differences, each in a line of its own.
fn show_differences(page: &mut Page<'_>, differences: &[WordDifference]) -> io::Result<()> {
    let screen = page.screen;
    page.table(|table| {
        for WordDifference { word, log_odds, first, second } in differences {
            let value = screen.paint(style::VALUE, format!("{log_odds:+.2}"));
            writeln!(
                table,
                "  {}\t{value}\t{}\t{}",
                visible(word),
                probability(*first),
                probability(*second)
            )?;
        }
        Ok(())
    })
}

/// Small ones by their order of magnitude.
fn probability(value: f64) -> String {
    if value < 0.001 { format!("{value:.1e}") } else { format!("{value:.4}") }
}

fn show_figures(page: &mut Page<'_>, figures: &[Figure], digits: usize) -> io::Result<()> {
    let screen = page.screen;
    page.table(|table| {
        for Figure { name, value, interval } in figures {
            let value = screen.paint(style::VALUE, format!("{value:.digits$}"));
            let interval = interval.map(|it| format!("{:.digits$} to {:.digits$}", it.low, it.high));
            writeln!(table, "  {}\t{value}\t{}", visible(name), interval.unwrap_or_default())?;
        }
        Ok(())
    })
}

fn figure_rows(set: &str, figures: &[Figure]) -> impl Iterator<Item = Vec<String>> {
    figures.iter().map(move |Figure { name, value, interval }| {
        let [low, high] = interval
            .map_or([const { String::new() }; 2], |it| [it.low, it.high].map(|x| rounded(x).to_string()));
        vec![set.to_owned(), name.clone(), rounded(*value).to_string(), low, high]
    })
}

fn figure_columns(first: &'static str) -> Vec<Cow<'static, str>> {
    [first, "name", "value", "low_or_first", "high_or_second"].map(Cow::Borrowed).to_vec()
}

impl Record for SideBySide {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["text", "word", "score"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let rows = self.texts.iter().zip(&self.words);
        let rows = rows.flat_map(|(text, words)| words.iter().map(move |word| (text, word)));
        rows.map(|(text, word)| vec![text.clone(), word.word.clone(), rounded(word.score).to_string()])
            .collect()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        let column = (screen.width.saturating_sub(6) / 2).max(20);
        let texts = self.texts.each_ref().map(|text| visible(text).into_owned());
        let [first, second] = texts.each_ref().map(|text| shorten(text, column));
        let blanks = " ".repeat(column.min(width(&first).max(24)) + 2 - width(&first).min(column));
        writeln!(
            page,
            "  {}{blanks}{}",
            screen.paint(style::STRONG, &first),
            screen.paint(style::STRONG, &second)
        )?;
        let left = width(&first).max(24);
        let [mut first, mut second] = self.words.each_ref().map(|words| words.iter());
        loop {
            let cell = |word: Option<&bert_tasks::bias::ScoredWord>| {
                word.map_or(String::new(), |word| format!("{:.4}  {}", word.score, visible(&word.word)))
            };
            match (first.next(), second.next()) {
                (None, None) => break,
                (one, other) => {
                    let one = cell(one);
                    let blanks = " ".repeat(left.saturating_sub(width(&one)) + 2);
                    writeln!(page, "  {one}{blanks}{}", cell(other))?;
                }
            }
        }
        writeln!(
            page,
            "{}",
            screen.paint(style::FAINT, "most different: word, log-odds, probability in each")
        )?;
        show_differences(page, &self.differences)
    }
}

impl Record for Noted<GroupReport> {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        figure_columns("set")
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let GroupReport { name, figures, differences, .. } = &self.report;
        let word = |word: &WordDifference| {
            let numbers = [word.log_odds, word.first, word.second].map(|x| rounded(x).to_string());
            [name.clone(), word.word.clone()].into_iter().chain(numbers).collect()
        };
        figure_rows(name, figures).chain(differences.iter().map(word)).collect()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        let GroupReport { name, labels: [first, second], sentences, words, several_tokens, skipped, .. } =
            &self.report;
        let pair = format!("{} (+), {} (-)", visible(first), visible(second));
        writeln!(page, "{}: {pair}", screen.paint(style::STRONG, visible(name)))?;
        let mut counts = format!("  {words} words in {sentences} sentences");
        if *several_tokens > 0 {
            counts += &format!(", {several_tokens} of several tokens");
        }
        if !skipped.is_empty() {
            let words: Vec<_> = skipped.iter().map(|word| visible(&word.word)).collect();
            counts += &format!("; {} not in the vocabulary: {}", skipped.len(), words.join(", "));
        }
        writeln!(page, "{}", screen.paint(style::FAINT, counts))?;
        show_figures(page, &self.report.figures, 2)?;
        show_differences(page, &self.report.differences)
    }
}

impl Record for Noted<PairReport> {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        figure_columns("kind")
    }

    fn rows(&self) -> Vec<Vec<String>> {
        figure_rows("all", &self.report.figures).collect()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        let PairReport { pairs, figures, strongest, .. } = &self.report;
        writeln!(
            page,
            "{}",
            screen.paint(style::STRONG, format_args!("{pairs} pairs, preferred stereotypes in %"))
        )?;
        show_figures(page, figures, 1)?;
        writeln!(page, "{}", screen.paint(style::FAINT, "the strongest preferences"))?;
        for pair in strongest {
            let difference = pair.more_score - pair.less_score;
            let value = screen.paint(style::VALUE, format!("{difference:>6.2}"));
            writeln!(page, "  {value}  {}", visible(&pair.more))?;
            writeln!(page, "          {}", visible(&pair.less))?;
        }
        Ok(())
    }
}
