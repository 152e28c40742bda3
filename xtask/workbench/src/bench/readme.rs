//! The part of README.md that is made of a run's results, between two comments; the first names the file.

use std::fmt::Write as _;
use std::path::Path;

use super::results::{Engine, Results};
use crate::error::{Error, Result};

const BEGIN: &str = "<!-- speed: made by cargo xtask bench --readme from ";
const END: &str = "<!-- /speed -->";
/// How engines of this project are called in a table of all.
const OURS: &str = "bert-";

/// Writes it anew, or only checks it.
///
/// # Errors
/// [`Error::NoMarkers`] if README.md does not have the two comments, [`Error::Outdated`] from a check, and
/// files that cannot be read or written.
pub fn run(check: bool) -> Result<()> {
    let root = crate::workspace_root();
    let path = root.join("README.md");
    let old = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let new = replaced(&old, |file| {
        let path = root.join(file);
        match path.is_file() {
            true => Ok(section(&Results::read(&path)?)),
            false => Err(Error::file("read", &path)(std::io::ErrorKind::NotFound.into())),
        }
    })?;
    match (old == new, check) {
        (true, _) => Ok(()),
        (false, true) => Err(Error::Outdated { path, command: "cargo xtask bench --readme" }),
        (false, false) => std::fs::write(&path, new).map_err(Error::file("write", &path)),
    }
}

/// The text with another section in the place of its own.
fn replaced(text: &str, section: impl FnOnce(&Path) -> Result<String>) -> Result<String> {
    let missing = || Error::NoMarkers { path: "README.md".into(), begin: BEGIN, end: END };
    let file = text.find(BEGIN).map(|begin| begin + BEGIN.len()).ok_or_else(missing)?;
    let file_end = file + text[file..].find(" -->").ok_or_else(missing)?;
    let start = file_end + " -->".len();
    let end = start + text[start..].find(END).ok_or_else(missing)?;
    let section = section(Path::new(&text[file..file_end]))?;
    Ok(format!("{}\n{section}{}", &text[..start], &text[end..]))
}

fn section(results: &Results) -> String {
    let threads = results.limits.iter().map(|limits| limits.threads).max().unwrap_or(1);
    let day = results.date.split('T').next().unwrap_or_default();
    let mut text = format!(
        "BERT-base on {threads} threads of an {} with {}, {day}; medians in milliseconds; where another engine \
         stands beside, all engines took turns in one run, and the share of the limit is that of a run alone. A mixed \
         batch is padded by those that pad.\n\n",
        results.cpu,
        results.instructions.join(" ")
    );
    text += "| precision | batch | bert | % of the limit | best other engine | its time | × |\n";
    text += "| --- | --- | ---: | ---: | --- | ---: | ---: |\n";
    for timed in results.forward.iter().filter(|f| f.model == "bert-base" && f.threads == threads) {
        let (case, precision) = (timed.case.name(), timed.precision.as_str());
        let ours =
            engine_ms(&results.engines, &format!("{OURS}{precision}"), &case).unwrap_or(timed.times.ms);
        let percent = match timed.floor {
            Some(floor) => format!("{:.0}", 100.0 * floor.ms / timed.times.ms),
            None => "–".to_owned(),
        };
        let best = best_other(&results.engines, precision, &case);
        let (name, theirs, ratio) = match best {
            Some((name, ms)) => (engine_name(name), format!("{ms:.1}"), format!("{:.2}", ms / ours)),
            None => ("–".to_owned(), "–".to_owned(), "–".to_owned()),
        };
        let batch = timed.case.words();
        let _ =
            writeln!(text, "| {precision} | {batch} | {ours:.1} | {percent} | {name} | {theirs} | {ratio} |");
    }
    text += &texts(&results.engines);
    text += &training(results, threads);
    text += &accuracy(results);
    text += &starts(results);
    text
}

/// Whole texts to vectors, each engine beside ours in its precision.
fn texts(engines: &[Engine]) -> String {
    let mut text = String::new();
    for engine in engines {
        let Some(ms) = engine_ms(engines, &engine.name, "texts") else { continue };
        if text.is_empty() {
            text += "\nThe 5,749 first sentences of STS-B train to vectors of all-MiniLM-L6-v2, tokenisation included:\n\n\
                     | engine | texts/s | its time ÷ bert's |\n| --- | ---: | ---: |\n";
        }
        let precision = engine.name.rsplit('-').next().unwrap_or_default();
        let ratio = match engine_ms(engines, &format!("{OURS}{precision}"), "texts") {
            Some(ours) => format!("{:.2}", ms / ours),
            None => "–".to_owned(),
        };
        let _ = writeln!(text, "| {} | {:.0} | {ratio} |", engine_name(&engine.name), 5749.0 / ms * 1e3);
    }
    text
}

/// Steps of training beside PyTorch's, from the run in which they took turns.
fn training(results: &Results, threads: usize) -> String {
    let mut text = String::new();
    for step in results.training.iter().filter(|step| step.threads == threads) {
        if text.is_empty() {
            text += "\nA step of masked-LM training in f32, 15 % of the tokens decoded, AdamW; medians in milliseconds, and \
                     the most memory held:\n\n\
                     | model | batch | bert | % of the limit | MB | PyTorch | MB | × the time | × the memory |\n\
                     | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
        }
        let case = format!("{}{}", super::training::PREFIX, step.case.name());
        let number = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), |x| format!("{x:.0}"));
        let ratio = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => format!("{:.2}", a / b),
            _ => "–".to_owned(),
        };
        let named = |name: &str| results.engines.iter().find(|engine| engine.name == name);
        let peak =
            |name: &str| named(name)?.peak_mb.iter().find(|(found, _)| *found == case).map(|(_, mb)| *mb);
        let ours = engine_ms(&results.engines, &format!("{OURS}f32"), &case).or(Some(step.times.ms));
        let our_peak = peak(&format!("{OURS}f32")).or(step.peak_mb);
        let (theirs, their_peak) = (engine_ms(&results.engines, "torch-f32", &case), peak("torch-f32"));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            step.model,
            step.case.words(),
            number(ours),
            number(step.floor_ms.map(|floor| 100.0 * floor / step.times.ms)),
            number(our_peak),
            number(theirs),
            number(their_peak),
            ratio(theirs, ours),
            ratio(our_peak, their_peak),
        );
    }
    text
}

fn accuracy(results: &Results) -> String {
    if results.accuracy.is_empty() {
        return String::new();
    }
    let mut text = "\nWhat a precision costs: Spearman's correlation of all-MiniLM-L6-v2 on STS-B dev; labels of \
                    rampart-ner that stay those of f32, and the cosine of its hidden states with those of f32, on \
                    WikiGold:\n\n\
                    | precision | instructions | STS-B | same labels | of tokens | cosine, mean | least |\n\
                    | --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for row in &results.accuracy {
        let number = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), |x| format!("{x:.4}"));
        let labels = row.ner_agreement.map_or_else(|| "–".to_owned(), |x| format!("{:.2} %", 100.0 * x));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {labels} | {} | {} | {} |",
            row.precision,
            row.simd,
            number(row.sts_spearman),
            row.ner_tokens,
            number(row.cosine_mean),
            number(row.cosine_min)
        );
    }
    text
}

fn starts(results: &Results) -> String {
    let base: Vec<_> = results.starts.iter().filter(|start| start.model == "bert-base").collect();
    let Some(weights) = base.first().map(|start| start.weight_bytes) else { return String::new() };
    let line = |start: &&super::results::Start| {
        let seconds = start.answered_ms / 1e3;
        match start.peak_bytes_answered {
            Some(peak) => format!("{seconds:.2} s and {:.0} MB in {}", peak as f64 / 1e6, start.precision),
            None => format!("{seconds:.2} s in {}", start.precision),
        }
    };
    let lines: Vec<_> = base.iter().map(line).collect();
    format!(
        "\nA first answer from {:.0} MB of weights on disk takes {}.\n",
        weights as f64 / 1e6,
        lines.join(", ")
    )
}

fn engine_ms(engines: &[Engine], name: &str, case: &str) -> Option<f64> {
    let engine = engines.iter().find(|engine| engine.name == name)?;
    engine.ms.iter().find(|(found, _)| found == case).map(|(_, ms)| *ms)
}

/// The fastest engine that is not this one, among those of a precision.
fn best_other<'a>(engines: &'a [Engine], precision: &str, case: &str) -> Option<(&'a str, f64)> {
    let others = engines.iter().filter(|engine| !engine.name.starts_with(OURS));
    others
        .filter(|engine| engine.name.rsplit('-').next() == Some(precision))
        .filter_map(|engine| Some((engine.name.as_str(), engine_ms(engines, &engine.name, case)?)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
}

/// An engine in full, from its name in tables.
fn engine_name(name: &str) -> String {
    let (engine, rest) = name.split_once('-').unwrap_or((name, ""));
    let engine = match engine {
        "torch" => "PyTorch",
        "ort" => "ONNX Runtime",
        "openvino" => "OpenVINO",
        "ct2" => "CTranslate2",
        other => other,
    };
    format!("{engine} {}", rest.replace('-', " ")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_is_replaced_and_nothing_else() {
        let text = format!("a\n{BEGIN}docs/x.json -->\nold\n{END}\nb\n");
        let section = |file: &Path| {
            assert_eq!(file, Path::new("docs/x.json"));
            Ok("new\n".to_owned())
        };
        assert_eq!(replaced(&text, section).unwrap(), text.replace("old", "new"));
    }

    #[test]
    fn a_text_without_the_section_is_an_error() {
        for text in ["", BEGIN, &format!("{BEGIN}x -->"), &format!("{END} {BEGIN}x -->")] {
            assert!(
                matches!(replaced(text, |_| Ok(String::new())), Err(Error::NoMarkers { .. })),
                "{text:?}"
            );
        }
    }

    #[test]
    fn texts_stand_beside_ours_in_the_same_precision() {
        let engine = |name: &str, case: &str, ms| Engine {
            name: name.into(),
            ms: vec![(case.into(), ms)],
            peak_mb: vec![],
        };
        let engines = [
            engine("bert-f32", "texts", 5749.0),
            engine("ort-f32", "texts", 11498.0),
            engine("ort-int8", "texts", 11498.0),
            engine("ct2-int8", "mix16", 1.0),
        ];
        let texts = texts(&engines);
        let rows: Vec<_> = texts.lines().skip(5).collect();
        let wanted = [
            "| bert f32 | 1000 | 1.00 |",
            "| ONNX Runtime f32 | 500 | 2.00 |",
            "| ONNX Runtime int8 | 500 | – |",
        ];
        assert_eq!(rows, wanted);
        assert_eq!(super::texts(&engines[3..]), "");
    }

    #[test]
    fn steps_of_training_stand_beside_pytorch() {
        let times = super::super::clock::Times { runs: 3, ms: 1000.0, min: 900.0, max: 1100.0 };
        let step = super::super::results::Training {
            model: "bert-base".into(),
            precision: "f32".into(),
            threads: 2,
            case: super::super::workload::Case::B8s128,
            tokens: 1024,
            times,
            peak_mb: Some(2000.0),
            gflop: 1.0,
            optimiser_gbytes: 1.0,
            floor_ms: Some(800.0),
        };
        let case = || "train-b8s128".to_owned();
        let torch =
            Engine { name: "torch-f32".into(), ms: vec![(case(), 3000.0)], peak_mb: vec![(case(), 4000.0)] };
        let alone = Results { training: vec![step], ..Default::default() };
        let row = |results: &Results| training(results, 2).lines().last().map(str::to_owned).unwrap();
        assert_eq!(row(&alone), "| bert-base | 8 × 128 tokens | 1000 | 80 | 2000 | – | – | – | – |");
        let beside = Results { engines: vec![torch], ..alone };
        assert_eq!(
            row(&beside),
            "| bert-base | 8 × 128 tokens | 1000 | 80 | 2000 | 3000 | 4000 | 3.00 | 0.50 |"
        );
        assert_eq!(training(&beside, 1), "");
    }

    #[test]
    fn the_best_other_engine_has_the_same_precision() {
        let engine =
            |name: &str, ms| Engine { name: name.into(), ms: vec![("b1s16".into(), ms)], peak_mb: vec![] };
        let engines = [
            engine("bert-f32", 1.0),
            engine("ort-f32", 3.0),
            engine("torch-compile-f32", 2.0),
            engine("ct2-int8", 1.5),
        ];
        assert_eq!(best_other(&engines, "f32", "b1s16"), Some(("torch-compile-f32", 2.0)));
        assert_eq!(best_other(&engines, "f32", "mix16"), None);
        assert_eq!(engine_name("torch-compile-f32"), "PyTorch compile f32");
    }
}
