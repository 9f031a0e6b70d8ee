//! `kind: file`

use std::path::PathBuf;
use std::time::Duration;

use super::kind::{Kind, SourceKind};
use crate::domain::name::Directory;

/// A file of people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSettings {
    /// The file.
    pub path: PathBuf,
}

pub(super) const FILE: Kind = Kind {
    name: "file",
    directory: Directory::File,
    needs: &["path"],
    may: &[],
    poll: Duration::from_secs(10),
    link: &[("sub", "id")],
    any_attribute: false,
    read: |fields| Some(SourceKind::File(FileSettings { path: fields.text("path")?.into() })),
};
