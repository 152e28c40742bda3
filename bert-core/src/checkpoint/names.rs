//! One table for the many spellings of the same tensor.
//!
//! The canonical name of a tensor is the one that BERT gives it, without the `bert.` in front:
//! `encoder.layer.0.attention.self.query.weight`. Everything that a file may call it instead is a line of
//! the tables below: wrappers of training code, DistilBERT's names, TensorFlow's `gamma` and `beta`.

use std::fmt;

/// What a name may start with without meaning anything else. They nest: `module.bert.` is both.
const PREFIXES: [&str; 6] = [
    "bert.",
    "distilbert.",
    "model.",        // training code that keeps the network in a field
    "module.",       // torch.nn.DataParallel
    "_orig_mod.",    // torch.compile
    "0.auto_model.", // a whole sentence-transformers pipeline
];

/// Parts of BERT as DistilBERT calls them. `*` is the number of the layer.
const DISTILBERT: [(&str, &str); 12] = [
    ("transformer.layer.*.attention.q_lin", "encoder.layer.*.attention.self.query"),
    ("transformer.layer.*.attention.k_lin", "encoder.layer.*.attention.self.key"),
    ("transformer.layer.*.attention.v_lin", "encoder.layer.*.attention.self.value"),
    ("transformer.layer.*.attention.out_lin", "encoder.layer.*.attention.output.dense"),
    ("transformer.layer.*.sa_layer_norm", "encoder.layer.*.attention.output.LayerNorm"),
    ("transformer.layer.*.ffn.lin1", "encoder.layer.*.intermediate.dense"),
    ("transformer.layer.*.ffn.lin2", "encoder.layer.*.output.dense"),
    ("transformer.layer.*.output_layer_norm", "encoder.layer.*.output.LayerNorm"),
    ("vocab_transform", "cls.predictions.transform.dense"),
    ("vocab_layer_norm", "cls.predictions.transform.LayerNorm"),
    ("vocab_projector.weight", "cls.predictions.decoder.weight"),
    ("vocab_projector.bias", "cls.predictions.bias"),
];

/// The decoder's bias is one tensor under two names, and many files hold both.
const BERT: [(&str, &str); 1] = [("cls.predictions.decoder.bias", "cls.predictions.bias")];

/// TensorFlow's names of the two parameters of a layer norm.
const ENDINGS: [(&str, &str); 2] =
    [("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")];

/// Buffers that some versions of the exporter wrote: they hold nothing but `0, 1, 2, …` or zeros.
const HARMLESS: [&str; 2] = ["embeddings.position_ids", "embeddings.token_type_ids"];

/// The architecture that the names in a file belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// BERT in any size, or a model that names its tensors alike.
    Bert,
    /// DistilBERT: no token types, no pooler, its own names for the parts of a layer.
    DistilBert,
    /// Neither: the names match no line of the table.
    Unknown,
}

impl Family {
    /// The family of a file with these stored names.
    pub(super) fn detect<'a>(stored: impl IntoIterator<Item = &'a str>) -> Self {
        let mut family = Self::Unknown;
        for name in stored.into_iter().map(strip_prefixes) {
            let mut layers = DISTILBERT.iter().filter(|(pattern, _)| pattern.contains('*'));
            if layers.any(|(pattern, target)| rewrite(name, pattern, target).is_some()) {
                return Self::DistilBert;
            }
            if name == "embeddings.word_embeddings.weight" {
                family = Self::Bert;
            }
        }
        family
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bert => "BERT",
            Self::DistilBert => "DistilBERT",
            Self::Unknown => "unknown",
        })
    }
}

/// The canonical name of a tensor that a file calls `stored`. A name that is in no table is kept, but for
/// its prefixes.
pub(super) fn canonical(stored: &str) -> String {
    let name = strip_prefixes(stored);
    let renamed = DISTILBERT.iter().chain(&BERT).find_map(|(pattern, target)| rewrite(name, pattern, target));
    let name = renamed.unwrap_or_else(|| name.to_owned());
    for (ending, target) in ENDINGS {
        if let Some(stem) = name.strip_suffix(ending) {
            return format!("{stem}{target}");
        }
    }
    name
}

/// Whether a tensor that nobody asked for says nothing about the model.
pub(super) fn is_harmless(canonical: &str) -> bool {
    HARMLESS.contains(&canonical)
}

fn strip_prefixes(mut name: &str) -> &str {
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    name
}

/// `name` with a leading `pattern` replaced by `target`, if the pattern ends where a part of the name ends.
fn rewrite(name: &str, pattern: &str, target: &str) -> Option<String> {
    let (number, rest) = match pattern.split_once('*') {
        None => ("", name.strip_prefix(pattern)?),
        Some((head, tail)) => {
            let numbered = name.strip_prefix(head)?;
            let digits = numbered.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = numbered.split_at(digits);
            if number.is_empty() {
                return None;
            }
            (number, rest.strip_prefix(tail)?)
        }
    };
    let whole = rest.is_empty() || rest.starts_with('.');
    whole.then(|| target.replacen('*', number, 1) + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_finds_its_canonical_name() {
        let table = [
            // BERT, bare and wrapped.
            ("embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight"),
            ("bert.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight"),
            ("bert.embeddings.position_embeddings.weight", "embeddings.position_embeddings.weight"),
            ("bert.embeddings.token_type_embeddings.weight", "embeddings.token_type_embeddings.weight"),
            ("model.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight"),
            ("module.bert.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight"),
            ("module.model.bert.pooler.dense.bias", "pooler.dense.bias"),
            ("_orig_mod.bert.pooler.dense.weight", "pooler.dense.weight"),
            ("0.auto_model.pooler.dense.weight", "pooler.dense.weight"),
            // Layer norms as TensorFlow calls them.
            ("bert.embeddings.LayerNorm.gamma", "embeddings.LayerNorm.weight"),
            ("bert.embeddings.LayerNorm.beta", "embeddings.LayerNorm.bias"),
            (
                "bert.encoder.layer.11.attention.output.LayerNorm.gamma",
                "encoder.layer.11.attention.output.LayerNorm.weight",
            ),
            ("bert.encoder.layer.3.output.LayerNorm.beta", "encoder.layer.3.output.LayerNorm.bias"),
            ("cls.predictions.transform.LayerNorm.gamma", "cls.predictions.transform.LayerNorm.weight"),
            ("blocks.0.gamma", "blocks.0.gamma"),
            // The parts of a layer.
            (
                "bert.encoder.layer.0.attention.self.query.weight",
                "encoder.layer.0.attention.self.query.weight",
            ),
            ("bert.encoder.layer.0.attention.self.key.bias", "encoder.layer.0.attention.self.key.bias"),
            ("encoder.layer.0.attention.self.value.weight", "encoder.layer.0.attention.self.value.weight"),
            (
                "bert.encoder.layer.7.attention.output.dense.weight",
                "encoder.layer.7.attention.output.dense.weight",
            ),
            ("bert.encoder.layer.7.intermediate.dense.weight", "encoder.layer.7.intermediate.dense.weight"),
            ("bert.encoder.layer.7.output.dense.bias", "encoder.layer.7.output.dense.bias"),
            // Heads.
            ("cls.predictions.bias", "cls.predictions.bias"),
            ("cls.predictions.decoder.bias", "cls.predictions.bias"),
            ("cls.predictions.decoder.weight", "cls.predictions.decoder.weight"),
            ("cls.predictions.transform.dense.weight", "cls.predictions.transform.dense.weight"),
            ("cls.seq_relationship.weight", "cls.seq_relationship.weight"),
            ("classifier.weight", "classifier.weight"),
            ("bert.classifier.bias", "classifier.bias"),
            ("qa_outputs.weight", "qa_outputs.weight"),
            // DistilBERT.
            ("distilbert.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight"),
            ("distilbert.embeddings.LayerNorm.weight", "embeddings.LayerNorm.weight"),
            (
                "distilbert.transformer.layer.0.attention.q_lin.weight",
                "encoder.layer.0.attention.self.query.weight",
            ),
            ("transformer.layer.5.attention.k_lin.bias", "encoder.layer.5.attention.self.key.bias"),
            (
                "distilbert.transformer.layer.5.attention.v_lin.weight",
                "encoder.layer.5.attention.self.value.weight",
            ),
            (
                "distilbert.transformer.layer.5.attention.out_lin.bias",
                "encoder.layer.5.attention.output.dense.bias",
            ),
            (
                "distilbert.transformer.layer.5.sa_layer_norm.weight",
                "encoder.layer.5.attention.output.LayerNorm.weight",
            ),
            ("distilbert.transformer.layer.5.ffn.lin1.weight", "encoder.layer.5.intermediate.dense.weight"),
            ("distilbert.transformer.layer.5.ffn.lin2.bias", "encoder.layer.5.output.dense.bias"),
            (
                "distilbert.transformer.layer.5.output_layer_norm.bias",
                "encoder.layer.5.output.LayerNorm.bias",
            ),
            ("vocab_transform.weight", "cls.predictions.transform.dense.weight"),
            ("vocab_layer_norm.bias", "cls.predictions.transform.LayerNorm.bias"),
            ("vocab_projector.weight", "cls.predictions.decoder.weight"),
            ("vocab_projector.bias", "cls.predictions.bias"),
            ("pre_classifier.weight", "pre_classifier.weight"),
            // Near misses stay what they are.
            ("transformer.layer.x.attention.q_lin.weight", "transformer.layer.x.attention.q_lin.weight"),
            ("transformer.layer.0.attention.q_line.weight", "transformer.layer.0.attention.q_line.weight"),
            ("vocab_projectors.weight", "vocab_projectors.weight"),
            ("roberta.encoder.layer.0.output.dense.bias", "roberta.encoder.layer.0.output.dense.bias"),
            ("bertha.pooler.dense.bias", "bertha.pooler.dense.bias"),
            ("bert.", ""),
            ("", ""),
        ];
        for (stored, expected) in table {
            assert_eq!(canonical(stored), expected, "{stored}");
            assert_eq!(canonical(expected), expected, "a canonical name is its own canonical name");
        }
    }

    #[test]
    fn every_line_of_the_tables_is_covered_by_its_own_words() {
        for (stored, expected) in DISTILBERT.iter().chain(&BERT) {
            let (stored, expected) = (stored.replace('*', "12"), expected.replace('*', "12"));
            assert_eq!(canonical(&stored), expected);
            for prefix in PREFIXES {
                assert_eq!(canonical(&format!("{prefix}{stored}")), expected);
            }
        }
    }

    #[test]
    fn families() {
        let cases: [(&[&str], Family); 5] = [
            (&["bert.pooler.dense.bias", "bert.embeddings.word_embeddings.weight"], Family::Bert),
            (&["embeddings.word_embeddings.weight", "classifier.weight"], Family::Bert),
            (
                &["embeddings.word_embeddings.weight", "module.transformer.layer.0.ffn.lin1.weight"],
                Family::DistilBert,
            ),
            (&["roberta.embeddings.word_embeddings.weight"], Family::Unknown),
            (&[], Family::Unknown),
        ];
        for (stored, family) in cases {
            assert_eq!(Family::detect(stored.iter().copied()), family, "{stored:?}");
        }
    }
}
