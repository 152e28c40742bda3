//! `bert train`: a model learns from a file, settings repeat a run, and a run that ends in any way goes on to the same
//! model.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

use crate::common::training::{Setting, WORDS, examples};
use crate::common::{bert, command};

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

    let card = fs::read_to_string(setting.path("model/README.md")).unwrap();
    let score = format!("value: {}", summary["best"]["value"].as_f64().unwrap());
    for part in ["pipeline_tag: text-classification", &score, "train.tsv (48 examples an epoch)"] {
        assert!(card.contains(part), "{part}: {card}");
    }
    let curves = fs::read_to_string(setting.path("model/curves.svg")).unwrap();
    assert!(curves.contains(">loss<") && curves.contains(">accuracy<"), "{curves}");

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
fn an_adapter_is_trained_and_used_over_its_model() {
    let setting = Setting::new();
    let dev = setting.arg("dev.tsv");
    let lora = ["--lora-rank", "4", "--lora-targets", "query,value,dense", "--lora-dropout", "0.1"];
    let more = ["--eval", &dev, "-q", "--epochs", "20", "--lr", "1e-2", "--head-rate-factor", "2"];
    setting.train("adapter", &[&lora[..], &more].concat()).ok();
    let adapter = setting.arg("adapter");
    assert!(!setting.path("adapter/model.safetensors").exists());
    let config = fs::read_to_string(setting.path("adapter/config.toml")).unwrap();
    for line in ["lora = true", "lora-rank = 4", r#"lora-targets = ["query", "value", "dense"]"#] {
        assert!(config.contains(line), "{config}");
    }
    // The same again from its own file.
    let args = ["train", "classify", "-q", "--config", &format!("{adapter}/config.toml"), "--out"];
    bert([&args[..], &[&setting.arg("again")]].concat()).ok();
    setting.same("adapter", "again");

    let texts = ["paris good door", "a bad a"];
    let answers = |model: &[&str]| {
        let args = ["classify", "--device", "cpu", "--jsonl"];
        bert([&args[..], model, &texts].concat()).jsonl()
    };
    let over = answers(&["--model", setting.base.arg(), "--adapter", &adapter]);
    let labels: Vec<_> = over.iter().map(|answer| answer["scores"][0]["label"].clone()).collect();
    assert_eq!(labels, ["good", "bad"]);
    assert_eq!(answers(&["--model", &adapter]), over);
    assert_eq!(answers(&["--adapter", &adapter]), over);

    let info = bert(["info", "--device", "cpu", "--json", "--model", &adapter]).json();
    assert_eq!(info["adapter"]["rank"], 4, "{info}");
    assert_eq!(info["labels"], serde_json::json!(["bad", "good"]), "{info}");
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

    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let out = setting.arg("killed");
    let mut kills = 0;
    loop {
        let args = match setting.path("killed/state.safetensors").exists() {
            true => ["train", "classify", "--resume", "--out", &out, "-q"].map(str::to_owned).to_vec(),
            false => setting.args("killed", &more),
        };
        let mut child = spawn(&args);
        let mut hasher = DefaultHasher::new();
        (seed, kills).hash(&mut hasher);
        let share = hasher.finish() as f64 / u64::MAX as f64;
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
        let (_, line) = said.trim().split_once("continue with: ").unwrap();
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
fn event_files_are_written_on_request_and_change_nothing_else() {
    let setting = Setting::new();
    let some = ["--epochs", "1", "--eval", &setting.arg("dev.tsv")];
    setting.train("plain", &some).ok();
    setting.train("events", &[&some[..], &["--tensorboard"]].concat()).ok();
    let files = |out: &str| {
        let (events, others): (Vec<_>, Vec<_>) =
            setting.files(out).into_iter().partition(|(name, _)| name.contains("tfevents"));
        (events, others)
    };
    let ((none, plain), (events, others)) = (files("plain"), files("events"));
    assert!(none.is_empty() && events.len() == 1, "{} {}", none.len(), events.len());
    let has = |part: &str| events[0].1.windows(part.len()).any(|bytes| bytes == part.as_bytes());
    assert!(has("train/loss") && has("train/learning_rate") && has("eval/accuracy"));
    for ((name, plain), (_, other)) in plain.iter().zip(&others) {
        assert!(name == "config.toml" || plain == other, "{name} differs");
    }
    // A run that has nothing left to do goes on with a file of its own, as its settings say.
    bert(["train", "classify", "-q", "--resume", "--out", &setting.arg("events")]).ok();
    assert_eq!(files("events").0.len(), 2);
}
