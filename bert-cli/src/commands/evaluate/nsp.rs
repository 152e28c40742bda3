//! `bert evaluate nsp`: whether a sentence follows another.

use bert_tasks::Precision;
use bert_tasks::evaluation::tasks::next_sentence::{SentencePairs, evaluate};
use bert_tasks::evaluation::{self, Means};
use bert_tasks::{Device, Pretrained};
use clap::Args;

use super::corpus::{CorpusArgs, Masked, SameTokenizer};
use super::job::{Evaluation, JobArgs, Kind, Run};
use crate::commands::next_sentence::REQUIREMENT;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::reporter::Reporter;

const KIND: Kind = Kind { name: "nsp", card_task: "text-classification", requirement: &REQUIREMENT };

/// Whether a sentence follows another in raw text
#[derive(Args, Debug)]
#[command(after_help = "\
Text is a paragraph a line with a blank line between documents, or JSON lines. Examples are those
of pre-training: runs of sentences cut in two, half of whose second parts are replaced by
sentences of another document; some words are masked. The same --seed makes the same examples.

Example:
  bert evaluate nsp -m google-bert/bert-base-uncased --data held-out.txt --examples 2000")]
pub struct NspCommand {
    #[command(flatten)]
    corpus: CorpusArgs,
    #[command(flatten)]
    job: JobArgs,
}

impl NspCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        self.job.run(reporter, &KIND, &Sentences { command: &self, tokenizer: SameTokenizer::default() })
    }
}

struct Sentences<'a> {
    command: &'a NspCommand,
    tokenizer: SameTokenizer,
}

impl Evaluation for Sentences<'_> {
    type Task = (SentencePairs, Masked);
    type Measure = Means<1>;

    fn load(
        &self,
        files: &Pretrained,
        device: &Device,
        precision: Precision,
    ) -> bert_tasks::Result<Self::Task> {
        let task = SentencePairs::from_pretrained(files, device, precision)?;
        Ok((task, self.command.job.masked(&self.command.corpus, true, files)?))
    }

    fn evaluate(
        &self,
        (task, masked): &Self::Task,
        run: &mut Run<'_>,
    ) -> Result<evaluation::Outcome<Means<1>>> {
        self.tokenizer.check(masked)?;
        run.begin(masked.count)?;
        let examples = masked.epoch.examples_from(0).take(masked.count as usize);
        evaluate(task, examples, |judged| run.judged(&judged))
    }
}
