//! Distillation: a student comes to answer as its teacher does, with every head that scores classes; a run that is
//! stopped goes on to equal bits, and what cannot teach is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use bert_conformance::small::Small;
use bert_core::ModelConfig;
use bert_core::config::ProblemType;
use bert_core::contract::{Pooling, Precision};
use bert_core::graph::{self, Head, Initial, Output, ParameterSource};
use bert_core::random::Random;
use bert_tasks::training::{
    DistillationOptions, Evaluation, EveryNthLayer, Objective, Report, Scorer, Target, TrainOptions, Trainer,
    TrainingError, TrainingExample, Vectors,
};
use bert_tasks::{Device, DeviceOptions, Error, ModelSource, Pretrained, Result, Sequence};
use serde_json::json;
use tempfile::TempDir;

const LABELS: [&str; 3] = ["x", "y", "z"];
const WORDS: usize = 40;

/// Sequences of words drawn by chance, with targets that say nothing of any use.
struct Made {
    head: Head,
    problem: Option<ProblemType>,
    vectors: bool,
    count: usize,
    seed: u64,
}

impl Made {
    fn new(head: Head) -> Self {
        Self { head, problem: None, vectors: false, count: 32, seed: 1 }
    }

    fn sequence(&self, index: usize, part: usize) -> Sequence {
        let random = Random::new(self.seed).numbered(index as u64).numbered(part as u64);
        let length = 4 + random.below(0, 6);
        let mut ids: Vec<u32> = (0..length as u64).map(|at| 5 + random.below(at + 1, WORDS) as u32).collect();
        (ids[0], ids[length - 1]) = (2, 3);
        let masks = matches!(self.head, Head::MaskedLm | Head::PreTraining);
        // Of some sequences nothing is to be guessed.
        let masked = if masks && !index.is_multiple_of(4) { vec![1, 2] } else { vec![] };
        let segments = (0..length).map(|at| u32::from(at > 2)).collect();
        Sequence { ids, segments, masked }
    }
}

impl Objective for Made {
    fn head(&self) -> Head {
        self.head
    }

    fn configure(&self, base: &ModelConfig) -> ModelConfig {
        ModelConfig { labels: LABELS.map(str::to_owned).to_vec(), problem_type: self.problem, ..base.clone() }
    }

    fn examples(&self) -> usize {
        self.count
    }

    fn example(&self, _: u64, index: usize, _: usize) -> Result<TrainingExample> {
        let count = if self.head == Head::MultipleChoice { 3 } else { 1 };
        let sequences: Vec<_> = (0..count).map(|part| self.sequence(index, part)).collect();
        let length = sequences[0].ids.len();
        let target = match self.head {
            Head::TokenClassification => {
                Target::Tokens((0..length as u32).map(|at| (at > 0).then_some(at % 3)).collect())
            }
            Head::QuestionAnswering => Target::Span([1, 2]),
            Head::MultipleChoice => Target::Choice(index as u32 % 3),
            Head::SequenceClassification => Target::Class(index as u32 % 3),
            _ => Target::Words {
                words: vec![7; sequences[0].masked.len()],
                is_next: (!index.is_multiple_of(3)).then_some(index.is_multiple_of(2)),
            },
        };
        Ok(TrainingExample { sequences, target, truncated: false })
    }

    fn vectors(&self) -> Option<Vectors> {
        self.vectors.then_some(Vectors { pooling: Pooling::Mean, scale: 20.0 })
    }

    fn evaluate(&self, _: &Scorer<'_>) -> Result<Option<Evaluation>> {
        Ok(None)
    }
}

/// Models and the folders of runs.
struct Setting {
    folder: TempDir,
}

impl Setting {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, name: &str) -> Pretrained {
        Pretrained::from_source(ModelSource::Folder(self.path(name))).unwrap()
    }

    /// A model that has opinions.
    fn teacher(&self, class: &str) -> Pretrained {
        let name = format!("teacher {class}");
        Small::new(class).labels(&LABELS).seed(5).save(&self.path(&name));
        self.open(&name)
    }

    /// One that has none yet.
    fn student(&self, fields: &serde_json::Value) -> Pretrained {
        let usual = json!({ "initializer_range": 0.15, "num_hidden_layers": 1 });
        Small::new("BertForMaskedLM").fields(&usual).fields(fields).untrained().save(&self.path("student"));
        self.open("student")
    }
}

fn options(steps: u64) -> TrainOptions {
    TrainOptions {
        max_steps: Some(steps),
        batch_size: 16,
        token_budget: 60,
        learning_rate: 5e-3,
        save_steps: 5,
        ..TrainOptions::default()
    }
}

/// What is learnt of the teacher alone.
const ALONE: DistillationOptions = DistillationOptions { temperature: 2.0, weight: 1.0, hidden_weight: 0.0 };

fn cpu(threads: usize) -> Device {
    Device::open("cpu", DeviceOptions { threads: Some(threads) }).unwrap()
}

/// The losses of a run.
fn losses(trainer: &Trainer<'_>, objective: &Made, out: &Path) -> Vec<f64> {
    let mut losses = vec![];
    let keep = |report: &Report| {
        if let Report::Step { loss, .. } = report {
            losses.push(*loss);
        }
    };
    match Trainer::can_resume(out) {
        true => trainer.resume(objective, out, keep),
        false => trainer.run(objective, out, keep),
    }
    .unwrap();
    losses
}

fn distil(setting: &Setting, head: Head, class: &str, how: DistillationOptions, out: &str) -> Vec<f64> {
    let (teacher, student) = (setting.teacher(class), setting.student(&json!({})));
    let device = cpu(2);
    let trainer = Trainer::new(&student, &device, options(60));
    let trainer = trainer.with_teacher(&teacher, how);
    losses(&trainer, &Made::new(head), &setting.path(out))
}

fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len() as f64
}

const CLASSES: [(Head, &str); 7] = [
    (Head::MaskedLm, "BertForMaskedLM"),
    (Head::PreTraining, "BertForPreTraining"),
    (Head::NextSentence, "BertForNextSentencePrediction"),
    (Head::SequenceClassification, "BertForSequenceClassification"),
    (Head::TokenClassification, "BertForTokenClassification"),
    (Head::QuestionAnswering, "BertForQuestionAnswering"),
    (Head::MultipleChoice, "BertForMultipleChoice"),
];

#[test]
fn a_student_comes_nearer_to_its_teacher_with_every_head() {
    let setting = Setting::new();
    for (head, class) in CLASSES {
        let losses = distil(&setting, head, class, ALONE, class);
        let (first, last) = (mean(&losses[..4]), mean(&losses[56..]));
        assert!(losses.iter().all(|&loss| loss >= -1e-6) && last < 0.6 * first, "{class}: {first} {last}");
    }
    // Hidden states, too: from -1 to 1 are the cosines, so that their part is at most 2.
    let how = DistillationOptions { hidden_weight: 1.0, ..ALONE };
    let both = distil(&setting, Head::MaskedLm, "BertForMaskedLM", how, "hidden");
    let scores = distil(&setting, Head::MaskedLm, "BertForMaskedLM", ALONE, "scores");
    let part = both[0] - scores[0];
    assert!((0.5..1.5).contains(&part), "{part}");
    assert!(mean(&both[56..]) - mean(&scores[56..]) < 0.7 * part, "{both:?}");
}

#[test]
fn a_student_without_labels_agrees_with_its_teacher_on_texts_that_neither_was_shown() {
    let setting = Setting::new();
    let (head, class) = (Head::SequenceClassification, "BertForSequenceClassification");
    let (teacher, student) = (setting.teacher(class), setting.student(&json!({})));
    let device = cpu(2);
    let train = Made { count: 8192, ..Made::new(head) };
    for (steps, out) in [(1, "before"), (500, "after")] {
        let trainer = Trainer::new(&student, &device, options(steps)).with_teacher(&teacher, ALONE);
        losses(&trainer, &train, &setting.path(out));
    }
    let others = Made { seed: 2, ..Made::new(head) };
    let mut batch = bert_core::PackedBatch::default();
    for index in 0..100 {
        let Sequence { ids, segments, .. } = others.sequence(index, 0);
        batch.push(&ids, &segments);
    }
    let classes = |model: &Pretrained| -> Vec<usize> {
        let encoder = device.load(model.config().clone(), model.parameters(), head, Precision::F32).unwrap();
        let scores = pollster::block_on(encoder.run(&batch, &[Output::Scores(head)])).unwrap().remove(0);
        let scores = scores.to_f32().unwrap();
        let best = |row: &[f32]| (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        scores.as_slice().unwrap().chunks(3).map(best).collect()
    };
    let its = classes(&teacher);
    let agreed =
        |out: &str| classes(&setting.open(out)).iter().zip(&its).filter(|(own, its)| own == its).count();
    let (before, after) = (agreed("before"), agreed("after"));
    assert!(after > 70 && after > before + 10, "{before} before, {after} after");
}

#[test]
fn the_loss_is_shared_between_labels_and_teacher_as_the_weight_says() {
    let setting = Setting::new();
    let (teacher, student) = (setting.teacher("BertForPreTraining"), setting.student(&json!({})));
    let first = |name: &str, how: Option<DistillationOptions>| {
        let device = cpu(1);
        let trainer = Trainer::new(&student, &device, options(1));
        let trainer = match how {
            Some(how) => trainer.with_teacher(&teacher, how),
            None => trainer,
        };
        losses(&trainer, &Made::new(Head::PreTraining), &setting.path(name))[0]
    };
    let soft = first("soft", Some(ALONE));
    let hard = first("hard", None);
    let mixed = first("mixed", Some(DistillationOptions { weight: 0.25, ..ALONE }));
    assert!((mixed - (0.75 * hard + 0.25 * soft)).abs() < 1e-5, "{hard} {soft} {mixed}");
    let hidden = first("hidden", Some(DistillationOptions { hidden_weight: 1.0, ..ALONE })) - soft;
    let twice = first("twice", Some(DistillationOptions { hidden_weight: 2.0, ..ALONE })) - soft;
    assert!((twice - 2.0 * hidden).abs() < 1e-5 && hidden > 0.1, "{hidden} {twice}");
}

#[test]
fn another_device_gives_the_same_losses() {
    let setting = Setting::new();
    let how = DistillationOptions { hidden_weight: 0.5, ..DistillationOptions::default() };
    for (head, class) in CLASSES {
        let (teacher, student) = (setting.teacher(class), setting.student(&json!({})));
        let of = |device: &Device| {
            let trainer = Trainer::new(&student, device, options(2)).with_teacher(&teacher, how);
            losses(&trainer, &Made::new(head), &setting.path(&format!("{class} {}", device.info().name)))
        };
        let (cpu, reference) = (of(&cpu(2)), of(&Device::with_backend(bert_core::reference::Reference)));
        for (cpu, reference) in cpu.iter().zip(&reference) {
            assert!((cpu - reference).abs() < 1e-4, "{class}: {cpu} {reference}");
        }
    }
}

#[test]
fn a_run_goes_on_to_equal_bits_with_the_teacher_that_it_began_with() {
    let setting = Setting::new();
    let (teacher, student) = (setting.teacher("BertForPreTraining"), setting.student(&json!({})));
    let how = DistillationOptions { hidden_weight: 0.5, weight: 0.75, temperature: 3.0 };
    let objective = Made::new(Head::PreTraining);
    let run = |out: &str, threads: usize, stop_after: Option<u64>| {
        let device = cpu(threads);
        let options = TrainOptions { dropout: true, ..options(20) };
        let trainer = Trainer::new(&student, &device, options).with_teacher(&teacher, how);
        let stop = trainer.stop_switch();
        let watch = |report: &Report| {
            if matches!(report, Report::Step { step, .. } if Some(*step) == stop_after) {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let out = setting.path(out);
        match Trainer::can_resume(&out) {
            true => trainer.resume(&objective, &out, watch).unwrap(),
            false => trainer.run(&objective, &out, watch).unwrap(),
        }
    };
    run("whole", 1, None);
    assert!(run("broken", 2, Some(7)).stopped);
    run("broken", 3, None);
    for file in ["model.safetensors", "state.safetensors", "config.json"] {
        let [whole, broken] = ["whole", "broken"].map(|out| fs::read(setting.path(out).join(file)).unwrap());
        assert!(whole == broken, "{file} differs");
    }

    let resume = |teacher: Option<(&Pretrained, DistillationOptions)>, objective: &Made| {
        let device = cpu(1);
        let trainer = Trainer::new(&student, &device, TrainOptions { dropout: true, ..options(20) });
        let trainer = match teacher {
            Some((teacher, how)) => trainer.with_teacher(teacher, how),
            None => trainer,
        };
        trainer.resume(objective, &setting.path("broken"), |_| ()).unwrap_err().to_string()
    };
    let other = DistillationOptions { temperature: 2.0, ..how };
    let error = resume(Some((&teacher, other)), &objective);
    assert!(
        error.contains("setting of the run to resume was") && error.contains("\"temperature\":3.0"),
        "{error}"
    );
    let error = resume(None, &objective);
    assert!(error.contains("setting of the run to resume was") && error.contains("distillation"), "{error}");
    let second = setting.path("second");
    Small::new("BertForPreTraining").labels(&LABELS).seed(6).save(&second);
    let error = resume(Some((&setting.open("second"), how)), &objective);
    assert!(error.contains("the teacher of the run to resume was"), "{error}");
    let error = resume(Some((&teacher, how)), &Made { seed: 9, ..Made::new(Head::PreTraining) });
    assert!(error.contains("not those of the run to resume"), "{error}");
}

#[test]
fn what_cannot_teach_is_told_before_the_first_step() {
    let setting = Setting::new();
    let fails = |teacher: &Pretrained, student: &Pretrained, objective: &Made, how, parts: &[&str]| {
        let device = cpu(1);
        let trainer = Trainer::new(student, &device, options(1)).with_teacher(teacher, how);
        let error = trainer.run(objective, &setting.path("out"), |_| ()).unwrap_err();
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(!setting.path("out").exists());
        error
    };
    let class = "BertForSequenceClassification";
    let (classifier, student) = (setting.teacher(class), setting.student(&json!({})));
    let (classes, words) = (Made::new(Head::SequenceClassification), Made::new(Head::MaskedLm));
    let error = fails(&classifier, &student, &words, ALONE, &[class, "has no vocabulary scores"]);
    assert!(matches!(error, Error::Training(TrainingError::Teacher { .. })), "{error:?}");

    Small::new(class).labels(&["z", "y", "x"]).save(&setting.path("other labels"));
    fails(&setting.open("other labels"), &student, &classes, ALONE, &["z, y, x", "x, y, z"]);
    Small::new(class).labels(&LABELS).words("zebra").save(&setting.path("more words"));
    fails(&setting.open("more words"), &student, &classes, ALONE, &["vocabulary", "the student's"]);
    let vocab = fs::read_to_string(setting.path("more words/vocab.txt")).unwrap();
    Small::new(class).labels(&LABELS).words("horse").save(&setting.path("other words"));
    assert_ne!(vocab, fs::read_to_string(setting.path("other words/vocab.txt")).unwrap());
    fails(
        &setting.open("more words"),
        &setting.open("other words"),
        &classes,
        ALONE,
        &["\"zebra\"", "\"horse\""],
    );
    let short = json!({ "max_position_embeddings": 32 });
    Small::new(class).labels(&LABELS).fields(&short).save(&setting.path("short"));
    fails(&setting.open("short"), &student, &classes, ALONE, &["32 tokens", "64", "max length to 32"]);
    let hidden = DistillationOptions { hidden_weight: 1.0, ..ALONE };
    let narrow = setting.student(&json!({ "hidden_size": 16 }));
    fails(&classifier, &narrow, &classes, hidden, &["32 hidden features", "16"]);

    let many = Made { problem: Some(ProblemType::MultiLabelClassification), ..Made::new(classes.head) };
    fails(&classifier, &narrow, &many, ALONE, &["several labels cannot be distilled"]);
    let number = Made { problem: Some(ProblemType::Regression), ..Made::new(classes.head) };
    fails(&classifier, &narrow, &number, ALONE, &["a regression cannot be distilled"]);
    let vectors = Made { vectors: true, ..Made::new(Head::None) };
    fails(&classifier, &narrow, &vectors, ALONE, &["vectors of texts cannot be distilled"]);

    for (how, part) in [
        (DistillationOptions { temperature: 0.0, ..ALONE }, "temperature is 0"),
        (DistillationOptions { weight: 1.5, ..ALONE }, "weight is 1.5"),
        (DistillationOptions { hidden_weight: -1.0, ..ALONE }, "hidden weight is -1"),
        (DistillationOptions { weight: 0.0, ..ALONE }, "weight is 0"),
    ] {
        fails(&classifier, &student, &classes, how, &[part]);
    }
    let alone = TrainOptions { distillation: Some(ALONE), ..options(1) };
    let device = cpu(1);
    let error = Trainer::new(&student, &device, alone).run(&classes, &setting.path("out"), |_| ());
    assert!(error.unwrap_err().to_string().contains("without a teacher"));
}

#[test]
fn every_nth_layer_of_the_teacher_is_where_a_student_begins() {
    let setting = Setting::new();
    Small::new("BertForMaskedLM").fields(&json!({ "num_hidden_layers": 5 })).save(&setting.path("deep"));
    let teacher = setting.open("deep");
    let config = |fields: serde_json::Value| {
        let mut config: serde_json::Value = serde_json::from_str(&teacher.config().to_json()).unwrap();
        config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        ModelConfig::from_json(&config.to_string()).unwrap()
    };
    let small = config(json!({ "num_hidden_layers": 2 }));
    let fresh = Initial::new(1, 0.02);
    let source = EveryNthLayer::new(&teacher, &small, &fresh).unwrap();
    for spec in graph::parameters(&small, Head::MaskedLm).unwrap() {
        let mut taken = spec.clone();
        taken.name = spec.name.replace("layer.1.", "layer.2.");
        let wanted = teacher.parameters().parameter(&taken).unwrap();
        assert!(source.parameter(&spec).unwrap().bytes() == wanted.bytes(), "{}", spec.name);
    }
    // What the teacher does not have is fresh.
    let all = graph::parameters(&small, Head::PreTraining).unwrap();
    let follows = all.iter().find(|spec| spec.name == "cls.seq_relationship.weight").unwrap();
    let (found, wanted) = (source.parameter(follows).unwrap(), fresh.parameter(follows).unwrap());
    assert!(found.bytes() == wanted.bytes());

    for (fields, part) in [
        (json!({ "num_hidden_layers": 6 }), "5 distinct layers"),
        (json!({ "hidden_size": 16 }), "32 hidden features and the student 16"),
        (json!({ "intermediate_size": 16 }), "64 intermediate features"),
    ] {
        let error = EveryNthLayer::new(&teacher, &config(fields), &fresh).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    }
}
