//! `bert explain tokens`: which words an answer hangs on.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

use bert_tasks::explain::{Explanation, IntegratedGradients, Occlusion, Subject};
use bert_tasks::next_sentence::TextPair;
use bert_tasks::question_answering::Question;
use bert_tasks::text_classification::Text;
use bert_tasks::{
    Device, FillMask, Head, NextSentence, Precision, Pretrained, QuestionAnswering, Similarity,
    TextClassification, TokenClassification,
};
use clap::{Args, ValueEnum};

use super::form::{Drawing, FormArgs, texts};
use crate::commands::{answer, embed, entities, fill_mask, next_sentence, sentiment};
use crate::error::{Error, Result};
use crate::model::{ModelArgs, Requirement};
use crate::outcome::Outcome;
use crate::output::{Page, Record, rounded};
use crate::reporter::Reporter;
use crate::style::{self, visible};
use crate::values::positive;

/// Show which words an answer hangs on, and whether it really does
#[derive(Args, Debug)]
#[command(after_help = "\
A word is scored by what the score of the answer loses when the word is masked (occlusion), or by
its part in the gradient on the way from masked words to the text (integrated gradients, which hold
a second copy of the model). Below stands how faithful that is: what the score loses without the
best words (more is better), and with them alone (less is better), each beside random words.
Without --model, what is built in answers sentiment, fill-mask and entities.

Examples:
  bert explain tokens sentiment \"A gorgeous, witty film.\"
  bert explain tokens sentiment \"A gorgeous, witty film.\" --target negative -o why.html
  bert explain tokens fill-mask \"The capital of France is [MASK].\" --method integrated-gradients
  bert explain tokens entities \"Sarah Connor lives in Los Angeles.\" --target \"Los Angeles\"
  bert explain tokens answer -m a-squad-model \"Where does it rise?\" \"It rises in the hills.\" --json")]
pub struct TokensCommand {
    /// The task whose answer is explained
    #[arg(value_name = "TASK", value_enum)]
    task: TaskName,

    /// The text, or the two of tasks on pairs; `-` is all of stdin
    #[arg(value_name = "TEXT", required = true, num_args = 1..=2)]
    texts: Vec<String>,

    /// The label, the word for the mask, or the entity that is explained; the best one if not given
    #[arg(short, long, value_name = "TARGET")]
    target: Option<String>,

    /// Which mask of the text, counted from 1
    #[arg(long, value_name = "NUMBER", value_parser = positive, allow_negative_numbers = true)]
    mask: Option<usize>,

    /// How words are scored
    #[arg(long, value_name = "METHOD", value_enum, default_value = "occlusion")]
    method: MethodName,

    /// How many steps integrated gradients take, 10000 at most; 64 if not given
    #[arg(long, value_name = "COUNT", value_parser = steps, allow_negative_numbers = true)]
    steps: Option<usize>,

    /// Leave out how faithful the scores are, which takes most of the time of a short text
    #[arg(long)]
    no_faithfulness: bool,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    form: FormArgs,
}

/// So many steps that they take minutes, and not years.
fn steps(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=IntegratedGradients::MOST_STEPS).contains(&count) => Ok(count),
        _ => Err(format!("it must be a whole number between 1 and {}", IntegratedGradients::MOST_STEPS)),
    }
}

/// From so many words on, an explanation takes long enough to say so.
const MANY: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TaskName {
    /// The probability of a label of a text, or of a pair
    #[value(alias = "classify")]
    Sentiment,
    /// The probability of a word in the place of a mask
    FillMask,
    /// The probability that the second text follows the first
    NextSentence,
    /// The probability of an entity
    Entities,
    /// The probability of an answer; the texts are the question and the context
    Answer,
    /// How alike two texts are; by occlusion alone
    Similarity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MethodName {
    /// By the change of the score when a word is masked
    Occlusion,
    /// By the gradient along the way from masked words to the text
    IntegratedGradients,
}

impl TaskName {
    fn requirement(self) -> &'static Requirement {
        match self {
            Self::Sentiment => &sentiment::REQUIREMENT,
            Self::FillMask => &fill_mask::REQUIREMENT,
            Self::NextSentence => &next_sentence::REQUIREMENT,
            Self::Entities => &entities::REQUIREMENT,
            Self::Answer => &answer::REQUIREMENT,
            Self::Similarity => &embed::REQUIREMENT,
        }
    }

    /// What the two texts are, where there have to be two.
    fn pair(self) -> Option<[&'static str; 2]> {
        match self {
            Self::NextSentence | Self::Similarity => Some(["first", "second"]),
            Self::Answer => Some(["question", "context"]),
            Self::Sentiment | Self::FillMask | Self::Entities => None,
        }
    }

    /// Whether a target may be named.
    fn has_targets(self) -> bool {
        matches!(self, Self::Sentiment | Self::FillMask | Self::Entities)
    }
}

/// A task on a model.
enum Loaded {
    Sentiment(TextClassification),
    FillMask(FillMask),
    NextSentence(NextSentence),
    Entities(TokenClassification),
    Answer(QuestionAnswering),
    Similarity(Similarity),
}

impl Loaded {
    fn new(
        task: TaskName,
        files: &Pretrained,
        device: &Device,
        precision: Precision,
    ) -> bert_tasks::Result<Self> {
        Ok(match task {
            TaskName::Sentiment => {
                Self::Sentiment(TextClassification::from_pretrained(files, device, precision)?)
            }
            TaskName::FillMask => Self::FillMask(FillMask::from_pretrained(files, device, precision)?),
            TaskName::NextSentence => {
                Self::NextSentence(NextSentence::from_pretrained(files, device, precision)?)
            }
            TaskName::Entities => {
                Self::Entities(TokenClassification::from_pretrained(files, device, precision)?)
            }
            TaskName::Answer => Self::Answer(QuestionAnswering::from_pretrained(files, device, precision)?),
            TaskName::Similarity => Self::Similarity(Similarity::from_pretrained(files, device, precision)?),
        })
    }

    /// The score to explain.
    fn subject(&self, texts: Vec<String>, target: Option<&str>, mask: usize) -> bert_tasks::Result<Subject> {
        let mut texts = texts.into_iter();
        let (first, second) = (texts.next().unwrap_or_default(), texts.next());
        let two =
            |first: String, second: Option<String>| TextPair { first, second: second.unwrap_or_default() };
        match self {
            Self::Sentiment(task) => Subject::label(task, Text { text: first, pair: second }, target),
            Self::FillMask(task) => Subject::mask(task, &first, mask, target),
            Self::NextSentence(task) => Subject::follows(task, &two(first, second)),
            Self::Entities(task) => Subject::entity(task, &first, target),
            Self::Answer(task) => {
                Subject::answer(task, &Question { question: first, context: second.unwrap_or_default() })
            }
            Self::Similarity(task) => Subject::similarity(task, &two(first, second)),
        }
    }
}

impl TokensCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        self.check()?;
        let texts = texts(self.texts.clone())?;
        let place = self.form.open(Drawing::None, reporter)?;
        let (task, steps) = (self.task, self.steps);
        let with_gradients = self.method == MethodName::IntegratedGradients;
        let requirement = task.requirement();
        let (loaded, gradients) = self.model.load(reporter, requirement, |files, device, precision| {
            let loaded = Loaded::new(task, files, device, precision)?;
            let gradients = match with_gradients && requirement.head != Head::None {
                true => Some(IntegratedGradients::load(files, requirement.head, device)?),
                false => None,
            };
            Ok((loaded, gradients))
        })?;
        let mut subject = loaded.subject(texts, self.target.as_deref(), self.mask.unwrap_or(1))?;
        let words = subject.words().len();
        if words > MANY {
            let faster = match (with_gradients, self.no_faithfulness) {
                (false, _) => "; --method integrated-gradients takes fewer",
                (true, false) => "; --no-faithfulness takes fewer",
                (true, true) => "",
            };
            let each = if with_gradients { steps.unwrap_or(64) } else { words };
            let passes = each + if self.no_faithfulness { 2 } else { 112 };
            reporter.notice(format_args!("{words} words: about {passes} passes through the model{faster}"));
            if let Some(bar) = reporter.step_bar(passes as u64, Arc::default()) {
                subject = subject.with_progress(move || bar.inc(1));
            }
        }
        let explained = self.explain(&subject, gradients);
        reporter.end_bar();
        place.write(&explained?, Explanation::to_html)?;
        Ok(Outcome::Done)
    }

    fn explain(
        &self,
        subject: &Subject,
        gradients: Option<IntegratedGradients>,
    ) -> bert_tasks::Result<Explanation> {
        let explanation = match (gradients, self.steps) {
            (Some(gradients), None) => gradients.explain(subject)?,
            (Some(gradients), Some(steps)) => gradients.with_steps(steps)?.explain(subject)?,
            (None, _) => Occlusion::default().explain(subject)?,
        };
        if self.no_faithfulness { Ok(explanation) } else { explanation.measured(subject) }
    }

    /// Options that make no sense together.
    fn check(&self) -> Result<()> {
        let refuse = |option, reason| Err(Error::NoMeaning { option, reason });
        match (self.task.pair(), self.texts.len()) {
            (Some(names), found) if found != 2 => return Err(Error::NotAPair { names, found }),
            (None, 2) if self.task != TaskName::Sentiment => {
                return refuse("a second text", "this task takes one text");
            }
            _ => {}
        }
        if self.texts.iter().filter(|text| *text == "-").count() > 1 {
            return refuse("a second `-`", "stdin can be read once");
        }
        if self.target.is_some() && !self.task.has_targets() {
            return refuse("--target", "this task has one score");
        }
        if self.mask.is_some() && self.task != TaskName::FillMask {
            return refuse("--mask", "it chooses a mask of fill-mask");
        }
        if self.steps.is_some() && self.method != MethodName::IntegratedGradients {
            return refuse("--steps", "they are those of --method integrated-gradients");
        }
        if self.task == TaskName::Similarity && self.method == MethodName::IntegratedGradients {
            return refuse(
                "--method integrated-gradients",
                "the score of similarity is made of two passes; use occlusion",
            );
        }
        Ok(())
    }
}

/// A number with its sign, of which zero has none, and four decimals.
fn signed(number: f64) -> String {
    let text = format!("{number:+.4}");
    if text[1..] == *"0.0000" { text[1..].to_owned() } else { text }
}

/// The same without a plus.
fn unsigned(number: f64) -> String {
    signed(number).trim_start_matches('+').to_owned()
}

impl Record for Explanation {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["text", "start", "end", "word", "score"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |word: &bert_tasks::explain::WordScore| {
            let place = [word.text, word.range.start, word.range.end].map(|number| number.to_string());
            place.into_iter().chain([word.word.clone(), rounded(word.score).to_string()]).collect()
        };
        self.words.iter().map(row).collect()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        let target = screen.paint(style::STRONG, visible(&self.target)).to_string();
        writeln!(
            page,
            "{target}  {}, with all words masked {}; by {}",
            unsigned(self.score),
            unsigned(self.baseline),
            self.method
        )?;
        let most = self.words.iter().map(|word| word.score.abs()).fold(0.0, f64::max);
        let several = self.texts.len() > 1;
        page.table(|table| {
            for index in self.ranking() {
                let word = &self.words[index];
                let style = if word.score < 0.0 { style::BAD } else { style::GOOD };
                let range = format!("{}..{}", word.range.start, word.range.end);
                let of = if several { format!("text {}  ", word.text + 1) } else { String::new() };
                write!(
                    table,
                    "  {:>7}\t{of}{range}\t{}",
                    signed(word.score),
                    screen.paint(style, visible(&word.word))
                )?;
                if screen.terminal && most > 0.0 {
                    let bar = style::bar((word.score.abs() / most) as f32, 24);
                    write!(table, "\t{}", screen.paint(style, bar))?;
                }
                writeln!(table)?;
            }
            Ok(())
        })?;
        if let Some(gap) = self.gap {
            writeln!(
                page,
                "{}",
                screen.paint(style::FAINT, format_args!("all scores together miss {}", signed(gap)))
            )?;
        }
        if let Some(faithfulness) = self.faithfulness {
            page.table(|table| {
                for (name, measured) in [
                    ("comprehensiveness", faithfulness.comprehensiveness),
                    ("sufficiency", faithfulness.sufficiency),
                ] {
                    let [value, random] = [measured.value, measured.random].map(signed);
                    writeln!(table, "{name}\t{value:>7}\trandom words {random:>7}")?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(
            [-0.00001, 0.0, 0.00004, -0.5, 1.25].map(signed),
            ["0.0000", "0.0000", "0.0000", "-0.5000", "+1.2500"]
        );
        assert_eq!([-0.00001, 0.5, -0.5].map(unsigned), ["0.0000", "0.5000", "-0.5000"]);
    }
}
