//! The page of a word's meanings: its groups with examples, their plane, and how they part by layer. It needs no script.

use std::fmt::Write;

use super::{Page, json};
use crate::explain::{Occurrence, WordSenses};
use crate::markup::escaped;

/// A count with its noun.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The class of a group's colour.
fn colour(group: usize) -> String {
    format!("g{}", group % 8)
}

pub fn senses(senses: &WordSenses) -> String {
    let WordSenses { word, layer, limited, groups, silhouette, tried, by_layer, shown, occurrences, .. } =
        senses;
    let title =
        format!("{word}: {}, {}", counted(occurrences.len(), "place"), counted(groups.len(), "group"));
    let mut body = format!("<h1>{}</h1>\n", escaped(&title));
    let first = if *limited { "; reading ended at the limit, and there may be more" } else { "" };
    let _ = writeln!(body, "<p>Hidden states of layer {layer}, grouped by Ward's method{first}.");
    match silhouette {
        Some(silhouette) => {
            let _ = writeln!(body, "The groups part by a silhouette of {silhouette:.3}, of 1 at most.</p>");
        }
        None => {
            let _ =
                writeln!(body, "There is one group: {}.</p>", senses.why_one_group().unwrap_or("none parts"));
        }
    }
    if senses.may_be_by_position() {
        body.push_str(
            "<p class=\"note\">They part as well in the embeddings (layer 0), which know where the word stands and nothing of \
             what surrounds it. They may tell places in the text apart, and not meanings.</p>\n",
        );
    }
    for (index, group) in groups.iter().enumerate() {
        let _ = writeln!(
            body,
            "<h2><span class=\"{}\" aria-hidden=\"true\">●</span> Group {}: {}</h2>\n<ul>",
            colour(index),
            index + 1,
            counted(group.size, "place")
        );
        for &example in &group.examples {
            let Occurrence { line, before, word, after, .. } = &occurrences[example];
            let [before, word, after] = [before, word, after].map(|text| escaped(text));
            let _ = writeln!(
                body,
                "<li class=\"text-cell\">{before}<strong>{word}</strong>{after} <span class=\"faint\">line {line}</span></li>"
            );
        }
        if group.examples.len() < group.size {
            body.push_str("<li class=\"faint\">…</li>\n");
        }
        body.push_str("</ul>\n");
    }
    body.push_str(&points(occurrences, *shown));
    if by_layer.len() > 1 {
        let curve: Vec<_> = by_layer.iter().copied().enumerate().collect();
        body.push_str("<h2>How far these groups part in each layer</h2>\n");
        body.push_str(&chart(&curve, "layer", "silhouette of the groups"));
    }
    if tried.len() > 1 {
        body.push_str("<h2>How many groups part best</h2>\n");
        body.push_str(&chart(tried, "groups", "silhouette"));
    }
    Page { title: &title, body: &body, data: &json(senses), blobs: vec![], script: "" }.to_html()
}

fn points(occurrences: &[Occurrence], shown: [f64; 2]) -> String {
    const SIZE: f64 = 480.0;
    const EDGE: f64 = 16.0;
    let bound = |axis: usize, pick: fn(f64, f64) -> f64, start: f64| {
        occurrences.iter().map(|place| place.point[axis]).fold(start, pick)
    };
    let low = [0, 1].map(|axis| bound(axis, f64::min, f64::INFINITY));
    let high = [0, 1].map(|axis| bound(axis, f64::max, f64::NEG_INFINITY));
    // One scale for both axes, so that distances are what they look like.
    let extent = (high[0] - low[0]).max(high[1] - low[1]).max(f64::MIN_POSITIVE);
    let at = |point: [f64; 2], axis: usize| EDGE + (point[axis] - low[axis]) / extent * (SIZE - 2.0 * EDGE);
    let height = 2.0 * EDGE + (high[1] - low[1]) / extent * (SIZE - 2.0 * EDGE);
    let mut svg = format!(
        "<h2>The places on a plane</h2>\n<figure><svg viewBox=\"0 0 {SIZE} {height:.1}\" width=\"{SIZE}\" role=\"img\" \
         aria-label=\"Each place of the word as a point, coloured by its group\">\n"
    );
    for place in occurrences {
        let Occurrence { line, before, word, after, group, point, .. } = place;
        let _ = writeln!(
            svg,
            "<circle class=\"{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\" fill-opacity=\"0.75\"><title>group {}, line {line}: {}</title></circle>",
            colour(*group),
            at(*point, 0),
            at(*point, 1),
            group + 1,
            escaped(&format!("{before}{word}{after}"))
        );
    }
    let _ = writeln!(
        svg,
        "</svg><figcaption>Principal components, which show {:.0} % and {:.0} % of the differences.</figcaption></figure>",
        100.0 * shown[0],
        100.0 * shown[1]
    );
    svg
}

/// A curve between -1 and 1; as much of that as it needs.
fn chart(values: &[(usize, f64)], across: &str, up: &str) -> String {
    const WIDTH: f64 = 480.0;
    const HEIGHT: f64 = 200.0;
    const LEFT: f64 = 48.0;
    const BOTTOM: f64 = 36.0;
    let top = values.iter().map(|(_, y)| *y).fold(0.1, f64::max);
    let low = values.iter().map(|(_, y)| *y).fold(0.0, f64::min);
    let x = |index: usize| LEFT + (WIDTH - LEFT - 12.0) * index as f64 / (values.len() - 1).max(1) as f64;
    let y = |value: f64| 12.0 + (HEIGHT - BOTTOM - 12.0) * (top - value) / (top - low);
    let mut svg = format!(
        "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" role=\"img\" aria-label=\"{up} by {across}\">\n"
    );
    for value in [low, top] {
        let at = y(value);
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value:.2}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    let line: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(index, (_, value))| format!("{:.1},{:.1}", x(index), y(*value)))
        .collect();
    let _ = writeln!(svg, "<polyline class=\"curve\" points=\"{}\"/>", line.join(" "));
    for (index, (number, value)) in values.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"var(--accent)\"><title>{across} {number}: {value:.3}</title></circle>\
             <text class=\"label\" x=\"{0:.1}\" y=\"{2:.1}\" text-anchor=\"middle\">{number}</text>",
            x(index),
            y(*value),
            HEIGHT - BOTTOM + 16.0
        );
    }
    let _ = writeln!(svg, "</svg><figcaption>{up}, by {across}</figcaption></figure>");
    svg
}
