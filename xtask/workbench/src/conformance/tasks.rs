//! Every task from text to answer: on small checkpoints, and on trained ones where they are. What is decided
//! (labels, spans, words) has to be what it is on the reference; numbers have to be close.

use bert_conformance::{Answer, Fault, Plan, Verdict, checkpoint, compare_answers};
use bert_core::reference::Reference;
use bert_tasks::multiple_choice::MultipleChoice;
use bert_tasks::question_answering::{QuestionAnswering, QuestionAnsweringOptions};
use bert_tasks::{
    Device, Embedding, FillMask, ModelSource, NextSentence, Precision, Pretrained, TextClassification,
    TokenClassification,
};

/// A task, and what it is asked.
struct Task {
    name: &'static str,
    /// Small checkpoints for it, of `bert-conformance`.
    small: &'static [&'static str],
    /// Trained models for it: a folder of the checkout.
    trained: &'static [&'static str],
    ask: fn(&Pretrained, &Device) -> bert_tasks::Result<Answer>,
}

const TASKS: &[Task] = &[
    Task {
        name: "fill-mask",
        small: &["bert-masked-lm", "distilbert-masked-lm"],
        trained: &["bert-cli/models/english-mlm", "target/models/splade-tiny-mlm"],
        ask: |files, device| {
            let filled = FillMask::from_pretrained(files, device, Precision::F32)?
                .predict("The capital of France is [MASK], and the river is [MASK].")?;
            let best = filled.masks.iter().map(|mask| &mask.candidates[0]);
            Ok(Answer {
                decisions: best.map(|candidate| candidate.token_str.clone()).collect(),
                numbers: scores(filled.masks.iter().map(|mask| mask.candidates[0].score)),
            })
        },
    },
    Task {
        name: "next sentence",
        small: &["bert-pretraining"],
        trained: &["target/models/antiberty-pretraining"],
        ask: |files, device| {
            let task = NextSentence::from_pretrained(files, device, Precision::F32)?;
            let pairs = [("you work in paris", "it is good"), ("E V Q L V", "Q S G A")];
            let answers: Vec<f32> = pairs
                .iter()
                .map(|(first, second)| Ok(task.predict(first, second)?.is_next))
                .collect::<bert_tasks::Result<_>>()?;
            Ok(Answer {
                decisions: answers.iter().map(|is_next| (*is_next > 0.5).to_string()).collect(),
                numbers: scores(answers),
            })
        },
    },
    Task {
        name: "question answering",
        small: &["bert-question-answering"],
        trained: &[],
        ask: |files, device| {
            // Windows that slide, too.
            let options = QuestionAnsweringOptions {
                max_length: 32,
                doc_stride: 8,
                ..QuestionAnsweringOptions::default()
            };
            let task =
                QuestionAnswering::from_pretrained(files, device, Precision::F32)?.with_options(options)?;
            let answers = task.predict("where is the bank ?", &TEXT.repeat(3))?;
            let best = answers.answers.iter();
            Ok(Answer {
                decisions: best.map(|answer| format!("{:?} {}", answer.range, answer.text)).collect(),
                numbers: scores(answers.answers.iter().map(|answer| answer.score)),
            })
        },
    },
    Task {
        name: "entities",
        small: &["bert-token-classification"],
        trained: &["target/models/rampart-ner"],
        ask: |files, device| {
            let task = TokenClassification::from_pretrained(files, device, Precision::F32)?;
            let entities = task.predict(
                "My name is Sarah Connor and I live at 12 Main Street in Los Angeles. The bank is good.",
            )?;
            let found = entities.iter();
            Ok(Answer {
                decisions: found.map(|entity| format!("{} {:?}", entity.label, entity.range)).collect(),
                numbers: scores(entities.iter().map(|entity| entity.score)),
            })
        },
    },
    Task {
        name: "sentiment",
        small: &["bert-sequence-classification"],
        trained: &[],
        ask: |files, device| {
            let task = TextClassification::from_pretrained(files, device, Precision::F32)?;
            let scores_of = task.predict("a very good movie")?.scores;
            Ok(Answer {
                decisions: scores_of.iter().map(|score| score.label.clone()).collect(),
                numbers: scores(scores_of.iter().map(|score| score.score)),
            })
        },
    },
    Task {
        name: "multiple choice",
        small: &["bert-multiple-choice"],
        trained: &[],
        ask: |files, device| {
            let task = MultipleChoice::from_pretrained(files, device, Precision::F32)?;
            let choice =
                task.predict("she works at the bank", &["in paris", "it is not a movie", "money", "a"])?;
            Ok(Answer { decisions: vec![choice.best.to_string()], numbers: scores(choice.probabilities) })
        },
    },
    Task {
        name: "embedding",
        small: &["bert-embedding"],
        trained: &["target/models/all-MiniLM-L6-v2"],
        ask: |files, device| {
            let task = Embedding::from_pretrained(files, device, Precision::F32)?;
            let (a, b) = (task.predict("A man is eating food.")?, task.predict(TEXT)?);
            Ok(Answer { decisions: vec![], numbers: scores(a.vector.into_iter().chain(b.vector)) })
        },
    },
];

const TEXT: &str = "the bank of the river is in paris , and you live in london . ";

fn scores(scores: impl IntoIterator<Item = f32>) -> Vec<f64> {
    scores.into_iter().map(f64::from).collect()
}

/// Asks every task on a device. Trained models are left out where they would take too long, and where there
/// are none.
pub fn run(backend: &str, device: &Device, plan: &Plan, trained: bool) -> Vec<Verdict> {
    let reference = Device::with_backend(Reference);
    let mut verdicts = vec![];
    for task in TASKS {
        let small = task.small.iter().map(|&name| (name, checkpoint(name)));
        let trained = task.trained.iter().filter(|_| trained);
        let trained = trained.map(|&folder| (folder, crate::workspace_root().join(folder)));
        for (model, folder) in small.chain(trained) {
            let name = format!("task {}", task.name);
            let case = format!("{name} {}", model.rsplit('/').next().expect("a word"));
            if !plan.wants(&case) {
                continue;
            }
            if !folder.is_dir() {
                eprintln!("SKIPPED {case}: no checkpoint at {}; run cargo xtask models", folder.display());
                continue;
            }
            let ask = |device: &Device| {
                let files = Pretrained::from_source(ModelSource::Folder(folder.clone()))?;
                (task.ask)(&files, device)
            };
            let ask = |device: &Device| ask(device).map_err(|error| Fault::Task(Box::new(error)));
            verdicts.push(match ask(&reference) {
                Ok(wanted) => compare_answers(backend, &name, &case, || ask(device), &wanted),
                Err(fault) => compare_answers(backend, &name, &case, || Err(fault), &Answer::default()),
            });
        }
    }
    verdicts
}
