//! The model card of a run: what it was made of, how, and how good it is, as hubs show it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::energy::EnergyReport;

use super::{Summary, TrainOptions, TrainingError, curves, metrics};

/// The file in the folder of a run.
pub const FILE: &str = "README.md";

/// What a card says beside what the run itself knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Card {
    /// The command or the program that trained it, such as `bert train classify`.
    pub made_by: String,
    /// The task as hubs call it, such as `text-classification`.
    pub task: String,
    /// The model that it began as.
    pub base: String,
    /// The model that it learnt from, if there was one.
    pub teacher: Option<String>,
    /// The files of examples that it was trained on.
    pub train: Vec<PathBuf>,
    /// How many examples an epoch had.
    pub examples: usize,
    /// The file that it was measured with.
    pub eval: Option<PathBuf>,
    /// Where it was trained.
    pub device: String,
    /// What the run took, if that was counted: since it was begun or resumed.
    pub energy: Option<EnergyReport>,
}

/// What a run took, by its `metrics.jsonl`.
#[derive(Default)]
struct Effort {
    /// Tokens that were computed.
    tokens: u64,
    /// Seconds of its steps.
    seconds: f64,
}

impl Effort {
    fn of(out: &Path) -> Result<Self, TrainingError> {
        #[derive(Deserialize)]
        struct Line {
            tokens: Option<u64>,
            seconds: Option<f64>,
        }
        let path = out.join(metrics::FILE);
        let read = fs::read_to_string(&path);
        let text = read.map_err(|source| TrainingError::Folder { action: "read", path, source })?;
        let mut effort = Self::default();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
            effort.tokens += line.tokens.unwrap_or(0);
            effort.seconds += line.seconds.unwrap_or(0.0);
        }
        Ok(effort)
    }
}

/// Writes the card of a run that has ended, and draws its curves. A card that somebody else wrote stays.
///
/// # Errors
/// [`TrainingError::Folder`] if a file cannot be read or written.
pub fn write(
    out: &Path,
    card: &Card,
    options: &TrainOptions,
    summary: &Summary,
) -> Result<(), TrainingError> {
    curves::draw(out)?;
    let path = out.join(FILE);
    let text = card.text(options, summary, &Effort::of(out)?);
    let is_ours = fs::read_to_string(&path).map_or(true, |found| found.contains(MARK));
    if !is_ours {
        return Ok(());
    }
    fs::write(&path, text).map_err(|source| TrainingError::Folder { action: "write", path, source })
}

/// By which our own cards are known.
const MARK: &str = "<!-- written by the trainer -->";

impl Card {
    fn text(&self, options: &TrainOptions, summary: &Summary, effort: &Effort) -> String {
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let train = self.train.iter().map(name).collect::<Vec<_>>().join(", ");
        let eval = self.eval.as_ref().map(name);
        let mut text = "---\nlibrary_name: transformers\n".to_owned();
        let mut line = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a string takes all");
        line(format_args!("base_model: {}", quoted(&self.base)));
        line(format_args!("pipeline_tag: {}", self.task));
        if let Some((grams, carbon)) =
            self.energy.as_ref().and_then(|it| Some((it.grams()?, it.carbon.as_ref()?)))
        {
            line(format_args!("co2_eq_emissions:\n  emissions: {grams}"));
            line(format_args!("  source: {}", quoted(&self.provenance())));
            line(format_args!("  training_type: \"fine-tuning\""));
            if let Some(country) = &carbon.country {
                line(format_args!("  geographical_location: {}", quoted(country)));
            }
            line(format_args!("  hardware_used: {}", quoted(&self.device)));
        }
        if let Some(best) = &summary.best {
            // The form that hubs read scores from.
            line(format_args!("model-index:\n- name: {}", quoted(&self.base)));
            line(format_args!("  results:\n  - task:\n      type: {}", self.task));
            let data = quoted(eval.as_deref().unwrap_or("held-out examples"));
            line(format_args!("    dataset:\n      name: {data}\n      type: {data}"));
            line(format_args!("    metrics:"));
            let others = best.details.iter().map(|(name, &value)| (name.as_str(), value));
            for (metric, value) in [(best.metric.as_str(), best.value)].into_iter().chain(others) {
                line(format_args!("    - type: {}\n      value: {value}", quoted(metric)));
            }
        }
        line(format_args!("---\n{MARK}\n"));
        line(format_args!("# {}, trained further\n", self.base));
        line(format_args!("Made by `{}`.\n", self.made_by));
        line(format_args!("![curves](curves.svg)\n\n| | |\n| --- | --- |"));
        line(format_args!("| began as | {} |", cell(&self.base)));
        if let Some(teacher) = &self.teacher {
            line(format_args!("| teacher | {} |", cell(teacher)));
        }
        line(format_args!("| trained on | {} ({} examples an epoch) |", cell(&train), self.examples));
        if let Some(best) = &summary.best {
            let eval = cell(eval.as_deref().unwrap_or("held-out examples"));
            line(format_args!(
                "| {} | {:.4} on {} of {eval} |",
                cell(&best.metric),
                best.value,
                best.examples
            ));
            for (metric, value) in &best.details {
                line(format_args!("| {} | {value:.4} |", cell(metric)));
            }
        }
        line(format_args!("| steps | {} of up to {} examples |", summary.steps, options.batch_size));
        line(format_args!(
            "| rate | {:e}, {:?} after a warm-up of {} of the steps |",
            options.learning_rate, options.schedule, options.warmup_ratio
        ));
        line(format_args!("| seed | {} |", options.seed));
        line(format_args!("| device | {} |", cell(&self.device)));
        line(format_args!("| computed | {} tokens in {:.0} s |", effort.tokens, effort.seconds));
        if let Some(joules) = self.energy.as_ref().and_then(EnergyReport::joules) {
            line(format_args!("| energy | {joules:.0} J; {} |", cell(&self.provenance())));
        }
        line(format_args!(
            "\n`config.toml` holds every setting. The model has learnt only from this data: texts of other kinds, \
             languages and times may be judged wrongly, and a bias of the data is a bias of the model."
        ));
        text
    }
}

impl Card {
    /// How its energy is known.
    fn provenance(&self) -> String {
        let parts = self
            .energy
            .iter()
            .flat_map(|energy| [("cpu", &energy.cpu), ("gpu", &energy.gpu), ("memory", &energy.ram)]);
        let parts = parts.map(|(part, figure)| format!("{part} {:?}", figure.provenance).to_lowercase());
        format!("bert --energy: {}", parts.collect::<Vec<_>>().join(", "))
    }
}

/// As YAML takes any text.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is JSON")
}

/// As a cell of a table takes it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::energy::{EnergyMeter, EnergyOptions};
    use crate::training::Evaluation;

    #[test]
    fn a_card_says_what_the_run_was_and_leaves_others_alone() {
        let folder = tempfile::tempdir().unwrap();
        let metrics =
            "{\"step\":1,\"tokens\":10,\"seconds\":1.0}\n{\"step\":2,\"tokens\":5,\"seconds\":2.0}\n{\"st";
        fs::write(folder.path().join("metrics.jsonl"), metrics).unwrap();
        let options = EnergyOptions { region: Some("FRA".to_owned()), ..EnergyOptions::default() };
        let energy = EnergyMeter::start(&options).unwrap().report();
        let card = Card {
            made_by: "bert train classify".to_owned(),
            task: "text-classification".to_owned(),
            base: "a \"base\"".to_owned(),
            teacher: Some("a|teacher".to_owned()),
            train: vec!["x/a|b.tsv".into()],
            examples: 7,
            eval: Some("dev.tsv".into()),
            device: "cpu".to_owned(),
            energy: Some(energy),
        };
        let best =
            Evaluation { metric: "accuracy".to_owned(), value: 0.75, examples: 12, ..Default::default() };
        let summary = Summary { steps: 3, best: Some(best), stopped: false };
        let written = || {
            write(folder.path(), &card, &TrainOptions::default(), &summary).unwrap();
            fs::read_to_string(folder.path().join(FILE)).unwrap()
        };
        let text = written();
        for part in [
            "base_model: \"a \\\"base\\\"\"",
            "value: 0.75",
            "| teacher | a\\|teacher |",
            "| trained on | a\\|b.tsv (7 examples an epoch) |",
            "0.7500 on 12 of dev.tsv",
            "15 tokens in 3 s",
            "co2_eq_emissions:\n  emissions: ",
            "  geographical_location: \"France\"",
            "gpu absent",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(written(), text);
        fs::write(folder.path().join(FILE), "My own words.").unwrap();
        assert_eq!(written(), "My own words.");
    }
}
