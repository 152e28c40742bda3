//! Questions about texts. Those without an answer are half of SQuAD 2's development set, by article, and questions that
//! are asked of another paragraph of their article: the one that is most like them and does not hold the answer.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use bert_core::random::Random;
use bert_tasks::data::squad::{Article, Dataset, Paragraph, Qa};
use serde_json::json;

use super::Output;
use crate::error::Result;

/// The sets whose texts are paragraphs. QAMR asks about single sentences, in a file of its own.
const SETS: [&str; 5] =
    ["squad1-realigned", "squad1-exact", "qed-train", "squadshifts-new_wiki", "squadshifts-amazon_reviews"];
/// The share of questions that are also asked where there is no answer.
const MOVED: f64 = 0.3;

pub fn split(shared: &Path, data: &Path) -> Result<()> {
    let qa = shared.join("qa");
    let random = Random::new(1).named("questions without an answer");
    let mut train = vec![];
    for (number, set) in (0..).zip(SETS) {
        let mut articles = open(qa.join("train").join(format!("{set}.json.gz")))?;
        for (at, article) in (0..).zip(&mut articles) {
            for paragraph in &mut article.paragraphs {
                let Paragraph { context, qas } = paragraph;
                qas.retain(|qa| is_usable(context, qa));
            }
            move_questions(article, random.numbered(number).numbered(at));
        }
        train.extend(articles);
    }
    let mut kept = vec![];
    for (number, article) in open(qa.join("squad2-half-dev.json"))?.into_iter().enumerate() {
        if number % 2 == 0 { train.push(article) } else { kept.push(article) }
    }
    let sentences = open(qa.join("train/qamr.json.gz"))?;
    for (name, articles) in [("questions", train), ("sentences", sentences), ("kept-questions", kept)] {
        let mut output = Output::create(data.join(format!("{name}.json")))?;
        output.line(json!({"version": "v2.0", "data": articles}))?;
        output.finish()?;
    }
    Ok(())
}

fn open(path: PathBuf) -> Result<Vec<Article>> {
    Ok(Dataset::open(path).map_err(bert_tasks::Error::from)?.data)
}

/// Whether every answer stands where it is said to. Some files have answers that were not found.
fn is_usable(context: &str, qa: &Qa) -> bool {
    let stands = |answer: &bert_tasks::data::squad::GoldAnswer| {
        !answer.text.trim().is_empty() && answer.range(context).is_some()
    };
    !qa.answers.is_empty() && qa.answers.iter().all(stands)
}

/// Asks some questions a second time, of another paragraph.
fn move_questions(article: &mut Article, random: Random) {
    let of: Vec<HashSet<String>> =
        article.paragraphs.iter().map(|paragraph| words(&paragraph.context)).collect();
    let mut moved: Vec<Vec<Qa>> = vec![vec![]; of.len()];
    let questions = article.paragraphs.iter().enumerate();
    let questions = questions.flat_map(|(at, paragraph)| paragraph.qas.iter().map(move |qa| (at, qa)));
    for (number, (at, qa)) in (0..).zip(questions) {
        if random.uniform(number) >= MOVED {
            continue;
        }
        let asked = words(&qa.question);
        let like = |other: &usize| of[*other].intersection(&asked).count();
        let mut others: Vec<usize> = (0..of.len()).filter(|other| *other != at && like(other) > 0).collect();
        others.sort_by_key(|other| (Reverse(like(other)), *other));
        let answers: Vec<String> = qa.answers.iter().map(|answer| answer.text.to_lowercase()).collect();
        let holds = |other: usize| {
            let context = article.paragraphs[other].context.to_lowercase();
            answers.iter().any(|answer| context.contains(answer))
        };
        if let Some(&to) = others.iter().take(5).find(|&&other| !holds(other)) {
            let id = format!("{}-moved", qa.id);
            moved[to].push(Qa { id, answers: vec![], is_impossible: true, ..qa.clone() });
        }
    }
    for (paragraph, questions) in article.paragraphs.iter_mut().zip(moved) {
        paragraph.qas.extend(questions);
    }
}

/// The words that say what a text is about: those of more than three letters.
fn words(text: &str) -> HashSet<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| word.len() > 3).map(str::to_lowercase).collect()
}
