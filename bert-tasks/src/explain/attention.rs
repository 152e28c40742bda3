//! Attention: how much each token looks at each other one.

use std::ops::Range;

use bert_core::contract::Precision;
use bert_core::graph::{Head, Output};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::ExplainError;
use super::page;
use super::svg;
use crate::text_classification::Text;
use crate::tokenizer::Encoded;
use crate::{Device, Prepared, Pretrained, Result, Rows, Sequence, Session, Task};

/// Which layers and heads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttentionOptions {
    /// Layers, counted from 1, or from the last one with -1; all of them if empty.
    pub layers: Vec<i64>,
    /// Heads of each layer, counted from 1; all of them if empty.
    pub heads: Vec<usize>,
    /// Whether to give the queries and the keys, whose products the weights are made of.
    pub vectors: bool,
}

/// The attention of a text, or of a pair of texts.
///
/// ```
/// use bert_tasks::explain::{Attention, AttentionOptions};
/// use bert_tasks::{Device, Task};
/// let model = "path/to/bert-base-uncased";
/// # let model = bert_conformance::checkpoint("bert-embedding");
/// # let model = model.to_str().unwrap();
/// let last = AttentionOptions { layers: vec![-1], ..AttentionOptions::default() };
/// let attention = Attention::load(model, &Device::auto()?)?.with_options(last)?;
/// let found = attention.predict_one("The bank of the river.")?;
/// for link in found.strongest(5) {
///     let [from, to] = [link.from, link.to].map(|token| found.name(token));
///     println!("head {}: {from} looks at {to}, {:.2}", link.head, link.weight);
/// }
/// // What a token gives to all tokens is 1 in sum.
/// let row: f32 = found.layers[0].heads[0].weights[0].iter().sum();
/// assert!((row - 1.0).abs() < 1e-5);
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Attention {
    session: Session,
    /// The layers whose weights are computed.
    computed: Vec<usize>,
    /// Those that are told of, in rising order, counted from 1.
    layers: Vec<usize>,
    heads: Vec<usize>,
    vectors: bool,
}

/// How much the tokens of a text look at one another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextAttention {
    /// The text or the two.
    #[serde(flatten)]
    pub text: Text,
    /// The tokens that the model saw, special ones included.
    pub tokens: Vec<AttentionToken>,
    /// In rising order.
    pub layers: Vec<LayerAttention>,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttentionToken {
    /// As [`Tokenizer::token_text`](crate::tokenizer::Tokenizer::token_text) gives it.
    pub token: String,
    /// Which text it is from, 0 or 1; `None` for special tokens.
    pub text: Option<u8>,
    /// Its bytes in that text.
    pub range: Option<Range<usize>>,
    /// Whether the tokenizer does not know what stands there, so that the model saw `[UNK]`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerAttention {
    /// Its number, counted from 1.
    pub layer: usize,
    /// In rising order.
    pub heads: Vec<HeadAttention>,
}

/// A head of a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadAttention {
    /// Its number in its layer, counted from 1.
    pub head: usize,
    /// `[tokens, tokens]`: a row for each token that looks, whose sum is 1.
    pub weights: Vec<Vec<f32>>,
    /// `[tokens, head size]`, if asked for.
    #[serde(skip)]
    pub queries: Option<Array2<f32>>,
    /// `[tokens, head size]`, if asked for.
    #[serde(skip)]
    pub keys: Option<Array2<f32>>,
}

/// That a token looks at another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Link {
    /// The layer, counted from 1.
    pub layer: usize,
    /// The head, counted from 1.
    pub head: usize,
    /// The token that looks: an index into [`TextAttention::tokens`].
    pub from: usize,
    /// The token that it looks at.
    pub to: usize,
    /// How much, of 1 in all.
    pub weight: f32,
}

impl Attention {
    /// Loads a model from a folder or by its id on the model hub.
    ///
    /// # Errors
    /// A model that is not there, or damaged.
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        Self::from_pretrained(&Pretrained::open(name)?, device, Precision::F32)
    }

    /// Loads a model whose files are open.
    ///
    /// # Errors
    /// A model that is damaged.
    pub fn from_pretrained(files: &Pretrained, device: &Device, precision: Precision) -> Result<Self> {
        Self::new(files.load(Head::None, device, precision)?)
    }

    /// The attention of a model, whatever head it was loaded with.
    ///
    /// # Errors
    /// Those of [`with_options`](Self::with_options).
    pub fn new(session: Session) -> Result<Self> {
        Self { session, computed: vec![], layers: vec![], heads: vec![], vectors: false }
            .with_options(AttentionOptions::default())
    }

    /// The same model with other options.
    ///
    /// # Errors
    /// [`ExplainError::Layer`] and [`ExplainError::Head`] for those that the model does not have.
    pub fn with_options(mut self, options: AttentionOptions) -> Result<Self> {
        let config = self.session.config();
        let (layers, heads) = (config.num_hidden_layers, config.num_attention_heads);
        let layer = |layer: i64| {
            let index = if layer < 0 { layer.saturating_add(layers as i64 + 1) } else { layer };
            match usize::try_from(index) {
                Ok(index) if (1..=layers).contains(&index) => Ok(index),
                _ => Err(ExplainError::Layer { layer, count: layers }),
            }
        };
        let head = |head: usize| match head {
            head if (1..=heads).contains(&head) => Ok(head),
            head => Err(ExplainError::Head { head, count: heads }),
        };
        self.layers = options.layers.into_iter().map(layer).collect::<Result<_, _>>()?;
        self.heads = options.heads.into_iter().map(head).collect::<Result<_, _>>()?;
        for (asked, count) in [(&mut self.layers, layers), (&mut self.heads, heads)] {
            asked.sort_unstable();
            asked.dedup();
            if asked.is_empty() {
                asked.extend(1..=count);
            }
        }
        self.computed = self.layers.clone();
        self.vectors = options.vectors;
        Ok(self)
    }

    /// The same, which tells of one layer, and of one head of it or of all, and computes what it did before: so texts of
    /// which different layers are asked for can share a batch.
    pub(crate) fn showing(self, layer: i64, head: Option<usize>) -> Result<Self> {
        let computed = self.computed.clone();
        let shown =
            AttentionOptions { layers: vec![layer], heads: head.into_iter().collect(), vectors: false };
        Ok(Self { computed, ..self.with_options(shown)? })
    }
}

/// The tokens of a text, which have to fit, and of which one at least has to be of a word.
pub(super) fn check(encoded: &Encoded, session: &Session) -> Result<(), ExplainError> {
    let max_length = session.max_length();
    match encoded.len() {
        tokens if tokens > max_length => Err(ExplainError::TooLong { tokens, max_length }),
        _ if encoded.sources.iter().all(Option::is_none) => Err(ExplainError::NoWords),
        _ => Ok(()),
    }
}

impl Task for Attention {
    type Input = Text;
    type Context = Encoded;
    /// Of one layer after the other.
    type Piece = Vec<LayerAttention>;
    type Answer = TextAttention;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        let weights = self.computed.iter().map(|&layer| Output::Attention(layer));
        let vectors =
            self.computed.iter().filter(|_| self.vectors).map(|&layer| Output::QueriesAndKeys(layer));
        weights.chain(vectors).collect()
    }

    fn prepare(&self, text: &Text) -> Result<Prepared<Encoded>> {
        let tokenizer = self.session.tokenizer();
        let encoded = match &text.pair {
            None => tokenizer.encode(&text.text)?,
            Some(pair) => tokenizer.encode_pair(&text.text, pair)?,
        };
        check(&encoded, &self.session)?;
        Ok(Prepared { sequences: vec![Sequence::from(encoded.clone())], context: encoded })
    }

    fn reduce(&self, encoded: &Encoded, _: usize, rows: Rows) -> Result<Self::Piece> {
        let (weights, vectors) = rows.split_at(self.computed.len());
        let size = self.session.config().head_size();
        let layer = |(index, &layer): (usize, &usize)| {
            let head = |&head: &usize| {
                let column = weights[index].column(head - 1);
                let all: Vec<f32> = column.iter().copied().collect();
                let vector = |part: usize| {
                    let both = vectors.get(index)?;
                    let start = part * both.ncols() / 2 + (head - 1) * size;
                    Some(both.slice(ndarray::s![.., start..start + size]).to_owned())
                };
                let weights = all.chunks(encoded.len()).map(<[f32]>::to_vec).collect();
                HeadAttention { head, weights, queries: vector(0), keys: vector(1) }
            };
            LayerAttention { layer, heads: self.heads.iter().map(head).collect() }
        };
        let told = self.computed.iter().enumerate().filter(|(_, computed)| self.layers.contains(computed));
        Ok(told.map(layer).collect())
    }

    fn finish(&self, text: &Text, encoded: Encoded, mut pieces: Vec<Self::Piece>) -> Result<TextAttention> {
        let tokenizer = self.session.tokenizer();
        let token = |(&id, source): (&u32, &Option<crate::tokenizer::Source>)| AttentionToken {
            token: tokenizer.token_text(id).unwrap_or_default(),
            text: source.map(|source| source.sequence),
            range: source.map(|source| source.range()),
            unknown: source.is_some() && tokenizer.special().unk == Some(id),
        };
        let tokens = encoded.ids.iter().zip(&encoded.sources).map(token).collect();
        Ok(TextAttention { text: text.clone(), tokens, layers: pieces.remove(0) })
    }
}

impl TextAttention {
    /// The strongest links between different tokens of the texts, over all layers and heads, strongest first. Special
    /// tokens, at which heads look that find nothing, are left out.
    pub fn strongest(&self, count: usize) -> Vec<Link> {
        let mut links: Vec<Link> = vec![];
        let words: Vec<usize> = (0..self.tokens.len()).filter(|&i| self.tokens[i].text.is_some()).collect();
        // Strongest first; of equals the first one, so that the order is always the same.
        let order = |a: &Link, b: &Link| {
            let place = |link: &Link| (link.layer, link.head, link.from, link.to);
            b.weight.total_cmp(&a.weight).then(place(a).cmp(&place(b)))
        };
        for LayerAttention { layer, heads } in &self.layers {
            for HeadAttention { head, weights, .. } in heads {
                for &from in &words {
                    let row = words.iter().filter(|&&to| to != from);
                    links.extend(row.map(|&to| Link {
                        layer: *layer,
                        head: *head,
                        from,
                        to,
                        weight: weights[from][to],
                    }));
                }
                if links.len() > 2 * count + 4096 {
                    links.select_nth_unstable_by(count, order);
                    links.truncate(count);
                }
            }
        }
        links.sort_unstable_by(order);
        links.truncate(count);
        links
    }

    /// What to call a token: itself, or where the tokenizer does not know it, what the text says there.
    ///
    /// # Panics
    /// If there is no such token.
    pub fn name(&self, token: usize) -> &str {
        let AttentionToken { token, text, range, unknown } = &self.tokens[token];
        let written = match text {
            Some(0) => Some(&self.text.text),
            _ => self.text.pair.as_ref(),
        };
        let written = written.zip(range.clone()).and_then(|(text, range)| text.get(range));
        written.filter(|_| *unknown).unwrap_or(token)
    }

    /// One HTML file with all of it: every head at a glance, the links of one, and where its weights come from. It holds
    /// its data and its script, and loads nothing.
    pub fn to_html(&self) -> String {
        page::attention(self)
    }

    /// The links of one layer as an SVG drawing, each head in its colour; `None` if the layer is not there. Of very
    /// many links the strongest are drawn.
    pub fn to_svg(&self, layer: usize) -> Option<String> {
        Some(svg::attention(self, self.layers.iter().find(|found| found.layer == layer)?))
    }
}
