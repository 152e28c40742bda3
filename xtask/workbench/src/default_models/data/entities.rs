//! Sentences with persons, places, organisations and others. Kept for measuring: a third of wikigold, and one file of
//! tweets. Sets that have no MISC teach that there is none, and so are left out.

use std::path::Path;

use bert_tasks::data::Lines;

use super::Output;
use crate::error::Result;

/// All of the same four labels, in two columns, as BIO.
const TRAIN: [&str; 5] = [
    "more/worldwide-newswire.conll.gz",
    "more/redocred-dev.conll.gz",
    "more/redocred-test.conll.gz",
    "more/crossner-train.conll.gz",
    "more/crossner-dev.conll.gz",
];
/// Of so many runs of wikigold's sentences one is for choosing the best model, two for measuring, the others for
/// training.
const RUNS: usize = 6;

pub fn split(shared: &Path, data: &Path) -> Result<()> {
    let ner = shared.join("ner");
    let create = |name: &str| Output::create(data.join(format!("{name}.conll")));
    let mut outputs = [create("entities")?, create("dev-entities")?, create("kept-entities")?];
    for set in TRAIN {
        copy(&ner.join(set), &mut outputs, |_| 0)?;
    }
    // Sentences that stand together are mostly of one article.
    copy(&ner.join("wikigold.conll"), &mut outputs, |sentence| match sentence / 20 % RUNS {
        0 => 1,
        1 | 2 => 2,
        _ => 0,
    })?;
    let mut tweets = [create("kept-tweets")?];
    copy(&ner.join("btc/h.conll"), &mut tweets, |_| 0)?;
    outputs.into_iter().chain(tweets).try_for_each(Output::finish)
}

/// Copies sentences, each to where its number says, as word and BIO label separated by a blank. Wikigold begins an
/// entity with `B-` only where it follows another one of its kind.
fn copy(from: &Path, outputs: &mut [Output], to: impl Fn(usize) -> usize) -> Result<()> {
    let mut lines = Lines::open(from).map_err(bert_tasks::Error::from)?;
    let (mut sentence, mut before, mut begun) = (0, "O".to_owned(), false);
    while let Some(line) = lines.next_line().map_err(bert_tasks::Error::from)? {
        let mut columns = line.split_whitespace();
        let (Some(word), Some(label)) = (columns.next(), columns.last()) else {
            if begun {
                outputs[to(sentence)].line("")?;
                sentence += 1;
            }
            (before, begun) = ("O".to_owned(), false);
            continue;
        };
        if word == "-DOCSTART-" {
            continue;
        }
        let label = match label.strip_prefix("I-") {
            Some(kind) if before.get(2..) != Some(kind) => format!("B-{kind}"),
            _ => label.to_owned(),
        };
        outputs[to(sentence)].line(format_args!("{word} {label}"))?;
        (before, begun) = (label, true);
    }
    if begun {
        outputs[to(sentence)].line("")?;
    }
    Ok(())
}
