//! What can be wrong with settings and files of energy figures.

use std::io;
use std::path::PathBuf;

/// Everything that keeps energy from being counted as it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnergyError {
    /// A region without a factor.
    #[error(
        "no factor for the region {found:?}; name a country by its three letters (ISO 3166), such as FRA, or give grams of CO2 per kWh"
    )]
    UnknownRegion {
        /// The word.
        found: String,
    },

    /// A setting with a value that makes no sense.
    #[error("{setting} is {found}; it must be a finite number from 0 on")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: f64,
    },

    /// A file of emissions that cannot be read or written.
    #[error("cannot add to {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A file that is something else.
    #[error("{} is no file of emissions: its first line has no column {column:?}", path.display())]
    NotEmissions {
        /// The file.
        path: PathBuf,
        /// A column that each has.
        column: &'static str,
    },
}
