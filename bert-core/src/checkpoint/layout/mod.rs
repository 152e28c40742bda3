//! The names of tensors, as files spell them.
//!
//! The canonical name of a tensor is the one that BERT gives it, without the `bert.` in front:
//! `encoder.layer.0.attention.self.query.weight`. A [`Layout`] is how one family of models spells them, both to
//! read and to write. What files of any family may have around a name is read by all of them: wrappers of
//! training code, TensorFlow's `gamma` and `beta`.

mod albert;
mod bert;
mod distilbert;
mod electra;
mod roberta;
mod roberta_prelayernorm;

use std::fmt;

use crate::config::ModelType;

/// What a name may start with without meaning anything else. They nest: `module.bert.` is both.
const WRAPPERS: [&str; 5] = [
    "base_model.model.", // PEFT, in the files of adapters
    "model.",            // training code that keeps the network in a field
    "module.",           // torch.nn.DataParallel
    "_orig_mod.",        // torch.compile
    "0.auto_model.",     // a whole sentence-transformers pipeline
];

/// TensorFlow's names of the two parameters of a layer norm.
const ENDINGS: [(&str, &str); 2] =
    [("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")];

/// Buffers that some versions of the exporter wrote: they hold nothing but `0, 1, 2, …` or zeros.
const HARMLESS: [&str; 2] = ["embeddings.position_ids", "embeddings.token_type_ids"];

/// The parts of a model that its family's prefix stands before; heads have none.
const PREFIXED: [&str; 3] = ["embeddings", "encoder.", "pooler."];

/// The families whose names are known. A family comes before those whose names it contains; BERT is the last.
const LAYOUTS: &[&Layout] = &[
    &albert::LAYOUT,
    &distilbert::LAYOUT,
    &roberta_prelayernorm::LAYOUT,
    &roberta::LAYOUT,
    &electra::LAYOUT,
    &bert::LAYOUT,
];

/// The family that the names in a file belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family(&'static str);

impl Family {
    /// No known one: the names match no layout.
    pub const UNKNOWN: Self = Self("unknown");
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How a family spells the names of tensors. In a pattern, `*` is the number of a layer, and a pattern matches
/// whole parts of a name.
pub(super) struct Layout {
    family: Family,
    /// The words in `model_type` that mean it.
    model_types: &'static [ModelType],
    /// What stands before the names of the encoder in a model with a head.
    prefix: &'static str,
    /// What is spelled in another way than in BERT, read and written: `(canonical, stored)`.
    names: &'static [(&'static str, &'static str)],
    /// Second names, which are read and, as a rule, not written: `(stored, canonical)`.
    aliases: &'static [(&'static str, &'static str)],
    /// Stored names that tell this family from those before it in the table, behind any prefix.
    marks: &'static [&'static str],
    /// Canonical names of parts that the family never has.
    absent: &'static [&'static str],
}

impl Layout {
    /// The layout that a file with these stored names follows; that of BERT for names of no known one.
    pub(super) fn detect<'a>(stored: impl IntoIterator<Item = &'a str> + Clone) -> (Family, &'static Self) {
        let has = |layout: &Layout, name: &str| {
            let (name, bare) = (strip_wrappers(name), strip_prefixes(name));
            name.starts_with(layout.prefix)
                || layout.marks.iter().any(|mark| rewrite(bare, mark, "").is_some())
        };
        let marked = |layout: &&&'static Self| stored.clone().into_iter().any(|name| has(layout, name));
        match LAYOUTS.iter().find(marked) {
            Some(layout) => (layout.family, layout),
            None => (Family::UNKNOWN, &bert::LAYOUT),
        }
    }

    /// The layout of a family.
    pub(super) fn of(model_type: ModelType) -> &'static Self {
        let layout = LAYOUTS.iter().find(|layout| layout.model_types.contains(&model_type));
        layout.copied().expect("every family has a layout")
    }

    /// The canonical name of a tensor that a file calls `stored`. A name that is in no table is kept, but for
    /// its prefixes.
    pub(super) fn canonical(&self, stored: &str) -> String {
        let name = strip_prefixes(stored);
        let names = self.names.iter().map(|&(canonical, stored)| (stored, canonical));
        let mut renamed = names.chain(self.aliases.iter().copied());
        let renamed = renamed.find_map(|(stored, canonical)| rewrite(name, stored, canonical));
        let name = renamed.unwrap_or_else(|| name.to_owned());
        for (ending, target) in ENDINGS {
            if let Some(stem) = name.strip_suffix(ending) {
                return format!("{stem}{target}");
            }
        }
        name
    }

    /// What this family calls a tensor, in a model that has a head or none.
    pub(super) fn stored(&self, canonical: &str, has_head: bool) -> String {
        let mut names = self.names.iter();
        let renamed = names.find_map(|(from, to)| rewrite(canonical, from, to));
        let name = renamed.unwrap_or_else(|| canonical.to_owned());
        let prefixed = has_head && PREFIXED.iter().any(|part| canonical.starts_with(part));
        if prefixed { format!("{}{name}", self.prefix) } else { name }
    }

    /// The second name of a tensor, if it has one.
    pub(super) fn alias(&self, canonical: &str) -> Option<&'static str> {
        self.aliases.iter().find(|alias| alias.1 == canonical).map(|alias| alias.0)
    }

    /// Whether the family never has a tensor.
    pub(super) fn lacks(&self, canonical: &str) -> bool {
        self.absent.iter().any(|part| canonical.starts_with(part))
    }
}

/// Whether a tensor that nobody asked for says nothing about the model.
pub(super) fn is_harmless(canonical: &str) -> bool {
    HARMLESS.contains(&canonical)
}

/// The name without the wrappers of training code.
fn strip_wrappers(mut name: &str) -> &str {
    while let Some(rest) = WRAPPERS.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    name
}

/// The name without wrappers and prefixes of families.
fn strip_prefixes(mut name: &str) -> &str {
    loop {
        name = strip_wrappers(name);
        match LAYOUTS.iter().find_map(|layout| name.strip_prefix(layout.prefix)) {
            Some(rest) => name = rest,
            None => return name,
        }
    }
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
        const BERT: &[(&str, &str)] = &[
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
        ];
        const DISTILBERT: &[(&str, &str)] = &[
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
            ("deberta.encoder.layer.0.output.dense.bias", "deberta.encoder.layer.0.output.dense.bias"),
            ("bertha.pooler.dense.bias", "bertha.pooler.dense.bias"),
            ("bert.", ""),
            ("", ""),
        ];
        let of = |model_type: ModelType, table: &'static [(&'static str, &'static str)]| {
            table.iter().map(move |row| (Layout::of(model_type), row))
        };
        for (layout, &(stored, expected)) in
            of(ModelType::Bert, BERT).chain(of(ModelType::DistilBert, DISTILBERT))
        {
            assert_eq!(layout.canonical(stored), expected, "{stored}");
            assert_eq!(layout.canonical(expected), expected, "a canonical name is its own canonical name");
        }
    }

    /// What is written is read again, under every prefix and wrapper.
    #[test]
    fn every_line_of_the_tables_goes_both_ways() {
        for layout in LAYOUTS {
            for (canonical, stored) in layout.names {
                let (canonical, stored) = (canonical.replace('*', "12"), stored.replace('*', "12"));
                assert_eq!(layout.canonical(&stored), canonical);
                assert!(layout.stored(&canonical, true).ends_with(&stored), "{canonical}");
            }
            let others =
                ["embeddings.LayerNorm.bias", "encoder.layer.3.output.dense.weight", "classifier.bias"];
            let canonical = layout.names.iter().map(|(canonical, _)| canonical.replace('*', "7"));
            for canonical in canonical.chain(others.map(str::to_owned)) {
                for stored in [layout.stored(&canonical, false), layout.stored(&canonical, true)] {
                    assert_eq!(layout.canonical(&stored), canonical, "{stored}");
                    for wrapper in WRAPPERS {
                        assert_eq!(layout.canonical(&format!("{wrapper}{stored}")), canonical);
                    }
                }
            }
            for (stored, canonical) in layout.aliases {
                assert_eq!(layout.canonical(stored), *canonical);
            }
            for model_type in layout.model_types {
                assert_eq!(Layout::of(*model_type).family, layout.family);
            }
        }
        let bert = Layout::of(ModelType::Bert);
        assert_eq!(
            bert.stored("encoder.layer.0.output.dense.bias", true),
            "bert.encoder.layer.0.output.dense.bias"
        );
        assert_eq!(bert.stored("classifier.bias", true), "classifier.bias");
        assert_eq!(bert.stored("pooler.dense.bias", false), "pooler.dense.bias");
    }

    #[test]
    fn families() {
        let cases: [(&[&str], Family); 10] = [
            (&["bert.pooler.dense.bias", "bert.embeddings.word_embeddings.weight"], Family::BERT),
            (&["embeddings.word_embeddings.weight", "classifier.weight"], Family::BERT),
            (
                &["embeddings.word_embeddings.weight", "module.transformer.layer.0.ffn.lin1.weight"],
                Family::DISTILBERT,
            ),
            (&["roberta.embeddings.word_embeddings.weight"], Family::ROBERTA),
            (
                &["roberta_prelayernorm.embeddings.word_embeddings.weight", "lm_head.bias"],
                Family::ROBERTA_PRELAYERNORM,
            ),
            (
                &["lm_head.dense.weight", "encoder.layer.0.intermediate.LayerNorm.bias"],
                Family::ROBERTA_PRELAYERNORM,
            ),
            (&["albert.embeddings.word_embeddings.weight"], Family::ALBERT),
            (&["encoder.albert_layer_groups.0.albert_layers.0.ffn.weight"], Family::ALBERT),
            (&["deberta.embeddings.word_embeddings.weight"], Family::UNKNOWN),
            (&[], Family::UNKNOWN),
        ];
        for (stored, family) in cases {
            assert_eq!(Layout::detect(stored.iter().copied()).0, family, "{stored:?}");
        }
    }
}
