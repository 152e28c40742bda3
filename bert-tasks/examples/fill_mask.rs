//! Fill-mask: the words that a model expects where a text says `[MASK]`.
//!
//! `cargo run -p bert-tasks --example fill_mask -- bert-cli/models/english-mlm`
//!
//! Without a model it takes a small one with random weights, whose answers mean nothing.

use bert_tasks::fill_mask::FillMaskOptions;
use bert_tasks::{Device, FillMask, Request, Task};

fn main() -> bert_tasks::Result<()> {
    let small = || bert_conformance::checkpoint("bert-masked-lm").display().to_string();
    let model = std::env::args().nth(1).unwrap_or_else(small);
    let fill_mask = FillMask::load(&model, &Device::auto()?)?;

    let filled = fill_mask.predict("You work at the [MASK] of the river.")?;
    for candidate in &filled.masks[0].candidates {
        println!("{:.3}  {}", candidate.score, candidate.sequence);
    }

    // Many texts at once; the second is asked about two words alone.
    let options =
        FillMaskOptions { targets: vec!["good".into(), "bad".into()], ..FillMaskOptions::default() };
    let requests = [
        Request::from("Paris is the [MASK] of France."),
        Request::from("It is a [MASK] movie!").with_options(options),
    ];
    for filled in fill_mask.stream(requests) {
        let words: Vec<String> = filled?.masks[0]
            .candidates
            .iter()
            .map(|candidate| format!("{} {:.3}", candidate.token_str, candidate.score))
            .collect();
        println!("{}", words.join(", "));
    }
    Ok(())
}
