//! What pre-training and fine-tuning put on top of the encoder.
//!
//! A head is a file here, which says in a [`HeadSpec`] which rows of hidden states it reads and through which
//! [`Stage`]s they go, and a row of the table below. Parameters, loading and the forward pass follow from that.

mod hidden_states;
mod masked_lm;
mod multiple_choice;
mod next_sentence;
mod pre_training;
mod question_answering;
mod replaced_tokens;
mod sequence_classification;
mod sparse;
mod stage;
mod token_classification;

use std::fmt;

use super::output::Axis;
use super::parameters::LinearSpec;
use crate::config::{ModelConfig, ModelType, SequenceHead};
use crate::contract::Activation;
use crate::{Error, Result};

pub(super) use stage::{Chain, Stage};

/// The enum of the heads, and the specification of each.
macro_rules! heads {
    ($($(#[$doc:meta])* $head:ident = $file:ident),* $(,)?) => {
        /// The heads that a checkpoint can have, one for each class of the original release.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Head {
            $($(#[$doc])* $head,)*
        }

        impl Head {
            /// Every head.
            pub const ALL: &[Self] = &[$(Self::$head),*];

            fn spec(self) -> &'static HeadSpec {
                match self {
                    $(Self::$head => &$file::SPEC,)*
                }
            }
        }
    };
}

heads! {
    /// No head: hidden states, and the pooler where there is one.
    None = hidden_states,
    /// Scores of the vocabulary at marked tokens.
    MaskedLm = masked_lm,
    /// Whether the second sentence follows the first.
    NextSentence = next_sentence,
    /// Both of the above, as BERT is pre-trained.
    PreTraining = pre_training,
    /// Scores of the labels for each token.
    TokenClassification = token_classification,
    /// Scores of the labels for each sequence.
    SequenceClassification = sequence_classification,
    /// Scores of each token as the start and as the end of an answer.
    QuestionAnswering = question_answering,
    /// One score for each sequence, to be compared with its alternatives.
    MultipleChoice = multiple_choice,
    /// Weights of the words of the vocabulary for each sequence, by the masked-LM head.
    Sparse = sparse,
    /// Scores of each token as one that was replaced, as ELECTRA is pre-trained.
    ReplacedTokens = replaced_tokens,
}

/// What there is to know of a head.
struct HeadSpec {
    /// What it is called in messages.
    name: &'static str,
    /// What model hubs call the task of a model with it.
    hub_task: &'static str,
    /// What its scores are called in messages.
    scores: &'static str,
    /// The class names that have it, without the family in front, or whole.
    classes: &'static [&'static str],
    /// A tensor that no other head has; `None` where the names of its tensors are shared.
    ///
    /// The published BERT checkpoints call themselves `BertForMaskedLM` and yet hold the next-sentence head.
    own_tensor: Option<&'static str>,
    /// The heads that it consists of, if it is not one itself.
    parts: &'static [Head],
    /// The head whose tensors it reads, if they are not its own.
    stored_as: Option<Head>,
    /// Which hidden states go in: those of all tokens, of marked ones, or the first one of each sequence.
    reads: Axis,
    /// What its rows of scores stand for.
    gives: Axis,
    /// The layers between the encoder and its own, if it begins with the first token of each sequence.
    summary: fn(&ModelConfig) -> Option<SequenceHead>,
    /// Its own layers.
    stages: fn(&ModelConfig) -> Result<Vec<Stage>>,
}

impl HeadSpec {
    /// What a specification is where it says nothing.
    const DEFAULT: Self = Self {
        name: "",
        hub_task: "",
        scores: "",
        classes: &[],
        own_tensor: None,
        parts: &[],
        stored_as: None,
        reads: Axis::Tokens,
        gives: Axis::Tokens,
        summary: |_| None,
        stages: |_| Ok(vec![]),
    };
}

impl Head {
    /// What model hubs call the task of a model with it: `fill-mask`.
    pub fn hub_task(self) -> &'static str {
        self.spec().hub_task
    }

    /// From a class name in `architectures`, such as `BertForMaskedLM` or `DistilBertModel`.
    pub fn from_class(class: &str) -> Option<Self> {
        let all = || Self::ALL.iter().copied();
        let whole = all().find(|head| head.spec().classes.contains(&class));
        let class = ModelType::strip_class(class)?;
        whole.or_else(|| all().find(|head| head.spec().classes.contains(&class)))
    }

    /// The name of the class that has this head, in the family of a configuration: `BertForMaskedLM`.
    pub fn class(self, config: &ModelConfig) -> String {
        let spec = self.spec_stored();
        match spec.classes.first() {
            Some(whole) if ModelType::strip_class(whole).is_some() => (*whole).to_owned(),
            class => config.model_type.class(class.copied().unwrap_or("Model")),
        }
    }

    /// The specification of the head whose tensors it reads.
    fn spec_stored(self) -> &'static HeadSpec {
        self.spec().stored_as.unwrap_or(self).spec()
    }

    /// The head that a checkpoint was saved with, as its class name tells; `None` if the configuration names no
    /// class that is known here.
    pub fn of(config: &ModelConfig) -> Option<Self> {
        config.architectures.iter().find_map(|class| Self::from_class(class))
    }

    /// The tensors that tell this head from all others; none where the names of its tensors are shared.
    pub fn own_tensors(self) -> impl Iterator<Item = &'static str> {
        self.parts().iter().filter_map(|part| part.spec().own_tensor)
    }

    /// Whether a checkpoint saved with this head can serve where `asked` is needed.
    pub fn serves(self, asked: Self) -> bool {
        let stored = asked.spec().stored_as.unwrap_or(asked);
        asked == Self::None || self == asked || self.parts().contains(&stored)
    }

    /// Whether a checkpoint whose class has this head may hold `asked`. A class that was fine-tuned for a task keeps that
    /// head alone. One of pre-training says little: `bert-base-uncased` calls itself a masked language model and also
    /// tells whether a sentence follows; a bare encoder may have either head. There, the tensors decide.
    ///
    /// ```
    /// use bert_core::Head;
    /// assert!(Head::MaskedLm.may_hold(Head::NextSentence) && !Head::MaskedLm.may_hold(Head::QuestionAnswering));
    /// assert!(!Head::TokenClassification.may_hold(Head::MaskedLm));
    /// ```
    pub fn may_hold(self, asked: Self) -> bool {
        let of_pre_training = |head: Self| {
            let stored = head.spec().stored_as.unwrap_or(head);
            stored.parts().iter().all(|part| Self::PreTraining.parts().contains(part))
        };
        self.serves(asked) || (of_pre_training(asked) && (self == Self::None || of_pre_training(self)))
    }

    /// The heads that it consists of: itself, as a rule.
    pub fn parts(self) -> &'static [Self] {
        match self.spec().parts {
            // A constant list of one for each head.
            [] => {
                let place = Self::ALL.iter().position(|&head| head == self).expect("every head is there");
                &Self::ALL[place..=place]
            }
            parts => parts,
        }
    }

    /// What its rows of scores stand for.
    pub(super) fn gives(self) -> Axis {
        self.spec().gives
    }

    pub(super) fn reads(self) -> Axis {
        self.spec().reads
    }

    /// What its scores are called in messages.
    pub(super) fn scores(self) -> &'static str {
        self.spec().scores
    }

    pub(super) fn stages(self, config: &ModelConfig) -> Result<Vec<Stage>> {
        (self.spec().stages)(config)
    }

    /// The layer that makes one vector of a sequence, where a part of this head begins with that.
    pub(super) fn summary(self, config: &ModelConfig) -> Option<(LinearSpec, Activation)> {
        let SequenceHead { dense, activation, .. } =
            self.parts().iter().find_map(|part| (part.spec().summary)(config))?;
        Some((LinearSpec::new(dense, config.hidden_size, config.hidden_size), activation))
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spec().name)
    }
}

/// How many labels a classifier has.
fn labels(config: &ModelConfig) -> Result<usize> {
    match config.labels.len() {
        0 => Err(Error::Config {
            field: "num_labels",
            found: "0".into(),
            expected: "a classifier has at least one label".into(),
        }),
        count => Ok(count),
    }
}

/// The name of the pooler's linear layer.
pub(super) const POOLER: &str = "pooler.dense";

/// The pooler that comes with BERT, trained by next sentence prediction.
const POOLED: SequenceHead = SequenceHead { dense: POOLER, activation: Activation::Tanh, output: "" };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_and_heads() {
        let model_types =
            ["bert", "distilbert", "roberta", "camembert", "xlm-roberta", "roberta-prelayernorm"];
        for model_type in model_types.into_iter().chain(["electra", "albert"]) {
            let config = ModelConfig::from_json(&format!(r#"{{"model_type": "{model_type}"}}"#)).unwrap();
            // ELECTRA's class of that name has another head.
            let heads =
                Head::ALL.iter().filter(|head| model_type != "electra" || **head != Head::PreTraining);
            for &head in heads {
                let class = head.class(&config);
                let read =
                    ModelConfig { architectures: vec!["Unknown".into(), class.clone()], ..config.clone() };
                assert_eq!(Head::of(&read), Some(head.spec().stored_as.unwrap_or(head)), "{class}");
                assert!(head.serves(head) && head.serves(Head::None), "{head}");
                assert!(!head.to_string().is_empty());
            }
        }
        assert_eq!(Head::from_class("DistilBertModel"), Some(Head::None));
        assert_eq!(Head::from_class("RobertaPreLayerNormModel"), Some(Head::None));
        assert_eq!(Head::from_class("BertLMHeadModel"), Some(Head::MaskedLm));
        for class in ["GPT2LMHeadModel", "BertForDreams", "ForMaskedLM", ""] {
            assert_eq!(Head::from_class(class), None, "{class}");
        }
        assert!(Head::PreTraining.serves(Head::MaskedLm) && !Head::MaskedLm.serves(Head::PreTraining));
        assert!(!Head::QuestionAnswering.serves(Head::TokenClassification));
    }

    #[test]
    fn what_a_class_rules_out() {
        for &head in Head::ALL {
            assert!(head.may_hold(head) && head.may_hold(Head::None), "{head}");
            let fine_tuned = [Head::SequenceClassification, Head::QuestionAnswering, Head::ReplacedTokens];
            for made_for in fine_tuned {
                assert_eq!(made_for.may_hold(head), made_for.serves(head), "{made_for} for {head}");
                assert_eq!(head.may_hold(made_for), head.serves(made_for), "{head} for {made_for}");
            }
        }
        for asked in [Head::MaskedLm, Head::NextSentence, Head::PreTraining, Head::Sparse] {
            for made_for in [Head::None, Head::MaskedLm, Head::PreTraining] {
                assert!(made_for.may_hold(asked), "{made_for} for {asked}");
            }
        }
    }
}
