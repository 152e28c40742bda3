//! Models from the Hugging Face hub: the crate [`bert_hub`], and what a model has to be before its weights are
//! downloaded.

use bert_core::graph::Head;
pub use bert_hub::*;

use crate::{ModelSource, Result};

/// A hub that downloads the weights of a model only if the model can be loaded for a head, as far as the other files
/// of the model tell; see [`ModelSource::check`].
///
/// # Errors
/// Those of [`Hub::new`].
pub fn open_for(settings: Settings, head: Head) -> Result<Hub, HubError> {
    let check = move |folder: &std::path::Path| Ok(ModelSource::Folder(folder.to_owned()).check(head)?);
    Ok(Hub::new(settings)?.with_check(check))
}

/// The folder of a model for a head, downloaded unless the cache has it; see [`Hub::snapshot`].
pub(crate) fn snapshot(name: &str, head: Head) -> Result<Snapshot> {
    let hub = open_for(Settings::from_env()?, head)?;
    Ok(hub.snapshot(&name.parse()?, DEFAULT_REVISION, |_| ())?)
}
