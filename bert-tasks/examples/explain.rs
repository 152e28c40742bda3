//! Explanations: which words a judgement hangs on, how far to trust that, and what the model looks at.
//!
//! `cargo run -p bert-tasks --example explain -- path/to/a-sentiment-model`
//!
//! Without a model it takes a small one with random weights, whose answers mean nothing.

use bert_tasks::explain::{Attention, Occlusion, Subject};
use bert_tasks::{Device, Task, TextClassification};

fn main() -> bert_tasks::Result<()> {
    let small = || bert_conformance::checkpoint("bert-sequence-classification").display().to_string();
    let model = std::env::args().nth(1).unwrap_or_else(small);
    let classifier = TextClassification::load(&model, &Device::auto()?)?;
    let text = "A gorgeous, witty film, but the ending is a mess.";

    let subject = Subject::label(&classifier, text, None)?;
    let explanation = Occlusion::default().explain(&subject)?.measured(&subject)?;
    println!("{} {:.3}", explanation.target, explanation.score);
    for word in explanation.ranking().into_iter().take(3).map(|index| &explanation.words[index]) {
        println!("{:+.3} {}", word.score, word.word);
    }
    if let Some(faithful) = explanation.faithfulness {
        let lost = faithful.comprehensiveness;
        println!("lost without the best words {:.3}, without random ones {:.3}", lost.value, lost.random);
    }

    // The same model, whatever its head.
    let attention = Attention::new(classifier.session().clone())?.predict_one(text)?;
    for link in attention.strongest(3) {
        let [from, to] = [link.from, link.to].map(|token| &attention.tokens[token].token);
        println!("layer {} head {}: {from} looks at {to}, {:.2}", link.layer, link.head, link.weight);
    }
    let page = std::env::temp_dir().join("why.html");
    std::fs::write(&page, explanation.to_html())
        .map_err(|source| bert_tasks::Error::ReadFile { path: page.clone(), source })?;
    println!("{}", page.display());
    Ok(())
}
