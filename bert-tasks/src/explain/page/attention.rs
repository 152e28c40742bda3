//! The page of attention: every head at a glance, the links of one, its map, and the products of queries and keys.
//!
//! Weights are kept as bytes, each the root of a weight, so that small ones can be told apart; the script takes a layer
//! apart when it is looked at. Of each head there is a small picture, so that the overview needs no layer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ndarray::Array2;
use serde::Serialize;

use super::{Page, json};
use crate::explain::{HeadAttention, TextAttention};
use crate::markup::escaped;

/// The edge of the small pictures.
const SMALL: usize = 32;

#[derive(Serialize)]
struct Data<'a> {
    /// Each token with the text that it is from.
    tokens: Vec<(&'a str, Option<u8>)>,
    layers: Vec<Layer>,
    /// The edge of the small pictures.
    small: usize,
    /// The width of a query.
    size: usize,
}

#[derive(Serialize)]
struct Layer {
    layer: usize,
    heads: Vec<Head>,
}

#[derive(Serialize)]
struct Head {
    head: usize,
    /// What the bytes of the queries and of the keys are multiplied by; absent without vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    scales: Option<[f32; 2]>,
}

pub fn attention(attention: &TextAttention) -> String {
    let count = attention.tokens.len();
    let small = count.min(SMALL);
    let first = attention.layers.first().and_then(|layer| layer.heads.first());
    let size = first.and_then(|head| head.queries.as_ref()).map_or(0, Array2::ncols);
    let mut blobs = vec![];
    let mut pictures: Vec<u8> = vec![];
    let mut layers = vec![];
    for (index, layer) in attention.layers.iter().enumerate() {
        let (mut weights, mut vectors, mut heads) =
            (Vec::with_capacity(layer.heads.len() * count * count), vec![], vec![]);
        for HeadAttention { head, weights: rows, queries, keys } in &layer.heads {
            weights.extend(rows.iter().flatten().copied().map(byte));
            pictures.extend(picture(rows, small));
            let scales = match (queries, keys) {
                (Some(queries), Some(keys)) => {
                    Some([queries, keys].map(|part| signed_bytes(part, &mut vectors)))
                }
                _ => None,
            };
            heads.push(Head { head: *head, scales });
        }
        blobs.push((format!("weights-{index}"), STANDARD.encode(&weights)));
        if !vectors.is_empty() {
            blobs.push((format!("vectors-{index}"), STANDARD.encode(&vectors)));
        }
        layers.push(Layer { layer: layer.layer, heads });
    }
    blobs.push(("pictures".to_owned(), STANDARD.encode(&pictures)));
    let tokens = attention.tokens.iter().enumerate();
    let tokens = tokens.map(|(index, token)| (attention.name(index), token.text)).collect();
    let data = json(&Data { tokens, layers, small, size });
    let texts = [Some(&attention.text.text), attention.text.pair.as_ref()].into_iter().flatten();
    let texts: String =
        texts.map(|text| format!("<p class=\"text\" tabindex=\"0\">{}</p>\n", escaped(text))).collect();
    let body = include_str!("attention.html").replace("TEXTS", &texts);
    let script = include_str!("attention.js");
    Page { title: "Attention", body: &body, data: &data, blobs, script }.to_html()
}

/// A weight between 0 and 1 as the root of it in 255ths.
fn byte(weight: f32) -> u8 {
    (weight.clamp(0.0, 1.0).sqrt() * 255.0).round() as u8
}

/// `[small, small]`, each the largest weight of a part of the map.
fn picture(rows: &[Vec<f32>], small: usize) -> Vec<u8> {
    let mut picture = vec![0f32; small * small];
    for (from, row) in rows.iter().enumerate() {
        for (to, &weight) in row.iter().enumerate() {
            let place = &mut picture[from * small / rows.len() * small + to * small / row.len()];
            *place = place.max(weight);
        }
    }
    picture.into_iter().map(byte).collect()
}

/// Appends numbers as signed bytes; gives what these are to be multiplied by.
fn signed_bytes(numbers: &Array2<f32>, bytes: &mut Vec<u8>) -> f32 {
    let most = numbers.iter().fold(0f32, |most, x| most.max(x.abs()));
    let scale = if most > 0.0 { most / 127.0 } else { 1.0 };
    bytes.extend(numbers.iter().map(|x| (x / scale).round() as i8 as u8));
    scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_tell_weights_apart() {
        assert_eq!([0.0, 1.0, 7.0, f32::NAN].map(byte), [0, 255, 255, 0]);
        assert!(byte(1.0 / 512.0) > 10);
        let back = |weight: f32| (f32::from(byte(weight)) / 255.0).powi(2);
        assert!([0.001, 0.03, 0.5, 0.99].into_iter().all(|weight| (back(weight) - weight).abs() < 0.004));
    }

    #[test]
    fn pictures_show_what_is_strongest() {
        let rows = [[0.9, 0.1, 0.0, 0.0], [0.0, 0.0, 0.0, 0.2], [0.0; 4], [0.0, 0.0, 1.0, 0.0]]
            .map(|row| row.to_vec());
        assert_eq!(picture(&rows, 2), [byte(0.9), byte(0.2), 0, 255]);
        let mut bytes = vec![];
        let scale = signed_bytes(&ndarray::array![[1.0, -2.0], [0.0, 0.5]], &mut bytes);
        assert_eq!(bytes, [64, 129, 0, 32]);
        assert!((scale * 127.0 - 2.0).abs() < 1e-6);
        assert_eq!(signed_bytes(&Array2::zeros((1, 2)), &mut vec![]), 1.0);
    }
}
