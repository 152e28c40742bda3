//! One file from the hub into `blobs`: written beside its place, checked, and renamed.
//!
//! A process never writes a file that another one may rename: each writes under a name of its own. What an
//! interrupted process left of a file with a known SHA-256 is taken over under the lock of that file, and
//! the hash over the whole decides whether it was good.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::cache::{make_parent, unique_suffix};
use crate::http::{Blob, Client, content_length, content_range, interrupted};
use crate::names::ModelId;
use crate::own_file::open_own_file;
use crate::{HubError, Progress};

const CHUNK: usize = 64 << 10;

/// A transfer that gets this much further than any before it sets the count of failures back.
const HEADWAY: u64 = 1 << 20;

/// A file to fetch: where it is, what it must hold, and what to call it towards the user.
pub(crate) struct Source<'a> {
    pub(crate) id: &'a ModelId,
    pub(crate) url: &'a str,
    pub(crate) name: &'a str,
    pub(crate) blob: &'a Blob,
}

/// Brings a file into `blobs`. With `locked`, a part that an earlier process left is continued.
pub(crate) fn download(
    client: &Client,
    source: &Source<'_>,
    blobs: &Path,
    locked: bool,
    report: &mut dyn FnMut(Progress<'_>),
) -> Result<(), HubError> {
    let target = blobs.join(&source.blob.etag);
    make_parent(&target)?;
    let left = if locked { Part::take_over(blobs, source.blob) } else { None };
    let mut part = left.map_or_else(|| Part::create(blobs, source.blob), Ok)?;
    let mut taken_over = part.len > 0;
    loop {
        receive_all(client, source, &mut part, report)?;
        match (source.blob.sha256(), part.hash()) {
            (Some(expected), found) if found != expected => {
                part.keep = false;
                if !taken_over {
                    let (url, expected) = (source.url.to_owned(), expected.to_owned());
                    return Err(HubError::HashMismatch { url, expected, found });
                }
                taken_over = false;
                part = Part::create(blobs, source.blob)?;
            }
            _ => return part.finish(&target),
        }
    }
}

/// Receives until the size is reached; a cut connection is taken up again where it ended.
fn receive_all(
    client: &Client,
    source: &Source<'_>,
    part: &mut Part,
    report: &mut dyn FnMut(Progress<'_>),
) -> Result<(), HubError> {
    let (mut failures, mut tries, mut furthest) = (0, 1, part.len);
    loop {
        let Err(error) = receive(client, source, part, report) else { return Ok(()) };
        // The hub answered a moment ago, so here even an unreachable server may come back.
        let transient = error.is_transient() || matches!(error, HubError::Unreachable { .. });
        if part.len >= furthest.saturating_add(HEADWAY) {
            (failures, furthest) = (0, part.len);
        }
        if !transient || failures == client.retries {
            return Err(error.after(tries));
        }
        client.pause(failures);
        failures += 1;
        tries += 1;
    }
}

/// Makes one request and writes what it brings.
fn receive(
    client: &Client,
    source: &Source<'_>,
    part: &mut Part,
    report: &mut dyn FnMut(Progress<'_>),
) -> Result<(), HubError> {
    let size = source.blob.size;
    let mut tell = |done| report(Progress { file: source.name, done_bytes: done, total_bytes: size });
    tell(part.len);
    if part.len == size {
        return Ok(());
    }
    let mut response = client.open(source.id, source.url, part.len)?;
    if part.len > 0 && (response.status() != 206 || content_range(&response) != Some((part.len, size))) {
        // The server starts over, or speaks of another file.
        part.clear()?;
        if response.status() != 200 {
            response = client.open(source.id, source.url, 0)?;
        }
    }
    let mismatch = |found| HubError::SizeMismatch { url: source.url.to_owned(), expected: size, found };
    if let Some(length) =
        content_length(&response).filter(|length| part.len.checked_add(*length) != Some(size))
    {
        return Err(mismatch(part.len.saturating_add(length)));
    }
    let mut body = response.into_body().into_reader();
    let mut chunk = vec![0; CHUNK];
    loop {
        let received = match body.read(&mut chunk) {
            Ok(0) => break,
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(interrupted(source.url, error)),
        };
        if part.len + received as u64 > size {
            return Err(mismatch(part.len + received as u64));
        }
        part.append(&chunk[..received])?;
        tell(part.len);
    }
    if part.len < size {
        let end = format!("it ended after {} of {size} bytes", part.len);
        return Err(interrupted(source.url, io::Error::new(io::ErrorKind::UnexpectedEof, end)));
    }
    Ok(())
}

/// The beginning of a blob, under a name of its own.
struct Part {
    path: PathBuf,
    file: File,
    /// Bytes written so far.
    len: u64,
    hasher: Sha256,
    /// Whether a later run can continue the file, so that it stays when this run gives up.
    keep: bool,
}

impl Part {
    fn name(blob: &Blob) -> String {
        format!("{}.{}.incomplete", blob.etag, unique_suffix())
    }

    fn create(blobs: &Path, blob: &Blob) -> Result<Self, HubError> {
        let path = blobs.join(Self::name(blob));
        let created = File::options().read(true).write(true).create_new(true).open(&path);
        let file = created.map_err(|source| HubError::Write { path: path.clone(), source })?;
        Ok(Self { path, file, len: 0, hasher: Sha256::new(), keep: blob.sha256().is_some() })
    }

    /// Continues what an earlier process left, if there is such a file and its end could be verified.
    fn take_over(blobs: &Path, blob: &Blob) -> Option<Self> {
        blob.sha256()?;
        let prefix = format!("{}.bert-", blob.etag);
        let left = fs::read_dir(blobs).ok()?.flatten().filter(|entry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| name.starts_with(&prefix) && name.ends_with(".incomplete"))
        });
        let (left, file) = left
            .filter_map(|entry| {
                let file = open_own_file(File::options().read(true).write(true), &entry.path()).ok()?;
                Some((entry.path(), file))
            })
            .next()?;
        let path = blobs.join(Self::name(blob));
        fs::rename(left, &path).ok()?;
        let mut part = Self { path, file, len: 0, hasher: Sha256::new(), keep: false };
        let mut chunk = vec![0; CHUNK];
        loop {
            match part.file.read(&mut chunk).ok()? {
                0 => break,
                read => {
                    part.hasher.update(&chunk[..read]);
                    part.len += read as u64;
                }
            }
        }
        part.keep = part.len <= blob.size;
        part.keep.then_some(part)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file.write_all(bytes).map_err(|source| {
            self.keep = false; // Most likely the disk is full, and should not stay so.
            HubError::Write { path: self.path.clone(), source }
        })?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn clear(&mut self) -> Result<(), HubError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(|source| HubError::Write { path: self.path.clone(), source })?;
        self.len = 0;
        self.hasher = Sha256::new();
        Ok(())
    }

    /// The SHA-256 of what was written, in hexadecimal.
    fn hash(&self) -> String {
        self.hasher.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Gives the file its name. Its content reaches the disk first: a power cut must not leave the name
    /// without it.
    fn finish(mut self, target: &Path) -> Result<(), HubError> {
        let result = self.file.sync_all().and_then(|()| fs::rename(&self.path, target));
        self.keep = result.is_ok();
        result.map_err(|source| HubError::Write { path: target.to_owned(), source })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.keep || self.len == 0 {
            let _ = fs::remove_file(&self.path);
        }
    }
}
