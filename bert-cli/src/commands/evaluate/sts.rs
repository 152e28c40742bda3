//! `bert evaluate sts`: how alike texts are.

use bert_tasks::Precision;
use bert_tasks::data::Format;
use bert_tasks::data::pairs::{self, Options};
use bert_tasks::evaluation;
use bert_tasks::evaluation::metrics::correlation::Correlations;
use bert_tasks::evaluation::tasks::similarity::evaluate;
use bert_tasks::{Device, Embedding, Pretrained};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::super::embed::{self, RecipeArgs};
use super::job::{Evaluation, JobArgs, Kind, Run, count, failed};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::reporter::Reporter;

const KIND: Kind = Kind { name: "sts", card_task: "sentence-similarity", requirement: &embed::REQUIREMENT };

/// How alike texts are: pairs with a score, from CSV, TSV or JSON lines
#[derive(Args, Debug)]
#[command(after_help = "\
The figures are the correlations of the scores with the cosines of the texts' vectors.

Examples:
  bert evaluate sts -m sentence-transformers/all-MiniLM-L6-v2 --data stsb-en-dev.csv
  bert evaluate sts -m path/to/model --data pairs.jsonl --columns first,second,alike --scores 0,1")]
pub struct StsCommand {
    /// The columns of both texts and the score, by name or by number from 1; detected by the usual names, if not given
    #[arg(long, value_name = "FIRST,SECOND,SCORE", value_delimiter = ',')]
    columns: Option<Vec<String>>,

    /// The lowest and the highest possible score
    #[arg(
        long,
        value_name = "LEAST,GREATEST",
        value_delimiter = ',',
        num_args = 1,
        default_value = "0,5",
        allow_negative_numbers = true
    )]
    scores: Vec<f64>,

    /// The format of the file, if its name does not tell
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(["csv", "tsv", "jsonl"]))]
    format: Option<String>,

    /// Whether the first row of a table holds the names of its columns; detected, if not given
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    header: Option<bool>,

    #[command(flatten)]
    recipe: RecipeArgs,
    #[command(flatten)]
    job: JobArgs,
}

impl StsCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let (least, greatest) = match self.scores[..] {
            [least, greatest] => (least, greatest),
            // The reader says what a range is.
            _ => (f64::NAN, f64::NAN),
        };
        let options = Options {
            kind: pairs::Kind::Scored,
            format: self.format.as_deref().map(str::parse::<Format>).transpose().map_err(failed)?,
            header: self.header,
            columns: self.columns.clone(),
            scores: least..=greatest,
        };
        let examples = count(pairs::read(&self.job.data, &options).map_err(failed)?)?;
        self.job.run(reporter, &KIND, &Pairs { command: &self, options, examples })
    }
}

struct Pairs<'a> {
    command: &'a StsCommand,
    options: Options,
    examples: u64,
}

impl Evaluation for Pairs<'_> {
    type Task = Embedding;
    type Measure = Correlations;

    fn load(
        &self,
        files: &Pretrained,
        device: &Device,
        precision: Precision,
    ) -> bert_tasks::Result<Embedding> {
        Embedding::from_pretrained(files, device, precision)?.with_options(self.command.recipe.options())
    }

    fn evaluate(&self, task: &Embedding, run: &mut Run<'_>) -> Result<evaluation::Outcome<Correlations>> {
        run.begin(self.examples)?;
        let examples = pairs::read(&self.command.job.data, &self.options).map_err(failed)?;
        evaluate(task, examples, |judged| run.judged(&judged))
    }
}
