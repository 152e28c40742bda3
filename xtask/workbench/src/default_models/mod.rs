//! `cargo xtask default-models`: the models that the command brings along, from public data, by its own commands.
//!
//! [`data`] splits the data once into what is trained on and what is kept for measuring; [`STEPS`] is the recipe. Each
//! step is a command of `bert` that can be stopped and goes on where it was, in a folder that git ignores.

mod data;
mod pack;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};

/// Train the default models from public data, a step at a time. What is stopped goes on where it was.
#[derive(clap::Args)]
pub struct Args {
    /// The folder with the data; its README names the files and where they are from.
    #[arg(long, env = "BERT_SHARED", value_name = "FOLDER")]
    shared: PathBuf,

    /// The command to train with.
    #[arg(long, value_name = "FILE", default_value = "target/release/bert")]
    bert: PathBuf,

    /// Make this step alone; all of them, in their order, if not given.
    #[arg(long, value_name = "NAME")]
    step: Option<String>,

    /// Show the steps and what each would run.
    #[arg(long)]
    list: bool,
}

/// One command of the recipe. Words that begin with `data/` or `steps/` are paths in the folder of the recipe, and
/// `shared/` is the folder of the data.
struct Step {
    /// Its name, and that of its folder.
    name: &'static str,
    /// What it is for.
    why: &'static str,
    /// The words after `bert`.
    words: &'static [&'static str],
    /// What of it the command brings along.
    packed: Packed,
}

/// What the command brings along of a step, and in which folder of `bert-cli/models`.
enum Packed {
    /// The model, in 8 bits. The steps behind it need a command that was built with it.
    Base(&'static str),
    /// The adapter, in 16 bits.
    Adapter(&'static str),
}

/// What the adapters have in common. They are trained over the model that is built in.
macro_rules! adapter {
    ($($word:literal),* $(,)?) => {
        &[
            $($word,)*
            "--lora",
            "--lora-rank=16",
            "--lora-alpha=32",
            "--lora-targets=all-linear",
        ]
    };
}

/// The recipe.
const STEPS: &[Step] = &[
    Step {
        name: "base",
        why: "masked words and next sentences, on short examples, where a token costs least",
        words: &[
            "pretrain",
            "--model=shared/models/english-mlm",
            "--train",
            "data/wikipedia.txt",
            "data/wikinews.txt",
            "data/books.txt",
            "data/modern.txt",
            "--eval=data/held-out.txt",
            "--shards=data/shards",
            "--max-length=64",
            "--mask-rate=0.2",
            "--batch-size=64",
            "--learning-rate=4e-4",
            "--warmup-ratio=0.05",
            "--max-steps=1500",
            "--eval-steps=250",
            "--save-steps=50",
            "--eval-examples=2000",
        ],
        packed: Packed::Base("english-mlm"),
    },
    Step {
        name: "sentiment",
        why: "sentences and phrases of film reviews",
        words: adapter![
            "train",
            "classify",
            "--train=data/sentences.tsv",
            "--eval=data/kept-sentiment.tsv",
            "--max-steps=1500",
            "--batch-size=32",
            "--learning-rate=1e-3",
            "--max-length=64",
            "--eval-steps=500",
        ],
        packed: Packed::Adapter("english-sentiment"),
    },
    Step {
        name: "similarity",
        why: "pairs of sentences that people gave scores",
        words: adapter![
            "train",
            "embed",
            "--train=shared/data/stsb/stsb-en-train.csv",
            "--kind=scored",
            "--max-score=5",
            "--eval=shared/data/stsb/stsb-en-dev.csv",
            "--epochs=4",
            "--batch-size=32",
            "--learning-rate=5e-4",
            "--max-length=64",
        ],
        packed: Packed::Adapter("english-similarity"),
    },
    Step {
        name: "entities",
        why: "news and encyclopedias",
        words: adapter![
            "train",
            "entities",
            "--train=data/entities.conll",
            "--eval=data/dev-entities.conll",
            "--max-steps=700",
            "--batch-size=32",
            "--learning-rate=1e-3",
            "--max-length=128",
            "--eval-steps=350",
            "--save-steps=100",
        ],
        packed: Packed::Adapter("english-entities"),
    },
    Step {
        name: "answers",
        why: "questions about paragraphs, of which some have no answer",
        words: adapter![
            "train",
            "answer",
            "--train=data/questions.json",
            "--eval=shared/data/qa/xquad.en.json",
            "--max-steps=500",
            "--batch-size=32",
            "--learning-rate=1e-3",
            "--max-length=256",
            "--eval-steps=250",
            "--save-steps=50",
        ],
        packed: Packed::Adapter("english-answers"),
    },
];

/// Runs the steps.
///
/// # Errors
/// Data that is not there, and a step that failed.
pub fn run(args: &Args) -> Result<()> {
    let root = crate::workspace_root().join("target/default-models");
    if args.list {
        for Step { name, why, words, .. } in STEPS {
            println!("{name}: {why}\n    bert {}\n", words.join(" "));
        }
        return Ok(());
    }
    if let Some(name) = &args.step
        && name != "data"
        && !STEPS.iter().any(|step| step.name == name)
    {
        let known = STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(", ");
        return Err(Error::NoStep { found: name.clone(), known: format!("data, {known}") });
    }
    let is_asked = |name: &str| args.step.as_ref().is_none_or(|asked| asked == name);
    if is_asked("data") {
        data::prepare(&args.shared, &root.join("data"))?;
    }
    for step in STEPS.iter().filter(|step| is_asked(step.name)) {
        step.run(args, &root)?;
    }
    Ok(())
}

impl Step {
    fn run(&self, args: &Args, root: &Path) -> Result<()> {
        let out = root.join("steps").join(self.name);
        if out.join("done").exists() {
            eprintln!("{}: done", self.name);
            return Ok(());
        }
        let place = |word: &&str| -> String {
            let (flag, value) = word.split_once('=').map_or(("", *word), |(flag, value)| (flag, value));
            let path = match value.split_once('/') {
                Some(("shared", rest)) => args.shared.join(rest),
                Some(("data" | "steps", _)) => root.join(value),
                _ => return (*word).to_owned(),
            };
            let equals = if flag.is_empty() { "" } else { "=" };
            format!("{flag}{equals}{}", path.display())
        };
        let mut command = Command::new(&args.bert);
        command.args(self.words.iter().map(place)).arg(format!("--out={}", out.display()));
        if out.join("state.safetensors").exists() {
            command.arg("--resume");
        }
        eprintln!("{}: {command:?}", self.name);
        let fail = |action, path: &Path, source| Error::File { action, path: path.to_owned(), source };
        let status = command.status().map_err(|source| fail("run", &args.bert, source))?;
        if !status.success() {
            return Err(Error::Recipe { step: self.name, status });
        }
        let models = crate::workspace_root().join("bert-cli/models");
        match self.packed {
            Packed::Base(name) => {
                pack::base(&out, &models.join(name))?;
                eprintln!(
                    "{}: packed; build `bert` again, since the next steps train over what it brings along",
                    self.name
                );
            }
            Packed::Adapter(name) => pack::adapter(&out, &models.join(name))?,
        }
        let done = out.join("done");
        std::fs::write(&done, "").map_err(|source| fail("write", &done, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_a_name_of_its_own_and_reads_what_is_made_before() {
        for (index, step) in STEPS.iter().enumerate() {
            let before: Vec<_> = STEPS[..index].iter().map(|step| step.name).collect();
            assert!(!before.contains(&step.name) && step.name != "data");
            for word in step.words {
                if let Some((_, rest)) = word.split_once("steps/") {
                    let of = rest.split('/').next().expect("there is a first part");
                    assert!(before.contains(&of), "{} reads {of}", step.name);
                }
            }
        }
    }
}
