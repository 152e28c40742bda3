//! A task of one's own: which words of a text somebody put in the place of others, as ELECTRA was trained to see.
//! What goes in and what comes out is said here; batches, order, streams and batchers come with `Task`.
//!
//! `cargo run -p bert-tasks --example own_task -- path/to/electra-small-discriminator`
//!
//! Without a model it takes a small one with random weights, whose answers mean nothing.

use std::ops::Range;

use bert_core::graph::Output;
use bert_tasks::{Device, Head, Precision, Prepared, Pretrained, Result, Rows, Sequence, Session, Task};

struct ReplacedTokens {
    session: Session,
}

/// A token, and the probability that it was put in the place of another.
struct Suspect {
    range: Range<usize>,
    probability: f32,
}

impl Task for ReplacedTokens {
    type Input = String;
    /// Where each token stands in the text; `None` for a special token.
    type Context = Vec<Option<Range<usize>>>;
    type Piece = Vec<f32>;
    type Answer = Vec<Suspect>;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::Scores(Head::ReplacedTokens)]
    }

    fn prepare(&self, text: &String) -> Result<Prepared<Self::Context>> {
        // What the model has no room for is cut off; `truncated` would tell where.
        let encoded = self.session.fit(self.session.tokenizer().encode(text)?).encoded;
        let context = (0..encoded.len()).map(|token| encoded.range(token)).collect();
        Ok(Prepared { sequences: vec![Sequence::from(encoded)], context })
    }

    fn reduce(&self, _: &Self::Context, _: usize, rows: Rows) -> Result<Vec<f32>> {
        // The one output has a logit for each token: `[tokens, 1]`.
        Ok(rows[0].iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect())
    }

    fn finish(&self, _: &String, ranges: Self::Context, pieces: Vec<Vec<f32>>) -> Result<Vec<Suspect>> {
        let probabilities = pieces.into_iter().flatten();
        let suspect = |(range, probability): (Option<_>, _)| Some(Suspect { range: range?, probability });
        Ok(ranges.into_iter().zip(probabilities).filter_map(suspect).collect())
    }
}

fn main() -> Result<()> {
    let small = || bert_conformance::checkpoint("electra-replaced-tokens").display().to_string();
    let model = std::env::args().nth(1).unwrap_or_else(small);
    let files = Pretrained::open_for(&model, Head::ReplacedTokens)?;
    let session = files.load(Head::ReplacedTokens, &Device::auto()?, Precision::F32)?;
    let task = ReplacedTokens { session };

    let texts = ["Paris is the capital of France.", "Paris is the movie of France."];
    for (text, suspects) in texts.into_iter().zip(task.stream(texts)) {
        let words = suspects?.into_iter().map(|s| format!("{} {:.2}", &text[s.range], s.probability));
        println!("{}", words.collect::<Vec<_>>().join("  "));
    }
    Ok(())
}
