//! `bert answer`: which words of a text answer a question.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::PathBuf;

use bert_tasks::Head;
use bert_tasks::QuestionAnswering;
use bert_tasks::question_answering::{Answer, Question, QuestionAnsweringOptions};
use bert_tasks::records::QuestionAnsweringRecord;
use clap::{Args, ValueHint};

use crate::batch::answer_all;
use crate::built_in::BuiltIn;
use crate::error::Result;
use crate::input::{InputArgs, Inputs, read_text};
use crate::model::{ModelArgs, Requirement};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink};
use crate::reporter::Reporter;
use crate::style::{self, visible};
use crate::values::positive;

pub(super) const REQUIREMENT: Requirement = Requirement {
    kind: "a question answering model",
    example: "distilbert/distilbert-base-cased-distilled-squad",
    head: Head::QuestionAnswering,
    built_in: BuiltIn::None,
};

/// Find the words of a text that answer a question
#[derive(Args, Debug)]
#[command(after_help = "\
The context may be of any length: a long one is read through overlapping windows.

Examples:
  bert answer -m distilbert/distilbert-base-cased-distilled-squad \\
      \"Where does she live?\" \"My name is Sarah Connor and I live in Los Angeles.\"
  bert answer -m path/to/model --context article.txt \"Who wrote it?\" \"When?\" --top-k 3
  bert answer -m path/to/squad2-model --no-answer-threshold 0 --input questions.jsonl --jsonl

A line of a .txt file holds a question and its context, separated by a tab; JSONL and CSV have them in
question and context. With --context every line is a question.")]
pub struct AnswerCommand {
    /// A question and its context, each in quotes; with --context any number of questions; `-` reads lines
    /// from stdin
    #[arg(value_name = "QUESTION [CONTEXT]")]
    texts: Vec<String>,

    /// Search this text file for the answers
    #[arg(short = 'f', long = "context", value_name = "FILE", value_hint = ValueHint::FilePath)]
    context_file: Option<PathBuf>,

    /// How many answers to each question, best first, none overlapping another
    #[arg(short = 'k', long, value_name = "COUNT", default_value = "1", value_parser = positive, allow_negative_numbers = true)]
    top_k: usize,

    /// Give no answer if the log odds of "no answer" are greater than this; for models that were trained on
    /// questions without answers, 0 is the natural choice
    #[arg(long, value_name = "ODDS", allow_negative_numbers = true)]
    no_answer_threshold: Option<f32>,

    /// The longest answer in tokens
    #[arg(long, value_name = "TOKENS", default_value = "30", value_parser = positive, allow_negative_numbers = true)]
    max_answer_tokens: usize,

    /// The longest sequence in tokens, question and context together
    #[arg(long, value_name = "TOKENS", default_value = "384", value_parser = positive, allow_negative_numbers = true)]
    max_length: usize,

    /// The distance in tokens from the start of one window of a long context to the start of the next
    #[arg(long, value_name = "TOKENS", default_value = "128", value_parser = positive, allow_negative_numbers = true)]
    doc_stride: usize,

    /// Exit with status 1 if there is no answer (to several questions: if one has none)
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl AnswerCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let context =
            self.context_file.as_deref().map(|path| read_text(path, self.input.lossy)).transpose()?;
        let inputs = match context {
            Some(_) => Inputs::named_texts(&self.input, "question", self.texts)?,
            None => Inputs::pairs(&self.input, ["question", "context"], self.texts)?,
        };
        let sink = Sink::for_inputs(&self.output, &inputs, reporter)?;
        let options = QuestionAnsweringOptions {
            top_k: self.top_k,
            n_best: 0,
            max_answer_tokens: self.max_answer_tokens,
            max_length: self.max_length,
            doc_stride: self.doc_stride,
            no_answer_threshold: self.no_answer_threshold,
            ..QuestionAnsweringOptions::default()
        };
        let task = self.model.load(reporter, &REQUIREMENT, |files, device, precision| {
            QuestionAnswering::from_pretrained(files, device, precision)?.with_options(options)
        })?;
        let question = |texts: &[String]| Question {
            question: texts[0].clone(),
            context: context.as_ref().unwrap_or_else(|| &texts[1]).clone(),
        };
        let mut all_answered = true;
        let outcome = answer_all(reporter, inputs, sink, &task, question, |texts, found| {
            all_answered &= !found.answers.is_empty();
            QuestionAnsweringRecord::new(question(&texts), found)
        })?;
        Ok(match outcome {
            Outcome::Done if self.exit_code && !all_answered => Outcome::Negative,
            outcome => outcome,
        })
    }
}

impl Record for QuestionAnsweringRecord {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["question", "answer", "score", "start", "end", "no_answer_score"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let no_answer = self.no_answer_score.to_string();
        if self.answers.is_empty() {
            let empty = String::new;
            return vec![vec![self.question.clone(), empty(), empty(), empty(), empty(), no_answer]];
        }
        let row = |Answer { text, range, score }: &Answer| {
            let [start, end] = [range.start, range.end].map(|at| at.to_string());
            vec![self.question.clone(), text.clone(), score.to_string(), start, end, no_answer.clone()]
        };
        self.answers.iter().map(row).collect()
    }

    fn cut(&self) -> Option<usize> {
        self.truncated.as_ref().map(|range| range.start)
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        if page.titled {
            writeln!(page, "{}", screen.paint(style::STRONG, visible(&self.question)))?;
        }
        if self.answers.is_empty() {
            return writeln!(
                page,
                "  {:.4}  {}",
                self.no_answer_score,
                screen.paint(style::BAD, "no answer")
            );
        }
        for answer in &self.answers {
            let text = screen.paint(style::FOUND, visible(&answer.text));
            write!(page, "  {:.4}  {text}", answer.score)?;
            if screen.terminal {
                let [before, after] = surroundings(&self.context, answer).map(visible);
                let around = |text| screen.paint(style::FAINT, text);
                write!(page, "  {}{text}{}", around(before), around(after))?;
            } else {
                write!(page, "  {}..{}", answer.range.start, answer.range.end)?;
            }
            writeln!(page)?;
        }
        Ok(())
    }
}

/// What stands around an answer, from and to a blank where there is one near.
fn surroundings<'a>(context: &'a str, answer: &Answer) -> [&'a str; 2] {
    const BYTES: usize = 40;
    let (before, after) = (&context[..answer.range.start], &context[answer.range.end..]);
    let start = before.floor_char_boundary(before.len().saturating_sub(BYTES));
    let end = after.floor_char_boundary(BYTES.min(after.len()));
    let start =
        if start == 0 { 0 } else { before[start..].find(' ').map_or(start, |blank| start + blank + 1) };
    let end = if end == after.len() { end } else { after[..end].rfind(' ').unwrap_or(end) };
    [&before[start..], &after[..end]]
}
