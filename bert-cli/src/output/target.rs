//! The end of the way: standard output, or a file that appears when it is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Seek, Write};
use std::path::{Path, PathBuf};

use anstream::AutoStream;
use tempfile::{NamedTempFile, TempPath};

use crate::error::{Error, Result};
use crate::reporter::ColorWhen;
use crate::signals;
use crate::style::Screen;

/// Where bytes go.
pub struct Target {
    name: String,
    out: BufWriter<Out>,
}

enum Out {
    Stdout(AutoStream<io::Stdout>),
    /// A pipe or a device, which cannot be replaced.
    Device(File),
    /// A file under a temporary name in the folder of the one it will be.
    Unfinished {
        file: File,
        temporary: TempPath,
        path: PathBuf,
    },
}

impl Target {
    /// Opens the file, or standard output, and tells what it can show.
    ///
    /// # Errors
    /// A file that cannot be created.
    pub fn open(path: Option<&Path>, color: ColorWhen) -> Result<(Self, Screen)> {
        let Some(path) = path.filter(|&path| path != Path::new("-")) else {
            let stdout = io::stdout();
            let choice = color.resolve(&stdout);
            let terminal = stdout.is_terminal();
            let width =
                terminal.then(terminal_size::terminal_size).flatten().map_or(80, |(width, _)| width.0.into());
            let screen = Screen { color: choice != anstream::ColorChoice::Never, terminal, width };
            // Where there are no colours, everything passes: an escape in a CSV field is data.
            let pass = if screen.color { choice } else { anstream::ColorChoice::AlwaysAnsi };
            let out = Out::Stdout(AutoStream::new(stdout, pass));
            return Ok((
                Self { name: "stdout".to_owned(), out: BufWriter::with_capacity(64 << 10, out) },
                screen,
            ));
        };
        let screen = Screen { color: color == ColorWhen::Always, terminal: false, width: 80 };
        let failed = |source| Error::Write { name: path.display().to_string(), source };
        let out = match fs::metadata(path) {
            Ok(kind) if kind.is_dir() => return Err(Error::OutputIsFolder { path: path.to_owned() }),
            Ok(kind) if !kind.is_file() => {
                Out::Device(File::options().write(true).open(path).map_err(failed)?)
            }
            Ok(kind) => unfinished(&fs::canonicalize(path).map_err(failed)?, Some(kind.permissions()))
                .map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                if let Some(folder) = folder.filter(|folder| !folder.exists()) {
                    return Err(Error::NoFolder { path: path.to_owned(), folder: folder.to_owned() });
                }
                unfinished(path, None).map_err(failed)?
            }
            Err(error) => return Err(failed(error)),
        };
        let out = BufWriter::with_capacity(64 << 10, out);
        Ok((Self { name: path.display().to_string(), out }, screen))
    }

    /// Whether it is standard output.
    pub fn is_stdout(&self) -> bool {
        matches!(self.out.get_ref(), Out::Stdout(_))
    }

    /// Whether it is a file, which can be written in any order.
    pub fn is_file(&self) -> bool {
        matches!(self.out.get_ref(), Out::Unfinished { .. })
    }

    /// Writes the first bytes of a file anew.
    ///
    /// # Errors
    /// An output that cannot be written.
    pub fn rewrite_start(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.flush().map_err(|error| self.failed(error))?;
        let Out::Unfinished { file, .. } = self.out.get_mut() else { return Ok(()) };
        let written = file.rewind().and_then(|()| file.write_all(bytes));
        written.map_err(|error| self.failed(error))
    }

    /// What a failed write means.
    pub fn failed(&self, source: io::Error) -> Error {
        match self.out.get_ref() {
            Out::Stdout(_) if source.kind() == io::ErrorKind::BrokenPipe => Error::ClosedPipe,
            _ => Error::Write { name: self.name.clone(), source },
        }
    }

    /// Writes all that is left, and gives a file its name.
    ///
    /// # Errors
    /// An output that cannot be written; then there is no file.
    pub fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(|error| self.failed(error))?;
        let failed = |source| Error::Write { name: self.name.clone(), source };
        let (out, _) = self.out.into_parts();
        let Out::Unfinished { file, temporary, path } = out else { return Ok(()) };
        file.sync_all().map_err(failed)?;
        drop(file);
        let unfinished = temporary.to_path_buf();
        temporary.persist(&path).map_err(|error| failed(error.error))?;
        signals::keep(&unfinished);
        Ok(())
    }
}

impl Write for Target {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.out.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Write for Out {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(buffer),
            Self::Device(file) | Self::Unfinished { file, .. } => file.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::Device(file) | Self::Unfinished { file, .. } => file.flush(),
        }
    }
}

/// A temporary file beside `path`, with the permissions that it will need.
fn unfinished(path: &Path, permissions: Option<fs::Permissions>) -> io::Result<Out> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".bert-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
    let temporary: NamedTempFile = builder.tempfile_in(folder)?;
    if let Some(permissions) = permissions {
        if permissions.readonly() {
            // A rename would replace it all the same.
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        temporary.as_file().set_permissions(permissions)?;
    }
    let (file, temporary) = temporary.into_parts();
    signals::remove_at_end(temporary.to_path_buf());
    Ok(Out::Unfinished { file, temporary, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Result<Target> {
        Target::open(Some(path), ColorWhen::Never).map(|(target, _)| target)
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut target = open(&path).unwrap();
        target.write_all(b"new").unwrap();
        target.flush().unwrap();
        assert!(!path.exists());
        target.finish().unwrap();
        assert_eq!((fs::read(&path).unwrap(), files(folder.path())), (b"new".to_vec(), 1));

        let mut target = open(&path).unwrap();
        target.write_all(b"given up").unwrap();
        drop(target);
        assert_eq!((fs::read(&path).unwrap(), files(folder.path())), (b"new".to_vec(), 1));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_keeps_its_permissions_and_a_link_its_place() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("out"), folder.path().join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("out", &link).unwrap();
        let mut target = open(&link).unwrap();
        target.write_all(b"new").unwrap();
        target.finish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn what_cannot_be_written_says_so() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(open(folder.path()), Err(Error::OutputIsFolder { .. })));
        assert!(matches!(open(&folder.path().join("no/such/folder/out")), Err(Error::NoFolder { .. })));
        let path = folder.path().join("readonly");
        fs::write(&path, "old").unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).unwrap();
        assert!(matches!(open(&path), Err(Error::Write { .. })));
        assert_eq!((fs::read(&path).unwrap(), files(folder.path())), (b"old".to_vec(), 1));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let mut target = open(Path::new("/dev/full")).unwrap();
        target.write_all(b"x").unwrap();
        assert!(matches!(target.finish(), Err(Error::Write { .. })));
    }
}
