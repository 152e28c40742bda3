//! Names that arrive from a user or a server and end up in a path or a URL, each checked before either.

use std::fmt;
use std::str::FromStr;

use crate::HubError;

/// The revision that is meant when none is given.
pub const DEFAULT_REVISION: &str = "main";

/// The name of a model on a hub: `owner/name`, or `name` alone for the oldest models.
///
/// The rules are the hub's own, so a name that parses can be neither a path that climbs out of the cache
/// nor two models in one cache folder.
///
/// ```
/// use bert_hub::ModelId;
///
/// let id: ModelId = "google-bert/bert-base-uncased".parse()?;
/// assert_eq!(id.to_string(), "google-bert/bert-base-uncased");
/// assert!("../etc/passwd".parse::<ModelId>().is_err());
/// # Ok::<(), bert_hub::HubError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(String);

impl ModelId {
    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder of this model inside the cache: `models--owner--name`.
    pub(crate) fn folder_name(&self) -> String {
        format!("models--{}", self.0.replace('/', "--"))
    }

    /// The inverse of [`folder_name`](Self::folder_name); `None` for the cache's other folders.
    pub(crate) fn from_folder_name(folder: &str) -> Option<Self> {
        folder.strip_prefix("models--")?.replacen("--", "/", 1).parse().ok()
    }
}

impl FromStr for ModelId {
    type Err = HubError;

    fn from_str(id: &str) -> Result<Self, HubError> {
        let invalid = |rule| Err(HubError::InvalidId { id: id.to_owned(), rule });
        if id.split('/').count() > 2 {
            return invalid("it has at most one `/`, between owner and name");
        }
        for part in id.split('/') {
            let bytes = part.as_bytes();
            let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
                return invalid("owner and name are not empty");
            };
            if !bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b)) {
                return invalid("only ASCII letters, digits, `-`, `_` and `.` are allowed");
            }
            if b"-.".contains(first) || b"-.".contains(last) {
                return invalid("owner and name neither start nor end with `-` or `.`");
            }
            if bytes.len() > 96 {
                return invalid("owner and name have at most 96 characters each");
            }
        }
        if id.contains("--") || id.contains("..") {
            return invalid("`--` and `..` are not allowed");
        }
        if id.ends_with(".git") {
            return invalid("it does not end with `.git`");
        }
        Ok(Self(id.to_owned()))
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a branch, a tag, `refs/pr/1` or a commit: the rules of git for names, and a path that stays
/// inside the cache's `refs` folder.
pub(crate) fn check_revision(revision: &str) -> Result<(), HubError> {
    let well_formed = revision.len() <= 255
        && !revision.contains("..")
        && !revision
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || r"\:~^?*[<>|".contains(c) || c == '"')
        && revision.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.'));
    if well_formed { Ok(()) } else { Err(HubError::InvalidRevision { revision: revision.to_owned() }) }
}

/// Whether this is a full commit hash, the only revision that can never move.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && is_lower_hex(revision)
}

/// Whether this is a SHA-256 in hexadecimal, which is how the hub names large files.
pub(crate) fn is_sha256(etag: &str) -> bool {
    etag.len() == 64 && is_lower_hex(etag)
}

/// Whether a name that a server sent can be one file name inside a folder: no separator, not hidden.
pub(crate) fn is_plain_file_name(name: &str) -> bool {
    (1..=200).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Percent-encodes one segment of a URL path; `/` becomes `%2F`, as the hub wants it for `refs/pr/1`.
pub(crate) fn encode_segment(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_the_rules_of_the_hub() {
        for good in ["gpt2", "a/b", "sentence-transformers/all-MiniLM-L6-v2", "_x/y_", "Foo-BAR_foo.bar123"] {
            assert!(good.parse::<ModelId>().is_ok(), "{good}");
        }
        let long = "x".repeat(97);
        for bad in [
            "", "/", "a/", "/b", "a/b/c", "..", "a/..", "../b", ".hidden", "a/-b", "a--b", "a..b", "a b",
            "a\\b", "C:evil", "a/b.git", "naïve", "a\0b", "a/b\n", &long,
        ] {
            assert!(matches!(bad.parse::<ModelId>(), Err(HubError::InvalidId { .. })), "{bad:?}");
        }
    }

    #[test]
    fn folder_names_round_trip() {
        for id in ["gpt2", "owner/name"] {
            let id: ModelId = id.parse().unwrap();
            assert_eq!(ModelId::from_folder_name(&id.folder_name()), Some(id));
        }
        for other in ["datasets--a--b", ".locks", "models--", "models--a--b--c", "version.txt"] {
            assert_eq!(ModelId::from_folder_name(other), None, "{other}");
        }
    }

    #[test]
    fn revisions_stay_inside_the_refs_folder() {
        for good in ["main", "v1.0", "refs/pr/1", "feature/x+y", "c0ffee"] {
            assert!(check_revision(good).is_ok(), "{good}");
        }
        for bad in [
            "", "/", "/etc", "a//b", "a/", "../x", "a/../b", ".git", "a b", "a\\b", "C:x", "a\nb", "a?b",
            "a\0",
        ] {
            assert!(check_revision(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn file_names_from_a_server_are_plain() {
        assert!(is_plain_file_name("model-00001-of-00002.safetensors"));
        for bad in
            ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\\b", ".x", "a\0", "C:x", "ü", &"x".repeat(201)]
        {
            assert!(!is_plain_file_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_revision_is_one_segment_of_a_url() {
        assert_eq!(encode_segment("refs/pr/1"), "refs%2Fpr%2F1");
        assert_eq!(encode_segment("é+v1.0"), "%C3%A9%2Bv1.0");
    }
}
