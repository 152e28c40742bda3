//! Files of predictions for SQuAD, as BERT's first release writes them and the official script reads them:
//! `predictions.json`, `nbest_predictions.json` and `null_odds.json`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::EvaluationError;
use super::whole_file::WholeFile;
use crate::existing::bounded_text;
use crate::question_answering::Answers;

/// Reads `predictions.json`: the answer to each question by its id, empty for none.
///
/// # Errors
/// A file that cannot be read, or holds something else.
pub fn read_predictions(path: impl AsRef<Path>) -> Result<HashMap<String, String>, EvaluationError> {
    read(path.as_ref(), "a text")
}

/// Reads `null_odds.json`: the odds of "no answer" for each question by its id.
///
/// # Errors
/// A file that cannot be read, or holds something else.
pub fn read_null_odds(path: impl AsRef<Path>) -> Result<HashMap<String, f64>, EvaluationError> {
    read(path.as_ref(), "a number")
}

fn read<T: DeserializeOwned>(path: &Path, expected: &'static str) -> Result<T, EvaluationError> {
    let text =
        bounded_text(path).map_err(|source| EvaluationError::Read { path: path.to_owned(), source })?;
    serde_json::from_str(&text).map_err(|source| EvaluationError::Predictions {
        path: path.to_owned(),
        expected,
        source,
    })
}

/// Writes the three files; question by question, so that memory stays flat.
pub struct PredictionFiles {
    predictions: Object,
    n_best: Object,
    /// Only of SQuAD 2.0.
    null_odds: Option<Object>,
}

impl PredictionFiles {
    /// Begins the files in a folder, which is made if need be; `null_odds.json` if questions may have no answer.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn create(folder: &Path, version_2: bool) -> Result<Self, EvaluationError> {
        let file = |name| Object::create(folder.join(name));
        Ok(Self {
            predictions: file("predictions.json")?,
            n_best: file("nbest_predictions.json")?,
            null_odds: version_2.then(|| file("null_odds.json")).transpose()?,
        })
    }

    /// Adds a question; an empty prediction says that there is no answer.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn add(&mut self, id: &str, prediction: &str, found: &Answers) -> Result<(), EvaluationError> {
        self.predictions.add(id, &json!(prediction))?;
        let mut best: Vec<(&str, f32)> =
            found.n_best.iter().map(|answer| (&*answer.text, answer.score)).collect();
        if let Some(null_odds) = &mut self.null_odds {
            // A text without a token has no answer, whatever the threshold.
            null_odds.add(id, &json!(found.no_answer_odds.unwrap_or(f32::MAX)))?;
            let place = best.partition_point(|&(_, score)| score >= found.no_answer_score);
            best.insert(place, ("", found.no_answer_score));
        }
        let entry = |(text, probability): (&str, f32)| json!({"text": text, "probability": probability});
        self.n_best.add(id, &best.into_iter().map(entry).collect())
    }

    /// Gives the files their names, which are returned.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(self) -> Result<Vec<PathBuf>, EvaluationError> {
        [Some(self.predictions), Some(self.n_best), self.null_odds]
            .into_iter()
            .flatten()
            .map(Object::finish)
            .collect()
    }
}

/// A JSON object that is written field by field.
struct Object {
    file: WholeFile,
    empty: bool,
}

impl Object {
    fn create(path: PathBuf) -> Result<Self, EvaluationError> {
        let mut file = WholeFile::create(path)?;
        file.write("{")?;
        Ok(Self { file, empty: true })
    }

    fn add(&mut self, key: &str, value: &Value) -> Result<(), EvaluationError> {
        let comma = if self.empty { "" } else { "," };
        self.empty = false;
        self.file.write(&format!("{comma}\n    {}: {value}", json!(key)))
    }

    fn finish(mut self) -> Result<PathBuf, EvaluationError> {
        self.file.write("\n}\n")?;
        self.file.finish()
    }
}
