//! How far a result may be from the truth, and which cases are known to be further away.

use bert_core::contract::Precision;

use crate::data::Values;

/// Limits of the two measures of [`Difference`](super::difference::Difference).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// For the largest single error, absolute or relative.
    pub max_abs: f64,
    /// For the normalised mean square error.
    pub nmse: f64,
    /// Why this much.
    pub reason: &'static str,
}

/// What a limit applies to; `None` and `"*"` mean anything.
struct Row {
    op: &'static str,
    values: Option<Values>,
    precision: Option<Precision>,
    backend: &'static str,
    tolerance: Tolerance,
}

const fn row(
    op: &'static str,
    values: Option<Values>,
    precision: Option<Precision>,
    backend: &'static str,
    (max_abs, nmse): (f64, f64),
    reason: &'static str,
) -> Row {
    Row { op, values, precision, backend, tolerance: Tolerance { max_abs, nmse, reason } }
}

/// The first row that fits counts.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    row("golden", None, None, "reference", (1e-7, 1e-14), "the recorded outputs are rounded to f32"),
    row("checkpoint", None, None, "reference", (1e-7, 1e-14), "as golden"),
    row("training", None, None, "reference", (2e-6, 1e-11), "ten steps in f64, recorded in f32"),
    row("training", None, None, "*", (2e-5, 1e-10),
        "ten steps in f32: a root of small squares makes a relative error of a gradient one of a step"),

    row("task", None, None, "reference", (1e-7, 1e-14), "tasks give f32"),
    row("*", None, None, "reference", (1e-10, 1e-20),
        "f64 throughout; 1e3 squared a few hundred times leaves ten digits"),

    row("matmul", None, None, "*", (3e-5, 1e-9),
        "terms of a sum can cancel, but its rounding is that of its terms"),
    row("linear", None, Some(Precision::F32), "*", (3e-5, 1e-9), "as matmul"),
    row("reduce sum", None, None, "*", (1e-4, 1e-9), "as matmul, of 5,000 terms"),
    row("linear", Some(Values::Peaked), Some(Precision::Bf16), "*", (3e-1, 4e-4),
        "as f16 below, with three bits less"),
    row("linear", None, Some(Precision::Bf16), "*", (3e-2, 1e-3),
        "8 bits of mantissa: each factor is off by 2^-9 at most, the sum by that times the root of two; where the sum is a single number, it may be small beside its terms"),
    row("linear", Some(Values::Peaked), Some(Precision::F16), "*", (2e-2, 1e-6),
        "as below, of sums near 100 that tanh squeezes to 1: the digits that it keeps are the last ones of the sum"),
    row("linear", None, Some(Precision::F16), "*", (4e-3, 5e-7),
        "11 bits of mantissa"),
    row("linear", Some(Values::Peaked), Some(Precision::Int8), "cpu", (1.5, 1e-2),
        "as below"),
    row("linear", None, Some(Precision::Int8), "cpu", (1.5e-1, 1.5e-2),
        "where eight products share 16 bits (AVX2) weights have about 7 bits; a row of one or two results may be small beside its terms"),
    row("linear", Some(Values::Peaked), Some(Precision::Int8), "*", (5e-1, 1e-3),
        "as below, of sums near 100 that tanh squeezes to 1: where they cancel, half a step is a good part of 1"),
    row("linear", None, Some(Precision::Int8), "*", (8e-2, 1e-3),
        "127 steps a token and a channel: each factor is off by half a step of its row's maximum"),

    row("model electra", None, Some(Precision::Bf16), "*", (6e-2, 3e-3),
        "as model, and multiple choice has three numbers in all: where one cancels, nothing averages it"),
    row("model electra", None, Some(Precision::Int8), "*", (5e-1, 2e-1), "as in bf16"),
    row("model albert", None, Some(Precision::Bf16), "*", (1e-1, 3e-3),
        "as electra; and a layer that is used again rounds the same weights the same way, which adds up where others average it"),
    row("model albert", None, Some(Precision::Int8), "*", (1.0, 2e-1),
        "as in bf16: with peaked attention, a token may come to look at another one"),
    row("checkpoint electra-replaced-tokens", None, Some(Precision::Bf16), "*", (1.5e-1, 2e-3),
        "one number a token, which is measured beside itself and not beside its terms"),
    row("checkpoint distilbert-question-answering", None, Some(Precision::Bf16), "*", (1.5e-1, 2e-3),
        "two numbers a token, as replaced tokens"),
    row("model", None, Some(Precision::F16), "*", (1e-2, 1e-4),
        "weights of 11 bits make another model, and peaked scores or a logit whose terms cancel show it; of that model the GPU's results are within 3e-6"),
    row("checkpoint", None, Some(Precision::F16), "*", (1e-2, 1e-4), "as model: they are of that size"),
    row("golden", None, Some(Precision::F16), "*", (5e-3, 2e-6), "as model"),
    row("model", None, Some(Precision::Bf16), "*", (6e-2, 6e-4),
        "as f16, with three bits less of weights and activations"),
    row("checkpoint", None, Some(Precision::Bf16), "*", (6e-2, 2e-3),
        "as model: they are of that size; some have five logits in all, and one that cancels weighs a fifth"),
    row("golden", None, Some(Precision::Bf16), "*", (1e-1, 6e-5), "as model; trained scores are less peaked"),
    row("model", None, Some(Precision::Int8), "*", (5e-1, 6e-2),
        "7 to 8 bits of weights and activations, and models so small that little is averaged; what it does to answers is measured on trained models by their own tests"),
    row("checkpoint", None, Some(Precision::Int8), "*", (5e-1, 6e-2), "as model: they are of that size"),
    row("golden", None, Some(Precision::Int8), "*", (6e-1, 1e-2), "as model; trained and wider"),
    row("model", None, Some(Precision::F32), "*", (2e-5, 1e-9),
        "the bound of recorded outputs, held here too"),
    row("checkpoint", None, Some(Precision::F32), "*", (2e-5, 1e-9), "as model: they are of that size"),
    row("golden", None, Some(Precision::F32), "*", (2e-5, 1e-9),
        "what is told apart from rounding over six to twelve layers"),

    row("task", None, None, "*", (2e-5, 1e-9), "as golden: probabilities are below 1, and so are the numbers of vectors"),

    row("weight_gradient", None, None, "*", (3e-5, 1e-9), "as matmul"),
    row("input_gradient", None, None, "*", (3e-5, 1e-9), "as matmul"),
    row("layer_norm_backward", None, None, "*", (2e-4, 1e-9),
        "numbers three away from 0 with a deviation of a twentieth: their distance from the mean has lost six bits"),
    row("attention_backward", None, None, "*", (2e-4, 1e-9),
        "a softmax over scores near 50, which is made again, and differences of sums that nearly cancel"),
    row("activation_backward", None, None, "*", (2e-5, 1e-9),
        "the default body divides GELU by its argument, and both may be small"),
    row("squares", None, None, "*", (1e-4, 1e-9), "as reduce sum"),
    row("cross_entropy", None, None, "*", (2e-5, 1e-9), "scores near 300 carry a rounding of 1.5e-5"),
    row("cross_entropy_classes", None, None, "*", (2e-5, 1e-9), "as cross_entropy"),

    row("download", None, None, "*", (0.0, 0.0), "a copy is a copy"),
    row("gather_rows", None, None, "*", (0.0, 0.0), "a copy is a copy"),
    row("concat", None, None, "*", (0.0, 0.0), "a copy is a copy"),
    row("map copy", None, None, "*", (0.0, 0.0), "a copy is a copy"),
    row("map cast", None, None, "*", (0.0, 0.0), "whole numbers below 2^24 are exact in f32"),
    row("map relu", None, None, "*", (0.0, 0.0), "nothing is rounded"),
    row("zip max", None, None, "*", (0.0, 0.0), "nothing is rounded"),
    row("reduce max", None, None, "*", (0.0, 0.0), "nothing is rounded"),

    row("attention", Some(Values::Peaked), Some(Precision::Bf16), "cpu", (5e-1, 5e-2),
        "rounding queries and keys to 8 bits moves a score of 25 by 0.1, and its weight by a tenth"),
    row("attention", None, Some(Precision::Bf16), "cpu", (3e-2, 3e-4),
        "8 bits of mantissa, and the mean of many values is small beside them"),
    row("attention", Some(Values::Peaked), Some(Precision::Int8), "cpu", (5e-1, 5e-2), "as bf16, which it is"),
    row("attention", None, Some(Precision::Int8), "cpu", (3e-2, 3e-4), "as bf16, which it is"),
    row("attention", Some(Values::Peaked), None, "*", (1e-4, 1e-10),
        "a score of 80 carries a rounding of 4e-6, and exp makes it an error of that share of a weight"),
    row("attention_weights", Some(Values::Peaked), None, "*", (1e-4, 1e-10), "as attention"),
    row("layer_norm", Some(Values::Offset), None, "*", (1e-3, 1e-7),
        "the mean of numbers near 1000 is rounded by 3e-5 even if it is summed exactly; what is left has deviation 1"),
    row("add_layer_norm", Some(Values::Offset), None, "*", (1e-3, 1e-7),
        "as layer_norm, and the sum of two numbers near 1000 is rounded once more"),
    row("embed", Some(Values::Offset), None, "*", (2e-3, 4e-7),
        "as add_layer_norm, of three"),
    row("softmax", Some(Values::Peaked), None, "*", (1e-6, 1e-11),
        "exp of a difference near 80 that was rounded by 4e-6"),
    row("layer_norm", None, None, "*", (2e-5, 1e-10),
        "two sums and a root; a row of few numbers can have a variance far below its values"),
    row("add_layer_norm", None, None, "*", (2e-5, 1e-10), "as layer_norm"),
    row("embed", None, None, "*", (2e-5, 1e-10), "as layer_norm"),

    row("*", None, None, "*", (2e-6, 1e-11), "f32, sums of a few hundred terms"),
];

/// The limits for an operation on a backend such as `cpu:avx2`.
pub fn tolerance(op: &str, values: Option<Values>, precision: Precision, backend: &str) -> Tolerance {
    let fits = |row: &&Row| {
        (row.op == "*" || is_of(op, row.op))
            && row.values.is_none_or(|wanted| Some(wanted) == values)
            && row.precision.is_none_or(|wanted| wanted == precision)
            && names(row.backend, backend)
    };
    TABLE.iter().find(fits).expect("the last row fits anything").tolerance
}

/// Whether an operation is the one that a row is about: `model bert` is one of `model`.
fn is_of(op: &str, row: &str) -> bool {
    op.strip_prefix(row).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// A case that a backend is known to get wrong. If it passes, the line has to go: that is an error too.
pub struct Known {
    /// The backend, with or without its instruction set.
    pub backend: &'static str,
    /// The name of the case.
    pub case: &'static str,
    /// What is wrong, and why it is left so.
    pub reason: &'static str,
}

/// All known failures.
pub const KNOWN: &[Known] = &[];

impl Known {
    /// Whether a case of a backend is this one.
    pub fn is(&self, backend: &str, case: &str) -> bool {
        names(self.backend, backend) && case == self.case
    }
}

/// Whether `cpu` or `cpu:avx2` or `*` is a name of the backend `cpu:avx2`.
pub fn names(pattern: &str, backend: &str) -> bool {
    pattern == "*" || pattern == backend || backend.split(':').next() == Some(pattern)
}
