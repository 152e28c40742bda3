//! The page of an explanation: the texts, their words coloured. It needs no script.

use std::fmt::Write;

use super::{Page, json, signed};
use crate::explain::Explanation;
use crate::markup::escaped;

/// How many words the table has at most.
const ROWS: usize = 100;

pub fn explanation(explanation: &Explanation) -> String {
    let Explanation { task, target, method, score, baseline, texts, words, gap, faithfulness } = explanation;
    let title = format!("Why {target}: {task}");
    let mut body = format!(
        "<h1>{}</h1>\n<p>The score of <strong>{}</strong> is <strong>{score:.4}</strong>; with all words masked it is \
         {baseline:.4}. Words are scored by {method}: green ones raise it, red ones lower it.</p>\n",
        escaped(&title),
        escaped(target)
    );
    let most = words.iter().map(|word| word.score.abs()).fold(0.0, f64::max);
    let share = |score: f64| if most > 0.0 { score / most } else { 0.0 };
    for (index, text) in texts.iter().enumerate() {
        if texts.len() > 1 {
            let _ = writeln!(body, "<h2>Text {}</h2>", index + 1);
        }
        body.push_str(
            "<div class=\"text\" tabindex=\"0\" role=\"region\" aria-label=\"Text with its words coloured\">",
        );
        let mut end = 0;
        for word in words.iter().filter(|word| word.text == index && !word.range.is_empty()) {
            // Tokens that are parts of one char share it.
            let start = word.range.start.max(end);
            if start >= word.range.end {
                continue;
            }
            body.push_str(&escaped(&text[end..start]));
            let (kind, share) = (if word.score < 0.0 { "bad" } else { "good" }, share(word.score).abs());
            let _ = write!(
                body,
                "<mark style=\"background: rgba(var(--{kind}), {:.3})\" title=\"{}\">{}</mark>",
                0.75 * share,
                signed(word.score),
                escaped(&text[start..word.range.end])
            );
            end = word.range.end;
        }
        body.push_str(&escaped(&text[end..]));
        body.push_str("</div>\n");
    }
    if let Some(faithfulness) = faithfulness {
        body.push_str(
            "<h2>Is it true to the model?</h2>\n<table><tr><th></th><th class=\"number\">these words</th>\
             <th class=\"number\">random words</th><th>what is asked</th></tr>\n",
        );
        for (name, measured, question) in [
            (
                "comprehensiveness",
                faithfulness.comprehensiveness,
                "What is lost without the best words? More is better.",
            ),
            (
                "sufficiency",
                faithfulness.sufficiency,
                "What is lost with the best words alone? Less is better.",
            ),
        ] {
            let _ = writeln!(
                body,
                "<tr><th>{name}</th><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{question}</td></tr>",
                signed(measured.value),
                signed(measured.random)
            );
        }
        body.push_str(
            "</table>\n<p class=\"faint\">Means over the best 1, 5, 10, 20 and 50 % of the words (DeYoung et al., 2020). Where \
             these words are no better than random ones, the colours say little about the model.</p>\n",
        );
    }
    if let Some(gap) = gap {
        let _ = writeln!(
            body,
            "<p class=\"faint\">All scores together miss the difference of the two scores above by {}.</p>",
            signed(*gap)
        );
    }
    body.push_str("<h2>Words</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Words and their scores\">");
    body.push_str("<table><tr><th>word</th><th class=\"number\">score</th><th></th><th class=\"number\">bytes</th></tr>\n");
    let mut order = explanation.ranking();
    order.sort_by(|&a, &b| words[b].score.abs().total_cmp(&words[a].score.abs()));
    for word in order.iter().take(ROWS).map(|&index| &words[index]) {
        let of = if texts.len() > 1 { format!(" of text {}", word.text + 1) } else { String::new() };
        let _ = writeln!(
            body,
            "<tr><td class=\"text-cell\">{}</td><td class=\"number\">{}</td><td><span class=\"bar {}\" \
             style=\"width: {:.2}rem\"></span></td><td class=\"number\">{}..{}{of}</td></tr>",
            escaped(&word.word),
            signed(word.score),
            if word.score < 0.0 { "down" } else { "up" },
            8.0 * share(word.score).abs(),
            word.range.start,
            word.range.end
        );
    }
    body.push_str("</table></div>\n");
    if order.len() > ROWS {
        let _ = writeln!(
            body,
            "<p class=\"faint\">These are {ROWS} of {} words; the data of the page has all.</p>",
            order.len()
        );
    }
    Page { title: &title, body: &body, data: &json(explanation), blobs: vec![], script: "" }.to_html()
}
