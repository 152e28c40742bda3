//! The fields of each task: what it is asked, and what may be chosen.

use super::fields::Fields;
use super::task::JsonTask;
use crate::embedding::{EmbeddingOptions, TextEmbedding};
use crate::features::{FeaturesOptions, TextFeatures};
use crate::fill_mask::{FillMaskOptions, FilledText};
use crate::multiple_choice::{Choice, Choices};
use crate::next_sentence::{NextSentenceAnswer, TextPair};
use crate::question_answering::{Answers, Question, QuestionAnsweringOptions};
use crate::records::*;
use crate::similarity::SimilarityAnswer;
use crate::sparse_embedding::{SparseEmbeddingOptions, SparseVector};
use crate::text_classification::{Classification, Text, TextClassificationOptions};
use crate::token_classification::{Entity, OUTSIDE, TokenClassificationOptions};
use crate::{
    Embedding, Features, FillMask, MultipleChoice, NextSentence, Pretrained, QuestionAnswering, Result,
    Session, Similarity, SparseEmbedding, TextClassification, TokenClassification,
};

/// The part that is the same for all tasks with options, and how each is made of a model.
macro_rules! with_options {
    ($options:ident, $record:ident, $on:expr) => {
        type Options = $options;
        type Record = $record;

        fn default_options() -> $options {
            $options::default()
        }

        fn on(session: Session, files: &Pretrained) -> Result<Self> {
            let on: fn(Session, &Pretrained) -> Result<Self> = $on;
            on(session, files)
        }

        fn configure(self, options: $options) -> Result<Self> {
            self.with_options(options)
        }
    };
}

/// The same for tasks where nothing can be chosen.
macro_rules! without_options {
    ($record:ident, $on:expr) => {
        type Options = ();
        type Record = $record;

        fn default_options() {}

        fn on(session: Session, files: &Pretrained) -> Result<Self> {
            let on: fn(Session, &Pretrained) -> Result<Self> = $on;
            on(session, files)
        }

        fn configure(self, (): ()) -> Result<Self> {
            Ok(self)
        }

        fn read_options(_: &mut Fields<'_>, (): &mut ()) {}
    };
}

impl JsonTask for FillMask {
    with_options!(FillMaskOptions, FillMaskRecord, |session, _| Self::new(session));

    fn read_options(fields: &mut Fields<'_>, options: &mut FillMaskOptions) {
        fields.set("top_k", &mut options.top_k);
        fields.set("targets", &mut options.targets);
    }

    fn read_input(fields: &mut Fields<'_>) -> Self::Input {
        fields.required::<String>("text").into()
    }

    fn record(&self, request: Self::Input, answer: FilledText) -> FillMaskRecord {
        FillMaskRecord { text: request.input, answer }
    }
}

impl JsonTask for NextSentence {
    without_options!(NextSentenceRecord, |session, _| Ok(Self::new(session)));

    fn read_input(fields: &mut Fields<'_>) -> TextPair {
        TextPair { first: fields.required("first"), second: fields.required("second") }
    }

    fn record(&self, pair: TextPair, answer: NextSentenceAnswer) -> NextSentenceRecord {
        NextSentenceRecord { pair, answer }
    }
}

impl JsonTask for QuestionAnswering {
    type Options = QuestionAnsweringOptions;
    type Record = QuestionAnsweringRecord;

    fn default_options() -> QuestionAnsweringOptions {
        // The record does not hold the n best.
        QuestionAnsweringOptions { n_best: 0, ..QuestionAnsweringOptions::default() }
    }

    fn on(session: Session, _: &Pretrained) -> Result<Self> {
        Self::new(session)
    }

    fn configure(self, options: QuestionAnsweringOptions) -> Result<Self> {
        self.with_options(options)
    }

    fn read_options(fields: &mut Fields<'_>, options: &mut QuestionAnsweringOptions) {
        fields.set("top_k", &mut options.top_k);
        fields.set_some("no_answer_threshold", &mut options.no_answer_threshold);
        fields.set("max_answer_tokens", &mut options.max_answer_tokens);
        fields.set("max_length", &mut options.max_length);
        fields.set("doc_stride", &mut options.doc_stride);
        fields.set("align_to_words", &mut options.align_to_words);
    }

    fn read_input(fields: &mut Fields<'_>) -> Self::Input {
        Question { question: fields.required("question"), context: fields.required("context") }.into()
    }

    fn record(&self, request: Self::Input, answers: Answers) -> QuestionAnsweringRecord {
        QuestionAnsweringRecord::new(request.input, answers)
    }
}

impl JsonTask for TokenClassification {
    with_options!(TokenClassificationOptions, TokenClassificationRecord, |session, _| Ok(Self::new(session)));

    fn read_options(fields: &mut Fields<'_>, options: &mut TokenClassificationOptions) {
        fields.set("aggregation", &mut options.aggregation);
        fields.set_some("scheme", &mut options.scheme);
        if let Some(labels) = fields.optional::<Vec<String>>("ignore_labels") {
            options.ignore_labels = labels;
            options.ignore_labels.push(OUTSIDE.to_owned());
        }
        fields.set_some("max_length", &mut options.max_length);
        fields.set_some("stride", &mut options.stride);
    }

    fn read_input(fields: &mut Fields<'_>) -> Self::Input {
        fields.required::<String>("text").into()
    }

    fn record(&self, request: Self::Input, entities: Vec<Entity>) -> TokenClassificationRecord {
        TokenClassificationRecord { text: request.input, entities }
    }
}

impl JsonTask for TextClassification {
    with_options!(TextClassificationOptions, TextClassificationRecord, |session, _| Ok(Self::new(session)));

    fn read_options(fields: &mut Fields<'_>, options: &mut TextClassificationOptions) {
        fields.set_some("top_k", &mut options.top_k);
        fields.set_some("scores", &mut options.problem_type);
    }

    fn read_input(fields: &mut Fields<'_>) -> Self::Input {
        Text { text: fields.required("text"), pair: fields.optional("pair") }.into()
    }

    fn record(&self, request: Self::Input, answer: Classification) -> TextClassificationRecord {
        TextClassificationRecord { text: request.input, answer }
    }
}

impl JsonTask for MultipleChoice {
    without_options!(MultipleChoiceRecord, |session, _| Ok(Self::new(session)));

    fn read_input(fields: &mut Fields<'_>) -> Choices {
        Choices { prompt: fields.required("prompt"), choices: fields.required("choices") }
    }

    fn record(&self, choices: Choices, answer: Choice) -> MultipleChoiceRecord {
        MultipleChoiceRecord { choices, answer }
    }
}

impl JsonTask for Embedding {
    with_options!(EmbeddingOptions, EmbeddingRecord, Self::from_session);

    fn read_options(fields: &mut Fields<'_>, options: &mut EmbeddingOptions) {
        read_embedding_options(fields, options);
    }

    fn read_fixed_options(fields: &mut Fields<'_>, options: &mut EmbeddingOptions) {
        fields.set_some("pooling", &mut options.pooling);
    }

    fn read_input(fields: &mut Fields<'_>) -> String {
        fields.required("text")
    }

    fn record(&self, text: String, answer: TextEmbedding) -> EmbeddingRecord {
        EmbeddingRecord { text, answer }
    }
}

/// What may be chosen of vectors in each request.
fn read_embedding_options(fields: &mut Fields<'_>, options: &mut EmbeddingOptions) {
    fields.set_some("normalize", &mut options.normalize);
    fields.set_some("max_length", &mut options.max_length);
    fields.set_some("prompt", &mut options.prompt);
}

impl JsonTask for Similarity {
    with_options!(EmbeddingOptions, SimilarityRecord, |session, files| {
        Ok(Embedding::from_session(session, files)?.into())
    });

    fn read_options(fields: &mut Fields<'_>, options: &mut EmbeddingOptions) {
        read_embedding_options(fields, options);
    }

    fn read_fixed_options(fields: &mut Fields<'_>, options: &mut EmbeddingOptions) {
        fields.set_some("pooling", &mut options.pooling);
    }

    fn read_input(fields: &mut Fields<'_>) -> TextPair {
        TextPair { first: fields.required("first"), second: fields.required("second") }
    }

    fn record(&self, pair: TextPair, answer: SimilarityAnswer) -> SimilarityRecord {
        SimilarityRecord { pair, answer }
    }
}

impl JsonTask for SparseEmbedding {
    with_options!(SparseEmbeddingOptions, SparseEmbeddingRecord, |session, _| Ok(Self::new(session)));

    fn read_options(fields: &mut Fields<'_>, options: &mut SparseEmbeddingOptions) {
        fields.set_some("top_k", &mut options.top_k);
        fields.set_some("max_length", &mut options.max_length);
    }

    fn read_input(fields: &mut Fields<'_>) -> String {
        fields.required("text")
    }

    fn record(&self, text: String, answer: SparseVector) -> SparseEmbeddingRecord {
        SparseEmbeddingRecord { text, answer }
    }
}

impl JsonTask for Features {
    with_options!(FeaturesOptions, FeaturesRecord, |session, _| Self::new(session));

    fn read_options(_: &mut Fields<'_>, _: &mut FeaturesOptions) {}

    fn read_fixed_options(fields: &mut Fields<'_>, options: &mut FeaturesOptions) {
        fields.set("layers", &mut options.layers);
    }

    fn read_input(fields: &mut Fields<'_>) -> String {
        fields.required("text")
    }

    fn record(&self, text: String, answer: TextFeatures) -> FeaturesRecord {
        FeaturesRecord { text, answer }
    }
}
