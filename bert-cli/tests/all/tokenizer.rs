//! `bert tokenizer train`: a vocabulary from raw text.

use std::fs;

use crate::common::bert;

#[test]
fn a_tokenizer_is_made_of_text_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("a.txt"), "Unbelievable! He believed the unbelievable.\n\nA caf\u{e9}.\n").unwrap();
    fs::write(path("b.jsonl"), "{\"text\": \"Believe it: he believes.\"}\n").unwrap();
    let train = |out: &str, more: &[&str]| {
        let (a, b, out) = (path("a.txt"), path("b.jsonl"), path(out));
        let args = ["tokenizer", "train", "--json", "--corpus", &a, &b, "--out", &out];
        bert(args.into_iter().chain(more.iter().copied()))
    };
    let made = train("small", &["--size", "60"]).json();
    assert_eq!((made["words"].as_u64(), made["folder"].as_str()), (Some(12), Some(&*path("small"))));
    let vocab = fs::read_to_string(folder.path().join("small/vocab.txt")).unwrap();
    assert_eq!(vocab.lines().count() as u64, made["tokens"].as_u64().unwrap());
    let tokens = |model: &str, text: &str| -> Vec<String> {
        let tokens = bert(["tokenize", "--json", "--no-special", "-m", &path(model), text]).json();
        let tokens = tokens["tokens"].as_array().unwrap();
        tokens.iter().map(|token| token["token"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(tokens("small", "BELIEVE caf\u{e9}")[0], "believe");
    train("cased", &["--cased", "--keep-accents"]).ok();
    assert!(tokens("cased", "Unbelievable caf\u{e9}").concat().contains('U'));

    train("small", &[]).fails(&["vocab.txt exists already"]);
    train("tiny", &["--size", "7"]).fails(&["too small for this text", "7"]);
    train("large", &["--size", "18446744073709551615"]).fails(&["--size", "at most 10000000"]);
    bert(["tokenizer", "train", "--corpus", &path("none.txt"), "--out", &path("x")]).fails(&["none.txt"]);
    fs::write(path("empty.txt"), "\n").unwrap();
    bert(["tokenizer", "train", "--corpus", &path("empty.txt"), "--out", &path("x")]).fails(&["empty"]);
}
