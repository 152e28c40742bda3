//! Grams of CO2 for a kilowatt-hour of electricity, by country.
//!
//! The factors of `carbon.csv` are those of Our World in Data (from Ember and the Energy Institute, CC BY 4.0), as
//! codecarbon 3.3.2 ships them, each with its year. They are averages of a year; those of an hour differ much.

use serde::Serialize;

use super::EnergyError;

const TABLE: &str = include_str!("carbon.csv");

/// How much CO2 electricity makes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CarbonIntensity {
    /// Grams for a kilowatt-hour (CO2 equivalents).
    pub grams_per_kwh: f64,
    /// The country in three letters, if it is one of the table.
    pub code: Option<String>,
    /// Its name.
    pub country: Option<String>,
    /// The source and the year, or that it was given.
    pub source: String,
}

impl CarbonIntensity {
    /// A factor that somebody knows.
    ///
    /// # Errors
    /// One that is no finite number from 0 on.
    pub fn given(grams_per_kwh: f64) -> Result<Self, EnergyError> {
        if !(grams_per_kwh.is_finite() && grams_per_kwh >= 0.0) {
            return Err(EnergyError::Setting { setting: "carbon intensity", found: grams_per_kwh });
        }
        Ok(Self { grams_per_kwh, code: None, country: None, source: "given".to_owned() })
    }

    /// The factor of a country, by its three letters or its name.
    ///
    /// ```
    /// use bert_tasks::energy::CarbonIntensity;
    /// let france = CarbonIntensity::of_region("fra")?;
    /// assert_eq!((france.grams_per_kwh, france.country.as_deref()), (56.039, Some("France")));
    /// # Ok::<(), bert_tasks::energy::EnergyError>(())
    /// ```
    ///
    /// # Errors
    /// [`EnergyError::UnknownRegion`].
    pub fn of_region(region: &str) -> Result<Self, EnergyError> {
        let region = region.trim();
        let mut rows = csv::Reader::from_reader(TABLE.as_bytes());
        for (code, country, grams, year) in rows.deserialize::<(String, String, f64, u32)>().flatten() {
            if code.eq_ignore_ascii_case(region) || country.to_lowercase() == region.to_lowercase() {
                let source = format!("Our World in Data, {year}");
                return Ok(Self { grams_per_kwh: grams, code: Some(code), country: Some(country), source });
            }
        }
        Err(EnergyError::UnknownRegion { found: region.to_owned() })
    }

    /// Grams of CO2 for so many joules.
    pub fn grams(&self, joules: f64) -> f64 {
        joules / 3.6e6 * self.grams_per_kwh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_can_be_read() {
        let mut rows = csv::Reader::from_reader(TABLE.as_bytes());
        let rows = rows.deserialize::<(String, String, f64, u32)>();
        let mut count = 0;
        for row in rows {
            let (code, country, grams, year) = row.unwrap();
            assert!(
                code.len() == 3 && !country.is_empty() && grams > 0.0 && grams < 1500.0 && year >= 2020,
                "{code}"
            );
            count += 1;
        }
        assert!(count > 100, "{count}");
        assert_eq!(CarbonIntensity::given(360.0).unwrap().grams(3.6e6), 360.0);
        for bad in ["", "XXX", "fr"] {
            assert!(CarbonIntensity::of_region(bad).is_err());
        }
        assert!(CarbonIntensity::given(-1.0).is_err() && CarbonIntensity::given(f64::NAN).is_err());
    }
}
