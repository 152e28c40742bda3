//! Token ids become the first hidden state: word, position and segment embeddings added up and normalised.

use super::parameters::{LinearSpec, NormSpec, ParameterSpec, table, words};
use super::{Loader, Pass};
use crate::Result;
use crate::config::ModelConfig;
use crate::contract::{Activation, Backend, EmbeddingTables, Linear, Tensor};

/// What the embeddings consist of.
pub(super) struct EmbeddingsSpec {
    word: ParameterSpec,
    position: ParameterSpec,
    token_type: Option<ParameterSpec>,
    norm: NormSpec,
    /// From narrow embeddings to hidden states.
    project: Option<LinearSpec>,
}

impl EmbeddingsSpec {
    pub fn new(config: &ModelConfig) -> Self {
        let (width, hidden, types) = (config.embedding_size, config.hidden_size, config.type_vocab_size);
        let project = || LinearSpec::new("embeddings_project", hidden, width);
        let table = |part: &str, rows| table(&format!("embeddings.{part}"), rows, width);
        Self {
            word: words(config),
            position: table("position_embeddings", config.max_position_embeddings),
            token_type: (types > 0).then(|| table("token_type_embeddings", types)),
            norm: NormSpec::new("embeddings.LayerNorm", width),
            project: config.embedding_projection.then(project),
        }
    }

    pub fn parameters(self) -> Vec<ParameterSpec> {
        let mut list = vec![self.word, self.position];
        list.extend(self.token_type);
        list.extend(self.norm.parameters());
        list.extend(self.project.iter().flat_map(LinearSpec::parameters));
        list
    }
}

/// The embeddings on a device.
#[derive(Clone, Debug)]
pub(super) struct Embeddings<Buf> {
    tables: EmbeddingTables<Buf>,
    dropout: f64,
    /// `[hidden, embedding]`
    project: Option<Linear<Buf>>,
}

impl<Buf: Clone> Embeddings<Buf> {
    pub fn load<B: Backend<Buffer = Buf>>(loader: &Loader<'_, B>) -> Result<Self> {
        let spec = EmbeddingsSpec::new(loader.config);
        let tables = EmbeddingTables {
            word: loader.upload(&spec.word)?,
            position: loader.upload(&spec.position)?,
            token_type: spec.token_type.map(|table| loader.upload(&table)).transpose()?,
            norm: loader.layer_norm(&spec.norm)?,
        };
        let project = spec.project.map(|project| loader.linear(&[project])).transpose()?;
        Ok(Self { tables, dropout: loader.config.hidden_dropout_prob, project })
    }

    /// -> `[tokens, hidden]`
    pub fn forward<B: Backend<Buffer = Buf>>(&self, pass: &Pass<'_, B>) -> Result<Tensor<B>> {
        let embedded = pass.backend.embed(&self.tables, pass.batch)?; // [tokens, embedding]
        let embedded = pass.drop(embedded, self.dropout, 0)?;
        match &self.project {
            Some(project) => pass.backend.linear(&embedded, project, Activation::Identity),
            None => Ok(embedded),
        }
    }
}
