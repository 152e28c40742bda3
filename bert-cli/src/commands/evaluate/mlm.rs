//! `bert evaluate mlm`: masked words of raw text.

use bert_tasks::Precision;
use bert_tasks::evaluation;
use bert_tasks::evaluation::metrics::language_model::LanguageModelFigures;
use bert_tasks::evaluation::tasks::language_model::{MaskedWords, evaluate};
use bert_tasks::{Device, Pretrained};
use clap::Args;

use super::corpus::{CorpusArgs, Masked, SameTokenizer};
use super::job::{Evaluation, JobArgs, Kind, Run};
use crate::commands::fill_mask::REQUIREMENT;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::reporter::Reporter;

const KIND: Kind = Kind { name: "mlm", card_task: "fill-mask", requirement: &REQUIREMENT };

/// Masked words of raw text
#[derive(Args, Debug)]
#[command(after_help = "\
Text is a paragraph a line with a blank line between documents, or JSON lines. Examples are those
of pre-training: 15 % of the tokens are to be guessed, of which 80 % are masked and 10 % are
replaced by random ones. The same --seed makes the same examples.

The pseudo-perplexity masks every token of an example alone, so it takes as many passes as there
are tokens; --pseudo-perplexity says for how many examples.

Examples:
  bert evaluate mlm --data held-out.txt
  bert evaluate mlm -m path/to/model --data held-out.txt.zst --examples 5000 --pseudo-perplexity 100")]
pub struct MlmCommand {
    /// Report the pseudo-perplexity of the first COUNT examples
    #[arg(long, value_name = "COUNT", default_value = "0")]
    pseudo_perplexity: u64,

    #[command(flatten)]
    corpus: CorpusArgs,
    #[command(flatten)]
    job: JobArgs,
}

impl MlmCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        self.job.run(reporter, &KIND, &Words { command: &self, tokenizer: SameTokenizer::default() })
    }
}

struct Words<'a> {
    command: &'a MlmCommand,
    tokenizer: SameTokenizer,
}

impl Evaluation for Words<'_> {
    type Task = (MaskedWords, Masked);
    type Measure = LanguageModelFigures;

    fn load(
        &self,
        files: &Pretrained,
        device: &Device,
        precision: Precision,
    ) -> bert_tasks::Result<Self::Task> {
        let task = MaskedWords::from_pretrained(files, device, precision)?;
        Ok((task, self.command.job.masked(&self.command.corpus, false, files)?))
    }

    fn evaluate(
        &self,
        (task, masked): &Self::Task,
        run: &mut Run<'_>,
    ) -> Result<evaluation::Outcome<LanguageModelFigures>> {
        self.tokenizer.check(masked)?;
        run.begin(masked.count)?;
        let examples = masked.epoch.examples_from(0).take(masked.count as usize);
        evaluate(task, examples, self.command.pseudo_perplexity, |judged| run.judged(&judged))
    }
}
