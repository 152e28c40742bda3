//! Sparse embeddings: the weights that follow from a masked-LM head's scores, and the words of a real model.

use crate::common::{Tiny, device, trained};
use bert_core::contract::Precision;
use bert_core::graph::{Head, Output};
use bert_tasks::sparse_embedding::SparseEmbeddingOptions;
use bert_tasks::{Error, Pretrained, SparseEmbedding, Task};

#[test]
fn weights_are_the_largest_scores_cut_at_zero_on_a_logarithmic_scale() {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    let files = tiny.open();
    let sparse = SparseEmbedding::from_pretrained(&files, &device(), Precision::F32).unwrap();
    let with = |top_k, max_length| sparse.clone().with_options(SparseEmbeddingOptions { top_k, max_length });
    let texts = ["the capital of france", "a bank", "the river in england is not a bank of money"];

    let session = files.load(Head::MaskedLm, &device(), Precision::F32).unwrap();
    for (text, found) in texts.iter().zip(sparse.predict_all(texts.map(str::to_owned)).unwrap()) {
        let encoded = session.tokenizer().encode(text).unwrap();
        let mut batch = bert_core::PackedBatch::default();
        let all: Vec<_> = (0..encoded.ids.len() as u32).collect();
        batch.push_marked(&encoded.ids, &encoded.segments, &all);
        let scores = session.run(&batch, &[Output::Scores(Head::MaskedLm)]).unwrap().remove(0);
        let scores = scores.to_f32().unwrap();
        let largest = scores.fold_axis(ndarray::Axis(0), 0f32, |&largest, &score| largest.max(score));
        let mut expected: Vec<_> = largest.iter().enumerate().filter(|(_, score)| **score > 0.0).collect();
        expected.sort_by(|a, b| b.1.total_cmp(a.1).then(a.0.cmp(&b.0)));
        assert_eq!(found.words.len(), expected.len());
        for (word, (token, score)) in found.words.iter().zip(expected) {
            assert_eq!(word.token as usize, token);
            assert!((word.weight - score.ln_1p()).abs() < 1e-5, "{word:?} {score}");
        }
        // Alone the same bits.
        assert_eq!(sparse.predict(text).unwrap(), found);
        assert!(found.dot(&found) > 0.0);
        let best = sparse
            .clone()
            .with_options(SparseEmbeddingOptions { top_k: Some(2), max_length: None })
            .unwrap()
            .predict(text)
            .unwrap();
        assert_eq!(best.words, found.words[..2]);
    }
    assert!(matches!(with(Some(0), None), Err(Error::Setting { .. })));
    assert!(matches!(with(None, Some(2)), Err(Error::Setting { .. })));
    let long = "bank ".repeat(100);
    assert!(sparse.predict(&long).unwrap().truncated.is_some());
    assert!(sparse.predict("").unwrap().truncated.is_none());
}

/// Weights that transformers gives for the same text.
#[test]
fn a_trained_model_weighs_the_words_of_a_text() {
    let Some(folder) = trained("splade-tiny-mlm") else { return };
    let files = Pretrained::open(folder.to_str().unwrap()).unwrap();
    let sparse = SparseEmbedding::from_pretrained(&files, &device(), Precision::F32).unwrap();
    let found = sparse.predict("The capital of France is Paris.").unwrap();
    let expected = [
        ("capital", 2.66415),
        ("paris", 2.30411),
        ("france", 2.16043),
        ("french", 1.48647),
        ("city", 1.31682),
        ("where", 0.98481),
        ("mountains", 0.71641),
        ("brazil", 0.56316),
    ];
    for (word, (token, weight)) in found.words.iter().zip(expected) {
        assert_eq!(word.token_str, token);
        assert!((word.weight - weight).abs() < 1e-4, "{word:?} {weight}");
    }
    assert_eq!(found.words.len(), 14);
}

#[test]
fn a_model_without_scores_of_words_is_refused() {
    let tiny = Tiny::new("BertForQuestionAnswering", &[]);
    let error = SparseEmbedding::from_pretrained(&tiny.open(), &device(), Precision::F32).unwrap_err();
    assert!(error.to_string().contains("sparse embedding"), "{error}");
}
