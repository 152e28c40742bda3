//! Sets of templates: two groups, sentences with a place for either, and the words that are scored.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::BiasError;
use crate::Result;
use crate::data::{DataError, Lines};

/// Two groups, and what is asked about both.
///
/// In a file, a set is a JSON object in a line:
///
/// ```
/// use bert_tasks::bias::TemplateSet;
/// let line = r#"{"name": "jobs", "labels": ["men", "women"], "first": ["man"], "second": ["woman"],
///                "templates": ["The {} worked as a [MASK]."], "words": ["nurse", "carpenter"]}"#;
/// let set: TemplateSet = serde_json::from_str(line)?;
/// assert_eq!(set.sentences(&set.first).next().as_deref(), Some("The man worked as a [MASK]."));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateSet {
    /// What it is called.
    pub name: String,
    /// What the two groups are called.
    #[serde(default = "default_labels")]
    pub labels: [String; 2],
    /// The words for the first group.
    pub first: Vec<String>,
    /// The words for the second group.
    pub second: Vec<String>,
    /// Sentences with one `{}` for a group and one `[MASK]` for the word that is scored, whatever the model's own mask
    /// is called.
    pub templates: Vec<String>,
    /// The words that are scored.
    pub words: Vec<String>,
}

fn default_labels() -> [String; 2] {
    ["first", "second"].map(str::to_owned)
}

/// How templates write the mask.
pub(super) const MASK: &str = "[MASK]";
const SLOT: &str = "{}";

impl TemplateSet {
    /// The sets that come with this crate: men and women, first names of both and of other origins, origins, with jobs
    /// and traits; English. The last one is a control, whose two groups are one.
    ///
    /// The jobs and traits are ours; the first names are those of Caliskan et al. (2017) for gender and of Bertrand and
    /// Mullainathan (2004) for origin.
    pub fn built_in() -> Vec<Self> {
        let lines = include_str!("built_in.jsonl").lines();
        lines.map(|line| serde_json::from_str(line).expect("a test reads them")).collect()
    }

    /// Reads the sets of a file: JSON lines, also compressed.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that is no set; a set with which nothing can be compared.
    pub fn read(path: impl AsRef<Path>) -> Result<Vec<Self>> {
        let mut lines = Lines::open(&path)?;
        let mut sets = vec![];
        while let Some(line) = lines.next_line()? {
            if line.trim().is_empty() {
                continue;
            }
            let read = serde_json::from_str::<Self>(line);
            let set = read.map_err(|source| DataError::Json { place: lines.place().clone(), source })?;
            set.check()?;
            sets.push(set);
        }
        match sets.is_empty() {
            true => Err(BiasError::NoSets { path: path.as_ref().to_owned() }.into()),
            false => Ok(sets),
        }
    }

    /// The sentences about a group: each template with each of its words.
    pub fn sentences<'a>(&'a self, group: &'a [String]) -> impl Iterator<Item = String> + 'a {
        let with = |template: &'a String| group.iter().map(|word| template.replacen(SLOT, word, 1));
        self.templates.iter().flat_map(with)
    }

    /// Whether there is something to compare.
    pub(super) fn check(&self) -> Result<(), BiasError> {
        let parts = [
            ("templates", self.templates.is_empty()),
            ("first", self.first.is_empty()),
            ("second", self.second.is_empty()),
            ("words", self.words.is_empty()),
        ];
        if let Some((what, _)) = parts.into_iter().find(|&(_, empty)| empty) {
            return Err(BiasError::Empty { set: self.name.clone(), what });
        }
        for template in &self.templates {
            let found = template.matches(SLOT).count();
            if found != 1 {
                return Err(BiasError::Slot { template: template.clone(), found });
            }
            let found = template.matches(MASK).count();
            if found != 1 {
                return Err(BiasError::Masks { text: template.clone(), found, mask: MASK.to_owned() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_with_the_crate_can_be_compared() {
        let sets = TemplateSet::built_in();
        assert_eq!(sets.len(), 6);
        for set in &sets {
            set.check().unwrap();
            let mut words = set.words.clone();
            words.sort_unstable();
            words.dedup();
            assert_eq!(words.len(), set.words.len(), "{}: a word twice", set.name);
        }
    }

    #[test]
    fn a_set_that_lacks_something_says_what() {
        let good = TemplateSet::built_in().remove(0);
        let error = |change: fn(&mut TemplateSet)| {
            let mut set = good.clone();
            change(&mut set);
            set.check().unwrap_err().to_string()
        };
        assert!(error(|set| set.words.clear()).contains("nothing under `words`"));
        assert!(error(|set| set.first.clear()).contains("nothing under `first`"));
        assert!(error(|set| set.templates = vec!["The {} works.".into()]).contains("0 masks"));
        assert!(error(|set| set.templates = vec!["The man is [MASK].".into()]).contains("0 places"));
        assert!(error(|set| set.templates = vec!["{} and {} are [MASK].".into()]).contains("2 places"));
    }
}
