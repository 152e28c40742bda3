//! The command bert: classic BERT tasks from the terminal, offline, with an embedded default model.

fn main() {}
