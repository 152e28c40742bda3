//! How far each precision and instruction set is from `f32`, on trained models and public texts.

use std::path::{Path, PathBuf};

use bert_backend_cpu::{CpuBackend, CpuOptions, SimdLevel};
use bert_core::contract::{Backend, Pooling, Precision};
use bert_core::graph::{Encoder, Head, Model, Output};
use bert_core::{ModelConfig, PackedBatch, checkpoint::Checkpoint};
use bert_tasks::data::entities::conll;
use bert_tasks::tokenizer::Tokenizer;

use super::results::Accuracy;
use crate::error::{Error, Result};

/// Tokens in a batch.
const BUDGET: usize = 2048;
/// Lines of WikiGold that are labelled.
const SENTENCES: usize = 600;
/// The same without vector instructions, which take up to a hundred times as long.
const SENTENCES_PORTABLE: usize = 100;

/// What is asked for; all there is where a list is empty.
pub struct Asked<'a> {
    pub threads: Option<usize>,
    pub simd: &'a [SimdLevel],
    pub precisions: &'a [Precision],
}

/// Hands a row for each precision and instruction set to `keep` as soon as it is measured.
///
/// All are held against `f32` with the best instructions of this machine, whether those are asked for or not.
///
/// # Errors
/// Instructions that this machine lacks, models and data that are there and cannot be read, and what `keep`
/// returns. Models and data that are not there are skipped, and said.
pub fn measure(asked: &Asked<'_>, mut keep: impl FnMut(Accuracy) -> Result<()>) -> Result<()> {
    let mut levels: Vec<SimdLevel> = match asked.simd {
        [] => SimdLevel::available().collect(),
        simd => simd.to_vec(),
    };
    levels.reverse();
    let open = |simd| CpuBackend::new(CpuOptions { threads: asked.threads, simd: Some(simd) });
    // Before anything slow: instructions that this machine lacks should not cost minutes.
    let backends = levels.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let (sts, ner) = (Sts::open()?, Ner::open()?);
    if sts.is_none() && ner.is_none() {
        return Ok(());
    }
    let best = open(SimdLevel::detect())?;
    eprintln!("f32 with {}, the reference …", best.simd());
    let exact = sts.as_ref().map(|sts| sts.spearman(&best, Precision::F32)).transpose()?;
    let reference = ner.as_ref().map(|ner| ner.tag(&best, Precision::F32, SENTENCES)).transpose()?;
    for backend in backends {
        let simd = backend.simd();
        let sentences = if simd == SimdLevel::Portable { SENTENCES_PORTABLE } else { SENTENCES };
        if sentences < SENTENCES && ner.is_some() {
            eprintln!("{simd} labels {sentences} sentences instead of {SENTENCES}: it is slow");
        }
        for precision in backend.info().precisions {
            if !asked.precisions.is_empty() && !asked.precisions.contains(&precision) {
                continue;
            }
            eprintln!("accuracy of {precision} with {simd} …");
            let mut row = Accuracy::new(precision, simd);
            row.sts_spearman = sts.as_ref().map(|sts| sts.spearman(&backend, precision)).transpose()?;
            row.sts_spearman_f32 = exact;
            if let (Some(ner), Some(reference)) = (&ner, &reference) {
                row.compare(&ner.tag(&backend, precision, sentences)?, reference);
            }
            keep(row)?;
        }
    }
    Ok(())
}

impl Accuracy {
    fn new(precision: Precision, simd: SimdLevel) -> Self {
        Self {
            precision: precision.to_string(),
            simd: simd.to_string(),
            sts_spearman: None,
            sts_spearman_f32: None,
            ner_agreement: None,
            ner_tokens: 0,
            cosine_mean: None,
            cosine_min: None,
        }
    }

    /// The reference may go on where the other ends.
    fn compare(&mut self, tagged: &[Tagged], reference: &[Tagged]) {
        let pairs = || tagged.iter().zip(reference);
        let tokens: usize = tagged.iter().map(|sentence| sentence.labels.len()).sum();
        let equal: usize = pairs().map(|(a, b)| equal(&a.labels, &b.labels)).sum();
        let cosines: Vec<f64> = pairs().flat_map(|(a, b)| cosines(a, b)).collect();
        self.ner_tokens = tokens;
        self.ner_agreement = Some(equal as f64 / tokens.max(1) as f64);
        self.cosine_mean = Some(cosines.iter().sum::<f64>() / cosines.len().max(1) as f64);
        self.cosine_min = cosines.into_iter().min_by(f64::total_cmp);
    }
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

/// The token ids of each text.
fn tokenise(model: &Path, longest: usize, texts: &[String]) -> Result<Vec<Vec<u32>>> {
    let tokenizer = Tokenizer::from_folder(model).map_err(bert_tasks::Error::from)?;
    let encode = |text: &String| -> Result<Vec<u32>> {
        let mut ids = tokenizer.encode(text).map_err(bert_tasks::Error::from)?.ids;
        ids.truncate(longest);
        Ok(ids)
    };
    texts.iter().map(encode).collect()
}

/// Texts in batches, the longest first, and with each batch the places of its texts.
fn batches(texts: &[Vec<u32>]) -> Vec<(Vec<usize>, PackedBatch)> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&text| std::cmp::Reverse(texts[text].len()));
    let mut batches: Vec<(Vec<usize>, PackedBatch)> = vec![];
    for text in order {
        let ids = &texts[text];
        if batches.last().is_none_or(|(_, batch)| batch.tokens() + ids.len() > BUDGET) {
            batches.push(Default::default());
        }
        let (places, batch) = batches.last_mut().expect("one was just made");
        places.push(text);
        batch.push(ids, &vec![0; ids.len()]);
    }
    batches
}

/// Pairs of sentences and how alike people find them.
struct Sts {
    model: PathBuf,
    texts: Vec<Vec<u32>>,
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
        let texts = tokenise(&model, 256, &texts)?;
        Ok(Some(Self { model, texts, scores }))
    }

    fn spearman(&self, backend: &CpuBackend, precision: Precision) -> Result<f64> {
        let model = load(backend, &self.model, Head::None, precision)?;
        let mut vectors = vec![vec![]; self.texts.len()];
        for (places, batch) in batches(&self.texts) {
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
    texts: Vec<Vec<u32>>,
}

/// What a model makes of the tokens of a sentence.
#[derive(Clone, Default)]
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
        let sentences = conll::open(&file, conll::Options::default()).map_err(bert_tasks::Error::from)?;
        let texts = sentences.take(SENTENCES).map(|sentence| Ok(sentence?.text()));
        let texts = texts.collect::<Result<Vec<_>, bert_tasks::Error>>()?;
        let longest = ModelConfig::from_folder(&model)?.max_tokens();
        let texts = tokenise(&model, longest, &texts)?;
        Ok(Some(Self { model, texts }))
    }

    /// Of so many sentences, in their order.
    fn tag(&self, backend: &CpuBackend, precision: Precision, sentences: usize) -> Result<Vec<Tagged>> {
        let model = load(backend, &self.model, Head::TokenClassification, precision)?;
        let (width, layers) = (model.config().hidden_size, model.config().num_hidden_layers);
        let texts = &self.texts[..sentences.min(self.texts.len())];
        let mut tagged = vec![Tagged { width, ..Tagged::default() }; texts.len()];
        for (places, batch) in batches(texts) {
            let wanted = [Output::Scores(Head::TokenClassification), Output::HiddenState(layers)];
            let outputs = pollster::block_on(model.run(&batch, &wanted))?;
            let (logits, hidden) = (outputs[0].to_f32()?, outputs[1].to_f32()?);
            let mut rows = logits.outer_iter().zip(hidden.outer_iter());
            for place in places {
                for (logits, hidden) in rows.by_ref().take(texts[place].len()) {
                    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
                    tagged[place].labels.push(best.map_or(0, |(label, _)| label));
                    tagged[place].hidden.extend(hidden.iter());
                }
            }
        }
        Ok(tagged)
    }
}

fn load(backend: &CpuBackend, folder: &Path, head: Head, precision: Precision) -> Result<Model<CpuBackend>> {
    let config = ModelConfig::from_folder(folder)?;
    let checkpoint = Checkpoint::open(folder)?;
    Ok(Model::load(backend.clone(), config, &checkpoint, head, precision)?)
}

/// The number of places at which two lists are equal.
fn equal(a: &[usize], b: &[usize]) -> usize {
    a.iter().zip(b).filter(|(a, b)| a == b).count()
}

fn cosines(a: &Tagged, b: &Tagged) -> impl Iterator<Item = f64> {
    a.hidden.chunks(a.width).zip(b.hidden.chunks(b.width)).map(|(a, b)| cosine(a, b))
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
    fn sentences_are_compared_with_the_first_of_the_reference() {
        let sentence = |labels: &[usize], hidden: &[f32]| Tagged {
            labels: labels.to_vec(),
            hidden: hidden.to_vec(),
            width: 2,
        };
        let reference = [
            sentence(&[1], &[1.0, 0.0]),
            sentence(&[2, 3, 4], &[0.0, 1.0, 1.0, 0.0, 0.0, 1.0]),
            sentence(&[5], &[1.0, 1.0]),
        ];
        let mut row = Accuracy::new(Precision::Int8, SimdLevel::Portable);
        row.compare(
            &[sentence(&[1], &[1.0, 0.0]), sentence(&[0, 3, 4], &[1.0, 0.0, 1.0, 0.0, 0.0, 2.0])],
            &reference,
        );
        assert_eq!((row.ner_tokens, row.ner_agreement), (4, Some(0.75)));
        assert_eq!((row.cosine_mean, row.cosine_min), (Some(0.75), Some(0.0)));
    }

    #[test]
    fn batches_hold_every_text_once_the_longest_first() {
        let texts: Vec<Vec<u32>> = [3, BUDGET, 1, 5].map(|length| vec![7; length]).to_vec();
        let batches = batches(&texts);
        let places: Vec<_> = batches.iter().map(|(places, _)| places.clone()).collect();
        assert_eq!(places, [vec![1], vec![3, 0, 2]]);
        assert_eq!(batches[1].1.tokens(), 9);
    }
}
