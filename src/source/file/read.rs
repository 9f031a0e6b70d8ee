//! The bytes of a people file, and what tells whether it is the same as before.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::quiet::Stamp;

/// A people file may have this many bytes.
pub(super) const MAX_BYTES: u64 = 32 << 20;

/// What stood in a file when it was looked at.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) stamp: Stamp,
    pub(super) bytes: Vec<u8>,
    /// The file that the path led to, links followed.
    pub(super) target: PathBuf,
    /// When it was last touched, in any way, by the clock of its file system: milliseconds of the epoch.
    pub(super) touched: i64,
    /// It was written to while it was read.
    pub(super) torn: bool,
}

/// Why a file cannot be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The system does not let us.
    Io(io::Error),
    /// It is none that could be.
    Wrong(String),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads a file.
///
/// # Errors
/// [`Unread`] if it is not there, no file, or larger than [`MAX_BYTES`].
pub(super) fn read(path: &Path) -> Result<Snapshot, Unread> {
    let target = path.canonicalize()?;
    if !target.metadata()?.is_file() {
        return Err(Unread::Wrong("is not a regular file".to_owned()));
    }
    let mut file = File::open(&target)?;
    let before = file.metadata()?;
    let mut bytes = Vec::with_capacity(usize::try_from(before.len().min(MAX_BYTES)).unwrap_or(0) + 1);
    (&mut file).take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    let after = file.metadata()?;
    let size = after.len().max(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    if size > MAX_BYTES {
        let what =
            format!("has {size} bytes: the limit is 32 MiB ({MAX_BYTES} bytes); give several sources a file each");
        return Err(Unread::Wrong(what));
    }
    let modified = |of: &std::fs::Metadata| i128::from(of.mtime()) * 1_000_000_000 + i128::from(of.mtime_nsec());
    let millis = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000);
    let touched = millis(after.ctime(), after.ctime_nsec()).max(millis(after.mtime(), after.mtime_nsec()));
    let hash = digest(&SHA256, &bytes).as_ref().try_into().unwrap_or([0; 32]);
    let torn = before.len() != after.len() || modified(&before) != modified(&after);
    let stamp = Stamp { inode: (after.dev(), after.ino()), size: after.len(), modified: modified(&after), hash };
    Ok(Snapshot { stamp, bytes, target, touched, torn })
}

/// Whether a file looks as it did, without reading it.
pub(super) fn looks_like(path: &Path, stamp: &Stamp) -> bool {
    path.metadata().is_ok_and(|now| {
        let modified = i128::from(now.mtime()) * 1_000_000_000 + i128::from(now.mtime_nsec());
        ((now.dev(), now.ino()), now.len(), modified) == (stamp.inode, stamp.size, stamp.modified)
    })
}

/// The text of a file as far as it is one, and what is wrong with the rest: its line, and in words.
pub(super) fn text(bytes: &[u8]) -> (&str, Option<(u64, String)>) {
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] = bytes {
        return ("", Some((1, "is not UTF-8 but UTF-16 or the like: save it as UTF-8".to_owned())));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
            let what = "has a character that is not UTF-8: save it as UTF-8".to_owned();
            (std::str::from_utf8(good).unwrap_or_default(), Some((u64::try_from(line).unwrap_or(0), what)))
        }
    }
}
