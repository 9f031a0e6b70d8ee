//! `kind: file`

use std::time::Duration;

use super::kind::{Kind, SourceKind};
use crate::domain::name::Directory;

pub(super) const FILE: Kind = Kind {
    name: "file",
    directory: Directory::File,
    needs: &["path"],
    may: &[],
    poll: Duration::from_secs(10),
    link: &[("sub", "id")],
    any_attribute: false,
    read: |fields, _| Some(SourceKind::File { path: fields.text("path")?.into() }),
};
