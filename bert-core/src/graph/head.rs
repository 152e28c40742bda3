//! Which head a checkpoint was saved with, and which one a task needs.

use std::fmt;

/// The heads that a checkpoint can have, one for each class of the original release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Head {
    /// No head: hidden states, and the pooler where there is one.
    None,
    /// Scores of the vocabulary at masked tokens.
    MaskedLm,
    /// Whether the second sentence follows the first.
    NextSentence,
    /// Both of the above, as BERT is pre-trained.
    PreTraining,
    /// Scores of the labels for each token.
    TokenClassification,
    /// Scores of the labels for each sequence.
    SequenceClassification,
    /// Scores of each token as the start and as the end of an answer.
    QuestionAnswering,
    /// One score for each sequence, to be compared with its alternatives.
    MultipleChoice,
}

impl Head {
    /// From a class name in `architectures`, such as `BertForMaskedLM` or `DistilBertModel`.
    pub fn from_class(class: &str) -> Option<Self> {
        let class = class.strip_prefix("DistilBert").or_else(|| class.strip_prefix("Bert"))?;
        Some(match class {
            "Model" => Self::None,
            "ForMaskedLM" | "LMHeadModel" => Self::MaskedLm,
            "ForNextSentencePrediction" => Self::NextSentence,
            "ForPreTraining" => Self::PreTraining,
            "ForTokenClassification" => Self::TokenClassification,
            "ForSequenceClassification" => Self::SequenceClassification,
            "ForQuestionAnswering" => Self::QuestionAnswering,
            "ForMultipleChoice" => Self::MultipleChoice,
            _ => return None,
        })
    }

    /// Tensors that tell this head from all others; none where the name of its tensors is shared.
    ///
    /// The published BERT checkpoints call themselves `BertForMaskedLM` and yet hold the next-sentence head.
    pub fn own_tensors(self) -> &'static [&'static str] {
        match self {
            Self::MaskedLm => &["cls.predictions.transform.dense.weight"],
            Self::NextSentence => &["cls.seq_relationship.weight"],
            Self::PreTraining => &["cls.predictions.transform.dense.weight", "cls.seq_relationship.weight"],
            Self::QuestionAnswering => &["qa_outputs.weight"],
            Self::None | Self::TokenClassification | Self::SequenceClassification | Self::MultipleChoice => {
                &[]
            }
        }
    }

    /// Whether a checkpoint saved with this head can serve where `asked` is needed.
    pub fn serves(self, asked: Self) -> bool {
        asked == Self::None
            || self == asked
            || (self == Self::PreTraining && matches!(asked, Self::MaskedLm | Self::NextSentence))
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "hidden states",
            Self::MaskedLm => "masked language modelling",
            Self::NextSentence => "next sentence prediction",
            Self::PreTraining => "pre-training",
            Self::TokenClassification => "token classification",
            Self::SequenceClassification => "sequence classification",
            Self::QuestionAnswering => "question answering",
            Self::MultipleChoice => "multiple choice",
        })
    }
}
