//! `bert fill-mask`: the words that a model expects in the place of a mask.

use std::borrow::Cow;
use std::io::{self, Write};

use bert_tasks::FillMask;
use bert_tasks::Head;
use bert_tasks::fill_mask::FillMaskOptions;
use bert_tasks::records::FillMaskRecord;
use clap::Args;

use crate::batch::answer_all;
use crate::built_in::BuiltIn;
use crate::error::Result;
use crate::input::{InputArgs, Inputs};
use crate::model::{ModelArgs, Requirement};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink};
use crate::reporter::Reporter;
use crate::style::{self, bar, visible};
use crate::values::positive;

pub(super) const REQUIREMENT: Requirement = Requirement {
    kind: "a masked language model",
    example: "google-bert/bert-base-uncased",
    head: Head::MaskedLm,
    built_in: BuiltIn::Base,
};

/// Guess the words that fit in the place of [MASK]
#[derive(Args, Debug)]
#[command(after_help = "\
Without --model, the built-in English model is used. Models of RoBERTa's family write <mask>.

Examples:
  bert fill-mask \"The capital of France is [MASK].\"
  bert fill-mask \"She [MASK] the door and [MASK] in.\" --top-k 3 --json
  bert fill-mask \"It was a [MASK] day.\" --targets sunny,rainy,cold
  bert fill-mask --model FacebookAI/roberta-base \"The capital of France is <mask>.\"
  bert fill-mask --model google-bert/bert-base-german-cased --input texts.txt --jsonl")]
pub struct FillMaskCommand {
    /// Texts with at least one [MASK] each; `-` reads lines from stdin
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    /// How many words to show for each mask
    #[arg(short = 'k', long, value_name = "COUNT", default_value = "5", value_parser = positive, allow_negative_numbers = true)]
    top_k: usize,

    /// Score just these words, separated by commas; each must be a single token of the model
    #[arg(long, value_name = "WORDS", value_delimiter = ',', conflicts_with = "top_k")]
    targets: Vec<String>,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl FillMaskCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let inputs = Inputs::texts(&self.input, self.texts)?;
        let sink = Sink::for_inputs(&self.output, &inputs, reporter)?;
        let options = FillMaskOptions { top_k: self.top_k, targets: self.targets };
        let task = self.model.load(reporter, &REQUIREMENT, |files, device, precision| {
            FillMask::from_pretrained(files, device, precision)?.with_options(options)
        })?;
        answer_all(
            reporter,
            inputs,
            sink,
            &task,
            |texts| texts[0].clone(),
            |mut texts, answer| FillMaskRecord { text: texts.swap_remove(0), answer },
        )
    }
}

impl Record for FillMaskRecord {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["text", "mask", "score", "token", "token_str", "sequence"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![];
        for (mask, filled) in self.answer.masks.iter().enumerate() {
            for candidate in &filled.candidates {
                rows.push(vec![
                    self.text.clone(),
                    (mask + 1).to_string(),
                    candidate.score.to_string(),
                    candidate.token.to_string(),
                    candidate.token_str.clone(),
                    candidate.sequence.clone(),
                ]);
            }
        }
        rows
    }

    fn cut(&self) -> Option<usize> {
        self.answer.truncated.as_ref().map(|range| range.start)
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        if page.titled {
            writeln!(page, "{}", screen.paint(style::STRONG, visible(&self.text)))?;
        }
        let several = self.answer.masks.len() > 1;
        for (mask, filled) in self.answer.masks.iter().enumerate() {
            if several {
                writeln!(page, "{}", screen.paint(style::FAINT, format_args!("mask {}", mask + 1)))?;
            }
            let best = filled.candidates.iter().map(|candidate| candidate.score).fold(0.0, f32::max);
            page.table(|table| {
                for candidate in &filled.candidates {
                    let word = visible(&candidate.token_str);
                    write!(table, "  {word}\t{:.4}", candidate.score)?;
                    if screen.terminal {
                        // Against the best: the probabilities of a whole vocabulary are often all small.
                        let share = if best > 0.0 { candidate.score / best } else { 0.0 };
                        write!(table, "\t{}", screen.paint(style::VALUE, bar(share, 24)))?;
                    }
                    writeln!(table)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}
