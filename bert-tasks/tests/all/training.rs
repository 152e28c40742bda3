//! Training: a model learns what its examples say, a run that is stopped goes on to equal bits, and what goes wrong is
//! said.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::common::Tiny;
use bert_core::graph::Head;
use bert_tasks::data::classification::{Example, Options, read};
use bert_tasks::training::{Classification, Report, Summary, TrainOptions, Trainer, TrainingError};
use bert_tasks::{Device, Error, Pretrained, TextClassification};
use tempfile::TempDir;

/// Texts whose label says one word of them.
fn examples(folder: &Path, count: usize) -> Vec<Example> {
    let words = ["bank", "river", "paris", "money", "live", "work", "the", "a"];
    let mut lines = "text\tlabel\n".to_owned();
    for index in 0..count {
        let label = if index % 3 == 0 { "good" } else { "bad" };
        let (before, after) = (words[index % 8], words[index / 8 % 8]);
        lines += &format!("{before} {label} {after}\t{label}\n");
    }
    let file = folder.join("examples.tsv");
    fs::write(&file, lines).unwrap();
    read(&file, &Options::default()).unwrap().collect::<Result<_, _>>().unwrap()
}

fn options() -> TrainOptions {
    TrainOptions {
        epochs: 4,
        batch_size: 8,
        token_budget: 24,
        learning_rate: 3e-3,
        save_steps: 4,
        dropout: true,
        ..TrainOptions::default()
    }
}

/// A base, examples, and a place for the result.
struct Setting {
    base: Tiny,
    folder: TempDir,
}

impl Setting {
    fn new() -> Self {
        Self { base: Tiny::untrained(), folder: TempDir::new().unwrap() }
    }

    fn out(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn task(&self, base: &Pretrained) -> Classification {
        let mut examples = examples(self.folder.path(), 60);
        let eval = examples.split_off(48);
        Classification::new(base, examples, eval).unwrap()
    }

    fn device(&self, threads: usize) -> Device {
        Device::open("cpu", bert_tasks::DeviceOptions { threads: Some(threads) }).unwrap()
    }
}

fn run(setting: &Setting, out: &Path, threads: usize, stop_after: Option<u64>) -> (Summary, Vec<Report>) {
    let base = setting.base.open();
    let device = setting.device(threads);
    let trainer = Trainer::new(&base, &device, options());
    let stop = trainer.stop_switch();
    let mut reports = vec![];
    let watch = |report: &Report| {
        if let Report::Step { step, .. } = report
            && stop_after.is_some_and(|after| *step >= after)
        {
            stop.store(true, Ordering::Relaxed);
        }
        reports.push(report.clone());
    };
    let task = setting.task(&base);
    let summary = match out.join("state.safetensors").exists() {
        true => trainer.resume(&task, out, watch),
        false => trainer.run(&task, out, watch),
    };
    (summary.unwrap(), reports)
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name != "metrics.jsonl") // holds times
        .collect();
    files.sort();
    files
}

#[test]
fn a_model_learns_and_is_loaded_as_any_other() {
    let setting = Setting::new();
    let out = setting.out("model");
    let (summary, reports) = run(&setting, &out, 2, None);
    assert_eq!((summary.steps, summary.stopped), (24, false));
    assert!(summary.best.unwrap().value > 0.9);
    let losses: Vec<f64> = reports
        .iter()
        .filter_map(|report| if let Report::Step { loss, .. } = report { Some(*loss) } else { None })
        .collect();
    assert_eq!(losses.len(), 24);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(mean(&losses[18..]) < 0.6 * mean(&losses[..6]), "{losses:?}");
    let lines = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 24 + 4);

    let model = TextClassification::load(out.to_str().unwrap(), &setting.device(2)).unwrap();
    for (text, label) in [("paris good work", "good"), ("live bad river", "bad")] {
        assert_eq!(model.predict(text).unwrap().scores[0].label, label, "{text}");
    }
    let files = Pretrained::open(out.to_str().unwrap()).unwrap();
    assert_eq!(Head::of(files.config()), Some(Head::SequenceClassification));
    assert_eq!(files.config().labels, ["bad", "good"]);
}

#[test]
fn a_run_that_was_stopped_goes_on_to_equal_bits_on_any_number_of_threads() {
    let setting = Setting::new();
    let whole = setting.out("whole");
    run(&setting, &whole, 1, None);
    let broken = setting.out("broken");
    for (threads, after) in [(1, Some(2)), (2, Some(9)), (3, Some(9)), (1, None)] {
        let (summary, _) = run(&setting, &broken, threads, after);
        assert_eq!(summary.stopped, after.is_some());
    }
    let (whole, broken) = (files(&whole), files(&broken));
    assert_eq!(
        whole.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        broken.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    for ((name, whole), (_, broken)) in whole.iter().zip(&broken) {
        assert!(whole == broken, "{name} differs");
    }
}

#[test]
fn a_kill_at_any_moment_costs_the_steps_since_the_last_state_and_nothing_else() {
    let setting = Setting::new();
    let whole = setting.out("whole");
    run(&setting, &whole, 2, None);
    // What a kill leaves: the state of step 12, metrics of later steps, half a line, half a file.
    let killed = setting.out("killed");
    run(&setting, &killed, 2, Some(12));
    let later = fs::read_to_string(whole.join("metrics.jsonl")).unwrap();
    let later: Vec<_> = later.lines().take(17).collect();
    fs::write(killed.join("metrics.jsonl"), later.join("\n") + "\n{\"step\": 16, \"lo").unwrap();
    for half in ["state.safetensors.123.incomplete", ".tmpAbCdEf"] {
        fs::write(killed.join(half), b"half").unwrap();
    }
    run(&setting, &killed, 2, None);
    let lines = fs::read_to_string(killed.join("metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 24 + 4);
    assert!(lines.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    assert!(files(&whole) == files(&killed));
}

#[test]
fn a_run_that_lost_its_patience_has_ended() {
    let setting = Setting::new();
    let (base, device, out) = (setting.base.open(), setting.device(1), setting.out("model"));
    let task = setting.task(&base);
    // It learns nothing, so that the first evaluation stays the best.
    let options = TrainOptions { learning_rate: 1e-12, patience: Some(2), ..options() };
    let trainer = Trainer::new(&base, &device, options);
    assert_eq!(trainer.steps(&task), 24);
    assert_eq!([4, 5].map(|most| task.longer_than(most).unwrap()), [60, 0]);
    let longest = |max_length| TrainOptions { max_length, ..TrainOptions::default() }.longest(&base);
    assert_eq!([longest(Some(9)), longest(None)], [9, longest(Some(1000))]);
    assert!(!Trainer::is_occupied(&out) && !Trainer::can_resume(&out));
    let summary = trainer.run(&task, &out, |_| ()).unwrap();
    assert_eq!((summary.steps, summary.stopped), (18, false));
    assert!(Trainer::is_occupied(&out) && Trainer::can_resume(&out));
    assert_eq!(trainer.resume(&task, &out, |_| ()).unwrap(), summary);
}

#[test]
fn a_run_can_be_resumed_from_its_first_moment_on() {
    let setting = Setting::new();
    let (base, device, out) = (setting.base.open(), setting.device(1), setting.out("model"));
    let task = setting.task(&base);
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Trainer::new(&base, &device, options()).run(&task, &out, |_| panic!("a kill at the first step"))
    }));
    assert!(broken.is_err());
    let summary = Trainer::new(&base, &device, options()).resume(&task, &out, |_| ()).unwrap();
    assert_eq!(summary.steps, 24);
    let whole = setting.out("whole");
    run(&setting, &whole, 1, None);
    assert!(files(&whole) == files(&out));
}

#[test]
fn what_goes_wrong_is_said() {
    let setting = Setting::new();
    let base = setting.base.open();
    let device = setting.device(1);
    let error = |result: Result<Summary, Error>| match result.unwrap_err() {
        Error::Training(error) => error,
        other => panic!("{other}"),
    };
    let task = setting.task(&base);
    let out = setting.out("model");
    let trainer = |options| Trainer::new(&base, &device, options);

    let refused = error(trainer(options()).resume(&task, &out, |_| ()));
    assert!(matches!(refused, TrainingError::NothingToResume { .. }), "{refused}");
    trainer(TrainOptions { epochs: 1, ..options() }).run(&task, &out, |_| ()).unwrap();
    let refused = error(trainer(options()).run(&task, &out, |_| ()));
    assert!(matches!(refused, TrainingError::Occupied { .. }), "{refused}");
    let refused = error(trainer(options()).resume(&task, &out, |_| ()));
    assert!(matches!(refused, TrainingError::OtherRun { what: "setting", .. }), "{refused}");
    assert!(
        refused.to_string().contains("epochs 1") && refused.to_string().contains("epochs 4"),
        "{refused}"
    );

    let state = out.join("state.safetensors");
    for damaged in [&b"\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\x02\0\0\0\0\0\0\0{}", b""] {
        fs::write(&state, damaged).unwrap();
        let same = TrainOptions { epochs: 1, ..options() };
        let refused = error(trainer(same).resume(&task, &out, |_| ()));
        let told = matches!(refused, TrainingError::State { .. } | TrainingError::Folder { .. });
        assert!(told, "{refused}");
    }

    let wild = TrainOptions { learning_rate: 1e30, weight_decay: 0.0, ..options() };
    let refused = error(trainer(wild).run(&task, &setting.out("wild"), |_| ()));
    assert!(matches!(refused, TrainingError::NotFinite { .. }), "{refused}");
    for wrong in [
        TrainOptions { batch_size: 0, ..options() },
        TrainOptions { learning_rate: f64::NAN, ..options() },
        TrainOptions { warmup_ratio: 2.0, ..options() },
        TrainOptions { max_length: Some(2), ..options() },
    ] {
        let refused = error(trainer(wrong).run(&task, &setting.out("wrong"), |_| ()));
        assert!(matches!(refused, TrainingError::Setting { .. }), "{refused}");
    }

    let one: Vec<_> =
        examples(setting.folder.path(), 9).into_iter().filter(|e| e.text.contains("good")).collect();
    for (examples, part) in [(vec![], "no examples"), (one, "at least two labels")] {
        let error = Classification::new(&base, examples, vec![]).err().unwrap();
        assert!(error.to_string().contains(part), "{error}");
    }
}

/// From text to a model that has learnt which word follows which.
#[test]
fn pre_training_from_scratch_on_a_small_text() {
    use bert_tasks::data::text;
    use bert_tasks::pretraining::{BuildOptions, ExampleOptions, Examples, Shards, Vocabulary, build_shards};
    use bert_tasks::training::Pretraining;

    let setting = Setting::new();
    let file = setting.out("text.txt");
    // Documents speak of one thing each, in sentences that differ in one word.
    let document = |thing: &str, word: &str| {
        let places = ["paris", "london", "england", "france"];
        let line = |place: &&str| format!("the {thing} of {place} is {word} .\n");
        places.iter().map(line).collect::<String>() + "\n"
    };
    let things =
        [("capital", "good"), ("river", "bad"), ("bank", "money"), ("movie", "not"), ("works", "very")];
    let text: String = (0..8).flat_map(|_| things.map(|(thing, word)| document(thing, word))).collect();
    fs::write(&file, text).unwrap();

    let base = setting.base.open();
    let paragraphs = text::paragraphs([&file], &text::Options::default());
    let shards = setting.out("shards");
    build_shards(paragraphs, base.tokenizer(), &shards, &BuildOptions::default()).unwrap();
    let vocabulary = || Vocabulary::new(base.tokenizer()).unwrap();
    let examples = |seed| {
        let options = ExampleOptions { max_length: 32, seed, ..ExampleOptions::default() };
        Examples::new(Shards::open_folder(&shards, vocabulary()).unwrap(), options).unwrap()
    };
    let task = Pretraining::new(examples(1), Some(examples(2)), 40);
    let options = TrainOptions { epochs: 30, learning_rate: 5e-3, batch_size: 16, ..options() };
    let mut losses = vec![];
    let out = setting.out("model");
    let summary = Trainer::new(&base, &setting.device(2), options)
        .run(&task, &out, |report| {
            if let Report::Step { loss, .. } = report {
                losses.push(*loss);
            }
        })
        .unwrap();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let part = losses.len() / 4;
    assert!(mean(&losses[losses.len() - part..]) < 0.7 * mean(&losses[..part]), "{losses:?}");
    let best = summary.best.unwrap();
    assert!(best.value > 0.4 && best.examples > 50, "{best:?}");
    let model = bert_tasks::NextSentence::load(out.to_str().unwrap(), &setting.device(1)).unwrap();
    model.predict("the river of paris is bad .", "the river of london is bad .").unwrap();
}

#[test]
fn entities_are_learnt() {
    use bert_tasks::TokenClassification;
    use bert_tasks::data::entities;
    use bert_tasks::token_classification::Scheme;
    use bert_tasks::training::Entities;

    let setting = Setting::new();
    let people = ["he", "she", "it"];
    let places = ["paris", "london", "new york", "los angeles"];
    let mut lines = String::new();
    for (index, place) in places.iter().cycle().take(48).enumerate() {
        let person = people[index % 3];
        lines += &format!("{person}\tO\nlives\tO\nin\tO\n");
        for (part, word) in place.split(' ').enumerate() {
            lines += &format!("{word}\t{}-LOC\n", if part == 0 { "B" } else { "I" });
        }
        lines += ".\tO\n\n";
    }
    let file = setting.out("places.conll");
    fs::write(&file, lines).unwrap();
    let read = || entities::read(&file, &entities::Options::default()).unwrap();
    let mut examples: Vec<_> = read().collect::<Result<_, _>>().unwrap();
    let eval = examples.split_off(40);
    let base = setting.base.open();
    let task = Entities::new(&base, examples, eval, Scheme::Iob).unwrap();
    let out = setting.out("model");
    let options = TrainOptions { epochs: 5, ..options() };
    let summary = Trainer::new(&base, &setting.device(2), options).run(&task, &out, |_| ()).unwrap();
    assert!(summary.best.unwrap().value > 0.9);
    let model = TokenClassification::load(out.to_str().unwrap(), &setting.device(1)).unwrap();
    let found = model.predict("she lives in new york .").unwrap();
    assert_eq!(found.iter().map(|entity| entity.text.as_str()).collect::<Vec<_>>(), ["new york"]);

    let none = Entities::new(&base, vec![], vec![], Scheme::Iob).err().unwrap();
    assert!(none.to_string().contains("no examples"), "{none}");
}

#[test]
fn texts_that_are_cut_are_counted() {
    let setting = Setting::new();
    let base = setting.base.open();
    let device = setting.device(1);
    let options = TrainOptions { epochs: 1, max_length: Some(4), ..options() };
    let mut truncated = 0;
    Trainer::new(&base, &device, options)
        .run(&setting.task(&base), &setting.out("model"), |report| {
            if let Report::Step { truncated: of_step, .. } = report {
                truncated += of_step;
            }
        })
        .unwrap();
    assert_eq!(truncated, 48);
}

#[test]
fn the_first_token_of_a_word_is_labelled() {
    use bert_tasks::data::entities::{Marked, Options, read};
    use bert_tasks::token_classification::Scheme;
    use bert_tasks::training::{Entities, Objective, Target};

    let setting = Setting::new();
    let base = setting.base.open();
    let file = setting.out("train.jsonl");
    let line = r#"{"text": "the zqx, yw paris", "entities": [{"start": 4, "end": 11, "label": "X"}]}"#;
    fs::write(&file, line).unwrap();
    let examples = || read(&file, &Options::default()).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let task = Entities::new(&base, examples(), vec![], Scheme::Iob).unwrap();
    let ready = task.example(0, 0, 64).unwrap();
    // [CLS] the z ##q ##x , y ##w paris [SEP]
    let (outside, begins, inside) = (Some(0), Some(1), Some(2));
    let labels = vec![None, outside, begins, None, None, inside, inside, None, outside, None];
    assert_eq!((ready.target, ready.sequences[0].ids.len()), (Target::Tokens(labels), 10));
    assert_eq!([task.inexact(), task.longer_than(9).unwrap(), task.longer_than(10).unwrap()], [0, 1, 0]);
    assert!(task.example(0, 0, 9).unwrap().truncated);

    let mut inside_a_word = examples();
    inside_a_word[0].entities = vec![Marked { label: "X".to_owned(), range: 5..7 }];
    let task = Entities::new(&base, inside_a_word, vec![], Scheme::Plain).unwrap();
    assert_eq!(task.inexact(), 1);
}

#[test]
fn windows_point_at_the_tokens_of_answers() {
    use bert_tasks::data::squad::Dataset;
    use bert_tasks::question_answering::QuestionAnsweringOptions;
    use bert_tasks::training::{Objective, QuestionAnswering, QuestionCounts, Target};

    let setting = Setting::new();
    let base = setting.base.open();
    let context = "the bank of paris, zqx money in the river of london is very good \u{200b} work";
    let question = |id: &str, answer: &str| {
        let answers = match context.find(answer) {
            Some(start) if !answer.is_empty() => {
                let start = context[..start].chars().count();
                serde_json::json!([{"text": answer, "answer_start": start}, {"text": "bank", "answer_start": 4}])
            }
            _ => serde_json::json!([]),
        };
        serde_json::json!({"id": id, "question": "is it good", "answers": answers})
    };
    let answers = ["qx mon", "", "river of london is very good", "\u{200b}", "work"];
    let ids = ["1", "2", "3", "4", "5"];
    let qas: Vec<_> = ids.iter().zip(answers).map(|(id, answer)| question(id, answer)).collect();
    let data = serde_json::json!({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]});
    let data = || Dataset::from_json(&data.to_string()).unwrap();
    let options = QuestionAnsweringOptions {
        max_length: 14,
        doc_stride: 3,
        max_question_tokens: 2,
        ..QuestionAnsweringOptions::default()
    };
    let task = QuestionAnswering::new(&base, data(), Some(data()), options).unwrap();
    let counts = task.counts();
    let expected = QuestionCounts {
        questions: 5,
        unanswerable: 1,
        long: 5,
        cut: 5,
        without_tokens: 1,
        without_window: 0,
    };
    assert_eq!(counts, expected);

    let tokens = |text: &str| base.tokenizer().encode_without_special(text).unwrap().ids;
    let whole = tokens(context);
    let windows = (whole.len() - 9).div_ceil(3) + 1;
    assert_eq!(task.examples(), 4 * windows);
    // What the tokens of an answer say: whole tokens, where it begins inside one.
    let says = [tokens("zqx money")[1..].to_vec(), vec![], tokens(answers[2]), tokens(answers[4])];
    for (at, says) in says.iter().enumerate() {
        let mut found = 0;
        for window in 0..windows {
            let ready = task.example(0, at * windows + window, 64).unwrap();
            let Target::Span([first, last]) = ready.target else { panic!("a span") };
            let ids = &ready.sequences[0].ids;
            assert!(ids.len() <= 14 && ready.truncated);
            let in_window = ids[4..ids.len() - 1].windows(says.len().max(1)).any(|part| part == &says[..]);
            assert_eq!(in_window, last > 0, "question {at}, window {window}");
            if last > 0 {
                assert_eq!(ids[first as usize..=last as usize], says[..]);
                found += 1;
            } else {
                assert_eq!(first, 0);
            }
        }
        assert_eq!(found > 0, !says.is_empty(), "question {at}");
    }
    let long = QuestionAnsweringOptions { max_length: 9, ..QuestionAnsweringOptions::default() };
    assert!(QuestionAnswering::new(&base, data(), None, long).unwrap().counts().without_window >= 1);
}

#[test]
fn a_run_does_not_go_on_with_other_examples_of_the_same_number() {
    let setting = Setting::new();
    let out = setting.out("model");
    run(&setting, &out, 2, Some(3));
    let base = setting.base.open();
    let device = setting.device(2);
    let resume = |change: fn(&mut Vec<Example>)| {
        let mut train = examples(setting.folder.path(), 60);
        let eval = train.split_off(48);
        change(&mut train);
        let task = Classification::new(&base, train, eval).unwrap();
        Trainer::new(&base, &device, options()).resume(&task, &out, |_| ())
    };
    let changes: [fn(&mut Vec<Example>); 3] = [
        |train| train[7].text.push_str(" not"),
        |train| train[9].label = train[10].label.clone(),
        |train| train.swap(3, 4),
    ];
    for change in changes {
        let error = resume(change).unwrap_err();
        assert!(matches!(error, Error::Training(TrainingError::OtherExamples { count: 48 })), "{error:?}");
        assert!(error.to_string().contains("48 of them as before"), "{error}");
    }
    assert!(!resume(|_| ()).unwrap().stopped);
}
