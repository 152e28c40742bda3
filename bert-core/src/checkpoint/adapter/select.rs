//! Which layers of a model have adapters and which are trained as a whole, by names as PEFT has them.

use std::collections::BTreeSet;

use super::AdapterError;
use super::config::ends_with;
use crate::Result;
use crate::checkpoint::CheckpointError;
use crate::checkpoint::layout::Layout;
use crate::config::ModelConfig;
use crate::graph::{self, Head, ParameterKind, ParameterSpec};

/// The word for all linear layers but the last one of a classifier or of a decoder.
const ALL_LINEAR: &str = "all-linear";

/// The parameters that an adapter is made of, and what its configuration calls them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// The weights of the layers that have adapters.
    pub adapted: Vec<ParameterSpec>,
    /// The parameters that are trained as a whole.
    pub saved: Vec<ParameterSpec>,
    /// The ends of the names of the adapted layers.
    pub targets: Vec<String>,
    /// The modules that are trained as a whole.
    pub modules_to_save: Vec<String>,
}

impl Selection {
    /// The layers whose names end with one of `targets`, which may be BERT's names or those of the model's family, or
    /// `all-linear`; and the modules that end with one of `modules_to_save`, with all that `fresh` says is in no
    /// checkpoint. What is trained as a whole has no adapter.
    ///
    /// ```
    /// use bert_core::{ModelConfig, checkpoint::Selection, graph::{Head, ParameterSpec}};
    /// let config = ModelConfig::from_json(r#"{"model_type": "distilbert", "n_layers": 2}"#)?;
    /// let fresh = |spec: &ParameterSpec| spec.name.contains("classifier");
    /// let targets = ["query".to_owned(), "value".to_owned()];
    /// let selection = Selection::new(&config, Head::SequenceClassification, &targets, &[], fresh)?;
    /// assert_eq!(selection.adapted.len(), 4);
    /// assert_eq!(selection.targets, ["q_lin", "v_lin"]);
    /// assert_eq!(selection.modules_to_save, ["classifier", "pre_classifier"]);
    /// # Ok::<(), bert_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`AdapterError::NoLayer`] for a name that no layer has.
    pub fn new(
        config: &ModelConfig,
        head: Head,
        targets: &[String],
        modules_to_save: &[String],
        fresh: impl Fn(&ParameterSpec) -> bool,
    ) -> Result<Self> {
        let layout = Layout::of(config.model_type);
        let list = graph::parameters(config, head)?;
        let module = |spec: &ParameterSpec| {
            let name = layout.stored(&spec.name, head != Head::None);
            name.rsplit_once('.').map_or(name.clone(), |(module, _)| module.to_owned())
        };
        let canonical = |spec: &ParameterSpec| spec.name.trim_end_matches(".weight").to_owned();
        // A module that is saved has all that is in it.
        let is_in = |spec: &ParameterSpec, name: &str| {
            let path = module(spec);
            let mut ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
            ends.any(|end| ends_with(&path[..end], name))
        };
        let mut saved_names: BTreeSet<String> = modules_to_save.iter().cloned().collect();
        for spec in list.iter().filter(|spec| fresh(spec)) {
            let name = layout.stored(&spec.name, false);
            saved_names.insert(name.split('.').next().expect("a first part").to_owned());
        }
        let is_saved = |spec: &ParameterSpec| saved_names.iter().any(|name| is_in(spec, name));
        let linear = || list.iter().filter(|spec| spec.kind == ParameterKind::Weight && !is_saved(spec));
        let last = |spec: &ParameterSpec| {
            let path = module(spec);
            path.rsplit('.').next().expect("a last part").to_owned()
        };
        let unknown = |name: &str, known: &BTreeSet<String>| {
            let known = known.iter().cloned().collect();
            CheckpointError::Adapter(AdapterError::NoLayer { name: name.to_owned(), known })
        };
        let known: BTreeSet<_> = list.iter().map(last).collect();
        if let Some(name) = modules_to_save.iter().find(|name| !list.iter().any(|spec| is_in(spec, name))) {
            return Err(unknown(name, &known).into());
        }

        let named = |spec: &ParameterSpec, name: &str| match name {
            // Where the head of a classifier is not fresh, it is the last of the list, and a decoder is always that.
            ALL_LINEAR => !spec.name.ends_with(".decoder.weight") && !is_output(config, head, spec),
            name => ends_with(&module(spec), name) || ends_with(&canonical(spec), name),
        };
        let known: BTreeSet<_> = linear().map(last).collect();
        if let Some(name) = targets.iter().find(|name| !linear().any(|spec| named(spec, name))) {
            return Err(unknown(name, &known).into());
        }
        let is_target = |spec: &&ParameterSpec| targets.iter().any(|name| named(spec, name));
        let adapted: Vec<_> = linear().filter(is_target).cloned().collect();
        // Short names, if they mean the same layers; else each by its whole name.
        let short: BTreeSet<_> = adapted.iter().map(last).collect();
        let exact = linear().all(|spec| is_target(&spec) || !short.contains(&last(spec)));
        let whole = || adapted.iter().map(module).collect();
        Ok(Self {
            saved: list.iter().filter(|spec| is_saved(spec)).cloned().collect(),
            targets: if exact { short.into_iter().collect() } else { whole() },
            modules_to_save: saved_names.into_iter().collect(),
            adapted,
        })
    }
}

/// Whether a weight is that of the layer which gives the scores of a head.
fn is_output(config: &ModelConfig, head: Head, spec: &ParameterSpec) -> bool {
    let weights =
        |list: Vec<ParameterSpec>| list.into_iter().rfind(|spec| spec.kind == ParameterKind::Weight);
    head != Head::None
        && head != Head::MaskedLm
        && graph::parameters(config, head).ok().and_then(weights).is_some_and(|last| last == *spec)
}
