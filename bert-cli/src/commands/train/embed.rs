//! `bert train embed`: a model that makes vectors of texts, as `bert embed` and `bert similarity` use it.

use bert_tasks::Pooling;
use bert_tasks::data::pairs::{self, Options};
use bert_tasks::training::{Embeddings, EmbeddingsOptions, TrainOptions, TrainingError};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::job::{Job, RunArgs, tell_cut, training};
use super::settings::{Columns, Settings, tell_usual};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Sink};
use crate::reporter::Reporter;

/// Train a model to turn texts into vectors, for similarity and search
#[derive(Args, Debug)]
#[command(mut_args(tell_usual::<PairColumns>))]
#[command(after_help = "\
Files are CSV, TSV or JSON lines, also as .gz or .zst. --kind says what an example is:
  pairs     two texts that belong together (anchor and positive, query and passage)
  triplets  the same, and a text that does not belong to the first (negative)
  scored    two texts and a score (sentence1, sentence2, score)
The other texts of a step are the negatives of a pair or triplet, so a larger --batch-size makes training
harder; it takes no more memory, a larger --token-budget does. Equal texts are no negatives of each other.

The evaluation of scored pairs is Spearman's correlation of scores and cosines, that of triplets the
share in the right order, that of pairs the share of first texts whose nearest text is their own second one.
The folder is a sentence-transformers model, too.

Examples:
  bert train embed --model google-bert/bert-base-uncased --train nli.jsonl --kind triplets \\
      --eval stsb-dev.tsv --eval-kind scored --max-score 5 --out my-model
  bert train embed --model my-model --train faq.csv --columns question,answer --epochs 5 --out my-search
  bert train embed --out my-model --resume
  bert similarity --model my-model \"A man is eating food.\" \"Someone is having a meal.\"")]
pub struct EmbedCommand {
    #[command(flatten)]
    settings: Settings<PairColumns>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What examples are, and what their vectors are to be.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Examples")]
#[serde(default, rename_all = "kebab-case")]
struct PairColumns {
    /// The kind of the examples to train on [default: pairs]
    #[arg(long, value_name = "KIND", value_enum)]
    kind: Option<Kind>,

    /// The kind of the examples to evaluate on; that of the examples to train on, if not given
    #[arg(long, value_name = "KIND", value_enum)]
    eval_kind: Option<Kind>,

    /// The columns of an example in their order, separated by commas: names, or numbers from 1
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    columns: Option<Vec<String>>,

    /// The same for examples to evaluate on; those of --columns, if not given and of the same kind
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    eval_columns: Option<Vec<String>>,

    /// The lowest score, which means a cosine of 0 [default: 0]
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    min_score: Option<f64>,

    /// The highest score, which means a cosine of 1 [default: 1]
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    max_score: Option<f64>,

    /// The format of the files, if their names do not tell
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(["csv", "tsv", "jsonl"]))]
    format: Option<String>,

    /// Whether the first row of a table holds the names of its columns; detected, if not given
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    header: Option<bool>,

    /// How hidden states become one vector; if not given, as the model's folder says, or else the mean
    #[arg(long, value_name = "POOLING", value_enum)]
    pooling: Option<PoolingWord>,

    /// The scale of cosines in the loss of pairs and triplets, the inverse of a temperature [default: 20]
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    scale: Option<f64>,
}

impl Columns for PairColumns {
    fn usual() -> TrainOptions {
        TrainOptions { batch_size: 64, learning_rate: 2e-5, ..TrainOptions::default() }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Two texts that belong together
    #[default]
    Pairs,
    /// The same, and one that does not belong to the first
    Triplets,
    /// Two texts and a score
    Scored,
}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PoolingWord {
    /// The mean over all tokens
    Mean,
    /// The first token, [CLS]
    Cls,
    /// The sum over the root of the length
    MeanSqrtLen,
}

impl PairColumns {
    fn options(&self, kind: Kind, columns: Option<&Vec<String>>) -> Result<Options> {
        let format = self.format.as_deref().map(str::parse).transpose();
        Ok(Options {
            kind: match kind {
                Kind::Pairs => pairs::Kind::Pairs,
                Kind::Triplets => pairs::Kind::Triplets,
                Kind::Scored => pairs::Kind::Scored,
            },
            format: format.map_err(bert_tasks::Error::from)?,
            header: self.header,
            columns: columns.cloned(),
            scores: self.min_score.unwrap_or(0.0)..=self.max_score.unwrap_or(1.0),
        })
    }

    fn training(&self) -> EmbeddingsOptions {
        let usual = EmbeddingsOptions::default();
        let pooling = self.pooling.map(|word| match word {
            PoolingWord::Mean => Pooling::Mean,
            PoolingWord::Cls => Pooling::Cls,
            PoolingWord::MeanSqrtLen => Pooling::MeanSqrtLen,
        });
        EmbeddingsOptions { pooling, scale: self.scale.unwrap_or(usual.scale) }
    }
}

impl EmbedCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let sink = Sink::open(&self.output, false, reporter)?;
        let job = Job::new("train embed", self.run, self.settings)?;
        let own = &job.settings.columns;
        let kind = own.kind.unwrap_or_default();
        let eval_kind = own.eval_kind.unwrap_or(kind);
        let options = job.settings.options();
        if kind == Kind::Pairs && options.batch_size < 2 {
            return Err(training(TrainingError::Setting {
                setting: "batch_size",
                found: options.batch_size.to_string(),
                expected: "at least 2: the other pairs of a step are its negatives",
            }));
        }
        let eval_columns = own.eval_columns.as_ref().or(own.columns.as_ref().filter(|_| eval_kind == kind));
        let train = own.options(kind, own.columns.as_ref())?;
        let eval = own.options(eval_kind, eval_columns)?;
        let (train, eval) =
            job.examples_by(|path| pairs::read(path, &train), |path| pairs::read(path, &eval))?;
        let base = job.open_model(reporter)?;
        let objective = Embeddings::new(&base, train, eval, own.training())?;
        let longest = objective.longest(options.longest(&base));
        tell_cut(reporter, objective.longer_than(longest)?, longest);
        job.go(reporter, sink, &base, &objective)
    }
}
