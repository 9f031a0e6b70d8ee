//! Whether the store is still where it was opened.
//!
//! SQLite goes on writing to files that were deleted, renamed or covered by another mount, and every flush succeeds: what
//! is acknowledged then is gone after a restart. So device and inode of the directory and of what matters in it are kept
//! from the opening, and compared before anything is acknowledged. As long as a file is open its inode is given to nobody
//! else, so a directory that was made anew is never mistaken for the one before.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::log::LogError;

/// What has to stay: without the lock a second process could write here; the WAL holds what the database does not yet.
const FILES: [&str; 3] = ["lock", "log.db", "log.db-wal"];

/// Device and inode.
type Identity = (u64, u64);

/// The place where a store was opened.
#[derive(Debug)]
pub(super) struct OpenedDirectory {
    directory: PathBuf,
    marks: Vec<(PathBuf, Identity)>,
    /// Keeps the directory's inode from being given to another. The files are open anyhow.
    _directory: File,
}

impl OpenedDirectory {
    /// Takes note of a store that has just been opened: its connections hold its files.
    ///
    /// # Errors
    /// [`LogError::Moved`] if it is gone already.
    pub(super) fn of(directory: &Path) -> Result<Self, LogError> {
        let unseen = |path: &Path, error: &io::Error| moved(directory, &gone(path, error));
        let held = File::open(directory).map_err(|error| unseen(directory, &error))?;
        let files = FILES.iter().map(|name| directory.join(name));
        let paths = std::iter::once(directory.to_owned()).chain(files);
        let marks = paths.map(|path| match identity(&path) {
            Ok(identity) => Ok((path, identity)),
            Err(error) => Err(unseen(&path, &error)),
        });
        Ok(Self { directory: directory.to_owned(), marks: marks.collect::<Result<_, _>>()?, _directory: held })
    }

    /// Looks whether everything is where it was.
    ///
    /// # Errors
    /// [`LogError::Moved`] says what is not.
    pub(super) fn verify(&self) -> Result<(), LogError> {
        for (path, opened) in &self.marks {
            match identity(path) {
                Ok(found) if found == *opened => {}
                Ok(_) => {
                    return Err(moved(
                        &self.directory,
                        &format!("another stands in the place of `{}`", path.display()),
                    ));
                }
                Err(error) => return Err(moved(&self.directory, &gone(path, &error))),
            }
        }
        Ok(())
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    path.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn gone(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("`{}` was deleted or moved", path.display()),
        _ => format!("`{}` cannot be seen: {error}", path.display()),
    }
}

fn moved(directory: &Path, what: &str) -> LogError {
    LogError::Moved { path: directory.display().to_string(), what: what.to_owned() }
}
