//! `bert evaluate retrieval`: whether a search finds what it should.

use std::cell::RefCell;
use std::path::PathBuf;

use bert_tasks::Precision;
use bert_tasks::data::pairs::Options;
use bert_tasks::data::retrieval::{self, Collection, Relevance, read_texts};
use bert_tasks::embedding::EmbeddingOptions;
use bert_tasks::evaluation::tasks::retrieval::evaluate;
use bert_tasks::evaluation::{self, Judged, Means};
use bert_tasks::{Device, Embedding, Pretrained};
use clap::{Args, ValueHint};

use super::super::embed::{self, RecipeArgs};
use super::job::{Evaluation, JobArgs, Kind, Run, count, failed};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::reporter::Reporter;

const KIND: Kind =
    Kind { name: "retrieval", card_task: "sentence-similarity", requirement: &embed::REQUIREMENT };

/// Whether a search finds what it should: collections as BEIR has them, or pairs
#[derive(Args, Debug)]
#[command(after_help = "\
For a collection, --data says which documents are relevant to which queries (query-id, corpus-id,
score), and --queries and --corpus hold the texts (_id, text, title). Without these two, --data
holds pairs of a query and the text that it should find among the texts of all pairs.

Memory does not grow with the corpus: the best 100 documents of each query are kept.

Examples:
  bert evaluate retrieval -m path/to/model --data qrels/test.tsv --queries queries.jsonl \\
      --corpus corpus.jsonl
  bert evaluate retrieval -m intfloat/e5-small-v2 --data pairs.jsonl \\
      --query-prompt \"query: \" --document-prompt \"passage: \"")]
pub struct RetrievalCommand {
    /// The queries
    #[arg(long, value_name = "FILE", requires = "corpus", value_hint = ValueHint::FilePath)]
    queries: Option<PathBuf>,

    /// The documents
    #[arg(long, value_name = "FILE", requires = "queries", value_hint = ValueHint::FilePath)]
    corpus: Option<PathBuf>,

    /// Put this before each query, in place of --prompt
    #[arg(long, value_name = "TEXT")]
    query_prompt: Option<String>,

    /// Put this before each document, in place of --prompt
    #[arg(long, value_name = "TEXT")]
    document_prompt: Option<String>,

    #[command(flatten)]
    recipe: RecipeArgs,
    #[command(flatten)]
    job: JobArgs,
}

impl RetrievalCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let data = &self.job.data;
        let source = match (&self.queries, &self.corpus) {
            (Some(queries), Some(corpus)) => {
                let relevance = retrieval::read_relevance(data).map_err(failed)?;
                let asked = read_texts(queries).map_err(failed)?.filter(|query| match query {
                    Ok(query) => relevance.contains_key(&query.id),
                    Err(_) => true,
                });
                let asked = count(asked)?;
                let texts = asked + count(read_texts(corpus).map_err(failed)?)?;
                Source::Files { queries, corpus, relevance, texts: if asked == 0 { 0 } else { texts } }
            }
            _ => Source::Pairs(retrieval::read_pairs(data, &Options::default()).map_err(failed)?),
        };
        self.job.run(reporter, &KIND, &Searches { command: &self, source })
    }
}

/// Where texts come from.
enum Source<'a> {
    Files { queries: &'a PathBuf, corpus: &'a PathBuf, relevance: Relevance, texts: u64 },
    Pairs(Collection),
}

struct Searches<'a> {
    command: &'a RetrievalCommand,
    source: Source<'a>,
}

impl Evaluation for Searches<'_> {
    /// As it is used for queries and for documents.
    type Task = [Embedding; 2];
    type Measure = Means<6>;

    fn load(
        &self,
        files: &Pretrained,
        device: &Device,
        precision: Precision,
    ) -> bert_tasks::Result<[Embedding; 2]> {
        let model = Embedding::from_pretrained(files, device, precision)?;
        let options = self.command.recipe.options();
        let with = |prompt: &Option<String>| {
            let prompt = prompt.clone().or_else(|| options.prompt.clone());
            model.clone().with_options(EmbeddingOptions { prompt, ..options.clone() })
        };
        Ok([with(&self.command.query_prompt)?, with(&self.command.document_prompt)?])
    }

    fn evaluate(
        &self,
        [queries, documents]: &[Embedding; 2],
        run: &mut Run<'_>,
    ) -> Result<evaluation::Outcome<Means<6>>> {
        let run = RefCell::new(run);
        let tasks = [queries, documents];
        let text = |cut| run.borrow_mut().text(cut);
        let each = |judged: Judged| run.borrow_mut().note(&judged);
        match &self.source {
            Source::Files { queries, corpus, relevance, texts } => {
                run.borrow_mut().begin(*texts)?;
                let (queries, documents) = (read_texts(queries), read_texts(corpus));
                let (queries, documents) = (queries.map_err(failed)?, documents.map_err(failed)?);
                evaluate(tasks, queries, documents, relevance, text, each)
            }
            Source::Pairs(Collection { queries, documents, relevance }) => {
                run.borrow_mut().begin((queries.len() + documents.len()) as u64)?;
                let (queries, documents) =
                    (queries.iter().cloned().map(Ok), documents.iter().cloned().map(Ok));
                evaluate(tasks, queries, documents, relevance, text, each)
            }
        }
    }
}
