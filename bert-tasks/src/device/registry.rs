//! The kinds of devices: the one place that knows backends by name. A new one is a crate, a file in `registry/` that
//! opens its devices, and a row here.

#[cfg(feature = "cpu")]
mod cpu;
mod reference;
#[cfg(feature = "wgpu")]
mod wgpu;

use super::opener::Opener;

/// A kind of device.
pub struct Kind {
    /// Its word, as in `--device`.
    pub word: &'static str,
    /// The feature of this crate that it needs.
    pub feature: &'static str,
    /// What opens it; `None` in a build without the feature.
    pub opener: Option<&'static dyn Opener>,
}

/// A row: a word, the feature that it needs, if any, and the module and type that open it.
macro_rules! kind {
    ($word:literal, $module:ident::$opener:ident) => {
        Kind { word: $word, feature: "", opener: Some(&$module::$opener) }
    };
    ($word:literal, $feature:literal, $module:ident::$opener:ident) => {
        Kind {
            word: $word,
            feature: $feature,
            #[cfg(feature = $feature)]
            opener: Some(&$module::$opener),
            #[cfg(not(feature = $feature))]
            opener: None,
        }
    };
}

/// All kinds, in the order in which they are listed and `auto` tries those of one rank.
pub static KINDS: &[Kind] = &[
    kind!("cpu", "cpu", cpu::Cpu),
    kind!("wgpu", "wgpu", wgpu::Wgpu),
    kind!("reference", reference::Reference),
];

/// The words that this build can open, for a message.
pub fn known_words() -> String {
    let mut words = vec!["auto".to_owned()];
    for kind in KINDS {
        let Some(opener) = kind.opener else { continue };
        words.push(kind.word.to_owned());
        if opener.has_several() {
            words.push(format!("{}:N", kind.word));
        }
    }
    words.join(", ")
}
