//! `bert evaluate ner`: entities in texts.

use bert_tasks::Precision;
use bert_tasks::data::entities::{self, Format, Offsets, Options};
use bert_tasks::evaluation;
use bert_tasks::evaluation::metrics::entities::EntityFigures;
use bert_tasks::evaluation::tasks::entities::evaluate;
use bert_tasks::token_classification::TokenClassificationOptions;
use bert_tasks::{Device, Pretrained, Task, TokenClassification};
use clap::{Args, ValueEnum};

use super::job::{Evaluation, JobArgs, Kind, Run, count, failed};
use crate::commands::entities::REQUIREMENT;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::reporter::Reporter;
use crate::values::positive;

const KIND: Kind = Kind { name: "ner", card_task: "token-classification", requirement: &REQUIREMENT };

/// Entities in texts: CoNLL columns, or JSON lines
#[derive(Args, Debug)]
#[command(after_help = "\
An entity is right if its type and both of its ends are. Words have the label of their first
token, as seqeval is used. Figures are named for how the model's labels become entities:
leniently, as conlleval and seqeval's default do (an I- after nothing begins an entity), and
strictly by IOB2, as seqeval's strict mode does (only B- begins one).

Examples:
  bert evaluate ner -m path/to/model --data test.conll
  bert evaluate ner -m path/to/model --data test.jsonl --json --errors wrong.jsonl")]
pub struct NerCommand {
    /// The format of the file, if its name does not tell
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<FileFormat>,

    /// The unit of entity offsets in JSON lines
    #[arg(long, value_name = "UNIT", value_enum, default_value = "chars")]
    offsets: Unit,

    /// The tagging scheme of the file's labels: iob (IOB1 and IOB2), bioes (and BILOU, BMES), which
    /// reads iob as well, or plain
    #[arg(long, value_name = "SCHEME", default_value = "bioes")]
    scheme: String,

    /// Lines of columns that begin with # are comments
    #[arg(long)]
    comments: bool,

    /// The longest window of a text in tokens; as long as the model takes, if not given
    #[arg(long, value_name = "TOKENS", value_parser = positive, allow_negative_numbers = true)]
    max_length: Option<usize>,

    #[command(flatten)]
    job: JobArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FileFormat {
    /// A word and its label a line
    Conll,
    /// A JSON object a line
    Jsonl,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Unit {
    /// Code points, as Python counts
    Chars,
    /// Bytes of UTF-8
    Bytes,
}

impl NerCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let options = Options {
            format: self.format.map(|format| match format {
                FileFormat::Conll => Format::Conll,
                FileFormat::Jsonl => Format::Jsonl,
            }),
            offsets: match self.offsets {
                Unit::Chars => Offsets::Chars,
                Unit::Bytes => Offsets::Bytes,
            },
            comments: self.comments,
            scheme: self.scheme.parse()?,
        };
        let examples = count(entities::read(&self.job.data, &options).map_err(failed)?)?;
        self.job.run(reporter, &KIND, &Texts { command: &self, options, examples })
    }
}

struct Texts<'a> {
    command: &'a NerCommand,
    options: Options,
    examples: u64,
}

impl Evaluation for Texts<'_> {
    type Task = TokenClassification;
    type Measure = EntityFigures;

    fn load(
        &self,
        files: &Pretrained,
        device: &Device,
        precision: Precision,
    ) -> bert_tasks::Result<TokenClassification> {
        TokenClassification::from_pretrained(files, device, precision)
    }

    fn evaluate(
        &self,
        task: &TokenClassification,
        run: &mut Run<'_>,
    ) -> Result<evaluation::Outcome<EntityFigures>> {
        run.begin(self.examples)?;
        let examples = entities::read(&self.command.job.data, &self.options).map_err(failed)?;
        let max_length = self.command.max_length;
        let options = TokenClassificationOptions { max_length, ..TokenClassificationOptions::default() };
        let outcome = evaluate(task, &options, examples, |judged| run.judged(&judged))?;
        let known: Vec<&str> =
            task.session().config().labels.iter().map(|label| task.scheme().kind(label)).collect();
        let unknown = outcome.measure.types.iter().map(String::as_str).filter(|kind| !known.contains(kind));
        let unknown = unknown.collect::<Vec<_>>().join(", ");
        if !unknown.is_empty() {
            run.warn(format_args!(
                "the model has no labels for entities of the type {unknown}, so it finds none of them"
            ));
        }
        Ok(outcome)
    }
}
