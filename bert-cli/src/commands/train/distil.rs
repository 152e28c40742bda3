//! `bert distil`: a small model learns from a large one, with nothing but raw text.

use std::path::{Path, PathBuf};

use bert_tasks::Initial;
use bert_tasks::Pretrained;
use bert_tasks::pretraining::ExampleOptions;
use bert_tasks::training::{DistillationOptions, EveryNthLayer, TrainOptions};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::job::{Job, RunArgs};
use super::raw_text::{RawTextArgs, begin, make_absolute, shape};
use super::settings::{Columns, Settings, tell_usual};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Sink};
use crate::reporter::Reporter;

/// Distil a large model into a small one with raw text: it learns to predict masked words as its teacher does
#[derive(Args, Debug)]
#[command(
    mut_args(tell_usual::<StudentArgs>),
    mut_arg("train", |arg| arg.visible_alias("corpus")
        .help("The text to train on: plain text with a paragraph a line and a blank line between documents, or \
               JSON lines with a document each; also .gz and .zst")),
    mut_arg("eval", |arg| arg.help("Other text of the same form, to evaluate the student on; the best one is kept")),
    mut_arg("model", |arg| arg.hide(true).conflicts_with("student")),
    mut_arg("next_sentence", |arg| arg.help("Whether examples are pairs, for next sentence prediction as the \
               teacher does it [default: false]")),
    mut_arg("teacher", |arg| arg.help("The teacher, a masked language model: a folder, or the name of a model on \
               the hub")),
    mut_arg("distil_weight", |arg| arg.help("The share of the teacher's scores in the loss; the rest is the loss of \
               the masked words; 0.7, if not given")),
    after_help = "\
This is general distillation, as DistilBERT was made: train the student for any task afterwards, with
bert train, or bert train with --teacher. The loss has the divergence of the student's scores from the
teacher's at --temperature, the loss of the masked words, and with --hidden-weight 1 the cosine of the last
hidden states. Student and teacher need the same vocabulary.

Examples:
  bert distil --teacher google-bert/bert-base-uncased --student small/config.json --corpus text.txt.zst \\
      --out small-bert --max-steps 20000 --learning-rate 4e-4
  bert distil --teacher my-bert --student six-layers/config.json --init-from-teacher --hidden-weight 1 \\
      --corpus text.txt --eval held-out.txt --out my-distilbert
  bert distil --out my-distilbert --resume"
)]
pub struct DistilCommand {
    #[command(flatten)]
    settings: Settings<StudentArgs>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The student, and how text becomes examples.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Student")]
#[serde(default, rename_all = "kebab-case")]
struct StudentArgs {
    /// The student: a config.json, for random weights and the teacher's tokenizer; or a folder or the name of a model
    /// on the hub, for its own weights and tokenizer
    #[arg(long, value_name = "CONFIG|FOLDER|NAME")]
    student: Option<String>,

    /// Begin with every n-th layer of the teacher, its embeddings and its head, instead of random weights; the
    /// config.json of --student must have fewer layers and otherwise the sizes of the teacher
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    init_from_teacher: Option<bool>,

    #[command(flatten)]
    #[serde(flatten)]
    text: RawTextArgs,
}

impl Columns for StudentArgs {
    /// Shares of the loss as DistilBERT had them: 5 parts of the teacher, 2 of the words.
    fn usual() -> TrainOptions {
        TrainOptions {
            max_length: Some(ExampleOptions::default().max_length),
            distillation: Some(DistillationOptions { weight: 0.7, ..DistillationOptions::default() }),
            ..TrainOptions::default()
        }
    }
}

/// Pairs did not help DistilBERT, and many teachers do not know them.
const PAIRS: bool = false;

impl StudentArgs {
    /// The student to begin with.
    fn open(
        &self,
        job: &Job<Self>,
        reporter: &Reporter,
        student: &str,
        teacher: &Pretrained,
    ) -> Result<Pretrained> {
        let from_teacher = self.init_from_teacher.unwrap_or(false);
        if !Path::new(student).is_file() {
            return match from_teacher {
                true => Err(Error::NoLayersToTake { student: student.to_owned() }),
                false => job.open_model(reporter),
            };
        }
        let config = shape(Path::new(student))?;
        let fresh = Initial::new(job.settings.options().seed, config.initializer_range);
        let (head, tokenizer) = (self.text.head(PAIRS), teacher.source());
        match from_teacher {
            true => {
                let layers = EveryNthLayer::new(teacher, &config, &fresh)?;
                begin(&job.out, &config, head, &layers, tokenizer)
            }
            false => begin(&job.out, &config, head, &fresh, tokenizer),
        }
    }
}

impl DistilCommand {
    /// Trains the student.
    ///
    /// # Errors
    /// Whatever ended it early.
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let sink = Sink::open(&self.output, false, reporter)?;
        let mut job = Job::new("distil", self.run, self.settings)?;
        let own = &mut job.settings.columns;
        let student = own.student.clone().ok_or(Error::NoSetting { flag: "student" })?;
        let mut paths = [own.text.shards.take(), Some(PathBuf::from(&student)).filter(|path| path.exists())];
        make_absolute(&mut paths);
        let [shards, path] = paths;
        own.text.shards = shards;
        let student = path.map_or(student, |path| path.display().to_string());
        own.student = Some(student.clone());
        // A configuration is not a model that a run could begin with.
        job.settings.files.model = Some(student.clone()).filter(|student| !Path::new(student).is_file());
        let teacher = job.open_teacher(reporter)?.ok_or(Error::NoSetting { flag: "teacher" })?;
        let own = job.settings.columns.clone();
        let base = own.open(&job, reporter, &student, &teacher)?;
        let objective = own.text.objective(&job, reporter, &base, PAIRS)?;
        job.go(reporter, sink, &base, &objective)
    }
}
