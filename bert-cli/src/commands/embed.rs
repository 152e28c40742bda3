//! `bert embed`: texts as vectors.

use std::borrow::Cow;
use std::io::{self, Write};

use bert_tasks::Pooling as CorePooling;
use bert_tasks::embedding::EmbeddingOptions;
use bert_tasks::records::{EmbeddingRecord, SparseEmbeddingRecord};
use bert_tasks::sparse_embedding::{SparseEmbeddingOptions, WeightedWord};
use bert_tasks::{Embedding, Head, SparseEmbedding};
use clap::{Args, ValueEnum};

use crate::batch::answer_all;
use crate::built_in::{self, BuiltIn};
use crate::error::Result;
use crate::input::{InputArgs, Inputs};
use crate::model::{ModelArgs, Requirement};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink};
use crate::reporter::Reporter;
use crate::style::{self, shorten, visible};
use crate::values::positive;

pub const REQUIREMENT: Requirement = Requirement {
    kind: "a model that was trained for sentence embeddings",
    example: "sentence-transformers/all-MiniLM-L6-v2",
    head: Head::None,
    built_in: built_in::SIMILARITY,
};

/// Turn texts into vectors
#[derive(Args, Debug)]
#[command(after_help = "\
A sentence-transformers folder defines how its vectors are made; the options override it. Lines of
plain output hold the numbers of one vector, separated by spaces; a terminal shows the start of each.

Examples:
  bert embed \"A man is eating food.\" --json
  bert embed --sparse --model path/to/a-splade-model \"The capital of France is Paris.\" --top-k 8
  bert embed --model path/to/bert --pooling cls --normalize --input texts.jsonl -o vectors.npy
  bert embed --model path/to/bert --input articles.csv --column title --column body --keep id -o vectors.jsonl")]
pub struct EmbedCommand {
    /// Texts; `-` reads lines from stdin
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    /// Give weights of words of the vocabulary instead of a vector (SPLADE), with a masked-LM head
    #[arg(long, conflicts_with_all = ["pooling", "normalize", "prompt"])]
    sparse: bool,

    /// With --sparse, only the K words with the largest weights
    #[arg(long, value_name = "K", value_parser = positive, requires = "sparse", allow_negative_numbers = true)]
    top_k: Option<usize>,

    #[command(flatten)]
    recipe: RecipeArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

const SPARSE_NEED: Requirement = Requirement {
    kind: "a model that was trained for sparse embeddings",
    example: "naver/splade-v3",
    head: Head::Sparse,
    built_in: BuiltIn::None,
};

/// How vectors are made.
#[derive(Args, Debug)]
pub struct RecipeArgs {
    /// How hidden states become one vector; if not given, as the model's folder says, or else the mean
    #[arg(long, value_name = "POOLING", value_enum)]
    pooling: Option<Pooling>,

    /// Scale vectors to length 1, or not; if not given, as the model's folder says
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    normalize: Option<bool>,

    /// The longest text in tokens; longer ones are cut
    #[arg(long, value_name = "TOKENS", value_parser = positive, allow_negative_numbers = true)]
    max_length: Option<usize>,

    /// Put this before each text, such as "query: "
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Pooling {
    /// The mean over all tokens
    Mean,
    /// The first token, [CLS]
    Cls,
    /// The largest value of each feature
    Max,
    /// The sum over the root of the length
    MeanSqrtLen,
}

impl From<Pooling> for CorePooling {
    fn from(pooling: Pooling) -> Self {
        match pooling {
            Pooling::Mean => Self::Mean,
            Pooling::Cls => Self::Cls,
            Pooling::Max => Self::Max,
            Pooling::MeanSqrtLen => Self::MeanSqrtLen,
        }
    }
}

impl RecipeArgs {
    /// The options that say so.
    pub fn options(&self) -> EmbeddingOptions {
        EmbeddingOptions {
            pooling: self.pooling.map(|pooling| vec![pooling.into()]),
            normalize: self.normalize,
            max_length: self.max_length,
            prompt: self.prompt.clone(),
        }
    }

    /// Loads a model that makes vectors so.
    ///
    /// # Errors
    /// What is wrong with the model, the device, or the options.
    pub fn load(self, reporter: &Reporter, model: &ModelArgs) -> Result<Embedding> {
        model.load(reporter, &REQUIREMENT, |files, device, precision| {
            Embedding::from_pretrained(files, device, precision)?.with_options(self.options())
        })
    }
}

impl EmbedCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let mut inputs = Inputs::texts(&self.input, self.texts)?;
        if self.sparse {
            let sink = Sink::for_inputs(&self.output, &inputs, reporter)?;
            let task = self.model.load(reporter, &SPARSE_NEED, |files, device, precision| {
                let options =
                    SparseEmbeddingOptions { top_k: self.top_k, max_length: self.recipe.max_length };
                SparseEmbedding::from_pretrained(files, device, precision)?.with_options(options)
            })?;
            let record =
                |mut texts: Vec<String>, answer| SparseEmbeddingRecord { text: texts.swap_remove(0), answer };
            return answer_all(reporter, inputs, sink, &task, |texts| texts[0].clone(), record);
        }
        let sink = Sink::for_vectors(&self.output, &mut inputs, reporter)?;
        let task = self.recipe.load(reporter, &self.model)?;
        answer_all(
            reporter,
            inputs,
            sink,
            &task,
            |texts| texts[0].clone(),
            |mut texts, answer| EmbeddingRecord { text: texts.swap_remove(0), answer },
        )
    }
}

impl Record for EmbeddingRecord {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        let numbers = (0..self.answer.vector.len()).map(|index| format!("v{index}").into());
        std::iter::once("text".into()).chain(numbers).collect()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let numbers = self.answer.vector.iter().map(ToString::to_string);
        vec![std::iter::once(self.text.clone()).chain(numbers).collect()]
    }

    fn cut(&self) -> Option<usize> {
        self.answer.truncated.as_ref().map(|range| range.start)
    }

    fn vector(&self) -> Option<&[f32]> {
        Some(&self.answer.vector)
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        let vector = &self.answer.vector;
        if !screen.terminal {
            let numbers: Vec<String> = vector.iter().map(ToString::to_string).collect();
            return writeln!(page, "{}", numbers.join(" "));
        }
        if page.titled {
            writeln!(page, "{}", screen.paint(style::STRONG, visible(&self.text)))?;
        }
        let start: Vec<String> = vector.iter().take(64).map(|x| format!("{x:.4}")).collect();
        let size = format!("  {} numbers  ", vector.len());
        let start = start.join(" ");
        let start = shorten(&start, screen.width.saturating_sub(size.len()));
        writeln!(page, "{}{start}", screen.paint(style::VALUE, size))
    }
}

impl Record for SparseEmbeddingRecord {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["text", "token", "token_str", "weight"].map(Cow::from).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |word: &WeightedWord| {
            vec![self.text.clone(), word.token.to_string(), word.token_str.clone(), word.weight.to_string()]
        };
        self.answer.words.iter().map(row).collect()
    }

    fn cut(&self) -> Option<usize> {
        self.answer.truncated.as_ref().map(|range| range.start)
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        if page.titled {
            writeln!(page, "{}", screen.paint(style::STRONG, visible(&self.text)))?;
        }
        for word in &self.answer.words {
            let weight = screen.paint(style::VALUE, format!("{:.4}", word.weight));
            writeln!(page, "  {weight}  {}", visible(&word.token_str))?;
        }
        Ok(())
    }
}
