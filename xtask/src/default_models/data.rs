//! What is trained on, and what is kept for measuring: split once, before anything is trained.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use bert_tasks::data::text::{Options, Paragraph, paragraphs};

use crate::error::{Error, Result};

/// One article in so many is kept for measuring.
const ARTICLES: u64 = 400;
/// One line of modern text in so many is.
const LINES: u64 = 20;

/// Whether a paragraph is kept for measuring; its number in the file is counted from 0.
type Keep = dyn Fn(&Paragraph, u64) -> bool;

/// Splits the data, unless it is done.
///
/// # Errors
/// Data that is not there; a disk that is full.
pub fn prepare(shared: &Path, data: &Path) -> Result<()> {
    let done = data.join("done");
    if done.exists() {
        eprintln!("data: done");
        return Ok(());
    }
    fs::create_dir_all(data).map_err(|source| file("make", data, source))?;
    let mut kept = create(&data.join("held-out.txt"))?;
    let article = |paragraph: &Paragraph, _: u64| paragraph.document.is_multiple_of(ARTICLES);
    let line = |_: &Paragraph, number: u64| number.is_multiple_of(LINES);
    let nothing = |_: &Paragraph, _: u64| false;
    let files: [(&str, &str, &Keep); 4] = [
        ("enwiki2015.txt.zst", "wikipedia.txt", &article),
        ("modern.txt.zst", "modern.txt", &line),
        ("wikinews.txt.zst", "wikinews.txt", &nothing),
        ("books.txt.zst", "books.txt", &nothing),
    ];
    for (from, to, is_kept) in files {
        split(&shared.join("data/corpus").join(from), &data.join(to), &mut kept, is_kept)?;
    }
    kept.finish()?;
    fs::write(&done, "").map_err(|source| file("write", &done, source))
}

/// Writes the paragraphs of a file to one of two.
fn split(from: &Path, to: &Path, kept: &mut Documents, is_kept: &Keep) -> Result<()> {
    eprintln!("data: {}", from.display());
    let mut others = create(to)?;
    for (number, paragraph) in (0..).zip(paragraphs([from], &Options::default())) {
        let paragraph = paragraph.map_err(bert_tasks::Error::from)?;
        match is_kept(&paragraph, number) {
            true => kept.add(&paragraph)?,
            false => others.add(&paragraph)?,
        }
    }
    kept.document = None;
    others.finish()
}

/// A file of documents, with a blank line between them.
struct Documents {
    path: std::path::PathBuf,
    file: BufWriter<File>,
    document: Option<u64>,
    begun: bool,
}

fn create(path: &Path) -> Result<Documents> {
    let opened = File::create(path).map_err(|source| file("make", path, source))?;
    Ok(Documents { path: path.to_owned(), file: BufWriter::new(opened), document: None, begun: false })
}

impl Documents {
    fn add(&mut self, paragraph: &Paragraph) -> Result<()> {
        let blank = if self.begun && self.document != Some(paragraph.document) { "\n" } else { "" };
        self.document = Some(paragraph.document);
        self.begun = true;
        writeln!(self.file, "{blank}{}", paragraph.text).map_err(|source| file("write", &self.path, source))
    }

    fn finish(mut self) -> Result<()> {
        self.file.flush().map_err(|source| file("write", &self.path, source))
    }
}

fn file(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::File { action, path: path.to_owned(), source }
}
