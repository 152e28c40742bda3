//! Summaries on tiny random models: bytes, lengths and errors.

use crate::common::{Tiny, device};
use bert_tasks::evaluation::tasks::summary::evaluate;
use bert_tasks::evaluation::{Measure, metrics::rouge};
use bert_tasks::summary::{Length, Method, SummaryOptions};
use bert_tasks::{Error, Summarizer};

fn summarizer() -> Summarizer {
    Summarizer::load(Tiny::new("BertModel", &[]).name(), &device()).unwrap()
}

const TEXT: &str = "The river is long.  It rises in the hills! Is the \u{1f642} bank closed?\n\nThe city is old. It ends in the sea.";

#[test]
fn sentences_stand_as_they_are_and_in_their_order() {
    let summarizer = summarizer();
    for (word, method) in Method::WORDS {
        for length in [Length::Sentences(2), Length::Ratio(0.4), Length::Words(9), Length::Sentences(99)] {
            let options = SummaryOptions { method, length, ranking: true, ..SummaryOptions::default() };
            let summary = summarizer.summarize(TEXT, &options).unwrap();
            assert_eq!((summary.of, summary.ranking.len()), (5, 5), "{word} {length:?}");
            match length {
                Length::Sentences(2) | Length::Ratio(_) => assert_eq!(summary.sentences.len(), 2),
                Length::Words(_) => assert!(summary.text().split_whitespace().count() <= 9),
                _ => assert_eq!(summary.sentences.len(), 5),
            }
            assert!(summary.sentences.is_sorted_by(|a, b| a.range.end <= b.range.start));
            for sentence in summary.sentences.iter().chain(&summary.ranking) {
                assert_eq!(&TEXT[sentence.range.clone()], sentence.text);
            }
            assert!(summary.ranking.iter().zip(1..).all(|(sentence, rank)| sentence.rank == rank));
            assert_eq!(summarizer.summarize(TEXT, &options).unwrap(), summary, "{word}");
        }
    }
}

#[test]
fn one_sentence_equal_ones_and_none() {
    let summarizer = summarizer();
    for (word, method) in Method::WORDS {
        let options = SummaryOptions { method, ..SummaryOptions::default() };
        let summarize = |text: &str| summarizer.summarize(text, &options);
        assert_eq!(summarize("Only one").unwrap().text(), "Only one");
        assert_eq!(summarize(&"It rained. ".repeat(20)).unwrap().sentences.len(), 3, "{word}");
        for empty in ["", "  \n\t", "\u{a0}"] {
            assert!(matches!(summarize(empty), Err(Error::NoSentence)), "{word} {empty:?}");
        }
        assert_eq!(summarize("\0").unwrap().sentences.len(), 1);
    }
    for (length, expected) in [
        (Length::Sentences(0), "sentences"),
        (Length::Words(0), "words"),
        (Length::Ratio(0.0), "ratio"),
        (Length::Ratio(f64::NAN), "ratio"),
        (Length::Ratio(2.0), "ratio"),
    ] {
        let options = SummaryOptions { length, ..SummaryOptions::default() };
        let error = summarizer.summarize(TEXT, &options).unwrap_err();
        assert!(matches!(error, Error::Setting { setting, .. } if setting == expected), "{error}");
    }
}

#[test]
fn a_long_document_and_a_long_sentence() {
    let summarizer = summarizer();
    let long = "x".repeat(10_000_000);
    let summary =
        summarizer.summarize(&long, &SummaryOptions { method: Method::TextRank, ..Default::default() });
    assert_eq!(summary.unwrap().sentences.len(), 1);
    let words = "river ".repeat(200);
    let summary = summarizer.summarize(&format!("{words}. The end."), &SummaryOptions::default()).unwrap();
    assert_eq!((summary.of, summary.cut), (2, 1));
    let many: String = (0..1500).map(|at| format!("The river {at} is in the city {}. ", at * 7)).collect();
    for (_, method) in Method::WORDS {
        let options = SummaryOptions { method, length: Length::Ratio(0.01), ..SummaryOptions::default() };
        let summary = summarizer.summarize(&many, &options).unwrap();
        assert_eq!((summary.of, summary.sentences.len()), (1500, 15));
    }
}

#[test]
fn rouge_of_a_summary_and_of_the_first_sentences() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.jsonl");
    std::fs::write(
        &path,
        "{\"text\": \"The river is long. The city is old.\", \"summary\": \"The river is long.\"}\n",
    )
    .unwrap();
    let options = SummaryOptions { method: Method::Lead, length: Length::Sentences(1), ..Default::default() };
    let examples = bert_tasks::data::summaries::read(&path).unwrap();
    let mut seen = 0;
    let outcome = evaluate::<Error>(&summarizer(), &options, examples, |judged| {
        assert_eq!(judged.answer, "The river is long.");
        seen += 1;
        Ok(())
    });
    let outcome = outcome.unwrap();
    assert_eq!((seen, &outcome.observations[..]), (1, &[[1.0; 6]][..]));
    assert_eq!(outcome.measure.names()[2], "rougeL");
    // As rouge_score 0.1.2 has them, without its stemmer.
    let (gold, answer) =
        ("The quick brown fox jumps over the lazy dog.", "A quick dog jumps over a lazy, brown fox!");
    let figures =
        [rouge::rouge_n(gold, answer, 1), rouge::rouge_n(gold, answer, 2), rouge::rouge_l(gold, answer)];
    for (figure, expected) in figures.iter().zip(ROUGE_SCORE) {
        assert!((figure.f1() - expected).abs() < 1e-12, "{figure:?} {expected}");
    }
}

const ROUGE_SCORE: [f64; 3] = [0.7777777777777778, 0.25, 0.4444444444444444];
