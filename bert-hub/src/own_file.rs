//! Opening files in a folder where others may write: no link is followed, and nothing but a file is opened.
//!
//! A cache may be shared by users who do not trust each other. A planted link would let a download write to any file of
//! the victim's, and a planted pipe would keep it waiting for ever.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens a file that may be there already. It is not followed if it is a link.
///
/// # Errors
/// A link, a pipe, a device or a folder; what [`OpenOptions::open`] fails of.
pub(crate) fn open_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Without waiting for the other end of a pipe.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        options,
        (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32,
    );
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    Ok(file)
}

/// As [`open_file`], and the file must be this user's, under this name alone: nobody else can hold it open for writing,
/// and no other file is changed through it.
///
/// # Errors
/// As [`open_file`]; a file of somebody else, or with more names.
pub(crate) fn open_own_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = open_file(options, path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let found = file.metadata()?;
        if found.uid() != rustix::process::geteuid().as_raw() || found.nlink() != 1 {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not this user's own file"));
        }
    }
    Ok(file)
}
