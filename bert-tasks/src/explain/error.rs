//! What can keep a model from being explained.

/// Everything that can be wrong with an explanation beside the model and the text themselves.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// A text that the model would see only a part of. An explanation of a part would be one of another answer.
    #[error(
        "the text has {tokens} tokens, and the model sees {max_length}; an explanation of a part would be one of \
         another answer, so shorten the text"
    )]
    TooLong {
        /// Its length, special tokens included.
        tokens: usize,
        /// The longest sequence of the model.
        max_length: usize,
    },

    /// A text without a word.
    #[error("the text has no words to explain; give one with at least one word")]
    NoWords,

    /// A layer that the model does not have.
    #[error(
        "no attention in a layer {layer}; this model has layers 1 to {count}, or -1 (the last) to -{count}"
    )]
    Layer {
        /// The layer that was asked for.
        layer: i64,
        /// How many there are.
        count: usize,
    },

    /// A head that the model does not have.
    #[error("no head {head}; each layer of this model has heads 1 to {count}")]
    Head {
        /// The head that was asked for.
        head: usize,
        /// How many there are in a layer.
        count: usize,
    },

    /// A mask that the text does not have.
    #[error("no mask number {mask}; the text has {count}")]
    Mask {
        /// Which, counted from 1.
        mask: usize,
        /// How many there are.
        count: usize,
    },

    /// An entity that the model does not find.
    #[error("{}", no_entity(asked.as_deref(), found))]
    NoEntity {
        /// What the entity should have been.
        asked: Option<String>,
        /// The entities of the text.
        found: Vec<String>,
    },

    /// A question without an answer in its context.
    #[error("the model finds no answer in the context, so there is none to explain")]
    NoAnswer,

    /// A score that has no gradient here.
    #[error("there are no integrated gradients of {task}, whose score is made of two passes; use occlusion")]
    NoGradient {
        /// The task.
        task: &'static str,
    },

    /// A model that was loaded for another task than the subject's.
    #[error("the gradients are those of {loaded}, and the score is one of {asked}; load them for {asked}")]
    OtherHead {
        /// What they were loaded for.
        loaded: bert_core::Head,
        /// What the subject needs.
        asked: bert_core::Head,
    },

    /// A word without a place in the texts.
    #[error("the word {} is in none of the texts", quoted(word))]
    WordNotFound {
        /// The word.
        word: String,
    },

    /// More groups than there is something to put in.
    #[error("{asked} groups of {found} occurrences; ask for at most as many groups as there are occurrences")]
    Clusters {
        /// How many groups were asked for.
        asked: usize,
        /// How often the word occurs.
        found: usize,
    },
}

fn no_entity(asked: Option<&str>, found: &[String]) -> String {
    let found = match found {
        [] => "the model finds no entity in the text".to_owned(),
        found => format!("the model finds {}", found.join(", ")),
    };
    match asked {
        Some(asked) => format!("no entity {}; {found}", quoted(asked)),
        None => format!("{found}, so there is none to explain"),
    }
}

/// A text in quotation marks, as it was typed but for control characters, which are escaped: `{:?}` would take emoji and
/// accents apart.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c.is_control() {
            true => out.extend(c.escape_debug()),
            false => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_typed() {
        assert_eq!(quoted("👩\u{200d}🚀 cafe\u{301}\0\n\x1b"), "\"👩\u{200d}🚀 cafe\u{301}\\0\\n\\u{1b}\"");
    }
}
