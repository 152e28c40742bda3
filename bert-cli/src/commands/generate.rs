//! `bert generate`: some sentences behind a prompt.

use std::borrow::Cow;
use std::io::{self, Write};

use bert_tasks::Generation;
use bert_tasks::generation::{GenerationOptions, Method};
use bert_tasks::records::GenerationRecord;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::fill_mask::REQUIREMENT;
use crate::batch::{OneByOne, answer_all};
use crate::error::Result;
use crate::input::{InputArgs, Inputs};
use crate::model::ModelArgs;
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink, rounded};
use crate::reporter::Reporter;
use crate::style::{self, visible};
use crate::values::{positive, up_to};

/// Write some sentences behind a prompt
#[derive(Args, Debug)]
#[command(after_help = "\
What to expect: a masked language model learnt to fill gaps, not to write. A phrase is often good, a
sentence is grammatical more often than it makes sense, and several sentences lose their thread. It is
for play and for looking at a model; texts that are to be read need a generative model. Larger models
write better. The same --seed writes the same text.

Methods: `blocks` fills masks from left to right with some masks ahead and reads best; `mask-predict`
fills all at once and then the least sure again, in few passes; `gibbs` replaces one token at a time at
random places and varies most.

Examples:
  bert generate \"The old man and\"
  bert generate \"The old man and\" --method mask-predict --show-steps
  bert generate \"In the year 1900\" --length 40 --temperature 1 --seed 3 --count 3
  bert generate --model google-bert/bert-large-cased \"Paris is\" --json")]
pub struct GenerateCommand {
    /// Prompts; `-` reads lines from stdin
    #[arg(value_name = "PROMPT")]
    prompts: Vec<String>,

    /// How masks are filled
    #[arg(long, value_name = "METHOD", default_value = "blocks", value_parser = methods())]
    method: Method,

    /// How many tokens to write
    #[arg(short, long, value_name = "COUNT", default_value = "24", value_parser = positive, allow_negative_numbers = true)]
    length: usize,

    /// How many passes of the model; what suits the method, if not given
    #[arg(long, value_name = "COUNT", value_parser = positive, allow_negative_numbers = true)]
    steps: Option<usize>,

    /// How bold the choice of words is: 0 takes the best, 1 draws by their probabilities
    #[arg(short, long, value_name = "NUMBER", default_value = "0.7", allow_negative_numbers = true)]
    temperature: f64,

    /// Draw only among so many of the best words; 0 for all
    #[arg(long, value_name = "COUNT", default_value = "20")]
    top_k: usize,

    /// Draw only among the best words that together have this probability
    #[arg(long, value_name = "SHARE", default_value = "0.95", allow_negative_numbers = true)]
    top_p: f64,

    /// Never write a run of so many tokens twice; 0 to allow it
    #[arg(long, value_name = "COUNT", default_value = "2", value_parser = up_to::<1000>)]
    no_repeat: usize,

    /// How many texts to write side by side; those that the model finds likeliest are shown
    #[arg(long, value_name = "COUNT", default_value = "8", value_parser = positive, allow_negative_numbers = true)]
    candidates: usize,

    /// How many of them to show; at least so many are written
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "1", value_parser = positive, allow_negative_numbers = true)]
    count: usize,

    /// What the draws depend on
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    seed: u64,

    /// Show the text after each pass, with _ for masks
    #[arg(long)]
    show_steps: bool,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

fn methods() -> impl TypedValueParser<Value = Method> {
    PossibleValuesParser::new(Method::WORDS.map(|(word, _)| word)).try_map(|word| word.parse::<Method>())
}

impl GenerateCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let inputs = Inputs::named_texts(&self.input, "prompt", self.prompts)?;
        let sink = Sink::for_inputs(&self.output, &inputs, reporter)?;
        let options = GenerationOptions {
            method: self.method,
            length: self.length,
            steps: self.steps,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            no_repeat_ngram: self.no_repeat,
            candidates: self.candidates.max(self.count),
            seed: self.seed,
            keep_steps: self.show_steps,
            ..GenerationOptions::default()
        };
        let model = self.model.load(reporter, &REQUIREMENT, Generation::from_pretrained)?;
        let task = OneByOne(Box::new(|prompt: String| {
            let mut found = model.generate(&prompt, &options)?;
            found.texts.truncate(self.count);
            warn_of_cut(reporter, found.truncated.as_ref());
            Ok(found)
        }));
        let record =
            |mut texts: Vec<String>, answer| GenerationRecord { prompt: texts.swap_remove(0), answer };
        answer_all(reporter, inputs, sink, &task, |texts| texts[0].clone(), record)
    }
}

/// Says that a text did not fit.
pub fn warn_of_cut(reporter: &Reporter, cut: Option<&std::ops::Range<usize>>) {
    if let Some(cut) = cut {
        reporter.warning(format_args!(
            "the text is longer than the model's input: it saw only what stands behind byte {}",
            cut.end
        ));
    }
}

impl Record for GenerationRecord {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["prompt", "text", "score"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |text: &bert_tasks::generation::GeneratedText| {
            vec![self.prompt.clone(), text.text.clone(), rounded(text.score).to_string()]
        };
        self.answer.texts.iter().map(row).collect()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        for text in &self.answer.texts {
            for (number, step) in text.steps.iter().enumerate() {
                writeln!(page, "{:>4}  {}", screen.paint(style::FAINT, number + 1), visible(step))?;
            }
            writeln!(page, "{}", visible(&text.text))?;
        }
        Ok(())
    }
}
