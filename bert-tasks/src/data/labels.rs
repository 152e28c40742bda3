//! The labels that a classifier chooses from, in an order that does not depend on the data's.

use std::collections::HashMap;

use super::Place;
use super::error::{DataError, Result};

/// Labels and their numbers.
///
/// ```
/// use bert_tasks::data::LabelSet;
/// let labels = LabelSet::collect(["10", "9", "10", "2"])?;
/// assert_eq!(labels.names(), ["2", "9", "10"]); // numbers by their value, other labels by name
/// assert_eq!(labels.index("9")?, 1);
/// assert!(labels.index("3").unwrap_err().to_string().contains("2, 9, 10"));
/// # Ok::<(), bert_tasks::data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSet {
    names: Vec<String>,
    indices: HashMap<String, usize>,
}

impl LabelSet {
    /// The labels of a model, in its order.
    ///
    /// # Errors
    /// [`DataError::LabelSet`] if there are none, or one comes twice.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let mut indices = HashMap::new();
        for (index, name) in names.iter().enumerate() {
            if indices.insert(name.clone(), index).is_some() {
                return Err(DataError::LabelSet { found: format!("it contains {name:?} twice") });
            }
        }
        if names.is_empty() {
            return Err(DataError::LabelSet {
                found: "it is empty; does the data have no examples?".to_owned(),
            });
        }
        Ok(Self { names, indices })
    }

    /// The labels that the examples have, each once: by value if all are whole numbers, else by name.
    ///
    /// # Errors
    /// [`DataError::LabelSet`] if there are none.
    pub fn collect(labels: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        let mut names: Vec<String> = vec![];
        let mut seen = std::collections::HashSet::new();
        for label in labels {
            let label = label.as_ref();
            if !seen.contains(label) {
                seen.insert(label.to_owned());
                names.push(label.to_owned());
            }
        }
        match names.iter().map(|name| name.parse::<i64>().ok()).collect::<Option<Vec<_>>>() {
            Some(_) => names.sort_by_key(|name| (name.parse::<i64>().unwrap_or_default(), name.clone())),
            None => names.sort_unstable(),
        }
        Self::new(names)
    }

    /// The labels by number.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many labels there are, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The number of a label.
    ///
    /// # Errors
    /// [`DataError::UnknownLabel`] if it is not in the set.
    pub fn index(&self, label: &str) -> Result<usize> {
        self.find(label, None)
    }

    /// The same for a label of an example, whose place the error names.
    ///
    /// # Errors
    /// [`DataError::UnknownLabel`] if it is not in the set.
    pub fn index_at(&self, label: &str, place: &Place) -> Result<usize> {
        self.find(label, Some(place))
    }

    fn find(&self, label: &str, place: Option<&Place>) -> Result<usize> {
        self.indices.get(label).copied().ok_or_else(|| DataError::UnknownLabel {
            place: place.cloned(),
            found: label.to_owned(),
            known: self.names.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_labels_and_not_of_the_data() {
        let names = |labels: &[&str]| LabelSet::collect(labels).unwrap().names().join(" ");
        assert_eq!(names(&["pos", "neg", "pos"]), "neg pos");
        assert_eq!(names(&["1", "-1", "0"]), "-1 0 1");
        assert_eq!(names(&["10", "9", "x"]), "10 9 x");
        assert_eq!(names(&["1", "01", "0"]), "0 01 1");
    }

    #[test]
    fn what_is_no_set_is_refused() {
        assert!(LabelSet::collect(<[&str; 0]>::default()).is_err());
        assert!(LabelSet::new(["a", "b", "a"]).unwrap_err().to_string().contains("\"a\""));
        let place = Place::of("train.csv").at(7);
        let error = LabelSet::new(["a"]).unwrap().index_at("b", &place).unwrap_err();
        assert_eq!(error.to_string(), "train.csv:7: unknown label \"b\"; the known ones are a");
    }
}
