//! The places of a word, grouped by meaning.

use bert_tasks::explain::{ExplainError, Senses, SensesOptions};
use bert_tasks::{Error, Head, Precision, Pretrained};

use super::{assert_safe, checkpoint};

fn senses(word: &str, options: SensesOptions) -> bert_tasks::Result<Senses> {
    let (model, device) = checkpoint("bert-embedding");
    Senses::new(Pretrained::open(&model)?.load(Head::None, &device, Precision::F32)?, word, options)
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// Two ways to use a word, again and again.
fn two_ways() -> Vec<String> {
    let one = "the capital of france is paris";
    let other = "paris paris paris paris the capital";
    (0..12).map(|i| if i % 3 == 0 { other.to_owned() } else { one.to_owned() }).collect()
}

#[test]
fn places_that_are_alike_share_a_group() {
    let found = senses("capital", SensesOptions::default()).unwrap().group_lines(two_ways()).unwrap();
    assert_eq!(found.occurrences.len(), 12);
    assert_eq!(found.groups.iter().map(|group| group.size).collect::<Vec<_>>(), [8, 4]);
    for (index, place) in found.occurrences.iter().enumerate() {
        assert_eq!((place.line, place.group), (index as u64 + 1, usize::from(index % 3 == 0)));
    }
    assert!(found.silhouette.unwrap() > 0.99, "{:?}", found.silhouette);
    // The embeddings, two layers. Where a word stands is in the embeddings already.
    assert_eq!(found.by_layer.len(), 3);
    assert_eq!(*found.by_layer.last().unwrap(), found.silhouette.unwrap());
    assert!(found.groups.iter().all(|group| group.examples.len() <= 5 && !group.examples.is_empty()));
    assert!(!found.limited);
    let apart = |i: usize, j: usize| {
        let [a, b] = [i, j].map(|i| found.occurrences[i].point);
        (a[0] - b[0]).hypot(a[1] - b[1])
    };
    assert!(apart(0, 3) < 1e-3 && apart(1, 2) < 1e-3 && apart(0, 1) > 0.1);
    assert_safe(&found.to_html());
}

#[test]
fn as_many_groups_as_asked_for() {
    for count in [1, 3, 12] {
        let options = SensesOptions { clusters: Some(count), ..SensesOptions::default() };
        let found = senses("capital", options).unwrap().group_lines(two_ways()).unwrap();
        assert_eq!(found.groups.len(), count);
        assert_eq!(found.groups.iter().map(|group| group.size).sum::<usize>(), 12);
        assert_eq!(found.silhouette.is_some(), count > 1);
        assert_eq!(found.why_one_group(), (count == 1).then_some("no more were asked for"));
    }
    let options = SensesOptions { clusters: Some(13), ..SensesOptions::default() };
    let error = senses("capital", options).unwrap().group_lines(two_ways()).unwrap_err();
    assert!(matches!(error, Error::Explain(ExplainError::Clusters { asked: 13, found: 12 })), "{error}");
}

#[test]
fn a_word_that_is_rare_or_missing() {
    let senses = senses("capital", SensesOptions::default()).unwrap();
    for none in [&[][..], &["", "capitals", "\0"]] {
        let error = senses.group_lines(lines(none)).unwrap_err();
        assert!(matches!(error, Error::Explain(ExplainError::WordNotFound { .. })), "{error}");
    }
    let once = senses.group_lines(lines(&["the Capital of france"])).unwrap();
    assert_eq!((once.groups.len(), once.silhouette, once.occurrences[0].word.as_str()), (1, None, "Capital"));
    assert_eq!(
        (once.occurrences[0].before.as_str(), once.occurrences[0].after.as_str()),
        ("the ", " of france")
    );
    assert_safe(&once.to_html());
    assert_eq!(once.why_one_group(), Some("it takes three places to find more"));
    let html = once.to_html();
    assert!(html.contains("1 place,") && html.contains("Group 1: 1 place<") && !html.contains('…'), "{html}");
    let alike = senses.group_lines(lines(&["the capital"; 7])).unwrap();
    assert_eq!(alike.why_one_group(), Some("no two part clearly"));
    // More than the examples that are shown.
    assert!(alike.to_html().contains("…</li>"));
    let twice = senses.group_lines(lines(&["capital capital"])).unwrap();
    assert_eq!((twice.groups.len(), twice.occurrences.len()), (1, 2));
}

/// Words of scripts without blanks, and accents that are chars of their own.
#[test]
fn words_of_every_script_are_found() {
    let found = |word: &str, line: &str| {
        let found = senses(word, SensesOptions::default()).unwrap().group_lines(lines(&[line])).unwrap();
        found.occurrences.into_iter().map(|place| place.word).collect::<Vec<_>>()
    };
    assert_eq!(found("银行", "我去银行取钱"), ["银行"]);
    assert_eq!(found("PARÍS", "pari\u{301}s paris parís"), ["pari\u{301}s", "parís"]);
    let missing = senses("👩\u{200d}🚀x\0", SensesOptions::default()).unwrap().group_lines(lines(&["paris"]));
    let message = missing.unwrap_err().to_string();
    assert!(message.contains("\"👩\u{200d}🚀x\\0\""), "{message}");
}

#[test]
fn reading_ends_at_the_limit() {
    let limited = senses("capital", SensesOptions { limit: 5, ..SensesOptions::default() }).unwrap();
    let read = std::cell::Cell::new(0);
    let endless = std::iter::repeat_with(|| {
        read.set(read.get() + 1);
        "the capital of france".to_owned()
    });
    let found = limited.group_lines(endless).unwrap();
    assert_eq!((found.occurrences.len(), read.get()), (5, 5));
    assert!(found.limited);
    // Many in one line count too.
    let found = limited.group_lines(lines(&[&"capital ".repeat(1000)])).unwrap();
    assert_eq!(found.occurrences.len(), 5);
}

/// The model sees 65 tokens: what stands around the word.
#[test]
fn long_lines_are_read_around_the_word() {
    let senses = senses("capital", SensesOptions::default()).unwrap();
    let middle = format!("{}capital{}", "paris ".repeat(100), " france".repeat(100));
    let huge = format!("{}capital{}", "é🍋 ".repeat(200_000), " \0x".repeat(100_000));
    let found = senses.group_lines(vec![middle.clone(), huge.clone(), "capital".to_owned()]).unwrap();
    for (place, text) in found.occurrences.iter().zip([&middle, &huge, &"capital".to_owned()]) {
        assert_eq!(&text[place.range.clone()], "capital");
        assert!(place.before.chars().count() <= 61 && place.after.chars().count() <= 61);
    }
    assert!(found.occurrences[0].before.starts_with('…') && found.occurrences[0].after.ends_with('…'));
    // What is far away changes nothing.
    let longer = format!("{}{middle}", "rome ".repeat(100));
    let both = senses.group_lines(vec![middle, longer]).unwrap();
    assert_eq!(both.occurrences[0].point, both.occurrences[1].point);
}

#[test]
fn options_that_make_no_sense() {
    for word in ["", " ", "?!"] {
        assert!(matches!(
            senses(word, SensesOptions::default()),
            Err(Error::Setting { setting: "word", .. })
        ));
    }
    for layer in [3, -4, i64::MIN] {
        let options = SensesOptions { layer, ..SensesOptions::default() };
        assert!(matches!(senses("capital", options), Err(Error::Layer { count: 2, .. })), "{layer}");
    }
    for limit in [0, 2001] {
        let options = SensesOptions { limit, ..SensesOptions::default() };
        assert!(matches!(senses("capital", options), Err(Error::Setting { setting: "limit", .. })));
    }
    let options = SensesOptions { clusters: Some(0), ..SensesOptions::default() };
    assert!(matches!(senses("capital", options), Err(Error::Setting { setting: "clusters", .. })));
}

#[test]
fn pages_hold_any_text() {
    let hostile = lines(&["</script><b> capital &\"", "\u{202e}capital<!--", "the capital\0 of 🍋"]);
    let found = senses("capital", SensesOptions::default()).unwrap().group_lines(hostile).unwrap();
    assert_eq!(found.occurrences.len(), 3);
    let html = found.to_html();
    assert_safe(&html);
    assert!(html.contains("&lt;/script&gt;&lt;b&gt; <strong>capital</strong> &amp;&quot;"), "{html}");
}
