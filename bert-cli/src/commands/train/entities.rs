//! `bert train entities`: a model that finds names, as `bert entities` uses it.

use bert_tasks::data::entities::{self, Format, Offsets, Options};
use bert_tasks::token_classification::Scheme;
use bert_tasks::training::Entities;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::job::{Job, RunArgs, tell_cut};
use super::settings::{Columns, Settings};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Sink};
use crate::reporter::Reporter;
use crate::style::counted;

/// Train a model to find names in texts: people, places, whatever your examples mark
#[derive(Args, Debug)]
#[command(after_help = "\
Files are CoNLL columns (a word and its label a line, a blank line between sentences; IOB1, IOB2, BIOES
or labels without prefixes) or JSON lines, also as .gz or .zst. A line of JSON is
  {\"text\": \"Sarah lives in Ulm\", \"entities\": [{\"start\": 15, \"end\": 18, \"label\": \"LOC\"}]}
or {\"tokens\": [\"Sarah\", ...], \"tags\": [\"B-PER\", ...]}.

The label of a word is learnt at its first token, where `bert entities` reads it. The F1 of the
evaluation is that of whole entities.

Examples:
  bert train entities --model google-bert/bert-base-cased --train train.conll --eval dev.conll --out my-model
  bert train entities --train invoices.jsonl --offsets bytes --out my-model
  bert train entities --out my-model --resume
  bert entities --model my-model \"My name is Sarah Connor and I live in Los Angeles.\"")]
pub struct EntitiesCommand {
    #[command(flatten)]
    settings: Settings<EntityColumns>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How the files are read.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Examples")]
#[serde(default, rename_all = "kebab-case")]
struct EntityColumns {
    /// The format of the files, if their names do not tell
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<FileFormat>,

    /// The unit of entity offsets in JSON [default: chars]
    #[arg(long, value_name = "UNIT", value_enum)]
    offsets: Option<Unit>,

    /// Whether lines of columns that begin with # are comments
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    comments: Option<bool>,

    /// The tagging scheme of the model's labels [default: iob]
    #[arg(long, value_name = "SCHEME", value_enum)]
    scheme: Option<LabelScheme>,
}

impl Columns for EntityColumns {}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FileFormat {
    /// A word and its label a line
    Conll,
    /// A JSON object a line
    Jsonl,
}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    /// Chars (code points), as Python counts
    Chars,
    /// Bytes of UTF-8
    Bytes,
}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LabelScheme {
    /// B- at the first word of an entity, I- at the others
    Iob,
    /// B-, I-, E- at the last word, S- at an only one
    Bioes,
    /// The types alone: entities of one type that touch are one
    Plain,
}

impl EntityColumns {
    fn options(&self) -> Options {
        let format = self.format.map(|format| match format {
            FileFormat::Conll => Format::Conll,
            FileFormat::Jsonl => Format::Jsonl,
        });
        let offsets = match self.offsets {
            Some(Unit::Bytes) => Offsets::Bytes,
            Some(Unit::Chars) | None => Offsets::Chars,
        };
        Options { format, offsets, comments: self.comments.unwrap_or(false), ..Options::default() }
    }

    fn scheme(&self) -> Scheme {
        match self.scheme {
            Some(LabelScheme::Iob) | None => Scheme::Iob,
            Some(LabelScheme::Bioes) => Scheme::Bioes,
            Some(LabelScheme::Plain) => Scheme::Plain,
        }
    }
}

impl EntitiesCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let sink = Sink::open(&self.output, false, reporter)?;
        let job = Job::new("train entities", self.run, self.settings)?;
        let options = job.settings.columns.options();
        let (train, eval) = job.examples(|path| entities::read(path, &options))?;
        let base = job.open_model(reporter)?;
        let objective = Entities::new(&base, train, eval, job.settings.columns.scheme())?;
        let longest = job.settings.options().longest(&base);
        tell_cut(reporter, objective.longer_than(longest)?, longest);
        if objective.inexact() > 0 {
            let entities =
                counted(objective.inexact() as u64, "entity begins or ends", "entities begin or end");
            reporter.warning(format_args!("{entities} inside a word: all of the word is learnt"));
        }
        job.go(reporter, sink, &base, &objective)
    }
}
