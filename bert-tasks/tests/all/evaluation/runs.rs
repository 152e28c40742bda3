//! Whole evaluations on tiny checkpoints, against the tasks' own answers one by one.

use std::collections::HashSet;
use std::convert::Infallible;
use std::path::PathBuf;

use bert_tasks::bert_core::contract::Precision;
use bert_tasks::data::classification::{Example, Label};
use bert_tasks::data::glue::{self, Task as Glue};
use bert_tasks::data::pairs;
use bert_tasks::data::retrieval::{Relevance, Text};
use bert_tasks::data::squad::Dataset;
use bert_tasks::data::{DataError, Place};
use bert_tasks::embedding::cosine;
use bert_tasks::evaluation::metrics::correlation::spearman;
use bert_tasks::evaluation::tasks::classification::{LabelMap, TextObservation};
use bert_tasks::evaluation::tasks::glue::{GlueLabels, Submission};
use bert_tasks::evaluation::tasks::language_model::MaskedWords;
use bert_tasks::evaluation::tasks::squad::SquadOptions;
use bert_tasks::evaluation::tasks::{
    classification, entities, language_model, multiple_choice, retrieval, similarity, squad,
};
use bert_tasks::evaluation::{Bootstrap, EvaluationError, Judged, Measure, Outcome, figures};
use bert_tasks::pretraining;
use bert_tasks::text_classification::TextClassificationOptions;
use bert_tasks::token_classification::TokenClassificationOptions;
use bert_tasks::{
    Embedding, Error, ModelSource, MultipleChoice, Pretrained, ProblemType, QuestionAnswering, Task,
    TextClassification, TokenClassification,
};

use crate::common::{Tiny, device};

/// A checkpoint of the conformance suite.
fn checkpoint(name: &str) -> Pretrained {
    Pretrained::from_source(ModelSource::Folder(bert_conformance::checkpoint(name))).unwrap()
}

/// Nothing is done with examples.
fn ignore(_: Judged) -> Result<(), Error> {
    Ok(())
}

fn example(line: u64, text: &str, label: Label) -> Result<Example, DataError> {
    Ok(Example { text: text.to_owned(), second: None, label, place: Place::of("dev.tsv").at(line) })
}

fn values<M: Measure>(outcome: &Outcome<M>) -> Vec<f64> {
    outcome.measure.values(&outcome.observations.iter().collect::<Vec<_>>())
}

const TEXTS: [&str; 6] =
    ["a good movie", "the bank of the river", "very bad!", "she lives in london", "not good", "it works"];

#[test]
fn labels_are_those_that_the_task_gives() {
    let task = TextClassification::from_pretrained(
        &checkpoint("bert-sequence-classification"),
        &device(),
        Precision::F32,
    )
    .unwrap();
    let names = task.session().config().labels.clone();
    let labels = LabelMap::new(&names, None).unwrap();
    let answers: Vec<String> =
        TEXTS.iter().map(|text| task.predict(text).unwrap().scores[0].label.clone()).collect();
    // Every second one is right, in other case.
    let gold = |at: usize| match at % 2 {
        0 => answers[at].to_uppercase(),
        _ => names.iter().find(|name| **name != answers[at]).unwrap().clone(),
    };
    let examples = || (0..6).map(|at| example(at as u64 + 1, TEXTS[at], Label::One(gold(at))));
    let mut judged = vec![];
    let outcome = classification::evaluate(&task, &labels, examples(), |one| {
        judged.push(one);
        Ok::<_, Error>(())
    })
    .unwrap();
    assert_eq!(values(&outcome)[0], 0.5);
    assert_eq!(judged.iter().map(|one| one.right.unwrap()).collect::<Vec<_>>(), [true, false].repeat(3));
    assert_eq!((judged[3].line, judged[3].answer.as_str()), (Some(4), Some(&*answers[3])));
    assert_eq!(outcome.changed(&outcome), Some(0));
    let figures = figures(&outcome.measure, &outcome.observations, &Bootstrap::default());
    assert_eq!((figures[0].name.as_str(), figures.len()), ("accuracy", 3 + 3 * 3));

    // Several labels: those above a half.
    let options =
        TextClassificationOptions { problem_type: Some(ProblemType::MultiLabelClassification), top_k: None };
    let task = task.with_options(options).unwrap();
    let above = |text: &str| -> Vec<String> {
        let scores = task.predict(text).unwrap().scores;
        scores.into_iter().filter(|label| label.score > 0.5).map(|label| label.label).collect()
    };
    let many = TEXTS.iter().zip(1..).map(|(text, line)| example(line, text, Label::Many(above(text))));
    assert_eq!(values(&classification::evaluate(&task, &labels, many, ignore).unwrap())[..2], [1.0, 1.0]);

    // Scores take a model with one output.
    let options = TextClassificationOptions { problem_type: Some(ProblemType::Regression), top_k: None };
    let task = task.with_options(options).unwrap();
    let error = classification::evaluate(&task, &labels, examples(), ignore).unwrap_err();
    assert!(matches!(error, Error::Evaluation(EvaluationError::Outputs { found: 3 })), "{error}");
}

#[test]
fn an_error_ends_it_and_names_the_line() {
    let task = TextClassification::from_pretrained(
        &checkpoint("bert-sequence-classification"),
        &device(),
        Precision::F32,
    )
    .unwrap();
    let labels = LabelMap::new(&task.session().config().labels, None).unwrap();
    let good = |line| example(line, "good", Label::One("positive".into()));
    let run = |examples: Vec<Result<Example, DataError>>| {
        let mut seen = 0;
        let result = classification::evaluate(&task, &labels, examples, |_| {
            seen += 1;
            Ok::<_, Error>(())
        });
        (result.map(|_| ()).unwrap_err().to_string(), seen)
    };
    let unknown = example(2, "bad", Label::One("awful".into()));
    let (error, seen) = run(vec![good(1), unknown, good(3)]);
    assert_eq!(seen, 1);
    assert!(error.starts_with("dev.tsv:2: the model has no label \"awful\"; it has negative"), "{error}");
    let broken = DataError::Fields { place: Place::of("dev.tsv").at(3), expected: 2, found: 1 };
    let (error, seen) = run(vec![good(1), good(2), Err(broken)]);
    assert_eq!(seen, 2);
    assert!(error.starts_with("dev.tsv:3: 1 fields"), "{error}");
    // What looks at examples can stop it.
    let stop = classification::evaluate(&task, &labels, [good(1)], |_| Err(Error::NoMaskToken));
    assert!(matches!(stop, Err(Error::NoMaskToken)));
}

#[test]
fn scores_of_glue_are_correlated_and_written() {
    let tiny = Tiny::with_config(
        "BertForSequenceClassification",
        &["LABEL_0"],
        serde_json::json!({"problem_type": "regression"}),
    );
    let task = TextClassification::from_pretrained(&tiny.open(), &device(), Precision::F32).unwrap();
    let labels = LabelMap::new(&task.session().config().labels, None).unwrap();
    let labels = GlueLabels::new(Glue::StsB, &labels).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..5)
        .map(|at| format!("{at}\tg\tf\ty\to\ts\ts\t{}\t{}\t{at}.5\n", TEXTS[at], TEXTS[at + 1]))
        .collect();
    let path = folder.path().join("dev.tsv");
    let header = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n";
    std::fs::write(&path, format!("{header}{rows}")).unwrap();
    let mut submission = Submission::create(&folder.path().join("out"), Glue::StsB).unwrap();
    let outcome = bert_tasks::evaluation::tasks::glue::evaluate(
        &task,
        Glue::StsB,
        &labels,
        glue::read(&path, Glue::StsB).unwrap(),
        Some(&mut submission),
        ignore,
    )
    .unwrap();
    let answers: Vec<f64> = (0..5)
        .map(|at| f64::from(task.predict_pair(TEXTS[at], TEXTS[at + 1]).unwrap().scores[0].score))
        .collect();
    assert_eq!(values(&outcome)[1], spearman(&[0.5, 1.5, 2.5, 3.5, 4.5], &answers).unwrap());
    assert!(
        matches!(outcome.observations[2], TextObservation::Score([gold, found]) if gold == 2.5 && found == answers[2])
    );
    assert_eq!(outcome.changed(&outcome), None);
    let written = submission.finish().unwrap();
    assert_eq!(written, folder.path().join("out/STS-B.tsv"));
    let lines: String = answers
        .iter()
        .enumerate()
        .map(|(at, score)| format!("{at}\t{:.3}\n", score.clamp(0.0, 5.0)))
        .collect();
    assert_eq!(std::fs::read_to_string(written).unwrap(), format!("index\tprediction\n{lines}"));
    // A file that is not finished is none.
    drop(Submission::create(&folder.path().join("other"), Glue::Cola).unwrap());
    assert_eq!(std::fs::read_dir(folder.path().join("other")).unwrap().count(), 0);
}

#[test]
fn answers_to_questions_are_those_of_the_task() {
    let task =
        QuestionAnswering::from_pretrained(&checkpoint("bert-question-answering"), &device(), Precision::F32)
            .unwrap();
    let context = "the bank of the river is in london, england.";
    let best = |question: &str| task.predict(question, context).unwrap();
    let right = best("where is it").answers[0].clone();
    let start = context[..right.range.start].chars().count();
    let json = serde_json::json!({"data": [{"paragraphs": [{"context": context, "qas": [
        {"id": "1", "question": "where is it", "answers": [{"text": right.text, "answer_start": start}]},
        {"id": "2", "question": "what is good", "answers": [{"text": "nothing like it", "answer_start": -1}]},
        {"id": "3", "question": "who lives", "answers": []},
    ]}]}]});
    let dataset = Dataset::from_json(&json.to_string()).unwrap();
    let run = |threshold| {
        let options = SquadOptions { threshold, rouge: true };
        squad::evaluate(&task, &dataset, options, None, ignore).unwrap()
    };
    // With everything answered, the first is right and the last is wrong; with nothing answered, the other way round.
    let answered = run(f64::INFINITY);
    let names = answered.measure.names();
    let of = |outcome: &Outcome<_>, name: &str| {
        values(outcome)[names.iter().position(|found| found == name).unwrap()]
    };
    assert_eq!((of(&answered, "HasAns_exact"), of(&answered, "NoAns_exact")), (50.0, 0.0));
    assert_eq!(of(&answered, "rouge1"), 50.0);
    let silent = run(f64::NEG_INFINITY);
    assert_eq!((of(&silent, "HasAns_exact"), of(&silent, "NoAns_exact")), (0.0, 100.0));
    // The sweep is over the same answers whatever the threshold.
    assert_eq!(of(&answered, "best_exact"), of(&silent, "best_exact"));
    assert_eq!(answered.changed(&silent), Some(3));
    let odds = f64::from(best("who lives").no_answer_odds.unwrap());
    assert_eq!(answered.observations[2].judged.odds, Some(odds));
}

#[test]
fn similarities_and_searches_are_those_of_the_vectors() {
    let task = Embedding::from_pretrained(&checkpoint("bert-embedding"), &device(), Precision::F32).unwrap();
    let vectors: Vec<Vec<f32>> = TEXTS.iter().map(|text| task.predict(text).unwrap().vector).collect();
    let pair = |at: usize| {
        Ok(pairs::Example {
            texts: pairs::Texts::Scored {
                first: TEXTS[at].into(),
                second: TEXTS[at + 1].into(),
                score: at as f64 / 5.0,
            },
            place: Place::of("dev.csv").at(at as u64 + 1),
        })
    };
    let outcome = similarity::evaluate(&task, (0..5).map(pair), ignore).unwrap();
    for (at, [score, found]) in outcome.observations.iter().enumerate() {
        assert_eq!((*score, *found), (at as f64 / 5.0, f64::from(cosine(&vectors[at], &vectors[at + 1]))));
    }

    let text = |prefix: &str, at: usize| {
        Ok(Text { id: format!("{prefix}{at}"), text: TEXTS[at].to_owned(), place: Place::of("corpus") })
    };
    // Each query should find the next text; the last has none.
    let relevance: Relevance =
        (0..5).map(|at| (format!("q{at}"), [(format!("d{}", at + 1), 1.0)].into())).collect();
    let (queries, documents) = ((0..6).map(|at| text("q", at)), (0..6).map(|at| text("d", at)));
    let mut texts = 0;
    let progress = |cut: bool| {
        assert!(!cut);
        texts += 1;
        Ok::<_, Error>(())
    };
    let outcome =
        retrieval::evaluate([&task, &task], queries, documents, &relevance, progress, ignore).unwrap();
    assert_eq!(texts, 5 + 6);
    for (at, figures) in outcome.observations.iter().enumerate() {
        let near = |other: usize| cosine(&vectors[at], &vectors[other]);
        let rank = (0..6).filter(|&other| near(other) > near(at + 1)).count();
        assert_eq!(figures[3], 1.0 / (rank + 1) as f64, "{at}");
        assert!((figures[4] - 1.0 / ((rank + 2) as f64).log2()).abs() < 1e-12);
    }
}

#[test]
fn the_best_ending_is_that_of_the_task() {
    let task =
        MultipleChoice::from_pretrained(&checkpoint("bert-multiple-choice"), &device(), Precision::F32)
            .unwrap();
    let best = task.predict(TEXTS[0], &TEXTS[1..]).unwrap().best;
    let example = |label| {
        Ok(bert_tasks::data::multiple_choice::Example {
            prompt: TEXTS[0].to_owned(),
            choices: TEXTS[1..].iter().map(ToString::to_string).collect(),
            label,
            place: Place::of("val.csv"),
        })
    };
    let outcome = multiple_choice::evaluate(&task, [example(best), example((best + 1) % 5)], ignore).unwrap();
    assert_eq!(values(&outcome), [0.5]);
}

#[test]
fn every_word_alone_is_what_examples_with_one_mask_say() {
    let files = checkpoint("bert-masked-lm");
    let task = MaskedWords::from_pretrained(&files, &device(), Precision::F32).unwrap();
    let tokenizer = files.tokenizer();
    let mask = tokenizer.special().mask.unwrap();
    let whole = tokenizer.encode("the bank of the river").unwrap();
    let special: HashSet<u32> = [tokenizer.special().cls, tokenizer.special().sep].into();
    let with = |at: usize| {
        let mut ids = whole.ids.clone();
        ids[at] = mask;
        let (masked, labels) = (vec![at as u32], vec![whole.ids[at]]);
        pretraining::Example { ids, segments: whole.segments.clone(), is_next: None, masked, labels }
    };
    let words: Vec<usize> = (0..whole.ids.len()).filter(|&at| !special.contains(&whole.ids[at])).collect();
    let one_by_one =
        language_model::evaluate(&task, words.iter().map(|&at| Ok(with(at))), 0, ignore).unwrap();
    // An example without a word to guess is passed over.
    let nothing = pretraining::Example { masked: vec![], labels: vec![], ..with(words[0]) };
    let at_once = language_model::evaluate(&task, [Ok(nothing), Ok(with(words[0]))], 1, ignore).unwrap();
    assert_eq!(at_once.observations.len(), 1);
    let alone = at_once.observations[0].alone;
    assert_eq!(alone.words, words.len());
    let perplexity = values(&one_by_one)[3];
    assert!((alone.perplexity() - perplexity).abs() < 1e-9 * perplexity);
    assert_eq!(values(&at_once).len(), 5);
}

#[test]
fn batches_do_not_change_figures() {
    let files = |budget| checkpoint("bert-token-classification").with_token_budget(budget);
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("dev.conll");
    let sentences =
        TEXTS.map(|text| text.split(' ').map(|word| format!("{word} B-NAME\n")).collect::<String>());
    std::fs::write(&path, sentences.join("\n")).unwrap();
    let run = |budget| {
        let task = TokenClassification::from_pretrained(&files(budget), &device(), Precision::F32).unwrap();
        let examples = bert_tasks::data::entities::read(&path, &Default::default()).unwrap();
        entities::evaluate(&task, &TokenClassificationOptions::default(), examples, ignore).unwrap()
    };
    let (small, large) = (run(1), run(2048));
    assert_eq!(small.observations, large.observations);
    assert_eq!(small.changed(&large), Some(0));
    assert!(small.measure.strict);
}

/// An error of one's own, which can be any that a task's error becomes.
#[test]
fn errors_may_be_the_callers_own() {
    #[derive(Debug)]
    struct Own;
    impl From<Error> for Own {
        fn from(_: Error) -> Self {
            Self
        }
    }
    let dataset = Dataset::from_json(r#"{"data": []}"#).unwrap();
    let none = squad::evaluate_predictions(&dataset, &Default::default(), None, 1.0, false, |_| {
        Ok::<_, Infallible>(())
    });
    assert!(none.unwrap().observations.is_empty());
    let task =
        MultipleChoice::from_pretrained(&checkpoint("bert-multiple-choice"), &device(), Precision::F32)
            .unwrap();
    let broken = DataError::Fields { place: Place::of("val.csv").at(1), expected: 2, found: 1 };
    assert!(multiple_choice::evaluate(&task, [Err(broken)], |_| Ok::<_, Own>(())).is_err());
}
