//! Raw text for the base. Kept for measuring: one article of Wikipedia in so many, and lines of modern text.

use std::path::Path;

use bert_tasks::data::text::{Options, Paragraph, paragraphs};

use super::Output;
use crate::error::Result;

/// One article in so many is kept for measuring.
const ARTICLES: u64 = 400;
/// One line of modern text in so many is.
const LINES: u64 = 20;

/// Whether a paragraph is kept for measuring; its number in the file is counted from 0.
type Keep = fn(&Paragraph, u64) -> bool;

pub fn split(shared: &Path, data: &Path) -> Result<()> {
    let mut kept = Documents::create(data, "held-out.txt")?;
    let files: [(&str, &str, Keep); 4] = [
        ("enwiki2015", "wikipedia.txt", |paragraph, _| paragraph.document.is_multiple_of(ARTICLES)),
        ("modern", "modern.txt", |_, number| number.is_multiple_of(LINES)),
        ("wikinews", "wikinews.txt", |_, _| false),
        ("books", "books.txt", |_, _| false),
    ];
    for (from, to, is_kept) in files {
        let from = shared.join("corpus").join(format!("{from}.txt.zst"));
        let mut others = Documents::create(data, to)?;
        for (number, paragraph) in (0..).zip(paragraphs([from], &Options::default())) {
            let paragraph = paragraph.map_err(bert_tasks::Error::from)?;
            let of = if is_kept(&paragraph, number) { &mut kept } else { &mut others };
            of.add(&paragraph)?;
        }
        kept.document = None;
        others.output.finish()?;
    }
    kept.output.finish()
}

/// A file of documents, with a blank line between them.
struct Documents {
    output: Output,
    document: Option<u64>,
    begun: bool,
}

impl Documents {
    fn create(data: &Path, name: &str) -> Result<Self> {
        Ok(Self { output: Output::create(data.join(name))?, document: None, begun: false })
    }

    fn add(&mut self, paragraph: &Paragraph) -> Result<()> {
        if self.begun && self.document != Some(paragraph.document) {
            self.output.line("")?;
        }
        self.document = Some(paragraph.document);
        self.begun = true;
        self.output.line(&paragraph.text)
    }
}
