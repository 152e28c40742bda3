//! `--energy`, `--emissions` and `bert energy`: each figure says how it is known.

use std::path::Path;

use crate::common::training::Setting;
use crate::common::{Tiny, bert, bert_with};

fn zone(folder: &Path, energy: u64) {
    let path = folder.join("intel-rapl:0");
    std::fs::create_dir_all(&path).unwrap();
    for (file, text) in [("name", "package-0".to_owned()), ("energy_uj", energy.to_string())] {
        std::fs::write(path.join(file), text).unwrap();
    }
}

#[test]
fn a_machine_says_what_it_can_measure() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("BERT_POWERCAP", folder.path().as_os_str())];
    let found = bert_with(["energy", "--json"], &variables).json();
    assert_eq!(
        (&found["cpu"]["provenance"], &found["gpu"]["provenance"]),
        (&"estimated".into(), &"absent".into())
    );
    assert!(!found["gpu"]["how"].as_str().unwrap().is_empty());
    zone(folder.path(), 5);
    let text = bert_with(["energy", "--region", "fra"], &variables).ok();
    assert!(text.contains("measured") && text.contains("France") && text.contains("whole machine"), "{text}");
    bert(["energy", "--region", "atlantis"]).fails(&["atlantis", "ISO 3166"]);
    bert(["energy", "--watts", "-1"]).fails(&["watts is -1"]);
    bert(["energy", "--carbon-intensity", "NaN"]).fails(&["carbon intensity is NaN"]);
}

#[test]
fn a_run_says_what_it_took_and_adds_a_row() {
    let model = Tiny::new("BertForMaskedLM");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("emissions.csv");
    let none = folder.path().join("none");
    let args = ["fill-mask", "--device", "cpu", "-q", "-m", model.arg(), "a [MASK]", "b [MASK]"];
    let energy =
        ["--energy", "--watts", "7", "--carbon-intensity", "100", "--emissions", file.to_str().unwrap()];
    let plain = bert(args).ok();
    for rows in 1..=2 {
        let run = bert_with([&args[..], &energy].concat(), &[("BERT_POWERCAP", none.as_os_str())]);
        for part in [
            "energy: ",
            " a text (2)",
            "CO2e (100 g/kWh, given)",
            "estimated",
            "7 W a busy core",
            "gpu: absent",
        ] {
            assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
        }
        // Results are those of a run without.
        assert_eq!(run.ok(), plain);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(
            (text.lines().count(), text.starts_with("timestamp,project_name,run_id,")),
            (rows + 1, true)
        );
        assert!(!text.contains("[MASK]"));
    }
    let bad = bert([&args[..], &["--emissions", folder.path().to_str().unwrap()]].concat());
    assert!(bad.code == Some(2) && bad.stderr.contains("cannot add to"), "{}", bad.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_none_is_told_before_the_run() {
    let model = Tiny::new("BertForMaskedLM");
    let run = |more: &[&str]| bert([&["fill-mask", "-m", model.arg(), "a [MASK]"], more].concat());
    run(&["--emissions", "/dev/full"]).fails(&["cannot add to /dev/full", "a device or a pipe"]);
    // What sets how it is counted asks for it.
    let counted = run(&["--region", "FRA"]);
    assert!(counted.stderr.contains("France"), "{}", counted.stderr);
}

#[test]
fn training_has_it_in_its_card() {
    let setting = Setting::new();
    let run = setting.train("out", &["--max-steps", "2", "--energy", "--region", "SWE"]);
    assert!(run.stderr.contains(" a step (2)"), "{}", run.stderr);
    let card = std::fs::read_to_string(setting.path("out").join("README.md")).unwrap();
    assert!(card.contains("co2_eq_emissions:\n  emissions: ") && card.contains("\"Sweden\""), "{card}");
    setting.train("plain", &["--max-steps", "2"]).ok();
    let card = std::fs::read_to_string(setting.path("plain").join("README.md")).unwrap();
    assert!(!card.contains("co2") && !card.contains("energy"), "{card}");
}
