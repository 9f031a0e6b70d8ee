//! Checks that the store is still where it was opened.
//!
//! SQLite keeps writing to files that were deleted, renamed or covered by another mount, and every flush succeeds:
//! acknowledged events would be lost at a restart. So device and inode of the directory and its important files are
//! recorded at the opening and compared before anything is acknowledged. The inode of an open file is not reused, so a
//! recreated directory is never mistaken for the original.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::log::LogError;

/// The files that must stay: without the lock a second process could write here, and the WAL holds data that is not in
/// the database yet.
const FILES: [&str; 3] = ["lock", "log.db", "log.db-wal"];

/// Device and inode.
type Identity = (u64, u64);

/// The directory of a store and its files, as they were opened.
#[derive(Debug)]
pub(super) struct OpenedDirectory {
    directory: PathBuf,
    marks: Vec<(PathBuf, Identity)>,
    /// Held open, so that the directory's inode is not reused. The files are open anyway.
    _directory: File,
}

impl OpenedDirectory {
    /// Records a store that has just been opened. Its connections hold its files open.
    ///
    /// # Errors
    /// [`LogError::Moved`] if it is missing already.
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

    /// Checks that everything is where it was.
    ///
    /// # Errors
    /// [`LogError::Moved`] says what has changed.
    pub(super) fn verify(&self) -> Result<(), LogError> {
        for (path, opened) in &self.marks {
            match identity(path) {
                Ok(found) if found == *opened => {}
                Ok(_) => {
                    return Err(moved(&self.directory, &format!("`{}` was replaced by another", path.display())));
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
        _ => format!("cannot read `{}`: {error}", path.display()),
    }
}

fn moved(directory: &Path, what: &str) -> LogError {
    LogError::Moved { path: directory.display().to_string(), what: what.to_owned() }
}
