//! Token ids become the first hidden state: word, position and segment embeddings added up and normalised.

use super::Loader;
use crate::Result;
use crate::backend::Backend;
use crate::weights::EmbeddingTables;

/// Loads the three tables (two for DistilBERT) and the LayerNorm that follows their sum. The forward pass
/// is one word of the backend: [`Backend::embed`].
///
/// # Errors
/// A tensor that is missing or misshapen; a device without room.
pub fn load<B: Backend>(loader: &Loader<'_, B>) -> Result<EmbeddingTables<B::Buffer>> {
    let config = loader.config;
    let token_type = match config.type_vocab_size {
        0 => None,
        types => Some(loader.table("embeddings.token_type_embeddings", types)?),
    };
    Ok(EmbeddingTables {
        word: loader.table("embeddings.word_embeddings", config.vocab_size)?,
        position: loader.table("embeddings.position_embeddings", config.max_position_embeddings)?,
        token_type,
        norm: loader.layer_norm("embeddings.LayerNorm")?,
    })
}
