//! A drawing of the links of a layer.

use std::fmt::Write;

use super::{AttentionToken, LayerAttention, TextAttention};
use crate::markup::escaped;

/// How many links are drawn at most, and how weak ones at least.
const MOST: usize = 2000;
const WEAKEST: f32 = 0.02;

const ROW: usize = 18;
const LEFT: usize = 170;
const RIGHT: usize = 400;
const WIDTH: usize = 570;
const TOP: usize = 44;

/// One colour for each head, as far as there are some; they stand out on light and on dark ground.
const COLOURS: [&str; 12] = [
    "#1f77d0", "#e0701a", "#2a9d4e", "#c2353a", "#b24bc9", "#8a6d1d", "#149a9a", "#d0498d", "#6b7a2a",
    "#5a62d6", "#a0522d", "#708090",
];

/// Tokens that look on the left, those that are looked at on the right.
pub fn attention(attention: &TextAttention, layer: &LayerAttention) -> String {
    let tokens = &attention.tokens;
    let mut links: Vec<(f32, usize, usize, usize)> = vec![];
    for (number, head) in layer.heads.iter().enumerate() {
        for (from, row) in head.weights.iter().enumerate() {
            let strong = row.iter().enumerate().filter(|(_, weight)| **weight >= WEAKEST);
            links.extend(strong.map(|(to, &weight)| (weight, number, from, to)));
        }
        // Strongest first; of equals the first one.
        let order = |a: &(f32, usize, usize, usize), b: &(f32, usize, usize, usize)| {
            b.0.total_cmp(&a.0).then((a.1, a.2, a.3).cmp(&(b.1, b.2, b.3)))
        };
        links.sort_by(order);
        links.truncate(MOST);
    }
    let height = TOP + ROW * tokens.len() + 12;
    let heads: Vec<_> = layer.heads.iter().map(|head| head.head.to_string()).collect();
    let title = format!("Attention, layer {}, head {}", layer.layer, heads.join(", "));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n<title>{title}</title>\n\
         <style>text {{ fill: #1b1b1f; }} .s {{ fill: #5c5f66; }} @media (prefers-color-scheme: dark) {{ text {{ fill: #e7e8ea; }} \
         .s {{ fill: #a3a6ad; }} }}</style>\n<text x=\"8\" y=\"20\" font-weight=\"bold\">{title}</text>\n"
    );
    let middle = |row: usize| TOP + ROW * row + ROW / 2;
    for (weight, number, from, to) in links {
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{}\" x2=\"{RIGHT}\" y2=\"{}\" stroke=\"{}\" stroke-width=\"2\" stroke-opacity=\"{weight:.3}\"/>",
            middle(from),
            middle(to),
            COLOURS[number % COLOURS.len()]
        );
    }
    for (row, AttentionToken { text, .. }) in tokens.iter().enumerate() {
        let (y, kind) = (middle(row) + 4, if text.is_none() { " class=\"s\"" } else { "" });
        let token = escaped(&shortened(attention.name(row)));
        let _ = writeln!(
            svg,
            "<text{kind} x=\"{}\" y=\"{y}\" text-anchor=\"end\">{token}</text><text{kind} x=\"{}\" y=\"{y}\">{token}</text>",
            LEFT - 6,
            RIGHT + 6
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// As much of a token as there is room for.
fn shortened(token: &str) -> String {
    const CHARS: usize = 20;
    match token.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &token[..end]),
        None => token.to_owned(),
    }
}
