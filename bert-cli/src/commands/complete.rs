//! `bert complete`: the next words of a text that is not finished.

use std::borrow::Cow;
use std::io::{self, BufRead, IsTerminal, Read, Write};

use bert_tasks::Generation;
use bert_tasks::generation::CompletionOptions;
use bert_tasks::records::CompletionRecord;
use clap::Args;

use super::fill_mask::REQUIREMENT;
use super::generate::warn_of_cut;
use crate::batch::{OneByOne, answer_all};
use crate::error::{Error, Result};
use crate::input::{InputArgs, Inputs};
use crate::model::ModelArgs;
use crate::outcome::Outcome;
use crate::output::{self, OutputArgs, Page, Record, Sink, rounded};
use crate::reporter::Reporter;
use crate::style::{self, visible};
use crate::values::positive;

/// Suggest the next words of an unfinished text
#[derive(Args, Debug)]
#[command(after_help = "\
Without a text on a terminal, or with --interactive, it is a conversation: type a text, see numbered
suggestions, type a number to take one, or more text to go on; an empty line begins anew, Ctrl-D ends.

What to expect: one to three words are often good; more drift. A masked language model learnt to fill
gaps, not to write.

Examples:
  bert complete \"Thank you for\"
  bert complete \"I look forward to\" --suggestions 5 --words 3 --json
  bert complete
  bert complete --input beginnings.txt --jsonl")]
pub struct CompleteCommand {
    /// Unfinished texts; `-` reads lines from stdin
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    /// How many suggestions to make
    #[arg(short = 'k', long, value_name = "COUNT", default_value = "3", value_parser = positive, allow_negative_numbers = true)]
    suggestions: usize,

    /// How many words a suggestion has at most
    #[arg(short, long, value_name = "COUNT", default_value = "4", value_parser = positive, allow_negative_numbers = true)]
    words: usize,

    /// Talk: each line goes on with the text, or takes a suggestion by its number
    #[arg(long, conflicts_with_all = ["texts", "input", "form", "output"])]
    interactive: bool,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl CompleteCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let options = CompletionOptions { suggestions: self.suggestions, words: self.words };
        let nothing_given = self.texts.is_empty() && self.input.input.is_none();
        if self.interactive || nothing_given && io::stdin().is_terminal() {
            let model = self.model.load(reporter, &REQUIREMENT, Generation::from_pretrained)?;
            reporter
                .notice("type a text; a number takes a suggestion, an empty line begins anew, Ctrl-D ends");
            return talk(reporter, &model, &options);
        }
        let inputs = Inputs::texts(&self.input, self.texts)?;
        let sink = Sink::for_inputs(&self.output, &inputs, reporter)?;
        let model = self.model.load(reporter, &REQUIREMENT, Generation::from_pretrained)?;
        let task = OneByOne(Box::new(|text: String| {
            let found = model.complete(&text, &options)?;
            warn_of_cut(reporter, found.truncated.as_ref());
            Ok(found)
        }));
        let record = |mut texts: Vec<String>, answer| CompletionRecord { text: texts.swap_remove(0), answer };
        answer_all(reporter, inputs, sink, &task, |texts| texts[0].clone(), record)
    }
}

/// The longest line that is read.
const MOST: u64 = 1 << 20;

fn talk(reporter: &Reporter, model: &Generation, options: &CompletionOptions) -> Result<Outcome> {
    let read = |source| Error::Read { name: "stdin".to_owned(), source };
    let (mut text, mut suggestions) = (String::new(), vec![]);
    let mut stdin = io::stdin().lock();
    loop {
        let mut line = vec![];
        if stdin.by_ref().take(MOST).read_until(b'\n', &mut line).map_err(read)? == 0 {
            return Ok(Outcome::Done);
        }
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        text = said(text, &line, &suggestions);
        suggestions.clear();
        let mut page = format!("{}\n", visible(&text));
        if text.is_empty() {
            continue;
        }
        let found = model.complete(&text, options)?;
        warn_of_cut(reporter, found.truncated.as_ref());
        for (number, suggestion) in found.suggestions.into_iter().enumerate() {
            page += &format!("  {}  …{}\n", number + 1, visible(&suggestion.text));
            suggestions.push(suggestion.text);
        }
        output::print(page.as_bytes(), reporter)?;
    }
}

/// The text after a line: with a suggestion taken, gone on, or begun anew.
fn said(text: String, line: &str, suggestions: &[String]) -> String {
    let word = line.trim();
    let taken = word.parse::<usize>().ok().and_then(|number| suggestions.get(number.checked_sub(1)?));
    match taken {
        _ if word.is_empty() => String::new(),
        Some(suggestion) => text + suggestion,
        None if text.is_empty() || line.starts_with(char::is_whitespace) => text + line,
        None => text + " " + line,
    }
}

impl Record for CompletionRecord {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["text", "suggestion", "score"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |found: &bert_tasks::generation::Suggestion| {
            vec![self.text.clone(), found.text.clone(), rounded(found.score).to_string()]
        };
        self.answer.suggestions.iter().map(row).collect()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        if page.titled {
            writeln!(page, "{}", screen.paint(style::STRONG, visible(&self.text)))?;
        }
        for found in &self.answer.suggestions {
            let score = screen.paint(style::VALUE, format!("{:.4}", found.score));
            writeln!(page, "  {score}  …{}", visible(&found.text))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_a_suggestion_goes_on_or_begins_anew() {
        let suggestions = [" you".to_owned(), " him".to_owned()];
        let after = |line: &str| said("Thank".to_owned(), line, &suggestions);
        assert_eq!(after("1"), "Thank you");
        assert_eq!(after(" 2 "), "Thank him");
        assert_eq!(after("3"), "Thank 3");
        assert_eq!(after("0"), "Thank 0");
        assert_eq!(after("God"), "Thank God");
        assert_eq!(after("  "), "");
        assert_eq!(said(String::new(), "Hello", &[]), "Hello");
    }
}
