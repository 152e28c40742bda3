//! Vectors of texts, and how alike they are.

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Map, Value};

use super::Asked;
use crate::Refusal;
use crate::api::vectors::{inputs, raw_vector, similarities};
use crate::ask::ask_all;
use crate::models::Served;
use crate::reader::{Fields, Notes, check_count};

/// The vector of a text, a list of vectors for a list of texts.
pub async fn feature_extraction(served: &Arc<Served>, mut asked: Asked) -> Result<Response, Refusal> {
    let (texts, several) = asked.texts()?;
    let mut options = Map::new();
    for fields in [&mut asked.parameters, &mut asked.rest] {
        fields.pass("normalize", &mut options, "normalize");
        if fields.take::<String>("prompt_name")?.is_some() {
            return Err(Refusal::invalid("prompts have no names here; put the prompt before the text"));
        }
    }
    // `truncate` and `truncation_direction` are as the models were trained: the end of a long text is cut, and told.
    let _: (Option<Value>, Option<Value>) =
        (asked.rest.take("truncate")?, asked.rest.take("truncation_direction")?);
    let answers = ask_all(served, inputs(texts, &options)).await?;
    let mut vectors = answers.iter().map(raw_vector).collect::<Result<Vec<_>, _>>()?;
    let notes = asked.notes(Notes::of(&answers));
    Ok(match several {
        true => notes.with(&vectors),
        false => notes.with(&vectors.pop()),
    })
}

/// `[number]`, a cosine for each sentence.
pub async fn sentence_similarity(served: &Arc<Served>, asked: Asked) -> Result<Response, Refusal> {
    let Value::Object(object) = &asked.inputs else {
        return Err(Refusal::invalid("inputs must be an object with \"source_sentence\" and \"sentences\""));
    };
    let mut fields = Fields(object.clone());
    let (source, sentences): (String, Vec<String>) =
        (fields.need("source_sentence")?, fields.need("sentences")?);
    check_count(sentences.len(), asked.most)?;
    let (cosines, notes) = similarities(served, source, sentences).await?;
    Ok(asked.notes(notes).and_ignored(&fields).with(&cosines))
}
