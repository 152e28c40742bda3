//! One run a folder at a time.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::TrainingError;

/// The file that says so, while a run is in progress. The system lets it go with the process, however that ends.
const FILE: &str = ".lock";

/// A folder that no other run writes to.
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes a folder, which is there.
    ///
    /// # Errors
    /// [`TrainingError::Busy`] if a run has it; [`TrainingError::Folder`] if it cannot be written to.
    pub fn take(folder: &Path) -> Result<Self, TrainingError> {
        let path = folder.join(FILE);
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        let file =
            opened.map_err(|source| TrainingError::Folder { action: "write", path: path.clone(), source })?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(TrainingError::Busy { path: folder.to_owned() }),
            // Some network file systems have no locks; a run goes on without one.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { path, _file: file }),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // What cannot be removed does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        let error = Lock::take(folder.path()).err().unwrap();
        assert!(error.to_string().contains("another run is writing to it"), "{error}");
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(Lock::take(folder.path()).unwrap());
        // What a kill leaves behind is in nobody's way.
        fs::write(folder.path().join(FILE), "").unwrap();
        assert!(Lock::take(folder.path()).is_ok());
    }
}
