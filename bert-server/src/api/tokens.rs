//! The tokens of a text: `POST /v1/tokenize`.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};

use super::{App, Body, apart};
use crate::Refusal;
use crate::models::named_or_first;
use crate::offsets::Converter;

/// A token.
#[derive(Serialize)]
struct Token {
    id: u32,
    token: String,
    /// 0, or 1 for the second text of a pair.
    segment: u32,
    /// Where it is in its text; null for a token that the text does not have.
    range: Option<Value>,
}

/// The tokens of a text or a pair: `{"text", "pair", "special": true, "model", "offsets"}`.
pub async fn tokenize(State(shared): App, body: Body) -> Result<Response, Refusal> {
    let mut fields = body.object()?;
    let (text, pair) = (fields.need::<String>("text")?, fields.take::<String>("pair")?);
    let special = fields.take("special")?.unwrap_or(true);
    let (model, offsets) = (fields.take::<String>("model")?, fields.take("offsets")?.unwrap_or_default());
    if let Some(name) = fields.0.keys().next() {
        let known = "text, pair, special, model, offsets";
        return Err(Refusal::invalid(format!("tokenize has no field {name:?}; its fields are {known}")));
    }
    let models = shared.models();
    let model = named_or_first(&models, model.as_deref())?;
    let tokenizer = model.tasks[0].tokenizer().clone();
    let tokens = apart(move || {
        let encoded = match &pair {
            Some(pair) => tokenizer.encode_pair(&text, pair)?,
            None if special => tokenizer.encode(&text)?,
            None => tokenizer.encode_without_special(&text)?,
        };
        let texts = [text.as_str(), pair.as_deref().unwrap_or_default()];
        let mut converters = texts.map(|text| Converter::new(text, offsets));
        let mut tokens = Vec::with_capacity(encoded.len());
        for (index, &id) in encoded.ids.iter().enumerate() {
            let source = encoded.sources[index];
            let range = source.map(|source| {
                let converter = &mut converters[usize::from(source.sequence.min(1))];
                json!({"start": converter.convert(source.start), "end": converter.convert(source.end)})
            });
            let token = tokenizer.id_to_token(id).unwrap_or_default();
            tokens.push(Token { id, token, segment: encoded.segments[index], range });
        }
        Ok(tokens)
    });
    let tokens = tokens.await?;
    Ok(crate::reader::json(&json!({"model": model.name, "tokens": tokens})))
}
