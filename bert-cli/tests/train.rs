//! `bert train`: a model learns from a file, a run that ends in any way goes on to the same model, and what is wrong is
//! said in one message.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

use common::{Run, Tiny, bert, command};

/// A base, files of examples, and a place for results.
struct Setting {
    base: Tiny,
    folder: tempfile::TempDir,
}

const WORDS: [&str; 8] = ["bank", "river", "paris", "money", "door", "room", "the", "a"];

/// Texts whose label says one word of them.
fn examples(count: usize) -> Vec<(String, &'static str)> {
    let example = |index: usize| {
        let label = if index.is_multiple_of(3) { "good" } else { "bad" };
        (format!("{} {label} {}", WORDS[index % 8], WORDS[index / 8 % 8]), label)
    };
    (0..count).map(example).collect()
}

impl Setting {
    fn new() -> Self {
        let setting = Self { base: Tiny::new("BertForMaskedLM"), folder: tempfile::tempdir().unwrap() };
        setting.table("train.tsv", "text\tlabel", &examples(48));
        setting.table("dev.tsv", "text\tlabel", &examples(60)[48..]);
        setting
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn table(&self, name: &str, header: &str, examples: &[(String, &str)]) {
        let lines: String = examples.iter().map(|(text, label)| format!("{text}\t{label}\n")).collect();
        fs::write(self.path(name), format!("{header}\n{lines}")).unwrap();
    }

    /// The arguments of a run of the base on `train.tsv`.
    fn args(&self, out: &str, more: &[&str]) -> Vec<String> {
        let (train, out) = (self.arg("train.tsv"), self.arg(out));
        let args = ["--device", "cpu", "-m", self.base.arg(), "--train", &train, "--out", &out];
        let usual = ["--epochs", "4", "--batch-size", "8", "--lr", "3e-3", "--token-budget", "24"];
        let given = |flag: &str| more.contains(&flag);
        let usual = usual.chunks(2).filter(|pair| !given(pair[0])).flatten();
        ["train", "classify"].iter().chain(&args).chain(usual).chain(more).map(ToString::to_string).collect()
    }

    fn train(&self, out: &str, more: &[&str]) -> Run {
        bert(self.args(out, more))
    }

    /// What every file of a run holds but for `metrics.jsonl`, where times are.
    fn files(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.path(out)).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let files = entries.map(|path| (name(&path), fs::read(&path).unwrap()));
        files.filter(|(name, _)| name != "metrics.jsonl").collect()
    }

    #[track_caller]
    fn same(&self, one: &str, other: &str) {
        let (one, other) = (self.files(one), self.files(other));
        assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
        for (name, bytes) in &one {
            assert!(other[name] == *bytes, "{name} differs");
        }
    }
}

#[test]
fn a_model_learns_from_a_table_and_answers() {
    let setting = Setting::new();
    let dev = setting.arg("dev.tsv");
    let run = setting.train("model", &["--eval", &dev, "--json", "--epochs", "20", "--lr", "1e-2"]);
    let evaluations: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(evaluations.len(), 20, "{}", run.stderr);
    assert!(
        evaluations[0].starts_with("note: step 6: accuracy 0.") && evaluations[0].contains("of 12 examples"),
        "{}",
        run.stderr
    );
    let summary = run.json();
    assert_eq!(summary["steps"], 120);
    assert_eq!(summary["examples"], 48);
    assert_eq!(summary["folder"], setting.arg("model"));
    assert_eq!(summary["best"]["metric"], "accuracy");
    assert_eq!(summary["best"]["examples"], 12);
    assert!(summary["best"]["value"].as_f64().unwrap() > 0.9, "{summary}");

    let model = setting.arg("model");
    let args =
        ["classify", "--device", "cpu", "-m", &model, "-k", "1", "--jsonl", "paris good door", "a bad a"];
    let labels: Vec<_> =
        bert(args).jsonl().iter().map(|answer| answer["scores"][0]["label"].clone()).collect();
    assert_eq!(labels, ["good", "bad"]);
    assert_eq!(fs::read_to_string(setting.path("model/metrics.jsonl")).unwrap().lines().count(), 120 + 20);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |file: &str| fs::metadata(setting.path("model").join(file)).unwrap().permissions().mode();
        assert_eq!(mode("model.safetensors"), mode("vocab.txt"));
    }

    // In words, and silent.
    let run = setting.train("silent", &["--eval", &dev, "-q", "--epochs", "1"]);
    assert_eq!(run.stderr, "");
    let text = run.ok();
    assert!(text.contains("steps     6") && text.contains("accuracy") && text.contains("silent"), "{text}");
    let csv = setting.train("csv", &["--csv", "--epochs", "1"]).ok();
    assert_eq!(csv, format!("steps,metric,value,examples,folder\n6,,,48,{}\n", setting.arg("csv")));
}

#[test]
fn files_of_every_format_lead_to_the_same_model() {
    let setting = Setting::new();
    let quick = ["--epochs", "1", "-q"];
    setting.train("tsv", &quick).ok();
    let (mut csv, mut jsonl) = ("body,kind\n".to_owned(), String::new());
    for (text, label) in examples(48) {
        csv += &format!("\"{text}\",{label}\n");
        jsonl += &format!("{}\n", serde_json::json!({"id": 7, "kind": label, "body": text}));
    }
    fs::write(setting.path("train.csv"), csv).unwrap();
    fs::write(setting.path("train.data"), jsonl).unwrap();
    let columns = ["--text-column", "body", "--label-column", "kind"];
    for (name, format) in [("train.csv", &[][..]), ("train.data", &["--format", "jsonl"])] {
        let train = setting.arg(name);
        let mut args =
            setting.args(name.split_once('.').unwrap().1, &[&quick[..], &columns, format].concat());
        let at = args.iter().position(|arg| arg == "--train").unwrap();
        args[at + 1] = train;
        bert(args).ok();
    }
    let model = |run: &str| setting.files(run).remove("model.safetensors").unwrap();
    assert!(model("tsv") == model("csv") && model("tsv") == model("data"));
}

#[test]
fn pairs_scores_and_many_labels_are_trained_too() {
    let setting = Setting::new();
    let mut pairs = "first\tsecond\tsame\n".to_owned();
    let mut many = String::new();
    for (index, (text, label)) in examples(24).iter().enumerate() {
        pairs += &format!("{text}\t{}\t{}\n", WORDS[index % 8], index % 5);
        many += &format!("{}\n", serde_json::json!({"text": text, "labels": [label, "x"]}));
    }
    fs::write(setting.path("pairs.tsv"), pairs).unwrap();
    fs::write(setting.path("many.jsonl"), many).unwrap();
    let run = |out: &str, file: &str, metric: &str, more: &[&str]| {
        let file = setting.arg(file);
        let args = ["--train", &file, "--eval", &file, "--epochs", "1", "--json", "-q"];
        let mut args = setting.args(out, &[&args, more].concat());
        let at = args.iter().position(|arg| arg == "--train").unwrap();
        args.drain(at..at + 2);
        assert_eq!(bert(args).json()["best"]["metric"], metric);
    };
    let columns = ["--text-column", "first", "--pair-column", "second", "--label-column", "same"];
    run("scores", "pairs.tsv", "pearson", &[&columns[..], &["--labels", "regression"]].concat());
    run("pairs", "pairs.tsv", "accuracy", &columns);
    run("many", "many.jsonl", "f1", &["--labels", "multi"]);
    let model = setting.arg("pairs");
    let args = ["classify", "--device", "cpu", "-m", &model, "--json", "--pair", "a bank", "a river"];
    assert_eq!(bert(args).json()["scores"].as_array().unwrap().len(), 5);
}

/// Long enough to be ended in the middle.
const LONG: [&str; 4] = ["--epochs", "60", "--save-steps", "5"];

fn spawn(args: &[String]) -> Child {
    command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_run_that_is_killed_again_and_again_leads_to_the_same_model() {
    let setting = Setting::new();
    let dev = setting.arg("dev.tsv");
    let more = [&LONG[..], &["--eval", &dev, "-q"]].concat();
    let start = SystemTime::now();
    setting.train("whole", &more).ok();
    let whole = start.elapsed().unwrap();

    let mut seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let out = setting.arg("killed");
    let mut kills = 0;
    loop {
        let args = match setting.path("killed/state.safetensors").exists() {
            true => ["train", "classify", "--resume", "--out", &out, "-q"].map(str::to_owned).to_vec(),
            false => setting.args("killed", &more),
        };
        let mut child = spawn(&args);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (seed >> 40) as f64 / (1u64 << 24) as f64;
        // Once there were some, the run may come to its end.
        if kills < 8 {
            std::thread::sleep(whole.mul_f64(share * 0.4));
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            break;
        }
        assert_eq!(output.status.code(), None, "{}", String::from_utf8_lossy(&output.stderr));
        kills += 1;
    }
    assert!(kills > 0);
    // A resume of what has ended changes nothing, but sweeps up after kills.
    bert(["train", "classify", "--resume", "--out", &out, "-q"]).ok();
    setting.same("whole", "killed");
    let lines = fs::read_to_string(setting.path("killed/metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 360 + 60);
}

#[cfg(unix)]
fn send(child: &Child, signal: &str) {
    let kill = ["-s", signal, &child.id().to_string()].map(str::to_owned);
    assert!(std::process::Command::new("kill").args(kill).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_at_once() {
    let setting = Setting::new();
    // All of it is one step, of many seconds.
    setting.table("train.tsv", "text\tlabel", &examples(40_000));
    let mut child = spawn(&setting.args("out", &["--batch-size", "40000"]));
    while !setting.path("out/state.safetensors").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    send(&child, "INT");
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none());
    send(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(130), 0));
    assert_eq!(fs::read_to_string(setting.path("out/metrics.jsonl")).unwrap(), "");
}

#[cfg(unix)]
#[test]
fn a_signal_saves_and_says_how_to_go_on() {
    let setting = Setting::new();
    setting.train("whole", &[&LONG[..], &["-q"]].concat()).ok();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let name = &format!("signal {signal}");
        let child = spawn(&setting.args(name, &LONG));
        let metrics = setting.path(name).join("metrics.jsonl");
        while fs::read_to_string(&metrics).unwrap_or_default().lines().count() < 3 {
            std::thread::sleep(Duration::from_millis(2));
        }
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{said}");
        assert!(
            said.starts_with("note: stopped after step ") && said.contains(" of 360, and saved"),
            "{said}"
        );
        let (_, line) = said.trim().split_once("go on with: ").unwrap();
        assert_eq!(line, format!("bert train classify --resume --out '{}'", setting.arg(name)));
        let run = bert(["train", "classify", "--resume", "--out", &setting.arg(name), "--json"]).json();
        assert_eq!(run["steps"], 360);
        setting.same("whole", name);
    }
}

#[test]
fn the_settings_of_a_run_repeat_it() {
    let setting = Setting::new();
    let dev = setting.arg("dev.tsv");
    let more =
        ["--eval", &dev, "--schedule", "cosine", "--seed", "9", "--bert-adam", "--max-length", "8", "-q"];
    setting.train("first", &more).ok();
    let config = setting.arg("first/config.toml");
    bert(["train", "classify", "--config", &config, "--out", &setting.arg("second"), "-q"]).ok();
    setting.same("first", "second");

    // Examples that are cut are told.
    let run = setting.train("cut", &["--max-length", "4", "--epochs", "1"]);
    assert_eq!(run.stderr, "warning: 48 examples are longer than 4 tokens, and cut\n");

    // What the command line says wins, and _ is as good as -.
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("bert-adam = true") && text.contains("schedule = \"cosine\""), "{text}");
    let own = setting.arg("own.toml");
    let text = text.replace("bert-adam", "bert_adam").replace("epochs = 4", "epochs = 1");
    fs::write(&own, format!("{text}out = {:?}\n", setting.arg("third"))).unwrap();
    let run = ["train", "classify", "--config", &own, "--bert-adam=false", "--json", "-q"];
    assert_eq!(bert(run).json()["steps"], 6);
    let third = fs::read_to_string(setting.path("third/config.toml")).unwrap();
    assert!(third.contains("bert-adam = false") && third.contains("epochs = 1"), "{third}");
}

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
    ] {
        fs::write(&own, text).unwrap();
        setting.train("out", &["--config", &own]).reports_without(&setting, "out", parts);
    }
    setting.train("out", &["--config", &setting.arg("none.toml")]).fails(&["none.toml", "No such file"]);
    bert(["train", "classify", "--train", &setting.arg("train.tsv")]).fails(&["--out"]);
    bert(["train", "classify", "--out", &setting.arg("out")]).fails(&["--train"]);
}

impl Run {
    /// It failed with these words, and left no folder.
    #[track_caller]
    fn reports_without(&self, setting: &Setting, out: &str, parts: &[&str]) {
        self.fails(parts);
        assert!(!setting.path(out).exists());
    }
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
    let parts = ["other.tsv:3: no label \"ugly\"; there are bad, good"];
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
    resume(&["--epochs", "2"]).fails(&["another setting", "epochs 1", "epochs 2"]);
    resume(&["--epochs", "1", "--seed", "5"]).fails(&["another setting", "seed 1", "seed 5"]);
    setting.table("train.tsv", "text\tlabel", &examples(40));
    resume(&["--epochs", "1"]).fails(&["another number of examples", "48", "40"]);
    fs::write(setting.path("out/state.safetensors"), "half").unwrap();
    resume(&["--epochs", "1"]).fails(&["state.safetensors"]);

    setting
        .train("nan", &["--lr", "1e30", "--weight-decay", "0"])
        .fails(&["is not a finite number", "lower"]);
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
