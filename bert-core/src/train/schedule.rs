//! The rate of each step.

/// How the rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decay {
    /// In a straight line to 0.
    #[default]
    Linear,
    /// Along half a cosine to 0.
    Cosine,
    /// Not at all.
    Constant,
}

/// The rate over a run: a straight line up from 0, then a [`Decay`].
///
/// ```
/// use bert_core::train::{Decay, Schedule};
/// let schedule = Schedule { rate: 1e-3, warm_up: 3, steps: 10, decay: Decay::Linear };
/// assert_eq!(schedule.rate(0), 0.0);
/// assert_eq!(schedule.rate(3), 1e-3);
/// assert_eq!(schedule.rate(10), 0.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The highest rate.
    pub rate: f64,
    /// Steps until it is reached.
    pub warm_up: u64,
    /// Steps in all.
    pub steps: u64,
    /// What follows the warm-up.
    pub decay: Decay,
}

impl Schedule {
    /// The rate of a step, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warm_up {
            return self.rate * step as f64 / self.warm_up as f64;
        }
        let rest = self.steps.saturating_sub(self.warm_up).max(1) as f64;
        let done = ((step - self.warm_up) as f64 / rest).min(1.0);
        self.rate
            * match self.decay {
                Decay::Linear => 1.0 - done,
                Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
                Decay::Constant => 1.0,
            }
    }
}
