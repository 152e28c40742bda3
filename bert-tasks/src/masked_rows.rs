//! The scores of masked tokens, one sequence after another, each made into something small as soon as it is known.

use bert_core::contract::{MaybeSend, MaybeSync};
use bert_core::graph::{Head, Output};
use ndarray::ArrayView1;

use crate::{Prepared, Result, Rows, Sequence, Session, Task};

/// Hands the logits of each masked token to `reduce`, with the number of its sequence and of the mask in it. What comes
/// out is in the order of the sequences and their masks, and does not depend on how they are batched.
///
/// # Errors
/// Logits that are not finite; a device that failed.
pub fn masked_rows<R, F>(session: &Session, sequences: Vec<Sequence>, reduce: F) -> Result<Vec<Vec<R>>>
where
    R: MaybeSend,
    F: Fn(usize, usize, ArrayView1<'_, f32>) -> R + MaybeSend + MaybeSync,
{
    let numbered = sequences.into_iter().enumerate().map(|(number, sequence)| Numbered { number, sequence });
    MaskedRows { session, reduce }.predict_all(numbered)
}

struct MaskedRows<'a, F> {
    session: &'a Session,
    reduce: F,
}

struct Numbered {
    number: usize,
    sequence: Sequence,
}

impl<R, F> Task for MaskedRows<'_, F>
where
    R: MaybeSend,
    F: Fn(usize, usize, ArrayView1<'_, f32>) -> R + MaybeSend + MaybeSync,
{
    type Input = Numbered;
    type Context = usize;
    type Piece = Vec<R>;
    type Answer = Vec<R>;

    fn session(&self) -> &Session {
        self.session
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::Scores(Head::MaskedLm)]
    }

    fn prepare(&self, input: &Numbered) -> Result<Prepared<usize>> {
        Ok(Prepared { sequences: vec![input.sequence.clone()], context: input.number })
    }

    fn reduce(&self, &number: &usize, _: usize, rows: Rows) -> Result<Vec<R>> {
        Ok(rows[0].outer_iter().enumerate().map(|(mask, row)| (self.reduce)(number, mask, row)).collect())
    }

    fn finish(&self, _: &Numbered, _: usize, mut pieces: Vec<Vec<R>>) -> Result<Vec<R>> {
        Ok(pieces.pop().expect("one sequence has one piece"))
    }
}
