//! Texts as tokens, and tokens as texts.

use axum::extract::State;
use axum::response::Response;
use bert_tasks::tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};

use super::{Common, texts};
use crate::Refusal;
use crate::api::{App, Body, apart};
use crate::models::named_or_first;
use crate::offsets::{Converter, Offsets};
use crate::reader::{Notes, check_count};
use crate::server::Shared;

#[derive(Serialize)]
struct Token {
    id: u32,
    text: String,
    special: bool,
    start: Option<usize>,
    stop: Option<usize>,
}

fn tokenizer(shared: &Shared, model: Option<&str>) -> Result<Tokenizer, Refusal> {
    Ok(named_or_first(&shared.models(), model)?.tasks[0].tokenizer().clone())
}

/// `{"inputs": text or texts, "add_special_tokens": true}` → `[[{"id", "text", "special", "start", "stop"}]]`, places in
/// code points
pub async fn tokenize(State(shared): App, body: Body) -> Result<Response, Refusal> {
    let mut fields = body.object()?;
    let texts = texts(&shared, &mut fields)?;
    let special: bool = fields.take("add_special_tokens")?.unwrap_or(true);
    let common = Common::take(&mut fields)?;
    let tokenizer = tokenizer(&shared, common.model.as_deref())?;
    let tokens = apart(move || {
        texts.iter().map(|text| tokens(&tokenizer, text, special)).collect::<Result<Vec<_>, _>>()
    });
    let tokens = tokens.await?;
    Ok(Notes::default().and_ignored(&fields).with(&tokens))
}

fn tokens(tokenizer: &Tokenizer, text: &str, special: bool) -> bert_tasks::Result<Vec<Token>> {
    let encoded = if special { tokenizer.encode(text)? } else { tokenizer.encode_without_special(text)? };
    let mut places = Converter::new(text, Offsets::Chars);
    let token = |(index, &id): (usize, &u32)| {
        let range =
            encoded.range(index).map(|range| (places.convert(range.start), places.convert(range.end)));
        Token {
            id,
            text: tokenizer.id_to_token(id).unwrap_or_default(),
            special: range.is_none(),
            start: range.map(|(start, _)| start),
            stop: range.map(|(_, stop)| stop),
        }
    };
    Ok(encoded.ids.iter().enumerate().map(token).collect())
}

/// The ids of one text, or of several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of ids, or a list of such lists")]
enum Ids {
    One(Vec<u32>),
    Many(Vec<Vec<u32>>),
}

/// `{"ids": [id] or [[id]], "skip_special_tokens": true}` → `[text]`
pub async fn decode(State(shared): App, body: Body) -> Result<Response, Refusal> {
    let mut fields = body.object()?;
    let ids = match fields.need::<Ids>("ids")? {
        Ids::One(ids) => vec![ids],
        Ids::Many(lists) => lists,
    };
    check_count(ids.len(), shared.options.max_client_batch)?;
    let skip: bool = fields.take("skip_special_tokens")?.unwrap_or(true);
    let common = Common::take(&mut fields)?;
    let tokenizer = tokenizer(&shared, common.model.as_deref())?;
    let texts = apart(move || {
        ids.iter().map(|ids| Ok(tokenizer.decode(ids, skip)?)).collect::<Result<Vec<String>, _>>()
    });
    let texts = texts.await?;
    Ok(Notes::default().and_ignored(&fields).with(&texts))
}
