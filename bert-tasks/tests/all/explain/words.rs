//! Occlusion, integrated gradients and faithfulness.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bert_tasks::explain::{ExplainError, Explanation, Faithfulness, IntegratedGradients, Occlusion, Subject};
use bert_tasks::next_sentence::TextPair;
use bert_tasks::question_answering::Question;
use bert_tasks::text_classification::Text;
use bert_tasks::token_classification::TokenClassificationOptions;
use bert_tasks::{
    Error, FillMask, Head, NextSentence, Pretrained, QuestionAnswering, Similarity, Task, TextClassification,
    TokenClassification,
};

use super::{assert_safe, checkpoint};

const TEXT: &str = "the capital of france is paris.";

fn classifier() -> TextClassification {
    let (model, device) = checkpoint("bert-sequence-classification");
    TextClassification::load(&model, &device).unwrap()
}

fn pair() -> TextPair {
    TextPair { first: "the capital of france".to_owned(), second: "is paris".to_owned() }
}

/// A subject of each task, with the head and the checkpoint that it is one of.
fn subjects() -> Vec<(Subject, Head, &'static str)> {
    let device = checkpoint("bert-embedding").1;
    let model = |name| checkpoint(name).0;
    let fill_mask = FillMask::load(&model("bert-masked-lm"), &device).unwrap();
    let next = NextSentence::load(&model("bert-next-sentence"), &device).unwrap();
    let tagger = TokenClassification::load(&model("bert-token-classification"), &device).unwrap();
    let answers = QuestionAnswering::load(&model("bert-question-answering"), &device).unwrap();
    let similarity = Similarity::load(&model("bert-embedding"), &device).unwrap();
    let question = Question { question: "what is the capital".to_owned(), context: TEXT.to_owned() };
    vec![
        (
            Subject::label(&classifier(), TEXT, None).unwrap(),
            Head::SequenceClassification,
            "bert-sequence-classification",
        ),
        (
            Subject::mask(&fill_mask, "the [MASK] of france is [MASK].", 2, None).unwrap(),
            Head::MaskedLm,
            "bert-masked-lm",
        ),
        (Subject::follows(&next, &pair()).unwrap(), Head::NextSentence, "bert-next-sentence"),
        (
            Subject::entity(&tagger, TEXT, None).unwrap(),
            Head::TokenClassification,
            "bert-token-classification",
        ),
        (Subject::answer(&answers, &question).unwrap(), Head::QuestionAnswering, "bert-question-answering"),
        (Subject::similarity(&similarity, &pair()).unwrap(), Head::None, "bert-embedding"),
    ]
}

#[test]
fn subjects_are_the_scores_of_their_tasks() {
    let classifier = classifier();
    let answer = classifier.predict(TEXT).unwrap();
    for scored in &answer.scores {
        let subject = Subject::label(&classifier, TEXT, Some(&scored.label)).unwrap();
        assert_eq!(subject.score(&[]).unwrap() as f32, scored.score);
        assert_eq!(subject.target(), scored.label);
    }
    assert_eq!(Subject::label(&classifier, TEXT, None).unwrap().target(), answer.scores[0].label);

    let (model, device) = checkpoint("bert-masked-lm");
    let fill_mask = FillMask::load(&model, &device).unwrap();
    let text = "the [MASK] of france is [MASK].";
    let filled = fill_mask.predict(text).unwrap();
    for (number, mask) in filled.masks.iter().enumerate() {
        let subject = Subject::mask(&fill_mask, text, number + 1, None).unwrap();
        assert_eq!(subject.score(&[]).unwrap() as f32, mask.candidates[0].score);
        let words: Vec<_> = subject.words().iter().map(|word| word.word.as_str()).collect();
        assert!(!words.contains(&"[MASK]"), "{words:?}");
    }

    let similarity = Similarity::load(&checkpoint("bert-embedding").0, &device).unwrap();
    let subject = Subject::similarity(&similarity, &pair()).unwrap();
    let expected = similarity.predict(&pair().first, &pair().second).unwrap().cosine;
    assert!((subject.score(&[]).unwrap() - f64::from(expected)).abs() < 1e-6);
    assert_eq!(subject.words().iter().filter(|word| word.text == 1).count(), 2);

    let next = NextSentence::load(&checkpoint("bert-next-sentence").0, &device).unwrap();
    let subject = Subject::follows(&next, &pair()).unwrap();
    assert_eq!(
        subject.score(&[]).unwrap() as f32,
        next.predict(&pair().first, &pair().second).unwrap().is_next
    );
}

#[test]
fn occlusion_is_what_masking_a_word_in_the_text_does() {
    let classifier = classifier();
    let subject = Subject::label(&classifier, TEXT, None).unwrap();
    let explanation = Occlusion::default().explain(&subject).unwrap();
    for (index, word) in explanation.words.iter().enumerate() {
        assert_eq!(word.word, TEXT[word.range.clone()]);
        // Every token of the word becomes a mask.
        let pieces = classifier.session().tokenizer().encode_without_special(&word.word).unwrap().len();
        let mut masked = TEXT.to_owned();
        masked.replace_range(word.range.clone(), &["[MASK]"].repeat(pieces).join(" "));
        let answer = classifier.predict(&masked).unwrap();
        let without = answer.scores.iter().find(|scored| scored.label == explanation.target).unwrap().score;
        assert!((word.score - (explanation.score - f64::from(without))).abs() < 1e-6, "{masked}");
        assert!((subject.score(&[index]).unwrap() - f64::from(without)).abs() < 1e-6);
    }
}

#[test]
fn integrated_gradients_add_up_to_what_the_score_gained() {
    let (_, device) = checkpoint("bert-embedding");
    for (subject, head, name) in subjects() {
        let files = Pretrained::open(&checkpoint(name).0).unwrap();
        let gradients = IntegratedGradients::load(&files, head, &device).unwrap();
        let explained = gradients.explain(&subject);
        if name == "bert-embedding" {
            let error = explained.unwrap_err();
            assert!(matches!(error, Error::Explain(ExplainError::NoGradient { .. })), "{error}");
            continue;
        }
        let explanation = explained.unwrap();
        let sum: f64 = explanation.words.iter().map(|word| word.score).sum();
        let gained = explanation.score - explanation.baseline;
        println!("{name}: {sum:.6} of {gained:.6}");
        assert!((sum - gained).abs() < 2e-3 * gained.abs().max(0.05), "{name}: {sum} {gained}");
        assert!((explanation.gap.unwrap() - (sum - gained)).abs() < 1e-9);
        // More steps, cut into other batches, and the same bits again.
        let again = gradients.explain(&subject).unwrap();
        assert_eq!(again, explanation);
        let few = gradients.with_steps(1).unwrap().explain(&subject).unwrap();
        assert_ne!(few, explanation);
    }
}

#[test]
fn gradients_are_of_the_model_that_was_loaded() {
    let (model, device) = checkpoint("bert-token-classification");
    let files = Pretrained::open(&model).unwrap();
    let gradients = IntegratedGradients::load(&files, Head::TokenClassification, &device).unwrap();
    let error = gradients.explain(&Subject::label(&classifier(), TEXT, None).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Explain(ExplainError::OtherHead { .. })), "{error}");
    assert!(matches!(gradients.with_steps(0), Err(Error::Setting { .. })));
    let gradients = IntegratedGradients::load(&files, Head::TokenClassification, &device).unwrap();
    let error = gradients.with_steps(1_000_000_000).err().unwrap().to_string();
    assert!(error.contains("1000000000") && error.contains("10000"), "{error}");
}

/// A score that hangs on two words: the explanation that names them is faithful, one that names all others is not.
#[test]
fn faithfulness_tells_good_explanations_from_bad_ones() {
    let classifier = classifier();
    let text = "the capital of france is paris and the capital of italy is rome, as everybody knows";
    let subject = Subject::label(&classifier, text, None).unwrap();
    let explanation = Occlusion::default().explain(&subject).unwrap();
    let scores: Vec<f64> = explanation.words.iter().map(|word| word.score).collect();
    let good = Faithfulness::measure(&subject, &scores).unwrap();
    let opposite: Vec<f64> = scores.iter().map(|score| -score).collect();
    let bad = Faithfulness::measure(&subject, &opposite).unwrap();
    assert!(good.comprehensiveness.value > bad.comprehensiveness.value, "{good:?} {bad:?}");
    assert!(good.sufficiency.value < bad.sufficiency.value, "{good:?} {bad:?}");
    assert!(good.comprehensiveness.value > good.comprehensiveness.random, "{good:?}");
    // Random orders are the same in each run, whatever the explanation.
    assert_eq!(good.comprehensiveness.random, bad.comprehensiveness.random);
    assert_eq!(Faithfulness::measure(&subject, &scores).unwrap(), good);

    // By hand, of one word: everything is taken, at every share.
    let one = Subject::label(&classifier, "paris", None).unwrap();
    let found = Faithfulness::measure(&one, &[1.0]).unwrap();
    let lost = one.score(&[]).unwrap() - one.score(&[0]).unwrap();
    assert!((found.comprehensiveness.value - lost).abs() < 1e-9 && found.sufficiency.value.abs() < 1e-9);
}

#[test]
fn what_cannot_be_explained_says_why() {
    let classifier = classifier();
    let explain = |text: &str| Subject::label(&classifier, text, None).unwrap_err();
    for empty in ["", " \n", "\0"] {
        assert!(matches!(explain(empty), Error::Explain(ExplainError::NoWords)), "{empty:?}");
    }
    // A text of masks alone has nothing that could be masked.
    assert!(matches!(explain("[MASK] [MASK]"), Error::Explain(ExplainError::NoWords)));
    assert!(matches!(explain(&"paris ".repeat(500_000)), Error::Explain(ExplainError::TooLong { .. })));
    let error = Subject::label(&classifier, TEXT, Some("sarcastic")).unwrap_err();
    assert!(matches!(error, Error::UnknownLabel { .. }), "{error}");

    let (model, device) = checkpoint("bert-masked-lm");
    let fill_mask = FillMask::load(&model, &device).unwrap();
    assert!(matches!(Subject::mask(&fill_mask, TEXT, 1, None), Err(Error::NoMask { .. })));
    for mask in [0, 2] {
        let error = Subject::mask(&fill_mask, "the [MASK] is", mask, None).unwrap_err();
        assert!(matches!(error, Error::Explain(ExplainError::Mask { count: 1, .. })), "{error}");
    }
    let error = Subject::mask(&fill_mask, "the [MASK] is", 1, Some("xyzzy")).unwrap_err();
    assert!(matches!(error, Error::Targets { .. }), "{error}");

    let (model, device) = checkpoint("bert-token-classification");
    let tagger = TokenClassification::load(&model, &device).unwrap();
    let error = Subject::entity(&tagger, TEXT, Some("Atlantis")).unwrap_err();
    assert!(error.to_string().contains("Atlantis"), "{error}");
}

#[test]
fn each_pass_is_told() {
    let passes = Arc::new(AtomicUsize::new(0));
    let counted = passes.clone();
    let subject = Subject::label(&classifier(), TEXT, None).unwrap();
    let subject = subject.with_progress(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    Occlusion::default().explain(&subject).unwrap();
    assert_eq!(passes.swap(0, Ordering::Relaxed), subject.words().len() + 2);
    let (model, device) = checkpoint("bert-sequence-classification");
    let files = Pretrained::open(&model).unwrap();
    let gradients = IntegratedGradients::load(&files, Head::SequenceClassification, &device).unwrap();
    gradients.with_steps(7).unwrap().explain(&subject).unwrap();
    assert_eq!(passes.load(Ordering::Relaxed), 7 + 2);
}

/// Special tokens that the text has stay where they are; a word that the tokenizer does not know is a word.
#[test]
fn special_tokens_of_the_text_are_not_scored() {
    let classifier = classifier();
    let words = |text: &str| -> Vec<String> {
        let subject = Subject::label(&classifier, text, None).unwrap();
        subject.words().iter().map(|word| word.word.clone()).collect()
    };
    assert_eq!(words("the [SEP] capital [MASK] 🍋 [CLS][UNK] [PAD]paris"), ["the", "capital", "🍋", "paris"]);
    let error = Subject::label(&classifier, "[SEP] [CLS]", None).unwrap_err();
    assert!(matches!(error, Error::Explain(ExplainError::NoWords)), "{error}");
}

/// The tokenizer drops accents, which are chars of their own here.
#[test]
fn words_and_entities_end_behind_their_accents() {
    let text = "Jose\u{301} paris\u{301}\u{323}, france\u{301}";
    let expected = ["Jose\u{301}", "paris\u{301}\u{323}", ",", "france\u{301}"];
    let subject = Subject::label(&classifier(), text, None).unwrap();
    let words: Vec<_> = subject.words().iter().map(|word| word.word.as_str()).collect();
    assert_eq!(words, expected);

    let (model, device) = checkpoint("bert-token-classification");
    let all = TokenClassificationOptions { ignore_labels: vec![], ..TokenClassificationOptions::default() };
    let tagger = TokenClassification::load(&model, &device).unwrap().with_options(all).unwrap();
    let found = tagger.predict(text).unwrap();
    assert!(!found.is_empty());
    for entity in &found {
        assert!(expected.iter().any(|word| entity.text.ends_with(word)), "{entity:?}");
        assert_eq!(entity.text, text[entity.range.clone()]);
    }
    assert!(found.is_sorted_by(|a, b| a.range.end <= b.range.start), "{found:?}");
    // An entity may be named by letters that are written in another way.
    let tagger = TokenClassification::load(&model, &device).unwrap();
    if let Some(entity) = tagger.predict("josé paris").unwrap().first() {
        let other = entity.text.replace('é', "e\u{301}");
        Subject::entity(&tagger, "josé paris", Some(&other)).unwrap();
    }
}

#[test]
fn words_are_those_of_the_text_whatever_it_holds() {
    let classifier = classifier();
    for text in ["the 🍋 capital\0of\u{202e} paris</script>", "Ünïcödé cafés", "a\u{300}\u{301} b"] {
        let subject = Subject::label(&classifier, text, None).unwrap();
        for word in subject.words() {
            assert_eq!(word.word, text[word.range.clone()], "{text:?}");
        }
        let explanation = Occlusion::default().explain(&subject).unwrap().measured(&subject).unwrap();
        assert!(explanation.words.iter().all(|word| word.score.is_finite()));
        assert_safe(&explanation.to_html());
    }
}

#[test]
fn pages_hold_any_text() {
    let classifier = classifier();
    let text =
        Text { text: "</script><b>the &\" capital".to_owned(), pair: Some("<b> of france".to_owned()) };
    let subject = Subject::label(&classifier, text, None).unwrap();
    let explanation = Occlusion::default().explain(&subject).unwrap().measured(&subject).unwrap();
    let html = explanation.to_html();
    assert_safe(&html);
    assert!(html.contains(">capital</mark>") && html.contains("Text 2"), "{html}");
    // The block of data is the answer itself.
    let data = html.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["texts"][0], "</script><b>the &\" capital");
    assert_eq!(data["words"].as_array().unwrap().len(), explanation.words.len());
    assert!(data["faithfulness"]["sufficiency"]["random"].is_number());
}

/// Any task, with the words in their order, and something that was computed for each.
#[test]
fn every_task_has_a_score_to_explain() {
    for (subject, _, name) in subjects() {
        let explanation: Explanation = Occlusion::default().explain(&subject).unwrap();
        assert!(explanation.words.iter().any(|word| word.score != 0.0), "{name}");
        assert!(
            explanation.words.is_sorted_by_key(|word| (word.text, word.range.start)),
            "{name}: {:?}",
            explanation.words
        );
        assert_eq!(
            explanation.baseline,
            subject.score(&(0..explanation.words.len()).collect::<Vec<_>>()).unwrap()
        );
    }
}
