//! The curves of a run as a picture: what `metrics.jsonl` holds, drawn.
//!
//! An SVG with a few lines is a page of text; a library for charts would take longer to build than the trainer.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use super::{Evaluation, TrainingError, metrics};
use crate::markup::escaped;

/// The file in the folder of a run.
pub const FILE: &str = "curves.svg";

const WIDTH: f64 = 720.0;
/// Of one panel.
const HEIGHT: f64 = 240.0;
/// Room for a panel's title and the numbers at its axes.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 32.0;
const BOTTOM: f64 = 32.0;
/// A curve has at most so many points; of more, means are drawn.
const POINTS: usize = 300;

/// A line of `metrics.jsonl`, as far as it is drawn.
#[derive(Deserialize)]
struct Line {
    step: u64,
    loss: Option<f64>,
    learning_rate: Option<f64>,
    evaluation: Option<Evaluation>,
}

/// What is drawn in a panel: points of a step and a value.
struct Panel {
    title: String,
    points: Vec<(f64, f64)>,
    /// Whether single points are marked: evaluations are few.
    marked: bool,
}

/// Draws the loss, the learning rate and the figures of the evaluations, a panel each, into `curves.svg`.
///
/// # Errors
/// [`TrainingError::Folder`] if a file cannot be read or written.
pub fn draw(folder: &Path) -> Result<(), TrainingError> {
    let path = folder.join(metrics::FILE);
    let fail = |source| TrainingError::Folder { action: "read", path: path.clone(), source };
    let lines = BufReader::new(File::open(&path).map_err(fail)?).lines();
    let (mut loss, mut rate) = (Panel::new("loss"), Panel::new("learning rate"));
    let mut figures: BTreeMap<String, Panel> = BTreeMap::new();
    for line in lines {
        // A line that was cut off by a kill is no line.
        let Ok(line) = serde_json::from_str::<Line>(&line.map_err(fail)?) else { continue };
        let step = line.step as f64;
        loss.points.extend(line.loss.map(|value| (step, value)));
        rate.points.extend(line.learning_rate.map(|value| (step, value)));
        let Some(Evaluation { metric, value, details, .. }) = line.evaluation else { continue };
        for (name, value) in [(metric, value)].into_iter().chain(details) {
            let panel =
                figures.entry(name).or_insert_with_key(|name| Panel { marked: true, ..Panel::new(name) });
            panel.points.push((step, value));
        }
    }
    loss.thin();
    rate.thin();
    let panels: Vec<Panel> = [loss, rate].into_iter().chain(figures.into_values()).collect();
    let path = folder.join(FILE);
    let written = bert_core::checkpoint::replace(&path, |path| std::fs::write(path, svg(&panels)));
    written.map_err(|error| TrainingError::Folder {
        action: "write",
        path,
        source: std::io::Error::other(error),
    })
}

impl Panel {
    fn new(title: &str) -> Self {
        Self { title: title.to_owned(), points: vec![], marked: false }
    }

    /// Means of neighbours, if there are more points than a curve shows.
    fn thin(&mut self) {
        let each = self.points.len().div_ceil(POINTS).max(1);
        let mean = |part: &[(f64, f64)]| {
            let sum = part.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
            (sum.0 / part.len() as f64, sum.1 / part.len() as f64)
        };
        self.points = self.points.chunks(each).map(mean).collect();
    }

    /// The least and the greatest value, and something between them where they are the same.
    fn range(&self, of: impl Fn(&(f64, f64)) -> f64) -> [f64; 2] {
        let values = self.points.iter().map(of).filter(|value| value.is_finite());
        let [low, high] = values
            .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| [low.min(value), high.max(value)]);
        match low < high {
            true => [low, high],
            false if low.is_finite() => [low - 0.5, low + 0.5],
            false => [0.0, 1.0],
        }
    }

    fn draw(&self, top: f64, out: &mut String) -> std::fmt::Result {
        let [left, right] = self.range(|point| point.0);
        let [low, high] = self.range(|point| point.1);
        let x = |step: f64| LEFT + (step - left) / (right - left) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| top + HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM);
        writeln!(
            out,
            r#"<text x="{LEFT}" y="{}" class="title">{}</text>"#,
            top + 20.0,
            escaped(&self.title)
        )?;
        for part in 0..=4 {
            let share = f64::from(part) / 4.0;
            let (value, step) = (low + share * (high - low), left + share * (right - left));
            let (x, y) = (x(step), y(value));
            writeln!(
                out,
                r#"<line x1="{LEFT}" y1="{y:.1}" x2="{}" y2="{y:.1}" class="grid"/>"#,
                WIDTH - RIGHT
            )?;
            writeln!(
                out,
                r#"<text x="{}" y="{:.1}" class="value">{}</text>"#,
                LEFT - 6.0,
                y + 4.0,
                short(value)
            )?;
            writeln!(
                out,
                r#"<text x="{x:.1}" y="{}" class="step">{}</text>"#,
                top + HEIGHT - BOTTOM + 18.0,
                step.round()
            )?;
        }
        let points: Vec<(f64, f64)> = self
            .points
            .iter()
            .filter(|point| point.1.is_finite())
            .map(|point| (x(point.0), y(point.1)))
            .collect();
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        writeln!(out, r#"<polyline points="{}"/>"#, line.join(" "))?;
        for (x, y) in points.iter().filter(|_| self.marked) {
            writeln!(out, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3"/>"#)?;
        }
        Ok(())
    }
}

/// Readable on light and dark pages alike.
const STYLE: &str = "text{font:12px sans-serif;fill:#888}.title{font-weight:bold}.value{text-anchor:end}\
    .step{text-anchor:middle}.grid{stroke:#888;stroke-opacity:.25}polyline{fill:none;stroke:#2f7ed8;stroke-width:1.5}\
    circle{fill:#2f7ed8}";

fn svg(panels: &[Panel]) -> String {
    let drawn: Vec<&Panel> = panels.iter().filter(|panel| !panel.points.is_empty()).collect();
    let height = HEIGHT * drawn.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>Training curves</title>\n<style>{STYLE}</style>\n"
    );
    for (index, panel) in drawn.iter().enumerate() {
        panel.draw(index as f64 * HEIGHT, &mut out).expect("a string takes all that is written");
    }
    out.push_str("</svg>\n");
    out
}

/// A number with the digits that an axis has room for.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.1e}"),
        size if size < 1.0 => format!("{value:.3}"),
        size if size < 100.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(lines: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(metrics::FILE), lines).unwrap();
        draw(folder.path()).unwrap();
        std::fs::read_to_string(folder.path().join(FILE)).unwrap()
    }

    #[test]
    fn every_figure_has_a_panel() {
        let mut lines = String::new();
        for step in 1..=1000 {
            let _ =
                writeln!(lines, r#"{{"step":{step},"loss":{},"learning_rate":0.001}}"#, 5.0 / step as f64);
        }
        lines += r#"{"step":500,"evaluation":{"metric":"accuracy","value":0.5,"examples":9,"details":{"a<b":0.1}}}"#;
        lines +=
            "\n{\"step\":1000,\"evaluation\":{\"metric\":\"accuracy\",\"value\":0.7,\"examples\":9}}\n{\"st";
        let svg = drawn(&lines);
        let count = |part: &str| svg.matches(part).count();
        assert_eq!((count("<polyline"), count("<circle"), count("class=\"title\"")), (4, 3, 4), "{svg}");
        assert!(svg.contains("a&lt;b") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        let loss = svg.split("<polyline points=\"").nth(1).unwrap().split('"').next().unwrap();
        let points: Vec<(f64, f64)> = loss
            .split(' ')
            .map(|point| point.split_once(',').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect();
        assert!((200..=POINTS).contains(&points.len()));
        // The loss falls, which is down the page.
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
        assert!(points.iter().all(|&(x, y)| (LEFT..=WIDTH).contains(&x) && (TOP..=HEIGHT).contains(&y)));
    }

    #[test]
    fn one_step_none_and_numbers_that_are_none_are_drawn_too() {
        assert!(drawn("").ends_with("</svg>\n"));
        let one = drawn("{\"step\":1,\"loss\":2.5,\"learning_rate\":0.1}\n{\"step\":2,\"loss\":null}\n");
        assert!(one.contains("2.50") && !one.contains("NaN"), "{one}");
    }
}
