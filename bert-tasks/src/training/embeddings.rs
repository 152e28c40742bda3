//! Text embeddings as an objective: texts that belong together get vectors of like direction.

use std::mem::discriminant;

use bert_core::ModelConfig;
use bert_core::contract::Pooling;
use bert_core::graph::{Head, Output};
use ndarray::{Array2, s};

use super::target::{Target, TrainingExample};
use super::{Evaluation, Objective, Scorer, TrainingError, Vectors};
use crate::data::pairs::{Example, Texts};
use crate::embedding::{cosine, sentence_transformers};
use crate::evaluation::metrics::correlation::spearman;
use crate::fit::fit;
use crate::tokenizer::Tokenizer;
use crate::{Error, Pretrained, Result, Sequence};

/// Texts that belong together, or not, to train on, and some to evaluate on.
///
/// * Pairs, and triplets, whose third text does not belong to the first: each first text is to be nearer to its own
///   second text than to all other texts of the step. That is the multiple negatives ranking loss.
/// * Pairs with scores: the cosine of two vectors is to be their score.
///
/// The model that comes out is a folder for sentence-transformers.
pub struct Embeddings {
    tokenizer: Tokenizer,
    vectors: Vectors,
    prompt: String,
    /// The longest text that the base is made for.
    most: usize,
    files: Vec<(String, String)>,
    train: Vec<Example>,
    eval: Vec<Example>,
}

/// How embeddings are trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmbeddingsOptions {
    /// How hidden states become a vector; as the base says, or the mean, if not given.
    pub pooling: Option<Pooling>,
    /// What cosines are multiplied by where texts are told apart. The more, the more the nearest of the wrong texts
    /// counts.
    pub scale: f64,
}

impl Default for EmbeddingsOptions {
    /// As in sentence-transformers.
    fn default() -> Self {
        Self { pooling: None, scale: 20.0 }
    }
}

impl Embeddings {
    /// Examples to train on are all of one kind; those to evaluate on may be of another one.
    ///
    /// # Errors
    /// [`TrainingError::NoExamples`], [`TrainingError::OnePair`]; [`TrainingError::OneLabel`] for scores that are all the
    /// same; [`TrainingError::Pooling`] for a base whose vectors cannot be trained; [`Error::Setting`] for examples of
    /// several kinds, or a scale that is none.
    pub fn new(
        base: &Pretrained,
        train: Vec<Example>,
        eval: Vec<Example>,
        options: EmbeddingsOptions,
    ) -> Result<Self> {
        let Some(first) = train.first() else { return Err(TrainingError::NoExamples.into()) };
        for examples in [&train, &eval] {
            let kind = |example: &Example| discriminant(&example.texts);
            if examples.iter().any(|example| kind(example) != kind(&examples[0])) {
                let found = "of several kinds".to_owned();
                let expected = "all pairs, all triplets or all pairs with scores";
                return Err(Error::Setting { setting: "examples", found, expected });
            }
        }
        match &first.texts {
            Texts::Pair { .. } if train.len() == 1 => return Err(TrainingError::OnePair.into()),
            Texts::Scored { score, .. } => {
                let same = |example: &Example| matches!(&example.texts, Texts::Scored { score: other, .. } if other == score);
                if train.iter().all(same) {
                    let (label, count) = (score.to_string(), train.len());
                    return Err(TrainingError::OneLabel { label, count }.into());
                }
            }
            Texts::Pair { .. } | Texts::Triplet { .. } => {}
        }
        if !(options.scale.is_finite() && options.scale > 0.0) {
            let found = options.scale.to_string();
            return Err(Error::Setting { setting: "scale", found, expected: "a number above 0" });
        }
        let recipe = sentence_transformers::read(base)?;
        let pooling = match (options.pooling, &recipe.pooling[..]) {
            (Some(pooling), _) | (None, &[pooling]) if pooling != Pooling::Max => pooling,
            (Some(pooling), _) => return Err(TrainingError::Pooling { found: format!("{pooling:?}") }.into()),
            (None, several) => return Err(TrainingError::Pooling { found: format!("{several:?}") }.into()),
        };
        let most = recipe.max_length.unwrap_or(usize::MAX);
        let files = match options.pooling {
            None if base.read("modules.json")?.is_some() => sentence_transformers::copy(base)?,
            _ => sentence_transformers::describe(base, &recipe, pooling)?,
        };
        let vectors = Vectors { pooling, scale: options.scale };
        let tokenizer = base.tokenizer().clone();
        Ok(Self { tokenizer, vectors, prompt: recipe.prompt, most, files, train, eval })
    }

    /// The longest text, where a run takes no more than these tokens: the base may be made for shorter ones.
    pub fn longest(&self, max_length: usize) -> usize {
        max_length.min(self.most)
    }

    /// How many of all examples have a text of more tokens, so that a run which takes no more than these cuts its end.
    ///
    /// # Errors
    /// A text that cannot be tokenised.
    pub fn longer_than(&self, max_length: usize) -> Result<usize> {
        let mut longer = 0;
        for example in self.train.iter().chain(&self.eval) {
            longer += usize::from(self.sequences(example, max_length)?.1);
        }
        Ok(longer)
    }

    /// The tokens of all texts of an example, and whether some are cut.
    fn sequences(&self, example: &Example, max_length: usize) -> Result<(Vec<Sequence>, bool)> {
        let texts = match &example.texts {
            Texts::Pair { anchor, positive } => vec![anchor, positive],
            Texts::Triplet { anchor, positive, negative } => vec![anchor, positive, negative],
            Texts::Scored { first, second, .. } => vec![first, second],
        };
        let (mut sequences, mut truncated) = (vec![], false);
        for text in texts {
            let encoded = self.tokenizer.encode(&format!("{}{text}", self.prompt))?;
            let fitted = fit(encoded, self.longest(max_length));
            truncated |= fitted.truncated[0].is_some();
            sequences.push(fitted.encoded.into());
        }
        Ok((sequences, truncated))
    }
}

impl Objective for Embeddings {
    fn head(&self) -> Head {
        Head::None
    }

    fn configure(&self, base: &ModelConfig) -> ModelConfig {
        base.clone()
    }

    fn examples(&self) -> usize {
        self.train.len()
    }

    fn vectors(&self) -> Option<Vectors> {
        Some(self.vectors)
    }

    fn files(&self) -> &[(String, String)] {
        &self.files
    }

    fn example(&self, _: u64, index: usize, max_length: usize) -> Result<TrainingExample> {
        let example = &self.train[index];
        let (sequences, truncated) = self.sequences(example, max_length)?;
        let target = match &example.texts {
            Texts::Pair { .. } | Texts::Triplet { .. } => Target::Positive,
            Texts::Scored { score, .. } => Target::Similarity(*score as f32),
        };
        Ok(TrainingExample { sequences, target, truncated })
    }

    /// Of pairs with scores, Spearman's correlation of the scores with the cosines. Of triplets, how many first texts are
    /// nearer to the second one than to the third. Of pairs, to how many first texts their own second text is the nearest
    /// of all.
    fn evaluate(&self, model: &Scorer<'_>) -> Result<Option<Evaluation>> {
        let Some(first) = self.eval.first() else { return Ok(None) };
        let mut texts: Vec<Vec<Vec<f32>>> = vec![];
        // Few at a time, so that what is not kept stays small.
        const AT_A_TIME: usize = 256;
        for examples in self.eval.chunks(AT_A_TIME) {
            let (mut counts, mut sequences) = (vec![], vec![]);
            for example in examples {
                let (of_example, _) = self.sequences(example, model.max_length())?;
                counts.push(of_example.len());
                sequences.extend(of_example);
            }
            let scored = model.score(&sequences, &[Output::Pooled(self.vectors.pooling)])?;
            let mut vectors = scored.iter().map(|rows| rows[0].row(0).to_vec());
            texts.extend(counts.into_iter().map(|count| vectors.by_ref().take(count).collect::<Vec<_>>()));
        }
        let count = self.eval.len();
        Ok(Some(match &first.texts {
            Texts::Scored { .. } => {
                let (mut cosines, mut scores) = (vec![], vec![]);
                for (texts, example) in texts.iter().zip(&self.eval) {
                    let Texts::Scored { score, .. } = example.texts else { unreachable!("of one kind") };
                    cosines.push(f64::from(cosine(&texts[0], &texts[1])));
                    scores.push(score);
                }
                // Vectors that are all alike have learnt nothing.
                Evaluation::new("spearman", spearman(&scores, &cosines).unwrap_or(0.0), count)
            }
            Texts::Triplet { .. } => {
                let right =
                    |texts: &&Vec<Vec<f32>>| cosine(&texts[0], &texts[1]) > cosine(&texts[0], &texts[2]);
                Evaluation::new("accuracy", texts.iter().filter(right).count() as f64 / count as f64, count)
            }
            Texts::Pair { .. } => {
                Evaluation::new("accuracy@1", self.nearest(&texts) as f64 / count as f64, count)
            }
        }))
    }
}

impl Embeddings {
    /// To how many first texts no second text is nearer than their own, or one that says the same.
    fn nearest(&self, texts: &[Vec<Vec<f32>>]) -> usize {
        let [firsts, seconds] = [0, 1].map(|which| {
            let width = texts[0][which].len();
            let mut rows = Array2::zeros((texts.len(), width));
            for (mut row, texts) in rows.outer_iter_mut().zip(texts) {
                let length =
                    texts[which].iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt().max(1e-12);
                row.iter_mut().zip(&texts[which]).for_each(|(to, &x)| *to = (f64::from(x) / length) as f32);
            }
            rows
        });
        let positive = |example: usize| match &self.eval[example].texts {
            Texts::Pair { positive, .. } => positive,
            _ => unreachable!("of one kind"),
        };
        const AT_A_TIME: usize = 256;
        let mut right = 0;
        for start in (0..texts.len()).step_by(AT_A_TIME) {
            let end = texts.len().min(start + AT_A_TIME);
            let cosines = firsts.slice(s![start..end, ..]).dot(&seconds.t());
            for (own, row) in (start..).zip(cosines.outer_iter()) {
                let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("its own");
                right += usize::from(row[own] >= row[best] || positive(best) == positive(own));
            }
        }
        right
    }
}
