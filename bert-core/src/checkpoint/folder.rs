//! Which files of a folder hold the weights.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::error::{Advice, CheckpointError, IndexError, Origin};
use super::files::{Index, WEIGHTS};
use super::source::MappedFile;
use super::stored::Stored;
use super::{MemoryFiles, safetensors, torch};
use crate::tensor::ByteSource;

/// A tensor, its stored name and the file that holds it.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) file: Origin,
    pub(super) tensor: Stored,
}

/// All tensors of the checkpoint in a folder, or in the given file.
pub(super) fn read(path: &Path) -> Result<Vec<Found>, CheckpointError> {
    let kind = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if !kind.is_dir() {
        return if is_index(path) { read_parts(path, &map) } else { read_file(path, &map) };
    }
    for candidate in WEIGHTS.map(|name| path.join(name)) {
        // A link into a cache that lost its target is a file that cannot be read, not a file that is absent.
        match fs::symlink_metadata(&candidate) {
            Ok(_) if is_index(&candidate) => return read_parts(&candidate, &map),
            Ok(_) => return read_file(&candidate, &map),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&candidate, error)),
        }
    }
    let found = list(path).map_err(|error| unreadable(path, error))?;
    let advice = Advice::from_names(found.iter().map(String::as_str));
    Err(CheckpointError::NoWeights { path: path.to_owned(), found, advice })
}

/// All tensors of a checkpoint whose files are in memory. `folder` is what it is called in messages.
pub(super) fn read_files(folder: &Path, files: &MemoryFiles) -> Result<Vec<Found>, CheckpointError> {
    let open = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.and_then(|name| files.get(name)).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    };
    match WEIGHTS.into_iter().find(|&name| files.contains_key(name)) {
        Some(name) if is_index(Path::new(name)) => read_parts(&folder.join(name), &open),
        Some(name) => read_file(&folder.join(name), &open),
        None => {
            let advice = Advice::from_names(files.keys().map(String::as_str));
            Err(CheckpointError::NoWeights {
                path: folder.to_owned(),
                found: files.keys().cloned().collect(),
                advice,
            })
        }
    }
}

/// How the bytes of a file are read.
type Open<'a> = &'a dyn Fn(&Path) -> io::Result<Arc<dyn ByteSource>>;

fn map(path: &Path) -> io::Result<Arc<dyn ByteSource>> {
    Ok(Arc::new(MappedFile::open(path)?))
}

/// All tensors of a checkpoint in memory.
pub(super) fn read_bytes(source: &Arc<dyn ByteSource>, file: &Origin) -> Result<Vec<Found>, CheckpointError> {
    let bytes = source.bytes();
    let named = match file {
        Origin::File(path) => has_extension(path, &["bin", "pt", "pth"]),
        Origin::Memory => false,
    };
    let tensors = if named || torch::is_archive(bytes) || torch::is_legacy(bytes) {
        torch::read(source).map_err(|source| CheckpointError::Torch { file: file.clone(), source })?
    } else {
        safetensors::read(source)
            .map_err(|source| CheckpointError::Safetensors { file: file.clone(), source })?
    };
    Ok(tensors.into_iter().map(|(name, tensor)| Found { name, file: file.clone(), tensor }).collect())
}

fn read_file(path: &Path, open: Open<'_>) -> Result<Vec<Found>, CheckpointError> {
    if has_extension(path, &["h5", "msgpack", "onnx", "gguf", "ggml", "index", "meta"]) {
        let found = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let advice = Advice::from_names(found.as_deref());
        return Err(CheckpointError::NoWeights {
            path: path.to_owned(),
            found: found.into_iter().collect(),
            advice,
        });
    }
    let source = open(path).map_err(|error| unreadable(path, error))?;
    if source.bytes().starts_with(b"version https://git-lfs") {
        return Err(CheckpointError::LfsPointer { path: path.to_owned() });
    }
    read_bytes(&source, &Origin::File(path.to_owned()))
}

fn read_parts(path: &Path, open: Open<'_>) -> Result<Vec<Found>, CheckpointError> {
    let fail = |source| CheckpointError::Index { path: path.to_owned(), source };
    let file = open(path).map_err(|error| unreadable(path, error))?;
    let index = Index::read(file.bytes()).map_err(fail)?;
    let parts: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();

    let folder = path.parent().unwrap_or(Path::new(""));
    let mut tensors = Vec::new();
    let mut held = BTreeSet::new();
    for (i, &part) in parts.iter().enumerate() {
        let file = folder.join(part);
        let mut found = match read_file(&file, open) {
            Err(CheckpointError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let (part, number, count) = (part.to_owned(), i + 1, parts.len());
                return Err(fail(IndexError::MissingPart { part, number, count }));
            }
            found => found?,
        };
        // Where a part repeats a tensor, the index says which one counts.
        found.retain(|found| index.weight_map.get(&found.name).is_none_or(|listed| listed == part));
        held.extend(found.iter().map(|found| found.name.clone()));
        tensors.extend(found);
    }
    match index.weight_map.into_iter().find(|(name, _)| !held.contains(name)) {
        Some((tensor, part)) => Err(fail(IndexError::NotInPart { tensor, part })),
        None => Ok(tensors),
    }
}

fn is_index(path: &Path) -> bool {
    has_extension(path, &["json"])
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .is_some_and(|found| extensions.iter().any(|extension| found.eq_ignore_ascii_case(extension)))
}

fn list(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<io::Result<_>>()?;
    names.sort();
    Ok(names)
}

fn unreadable(path: &Path, source: io::Error) -> CheckpointError {
    CheckpointError::Io { path: path.to_owned(), source }
}
