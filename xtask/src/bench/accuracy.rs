//! How far each precision and instruction set is from `f32`, on trained models and public texts.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use bert_backend_cpu::{CpuBackend, CpuOptions, SimdLevel};
use bert_core::backend::Backend;
use bert_core::graph::{Encoder, Head, Model, Output};
use bert_core::ops::{Pooling, Precision};
use bert_core::{ModelConfig, PackedBatch, checkpoint::Checkpoint};
use bert_tasks::token_classification::conll;
use bert_tasks::tokenizer::Tokenizer;

use super::results::Accuracy;
use crate::error::{Error, Result};

/// Tokens in a batch.
const BUDGET: usize = 2048;
/// Lines of WikiGold that are labelled.
const SENTENCES: usize = 600;

/// One row for each precision and each instruction set of this machine, the reference first.
///
/// # Errors
/// Models and data that are there and cannot be read; what is not there is skipped, and said.
pub fn measure(threads: Option<usize>, asked: &[Precision]) -> Result<Vec<Accuracy>> {
    let sts = Sts::open()?;
    let ner = Ner::open()?;
    let mut rows = vec![];
    let mut reference: Option<Tagged> = None;
    let levels: Vec<SimdLevel> = SimdLevel::available().collect();
    for simd in levels.into_iter().rev() {
        let backend = CpuBackend::new(CpuOptions { threads, simd: Some(simd) })?;
        for precision in backend.info().precisions {
            // All others are held against the first.
            let first = reference.is_none() && precision == Precision::F32;
            if !first && !asked.is_empty() && !asked.contains(&precision) {
                continue;
            }
            eprintln!("accuracy of {precision} with {simd} …");
            rows.push(row(&backend, precision, sts.as_ref(), ner.as_ref(), &mut reference)?);
        }
    }
    Ok(rows)
}

fn row(
    backend: &CpuBackend,
    precision: Precision,
    sts: Option<&Sts>,
    ner: Option<&Ner>,
    reference: &mut Option<Tagged>,
) -> Result<Accuracy> {
    let mut row = Accuracy {
        precision: precision.to_string(),
        simd: backend.simd().to_string(),
        sts_spearman: sts.map(|sts| sts.spearman(backend, precision)).transpose()?,
        ner_agreement: None,
        ner_tokens: 0,
        cosine_mean: None,
        cosine_min: None,
    };
    if let Some(ner) = ner {
        let tagged = ner.tag(backend, precision)?;
        let reference = reference.get_or_insert_with(|| tagged.clone());
        row.ner_tokens = tagged.labels.len();
        row.ner_agreement = Some(agreement(&reference.labels, &tagged.labels));
        let cosines = cosines(reference, &tagged);
        row.cosine_mean = Some(cosines.iter().sum::<f64>() / cosines.len().max(1) as f64);
        row.cosine_min = cosines.into_iter().min_by(f64::total_cmp);
    }
    Ok(row)
}

/// A file of the optional folder of data sets, or a printed reason why there is none.
fn shared(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BERT_SHARED")
        .map_or_else(|| crate::workspace_root().join("../shared"), PathBuf::from);
    let path = folder.join(file);
    there(&path, "set BERT_SHARED to the folder of data sets")
}

fn trained(model: &str) -> Option<PathBuf> {
    there(&crate::workspace_root().join("target/models").join(model), "run cargo xtask models")
}

fn there(path: &Path, what_to_do: &str) -> Option<PathBuf> {
    if !path.exists() {
        eprintln!("SKIPPED: nothing at {}; {what_to_do}", path.display());
        return None;
    }
    Some(path.to_path_buf())
}

/// Token ids of texts, longest first, in batches, with the place of each in the texts.
fn batches(
    tokenizer: &Tokenizer,
    longest: usize,
    texts: &[String],
) -> Result<Vec<(Vec<usize>, PackedBatch)>> {
    let encode = |text: &String| -> Result<Vec<u32>> {
        let mut ids = tokenizer.encode(text).map_err(bert_tasks::Error::from)?.ids;
        ids.truncate(longest);
        Ok(ids)
    };
    let ids = texts.iter().map(encode).collect::<Result<Vec<_>>>()?;
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&text| std::cmp::Reverse(ids[text].len()));
    let mut batches: Vec<(Vec<usize>, PackedBatch)> = vec![];
    for text in order {
        if batches.last().is_none_or(|(_, batch)| batch.tokens() + ids[text].len() > BUDGET) {
            batches.push(Default::default());
        }
        let (places, batch) = batches.last_mut().expect("one was just made");
        places.push(text);
        batch.push(&ids[text], &vec![0; ids[text].len()]);
    }
    Ok(batches)
}

/// Pairs of sentences and how alike people find them.
struct Sts {
    model: PathBuf,
    texts: Vec<String>,
    scores: Vec<f64>,
}

impl Sts {
    fn open() -> Result<Option<Self>> {
        let (Some(model), Some(file)) = (trained("all-MiniLM-L6-v2"), shared("data/stsb/stsb-en-dev.csv"))
        else {
            return Ok(None);
        };
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_path(&file)
            .map_err(|source| Error::Csv { path: file.clone(), source })?;
        let (mut texts, mut scores) = (vec![], vec![]);
        for row in reader.deserialize() {
            let (first, second, score): (String, String, f64) =
                row.map_err(|source| Error::Csv { path: file.clone(), source })?;
            texts.extend([first, second]);
            scores.push(score);
        }
        Ok(Some(Self { model, texts, scores }))
    }

    fn spearman(&self, backend: &CpuBackend, precision: Precision) -> Result<f64> {
        let (model, tokenizer) = load(backend, &self.model, Head::None, precision)?;
        let mut vectors = vec![vec![]; self.texts.len()];
        for (places, batch) in batches(&tokenizer, 128, &self.texts)? {
            let means = pollster::block_on(model.run(&batch, &[Output::Pooled(Pooling::Mean)]))?.remove(0);
            let means = means.to_f32()?;
            for (place, mean) in places.into_iter().zip(means.outer_iter()) {
                vectors[place] = mean.iter().copied().collect();
            }
        }
        let found: Vec<f64> = vectors.chunks(2).map(|pair| cosine(&pair[0], &pair[1])).collect();
        Ok(spearman(&found, &self.scores))
    }
}

/// Sentences to be labelled.
struct Ner {
    model: PathBuf,
    texts: Vec<String>,
}

/// What a model makes of each token.
#[derive(Clone)]
struct Tagged {
    labels: Vec<usize>,
    /// Of the last layer, one after another.
    hidden: Vec<f32>,
    width: usize,
}

impl Ner {
    fn open() -> Result<Option<Self>> {
        let (Some(model), Some(file)) = (trained("rampart-ner"), shared("data/ner/wikigold.conll")) else {
            return Ok(None);
        };
        let lines = BufReader::new(File::open(&file).map_err(Error::file("read", &file))?);
        let texts = conll::read(lines).take(SENTENCES).map(|sentence| Ok(sentence?.text()));
        Ok(Some(Self { model, texts: texts.collect::<Result<_, bert_tasks::Error>>()? }))
    }

    fn tag(&self, backend: &CpuBackend, precision: Precision) -> Result<Tagged> {
        let (model, tokenizer) = load(backend, &self.model, Head::TokenClassification, precision)?;
        let width = model.config().hidden_size;
        let mut tagged = Tagged { labels: vec![], hidden: vec![], width };
        let longest = model.config().max_position_embeddings;
        let last = Output::HiddenState(model.config().num_hidden_layers);
        for (_, batch) in batches(&tokenizer, longest, &self.texts)? {
            let outputs = pollster::block_on(model.run(&batch, &[Output::TokenLabels, last.clone()]))?;
            let (logits, hidden) = (outputs[0].to_f32()?, outputs[1].to_f32()?);
            for (logits, hidden) in logits.outer_iter().zip(hidden.outer_iter()) {
                let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
                tagged.labels.push(best.map_or(0, |(label, _)| label));
                tagged.hidden.extend(hidden.iter());
            }
        }
        Ok(tagged)
    }
}

fn load(
    backend: &CpuBackend,
    folder: &Path,
    head: Head,
    precision: Precision,
) -> Result<(Model<CpuBackend>, Tokenizer)> {
    let config = ModelConfig::from_folder(folder)?;
    let checkpoint = Checkpoint::open(folder)?;
    let model = Model::load(backend.clone(), config, &checkpoint, head, precision)?;
    Ok((model, Tokenizer::from_folder(folder).map_err(bert_tasks::Error::from)?))
}

/// The part of the places at which two lists are equal.
fn agreement(a: &[usize], b: &[usize]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len().max(1) as f64
}

fn cosines(a: &Tagged, b: &Tagged) -> Vec<f64> {
    a.hidden.chunks(a.width).zip(b.hidden.chunks(b.width)).map(|(a, b)| cosine(a, b)).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Pearson's correlation of the ranks, equal numbers sharing the mean of theirs.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (equal.len() as f64 - 1.0) / 2.0;
        equal.iter().for_each(|&index| ranks[index] = rank);
        first += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_share_a_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [2.5, 0.0, 2.5, 1.0]);
    }

    #[test]
    fn ranks_are_correlated_whatever_the_scale() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0, 4.0], &[1.0, 10.0, 100.0, 1000.0]), 1.0);
        assert_eq!(spearman(&[1.0, 2.0, 3.0, 4.0], &[4.0, 3.0, 2.0, 1.0]), -1.0);
        // SciPy: spearmanr([1, 2, 3, 4], [2, 1, 4, 4])
        assert!(
            (spearman(&[1.0, 2.0, 3.0, 4.0], &[2.0, 1.0, 4.0, 4.0]) - 0.737_864_787_372_621_8).abs() < 1e-12
        );
    }

    #[test]
    fn labels_agree_where_they_are_equal() {
        assert_eq!(agreement(&[1, 2, 3, 4], &[1, 0, 3, 4]), 0.75);
    }
}
