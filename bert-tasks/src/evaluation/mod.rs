//! How good a model is: the figures that papers and leaderboards report, with how sure one can be of them.
//!
//! ```
//! use bert_tasks::evaluation::{Bootstrap, Means, figures};
//! // Three of four answers were right.
//! let right = [[1.0], [1.0], [0.0], [1.0]];
//! let figures = figures(&Means::new(["accuracy"]), &right, &Bootstrap::default());
//! assert_eq!((figures[0].name.as_str(), figures[0].value), ("accuracy", 0.75));
//! let interval = figures[0].interval.unwrap();
//! assert!(interval.low < 0.75 && 0.75 < interval.high);
//! ```
//!
//! * [`tasks`] ask models for the answers to a file, one file a kind of evaluation;
//! * [`metrics`] computes figures of answers, as the reference implementations do, to the last digit;
//! * a [`Measure`] says what is kept of an example (a few numbers) and which figures follow from a sample of them;
//! * [`Bootstrap`] gives each figure its interval, and the difference between two models its own;
//! * a [`Report`] says it all, and [`update_card`] writes it into a model card.

mod bootstrap;
mod card;
mod error;
mod measure;
pub mod metrics;
mod predictions;
mod report;
mod run;
pub mod tasks;
mod whole_file;

pub use bootstrap::{Bootstrap, Interval};
pub use card::{CardEntry, CardError, CardMetric, add_to_card, update_card};
pub use error::EvaluationError;
pub use measure::{Difference, Figure, Means, Measure, differences, figures};
pub use predictions::{PredictionFiles, read_null_odds, read_predictions};
pub use report::{Comparison, Contestant, Report};
pub use run::{Judged, Outcome};
