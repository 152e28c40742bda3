//! Entities: which words of a text name a person, a place, an organisation. The model may be an adapter over another.
//!
//! `cargo run -p bert-tasks --example entities -- bert-cli/models/english-mlm bert-cli/models/english-entities`
//!
//! Without a model it takes a small one with random weights, whose answers mean nothing.

use bert_tasks::{Device, Precision, Pretrained, TokenClassification};

fn main() -> bert_tasks::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let small = || bert_conformance::checkpoint("bert-token-classification").display().to_string();
    let mut files = Pretrained::open(&arguments.next().unwrap_or_else(small))?;
    if let Some(adapter) = arguments.next() {
        files = files.with_adapter(adapter)?;
    }
    let tagger = TokenClassification::from_pretrained(&files, &Device::auto()?, Precision::F32)?;

    let text = "My name is Sarah Connor and I live in Los Angeles.";
    for entity in tagger.predict(text)? {
        // Places are bytes of the caller's text, on char boundaries.
        assert_eq!(entity.text, text[entity.range.clone()]);
        println!("{:.3}  {:8} {}  (bytes {:?})", entity.score, entity.label, entity.text, entity.range);
    }
    Ok(())
}
