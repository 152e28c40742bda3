//! Film reviews and what they think. The development set of SST-2 is for measuring.

use std::fs;
use std::path::Path;

use bert_tasks::data::Lines;

use super::{Output, file};
use crate::error::Result;

pub fn split(shared: &Path, data: &Path) -> Result<()> {
    for (from, to) in [("sst2.train.tsv.gz", "sentences.tsv"), ("imdb.train.tsv.zst", "reviews.tsv")] {
        let mut output = begun(data, to)?;
        let mut lines = Lines::open(shared.join("sentiment").join(from)).map_err(bert_tasks::Error::from)?;
        while let Some(line) = lines.next_line().map_err(bert_tasks::Error::from)? {
            // A label, perhaps a number of stars, and the text.
            let mut columns = line.split('\t');
            if let (Some(label), Some(text)) = (columns.next(), columns.next_back()) {
                row(&mut output, label, text)?;
            }
        }
        output.finish()?;
    }
    // This one is Latin-1, whose bytes are the first code points.
    let dev = shared.join("sst/stsa.binary.dev");
    let bytes = fs::read(&dev).map_err(|source| file("read", &dev, source))?;
    let text: String = bytes.into_iter().map(char::from).collect();
    let mut output = begun(data, "kept-sentiment.tsv")?;
    for (label, text) in text.lines().filter_map(|line| line.split_once(' ')) {
        row(&mut output, label, text)?;
    }
    output.finish()
}

fn begun(data: &Path, name: &str) -> Result<Output> {
    let mut output = Output::create(data.join(name))?;
    output.line("text\tlabel")?;
    Ok(output)
}

fn row(output: &mut Output, label: &str, text: &str) -> Result<()> {
    let label = if label == "1" { "positive" } else { "negative" };
    output.line(format_args!("{}\t{label}", text.trim().replace('"', "''")))
}
