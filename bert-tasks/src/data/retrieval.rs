//! What searches should find: queries, documents, and which of these are relevant to which of those, as in BEIR; or
//! plain pairs of a query and the text that it should find.
//!
//! ```
//! use bert_tasks::data::retrieval;
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("corpus.jsonl");
//! std::fs::write(&path, r#"{"_id": "d1", "title": "Seine", "text": "A river."}"#)?;
//! let document = retrieval::read_texts(&path)?.next().unwrap()?;
//! assert_eq!((document.id.as_str(), document.text.as_str()), ("d1", "Seine A river."));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::HashMap;
use std::path::Path;

use super::Place;
use super::error::Result;
use super::pairs::{self, Texts};
use super::rows::{Reading, Row, Rows, Wanted};

/// A query or a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What it is called.
    pub id: String,
    /// The text; that of a document follows its title.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// How relevant documents are to queries, above 0: by the id of the query, then by that of the document.
pub type Relevance = HashMap<String, HashMap<String, f64>>;

/// Reads queries or documents: JSON lines with `_id`, `text` and perhaps `title`, or a table with these columns or,
/// without a header, with an id and a text.
///
/// # Errors
/// A file that cannot be opened, or whose format is not known. What is wrong inside comes out as an item.
pub fn read_texts(path: impl AsRef<Path>) -> Result<TextsOf> {
    let mut wanted = vec![
        Wanted::required("id", &["_id", "id", "query-id", "corpus-id", "docid", "qid"], &None),
        Wanted::required("text", &["text", "query", "question", "passage", "contents"], &None),
        Wanted::optional("title", &["title"], &None),
    ];
    wanted[0].otherwise = Some(1);
    wanted[1].otherwise = Some(2);
    Ok(TextsOf { rows: Rows::open(path.as_ref(), &Reading::default(), wanted)? })
}

/// Queries or documents, one at a time; made by [`read_texts`].
pub struct TextsOf {
    rows: Rows,
}

impl Iterator for TextsOf {
    type Item = Result<Text>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = |mut row: Row| {
            let (id, text) = (row.text(0, "id")?, row.text(1, "text")?);
            let text = match row.optional_text(2, "title")? {
                Some(title) => format!("{title} {text}").trim().to_owned(),
                None => text,
            };
            Ok(Text { id, text, place: row.place })
        };
        Some(self.rows.next()?.and_then(text))
    }
}

/// Reads how relevant documents are: a table with `query-id`, `corpus-id` and `score`, or these columns in this order
/// without a header. Documents with a score of 0 or less are not relevant.
///
/// # Errors
/// A file that cannot be opened or whose format is not known; a row without these fields.
pub fn read_relevance(path: impl AsRef<Path>) -> Result<Relevance> {
    let mut wanted = vec![
        Wanted::required("query", &["query-id", "query_id", "qid"], &None),
        Wanted::required("document", &["corpus-id", "corpus_id", "doc-id", "docid", "pid"], &None),
        Wanted::required("score", &["score", "relevance", "label"], &None),
    ];
    wanted.iter_mut().zip(1..).for_each(|(wanted, number)| wanted.otherwise = Some(number));
    let mut relevance = Relevance::new();
    for row in Rows::open(path.as_ref(), &Reading::default(), wanted)? {
        let mut row = row?;
        let score = row.number(2, "score")?;
        let (query, document) = (row.text(0, "query")?, row.text(1, "document")?);
        if score > 0.0 {
            relevance.entry(query).or_default().insert(document, score);
        }
    }
    Ok(relevance)
}

/// Queries, and documents that are relevant to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Collection {
    /// Each once.
    pub queries: Vec<Text>,
    /// Each once.
    pub documents: Vec<Text>,
    /// Of which query each document is the answer.
    pub relevance: Relevance,
}

/// Reads pairs of a query and the text that it should find; the second texts are the documents. Texts that come again
/// are the same query, or the same document.
///
/// # Errors
/// As [`pairs::read`], and what is wrong inside.
pub fn read_pairs(path: impl AsRef<Path>, options: &pairs::Options) -> Result<Collection> {
    let mut collection = Collection::default();
    let (mut queries, mut documents) = (HashMap::new(), HashMap::new());
    for example in pairs::read(path, options)? {
        let pairs::Example { texts, place } = example?;
        let (Texts::Pair { anchor, positive } | Texts::Triplet { anchor, positive, .. }) = texts else {
            continue;
        };
        let query = number("q", &mut queries, &mut collection.queries, anchor, &place);
        let document = number("d", &mut documents, &mut collection.documents, positive, &place);
        collection.relevance.entry(query).or_default().insert(document, 1.0);
    }
    Ok(collection)
}

/// The id of a text, which is a new one if it was not seen before. Queries and documents have no id in common: a
/// search passes over documents with the id of its query.
fn number(
    prefix: &str,
    seen: &mut HashMap<String, usize>,
    all: &mut Vec<Text>,
    text: String,
    place: &Place,
) -> String {
    let count = seen.len();
    let at = *seen.entry(text).or_insert_with_key(|text| {
        all.push(Text { id: format!("{prefix}{count}"), text: text.clone(), place: place.clone() });
        count
    });
    all[at].id.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn texts_come_from_json_and_from_tables() {
        for (name, file) in [
            (
                "q.jsonl",
                "{\"_id\": \"1\", \"text\": \"a\", \"metadata\": {}}\n{\"_id\": 2, \"text\": \"b\"}\n",
            ),
            ("q.tsv", "1\ta\n2\tb\n"),
            ("q.tsv", "id\ttext\n1\ta\n2\tb\n"),
        ] {
            let (_folder, path) = write(name, file);
            let texts = read_texts(&path).unwrap().map(|text| text.map(|text| (text.id, text.text)));
            let texts = texts.collect::<Result<Vec<_>>>().unwrap();
            assert_eq!(texts, [("1".into(), "a".into()), ("2".into(), "b".into())], "{file}");
        }
    }

    #[test]
    fn what_is_relevant_has_a_score_above_0() {
        for file in ["query-id\tcorpus-id\tscore\nq\td\t2\nq\te\t0\n", "q\td\t2\nq\te\t-1\n"] {
            let (_folder, path) = write("test.tsv", file);
            let relevance = read_relevance(&path).unwrap();
            assert_eq!(relevance["q"], HashMap::from([("d".to_owned(), 2.0)]));
        }
        let (_folder, path) = write("test.tsv", "query-id\tcorpus-id\tscore\nq\td\thigh\n");
        let error = read_relevance(&path).unwrap_err().to_string();
        assert!(error.contains("test.tsv:2: the score"), "{error}");
    }

    #[test]
    fn pairs_become_a_collection() {
        let (_folder, path) = write("pairs.tsv", "query\tpassage\na\tx\nb\ty\na\ty\nb\ty\n");
        let found = read_pairs(&path, &pairs::Options::default()).unwrap();
        let texts = |texts: &[Text]| texts.iter().map(|text| text.text.clone()).collect::<Vec<_>>();
        assert_eq!(
            (texts(&found.queries), texts(&found.documents)),
            (vec!["a".into(), "b".into()], vec!["x".into(), "y".into()])
        );
        assert_eq!((found.relevance["q0"].len(), found.relevance["q1"].len()), (2, 1));
    }
}
