//! From logits to probabilities, with sums in `f64`.

use ndarray::ArrayView1;

/// `exp(x) / sum(exp(x))`, the maximum subtracted first.
pub fn softmax(logits: ArrayView1<'_, f32>) -> Vec<f32> {
    let max = logits.fold(f32::NEG_INFINITY, |max, &x| max.max(x));
    let exp: Vec<f64> = logits.iter().map(|&x| f64::from(x - max).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.into_iter().map(|x| (x / sum) as f32).collect()
}

/// `ln(sum(exp(x)))`: less this, a logit is the logarithm of a probability.
pub fn log_sum_exp(logits: ArrayView1<'_, f32>) -> f64 {
    let max = f64::from(logits.fold(f32::NEG_INFINITY, |max, &x| max.max(x)));
    max + logits.iter().map(|&x| (f64::from(x) - max).exp()).sum::<f64>().ln()
}

/// `1 / (1 + exp(-x))`
pub fn sigmoid(logit: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_logits_do_not_overflow() {
        assert_eq!(softmax(ArrayView1::from(&[1000.0, 1000.0])), [0.5, 0.5]);
        assert_eq!(softmax(ArrayView1::from(&[-1e30, 0.0])), [0.0, 1.0]);
        assert!((log_sum_exp(ArrayView1::from(&[1000.0, 1000.0])) - 1000.0 - 2f64.ln()).abs() < 1e-12);
        assert_eq!((sigmoid(1000.0), sigmoid(-1000.0), sigmoid(0.0)), (1.0, 0.0, 0.5));
    }
}
