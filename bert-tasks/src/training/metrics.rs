//! `metrics.jsonl`: a line for each step and each evaluation.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Report, TrainingError};

/// The file in the folder of a run.
pub const FILE: &str = "metrics.jsonl";

/// The file, open at its end.
pub struct Metrics {
    path: PathBuf,
    file: File,
}

/// What a line has to say to be found again.
#[derive(Deserialize)]
struct Line {
    step: u64,
}

impl Metrics {
    /// Opens the file after its lines up to `step`; later ones are of steps that will be done again.
    pub fn open(folder: &Path, step: u64) -> Result<Self, TrainingError> {
        let path = folder.join(FILE);
        let fail = |source| TrainingError::Folder { action: "write", path: path.clone(), source };
        let opened = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let file = opened.map_err(fail)?;
        let (mut kept, mut line) = (0, String::new());
        let mut reader = BufReader::new(&file);
        while reader.read_line(&mut line).map_err(fail)? > 0 {
            // A line that was cut off by a kill is no line.
            let is_whole = line.ends_with('\n');
            if !is_whole || !serde_json::from_str(&line).is_ok_and(|line: Line| line.step <= step) {
                break;
            }
            kept += line.len() as u64;
            line.clear();
        }
        // Cut, and not written anew: a kill in between would lose what is kept.
        file.set_len(kept).map_err(fail)?;
        Ok(Self { path, file })
    }

    /// Adds a line.
    pub fn write(&mut self, report: &Report) -> Result<(), TrainingError> {
        #[derive(Serialize)]
        #[serde(transparent)]
        struct Whole<'a>(&'a Report);
        let mut line = serde_json::to_string(&Whole(report)).expect("numbers and words");
        line.push('\n');
        let fail = |source| TrainingError::Folder { action: "write", path: self.path.clone(), source };
        self.file.write_all(line.as_bytes()).map_err(fail)
    }
}
