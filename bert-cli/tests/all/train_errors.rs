//! `bert train`: what is wrong is said in one message, and leaves nothing behind.

use std::fs;

use crate::common::bert;
use crate::common::training::{Setting, examples};

#[test]
fn a_file_of_settings_that_is_wrong_says_where() {
    let setting = Setting::new();
    let own = setting.arg("own.toml");
    for (text, parts) in [
        ("epoch = 3", &["own.toml", "unknown key \"epoch\"", "epochs", "learning-rate", "text-column"][..]),
        ("[training]\nepochs = 3", &["unknown key \"training\""]),
        ("epochs = 3\nseed = ", &["own.toml:2: "]),
        ("epochs = \"three\"", &["own.toml: ", "\"three\"", "epochs"]),
        ("labels = \"some\"", &["own.toml: ", "single", "multi", "labels"]),
        ("batch-size = 2\nbatch_size = 3", &["own.toml: ", "twice"]),
        ("weight-decay = -1", &["weight_decay is -1", "between 0 and 1"]),
        (
            "command = \"train entities\"",
            &["own.toml: ", "`bert train entities`, not of `bert train classify`"],
        ),
    ] {
        fs::write(&own, text).unwrap();
        setting.train("out", &["--config", &own]).reports_without(&setting, "out", parts);
    }
    setting.train("out", &["--config", &setting.arg("none.toml")]).fails(&["none.toml", "No such file"]);
    #[cfg(target_os = "linux")]
    setting.train("out", &["--config", "/dev/zero"]).fails(&["/dev/zero", "64 MiB"]);
    bert(["train", "classify", "--train", &setting.arg("train.tsv")]).fails(&["--out"]);
    bert(["train", "classify", "--out", &setting.arg("out")]).fails(&["--train"]);
}

#[test]
fn examples_that_are_of_no_use_are_errors() {
    let setting = Setting::new();
    let train = fs::read_to_string(setting.path("train.tsv")).unwrap();
    for (text, parts) in [
        ("text\tlabel\na\tgood\nb\n", &["train.tsv:3: 1 fields where the table has 2 columns"][..]),
        ("text\tlabel\na\tgood\nb\t \n", &["train.tsv:3: the label is"]),
        ("text\tlabel\n", &["train.tsv holds no examples"]),
        ("", &["train.tsv holds no examples"]),
        ("text\tlabel\na\tgood\nb\tgood\n", &["all 2 examples have the label \"good\""]),
        ("words\tlabel\na\tgood\n", &["no column for the text", "\"words\", \"label\""]),
    ] {
        fs::write(setting.path("train.tsv"), text).unwrap();
        setting.train("out", &[]).reports_without(&setting, "out", parts);
    }
    fs::write(setting.path("train.tsv"), train).unwrap();
    setting.table("other.tsv", "text\tlabel", &[("a".to_owned(), "bad"), ("b".to_owned(), "ugly")]);
    let other = setting.arg("other.tsv");
    let parts = ["other.tsv:3: unknown label \"ugly\"; the known ones are bad, good"];
    setting.train("out", &["--eval", &other]).reports_without(&setting, "out", &parts);
    fs::write(&other, "text\tlabel\n").unwrap();
    setting.train("out", &["--eval", &other]).reports_without(
        &setting,
        "out",
        &["other.tsv holds no examples"],
    );
    let missing = setting.arg("missing.tsv");
    setting.train("out", &["--eval", &missing]).reports_without(
        &setting,
        "out",
        &["cannot open", "missing.tsv"],
    );
}

#[test]
fn runs_that_cannot_begin_or_go_on_are_errors() {
    let setting = Setting::new();
    let one = ["--epochs", "1", "-q"];
    let resume = |more: &[&str]| setting.train("out", &[&["--resume", "-q"], more].concat());
    setting.train("out", &["--resume"]).reports_without(
        &setting,
        "out",
        &["holds no run to resume", "--resume"],
    );
    setting.train("out", &one).ok();
    setting.train("out", &one).fails(&["out holds a run already", "resume it"]);
    setting.train(setting.base.arg(), &one).fails(&["holds a run already"]);
    resume(&["--epochs", "1"]).ok();
    resume(&["--epochs", "2"]).fails(&["setting of the run to resume was", "epochs 1", "epochs 2"]);
    resume(&["--epochs", "1", "--seed", "5"]).fails(&[
        "setting of the run to resume was",
        "seed 1",
        "seed 5",
    ]);
    setting.table("train.tsv", "text\tlabel", &examples(40));
    resume(&["--epochs", "1"]).fails(&["the number of examples of the run to resume was", "48", "40"]);
    fs::write(setting.path("out/state.safetensors"), "half").unwrap();
    resume(&["--epochs", "1"]).fails(&["state.safetensors"]);

    setting
        .train("nan", &["--lr", "1e30", "--weight-decay", "0"])
        .fails(&["is not a finite number", "lower"]);
    for (settings, parts) in [
        (&["--patience", "2"][..], &["--patience does nothing without --eval"][..]),
        (&["--eval-steps", "2"], &["--eval-steps does nothing without --eval"]),
        (&["--lora=false", "--lora-rank", "2"], &["--lora-rank does nothing without --lora"]),
        (
            &["--text-column", "text", "--label-column", "text"],
            &["column of the label is text", "another column"],
        ),
    ] {
        setting.train("idle", settings).reports_without(&setting, "idle", parts);
    }
    let entities = bert(["train", "entities", "--resume", "--out", &setting.arg("out")]);
    entities.fails(&["config.toml", "`bert train classify`, not of `bert train entities`"]);
    setting.train("short", &["--max-length", "2"]).reports_without(&setting, "short", &["max_length is 2"]);
    setting.train("none", &["--epochs", "0"]).reports_without(&setting, "none", &["epochs is 0"]);
    setting.train("device", &["--batch-size", "x"]).reports_without(&setting, "device", &["--batch-size"]);
}

#[test]
fn folders_that_cannot_be_written_are_errors() {
    let setting = Setting::new();
    fs::write(setting.path("file"), "").unwrap();
    setting.train("file/out", &[]).fails(&["cannot make", "file/out"]);
    setting.train("file", &[]).fails(&["cannot make", "file"]);
    #[cfg(target_os = "linux")]
    setting.train("/proc/out", &[]).fails(&["cannot make", "/proc/out"]);
}
