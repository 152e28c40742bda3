//! Elementary functions on vectors.
//!
//! Each says its largest error, which `tests` checks against `f64` on every instruction set.

use crate::simd::Simd;

/// `Σ coefficients[i] * xⁱ`
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::V, coefficients: [f32; N]) -> S::V {
    let mut sum = s.splat(coefficients[N - 1]);
    for &coefficient in coefficients[..N - 1].iter().rev() {
        sum = s.fma(sum, x, s.splat(coefficient));
    }
    sum
}

/// `(y, n)` with `exp(x) = y * 2ⁿ`, n integral and y between 0.7 and 1.5.
///
/// `exp(n ln 2 + r) = 2ⁿ exp(r)` with `|r| <= ln(2) / 2`. Source of the polynomial: Cephes, `expf`.
#[inline(always)]
fn exp_parts<S: Simd>(s: S, x: S::V) -> (S::V, S::V) {
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    // ln 2 in two parts, the first so short that its product with n is exact.
    let r = s.fma(n, s.splat(-0.693_359_4), x);
    let r = s.fma(n, s.splat(2.121_944_4e-4), r);
    let tail = [0.5, 0.166_666_65, 4.166_579_6e-2, 8.333_452e-3, 1.398_199_9e-3, 1.987_569_1e-4];
    (s.fma(polynomial(s, r, tail), s.mul(r, r), s.add(r, s.splat(1.0))), n)
}

/// `exp(x)` within 2 ulp; 0 and infinity beyond the range of `f32`.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    // The bounds come first so that a NaN goes through. Beyond them the result has long been 0 or infinite.
    let x = s.min(s.splat(89.0), s.max(s.splat(-104.0), x));
    let (y, n) = exp_parts(s, x);
    // 2ⁿ in two factors: n reaches -150, where the result is subnormal, and 128.
    let half = s.round(s.mul(n, s.splat(0.5)));
    s.mul(s.mul(y, s.pow2(half)), s.pow2(s.sub(n, half)))
}

/// `exp(x)` of `x <= 0` within 2 ulp, and 0 where that is less than the smallest normal number: fewer
/// instructions than [`exp`], and no subnormal numbers for the products that follow.
#[inline(always)]
pub(crate) fn exp_of_negative<S: Simd>(s: S, x: S::V) -> S::V {
    let (y, n) = exp_parts(s, x);
    // What `pow2` makes of a number out of its range is not chosen.
    s.select_lt(x, s.splat(-87.3), s.splat(0.0), s.mul(y, s.pow2(n)))
}

/// `tanh(x)` within 3 ulp.
///
/// Near 0 a polynomial (source: Cephes, `tanhf`), beyond it `1 - 2 / (exp(2|x|) + 1)`.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    let magnitude = s.abs(x);
    let z = s.mul(x, x);
    let series = [-0.333_332_8, 0.133_314_42, -5.373_971_6e-2, 2.063_909e-2, -5.704_988_7e-3];
    let near = s.fma(s.mul(polynomial(s, z, series), z), x, x);
    let far = s.sub(one, s.div(s.splat(2.0), s.add(exp(s, s.add(magnitude, magnitude)), one)));
    let far = s.select_lt(x, s.splat(0.0), s.sub(s.splat(0.0), far), far);
    s.select_lt(magnitude, s.splat(0.625), near, far)
}

/// `1 / (1 + exp(-x))` within 4 ulp, and 1e-38 where it is smaller than that.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    s.div(one, s.add(one, exp(s, s.sub(s.splat(0.0), x))))
}

/// `x * Φ(x)` within 4e-7, or 4e-7 of `|x|` where that is more.
///
/// It is `max(x, 0) - g(|x|)` with `g(a) = a Φ(-a)`, which never exceeds 0.17: its error is small however
/// large x is, and nothing cancels where the result is near 0. `Φ(-a)` is a polynomial to the power of -8, a
/// form found in Abramowitz and Stegun (7.1.28); the coefficients minimise the largest error of `g`.
#[inline(always)]
pub(crate) fn gelu<S: Simd>(s: S, x: S::V) -> S::V {
    let (a, inverse) = inverse_tail(s, x);
    s.sub(s.max(s.splat(0.0), x), s.div(a, inverse))
}

/// The derivative of [`gelu`] within 2e-6: `Φ(x) + x φ(x)`, which is `Φ(-a) - a φ(a)` for `x = -a`, and 1 less that for
/// `x = a`.
#[inline(always)]
pub(crate) fn gelu_slope<S: Simd>(s: S, x: S::V) -> S::V {
    const FACTOR: f32 = 0.398_942_3; // 1 / √(2π)
    let (a, inverse) = inverse_tail(s, x);
    let one = s.splat(1.0);
    let density = exp_of_negative(s, s.mul(s.mul(a, a), s.splat(-0.5)));
    let density = s.mul(density, s.splat(FACTOR));
    let below = s.sub(s.div(one, inverse), s.mul(a, density));
    s.select_lt(x, s.splat(0.0), below, s.sub(one, below))
}

/// `a = |x|`, 14 at most, and `1 / Φ(-a)`, see [`gelu`].
#[inline(always)]
fn inverse_tail<S: Simd>(s: S, x: S::V) -> (S::V, S::V) {
    // From 14 on g is below the smallest number of f32, and the polynomial is far from overflow.
    let a = s.min(s.splat(14.0), s.abs(x));
    let root = polynomial(
        s,
        a,
        [
            1.090_507_7,
            1.087_651e-1,
            4.879_626e-2,
            9.514_726e-3,
            8.333_668e-4,
            3.389_057_6e-4,
            -1.127_405_5e-5,
            1.861_339_8e-5,
            -2.968_164e-6,
            4.240_653_8e-7,
        ],
    );
    let root2 = s.mul(root, root);
    let root4 = s.mul(root2, root2);
    (a, s.mul(root4, root4))
}

/// `0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))` within 3e-7, or 3e-7 of `|x|` where that is more.
///
/// Since `(1 + tanh(u)) / 2 = 1 / (1 + exp(-2u))`, nothing cancels for negative x.
#[inline(always)]
pub(crate) fn gelu_tanh<S: Simd>(s: S, x: S::V) -> S::V {
    const FACTOR: f32 = 1.595_769; // 2 √(2/π)
    let x2 = s.mul(x, x);
    let u = s.mul(x, s.fma(x2, s.splat(0.044715 * FACTOR), s.splat(FACTOR)));
    let one = s.splat(1.0);
    s.div(x, s.add(one, exp(s, s.sub(s.splat(0.0), u))))
}

/// The derivative of [`gelu_tanh`] within 2e-6: with `y = 1 / (1 + exp(-2u))`, it is `y + x y (1 - y) (2u)'`.
#[inline(always)]
pub(crate) fn gelu_tanh_slope<S: Simd>(s: S, x: S::V) -> S::V {
    const FACTOR: f32 = 1.595_769; // 2 √(2/π)
    // Beyond these it is 0 or 1, and nothing overflows.
    let x = s.min(s.splat(30.0), s.max(s.splat(-30.0), x));
    let x2 = s.mul(x, x);
    let u = s.mul(x, s.fma(x2, s.splat(0.044715 * FACTOR), s.splat(FACTOR)));
    let slope = s.fma(x2, s.splat(3.0 * 0.044715 * FACTOR), s.splat(FACTOR));
    let y = sigmoid(s, u);
    let product = s.mul(s.mul(x, y), s.sub(s.splat(1.0), y));
    s.fma(product, slope, y)
}

/// `max(x, 0)`; a NaN stays one.
#[inline(always)]
pub(crate) fn relu<S: Simd>(s: S, x: S::V) -> S::V {
    s.max(s.splat(0.0), x)
}
