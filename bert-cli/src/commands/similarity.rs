//! `bert similarity`: how alike texts are.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use bert_tasks::Similarity;
use bert_tasks::embedding::{TextEmbedding, cosine};
use bert_tasks::next_sentence::TextPair;
use bert_tasks::records::SimilarityRecord;
use clap::Args;
use serde::Serialize;

use super::embed::RecipeArgs;
use crate::batch::{Consumer, answer_all, for_each};
use crate::error::Result;
use crate::input::{InputArgs, Inputs, Item, Kept};
use crate::model::ModelArgs;
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink};
use crate::reporter::Reporter;
use crate::style::{self, bar, visible};
use crate::values::positive;

/// Compare texts by their meaning, or find the nearest to a query
#[derive(Args, Debug)]
#[command(after_help = "\
Two texts give one number, the cosine of the angle between their vectors: 1 for the same direction, 0 for
nothing in common. More texts, or one text and a file, are ranked by how near they are to the first.

Examples:
  bert similarity \"A man is eating food.\" \"Someone is having a meal.\"
  bert similarity -m path/to/model \"who eats?\" \"A man eats.\" \"It rains.\" \"The dog sleeps.\"
  bert similarity -m path/to/model \"who eats?\" --input texts.txt --top-k 3
  bert similarity -m path/to/model --input pairs.csv --column sentence1 --column sentence2 --csv")]
pub struct SimilarityCommand {
    /// Two texts, or a query and the texts to search; a last `-` reads lines from stdin
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    /// How many texts a search finds
    #[arg(short = 'k', long, value_name = "COUNT", default_value = "5", value_parser = positive, allow_negative_numbers = true)]
    top_k: usize,

    #[command(flatten)]
    recipe: RecipeArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl SimilarityCommand {
    pub fn run(mut self, reporter: &Reporter) -> Result<Outcome> {
        let from_stdin = self.texts.len() == 2 && self.texts[1] == "-";
        let is_search = match self.texts.len() {
            1 => self.texts[0] != "-" && self.input.input.is_some(),
            2 => from_stdin,
            count => count > 2,
        };
        if !is_search {
            let inputs = Inputs::pairs(&self.input, ["first", "second"], self.texts)?;
            let sink = Sink::for_inputs(&self.output, &inputs, reporter)?;
            let task = Similarity::from(self.recipe.load(reporter, &self.model)?);
            let pair = |texts: Vec<String>| {
                let [first, second] = texts.try_into().expect("the input has pairs");
                TextPair { first, second }
            };
            let record = |texts, answer| SimilarityRecord { pair: pair(texts), answer };
            return answer_all(reporter, inputs, sink, &task, |texts| pair(texts.to_vec()), record);
        }
        let texts = self.texts.split_off(1);
        let query = self.texts.swap_remove(0);
        let inputs = Inputs::texts(&self.input, texts)?;
        let mut sink = Sink::for_inputs(&self.output, &inputs, reporter)?;
        let task = self.recipe.load(reporter, &self.model)?;
        let query = task.predict(&query)?.vector;
        let mut search = Search { query, top_k: self.top_k, found: 0, best: BinaryHeap::new() };
        let count = for_each(reporter, inputs, true, &task, |texts| texts[0].clone(), &mut search)?;
        if count.answered > 0 || count.failed == 0 {
            for hit in search.best.into_sorted_vec() {
                sink.write_item(hit.line, &hit.kept, &hit)?;
            }
            sink.finish()?;
        }
        Ok(count.outcome(reporter))
    }
}

impl Record for SimilarityRecord {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["first", "second", "cosine"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let Self { pair, answer } = self;
        vec![vec![pair.first.clone(), pair.second.clone(), answer.cosine.to_string()]]
    }

    fn cut(&self) -> Option<usize> {
        self.answer.truncated.iter().flatten().map(|range| range.start).next()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        // The sign has a place of its own, where numbers stand below one another.
        let cells = if page.titled { 7 } else { 0 };
        write!(page, "{:>cells$.4}", self.answer.cosine)?;
        if screen.terminal {
            write!(page, "  {:<24}", screen.paint(style::VALUE, bar(self.answer.cosine, 24)))?;
        }
        if page.titled {
            write!(page, "  {}  {}", visible(&self.pair.first), visible(&self.pair.second))?;
        }
        writeln!(page)
    }
}

/// Keeps the nearest texts.
struct Search {
    query: Vec<f32>,
    top_k: usize,
    found: u64,
    /// The worst of the best is on top.
    best: BinaryHeap<Hit>,
}

impl Consumer<TextEmbedding> for Search {
    fn take(&mut self, mut item: Item, answer: TextEmbedding) -> Result<Option<usize>> {
        let cosine = cosine(&self.query, &answer.vector);
        let hit = Hit {
            cosine,
            text: item.texts.swap_remove(0),
            line: item.place.line(),
            kept: item.kept,
            order: self.found,
        };
        self.found += 1;
        self.best.push(hit);
        if self.best.len() > self.top_k {
            self.best.pop();
        }
        Ok(answer.truncated.map(|range| range.start))
    }
}

/// A text near the query.
#[derive(Serialize)]
struct Hit {
    text: String,
    cosine: f32,
    #[serde(skip)]
    line: Option<u64>,
    /// What travels along from its input.
    #[serde(skip)]
    kept: Kept,
    /// The order in which texts came.
    #[serde(skip)]
    order: u64,
}

/// The nearest is the least; of equals, the one that came first.
impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        other.cosine.total_cmp(&self.cosine).then(self.order.cmp(&other.order))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Hit {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Hit {}

impl Record for Hit {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        vec!["text".into(), "cosine".into()]
    }

    fn rows(&self) -> Vec<Vec<String>> {
        vec![vec![self.text.clone(), self.cosine.to_string()]]
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        write!(page, "{:>7.4}", self.cosine)?;
        if screen.terminal {
            write!(page, "  {:<24}", screen.paint(style::VALUE, bar(self.cosine, 24)))?;
        }
        writeln!(page, "  {}", visible(&self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Place;

    #[test]
    fn a_search_keeps_the_nearest_in_their_order() {
        let mut search = Search { query: vec![1.0, 0.0], top_k: 3, found: 0, best: BinaryHeap::new() };
        for (text, vector) in
            [("a", [0.0, 1.0]), ("b", [1.0, 1.0]), ("c", [2.0, 0.0]), ("d", [1.0, 1.0]), ("e", [-1.0, 0.0])]
        {
            let item =
                Item { place: Place::Only, texts: vec![text.to_owned()], kept: Kept::default(), end: 0 };
            search.take(item, TextEmbedding { vector: vector.to_vec(), truncated: None }).unwrap();
        }
        let found: Vec<String> = search.best.into_sorted_vec().into_iter().map(|hit| hit.text).collect();
        assert_eq!(found, ["c", "b", "d"]);
    }
}
