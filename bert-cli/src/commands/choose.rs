//! `bert choose`: which of several texts goes best with another.

use std::borrow::Cow;
use std::io::{self, Write};

use bert_tasks::multiple_choice::Choices;
use bert_tasks::records::MultipleChoiceRecord;
use bert_tasks::{Head, MultipleChoice};
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

pub const REQUIREMENT: Requirement = Requirement {
    kind: "a multiple choice model",
    example: "aaraki/bert-base-uncased-finetuned-swag",
    head: Head::MultipleChoice,
    built_in: BuiltIn::None,
};

/// Choose the text that goes best with a prompt
#[derive(Args, Debug)]
#[command(after_help = "\
A model for this is made by `bert train choose`. Scores are probabilities among the choices.

Examples:
  bert choose --model aaraki/bert-base-uncased-finetuned-swag \\
      \"She opened the fridge and\" \"took out some milk.\" \"flew to the moon.\"
  bert choose -m path/to/model --input swag/val.csv --jsonl
  bert choose -m path/to/model --input questions.csv --column question --column a --column b --csv

A line of a .txt file holds the prompt and its choices, with tabs between them. JSONL has them in prompt and
choices (a list), or in one array; CSV in the columns of SWAG: sent1, sent2 (which each choice continues),
ending0, ending1 and so on. Other fields are named with --column, first that of the prompt.")]
pub struct ChooseCommand {
    /// The prompt and its choices, each in quotes; `-` reads lines from stdin
    #[arg(value_names = ["PROMPT", "CHOICE"], num_args = 1..)]
    texts: Vec<String>,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl ChooseCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let inputs = Inputs::choices(&self.input, self.texts)?;
        let sink = Sink::for_inputs(&self.output, &inputs, reporter)?;
        let task = self.model.load(reporter, &REQUIREMENT, MultipleChoice::from_pretrained)?;
        let choices = |mut texts: Vec<String>| {
            let choices = texts.split_off(1);
            Choices { prompt: texts.swap_remove(0), choices }
        };
        answer_all(
            reporter,
            inputs,
            sink,
            &task,
            |texts| choices(texts.to_vec()),
            |texts, answer| MultipleChoiceRecord { choices: choices(texts), answer },
        )
    }
}

impl Record for MultipleChoiceRecord {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["prompt", "index", "choice", "probability", "best"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let choices = self.choices.choices.iter().zip(&self.answer.probabilities).enumerate();
        let row = |(index, (choice, score)): (usize, (&String, &f32))| {
            let best = index == self.answer.best;
            let prompt = self.choices.prompt.clone();
            vec![prompt, index.to_string(), choice.clone(), score.to_string(), best.to_string()]
        };
        choices.map(row).collect()
    }

    fn cut(&self) -> Option<usize> {
        self.answer.truncated.iter().flatten().flatten().map(|range| range.start).next()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        if page.titled {
            writeln!(page, "{}", screen.paint(style::STRONG, visible(&self.choices.prompt)))?;
        }
        let mut choices: Vec<_> = self.choices.choices.iter().zip(&self.answer.probabilities).collect();
        // Stable: of equals the first is the best.
        choices.sort_by(|a, b| b.1.total_cmp(a.1));
        for (choice, score) in choices {
            write!(page, "  {score:.4}")?;
            if screen.terminal {
                write!(page, "  {:<24}", screen.paint(style::VALUE, bar(*score, 24)))?;
            }
            writeln!(page, "  {}", visible(choice))?;
        }
        Ok(())
    }
}
