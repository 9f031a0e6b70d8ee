//! The bytes of a people file, and what shows whether it is the same as before.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::quiet::Stamp;

/// The most bytes of a people file.
pub(super) const MAX_BYTES: u64 = 32 << 20;

/// A file's content when it was read.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) stamp: Stamp,
    pub(super) bytes: Vec<u8>,
    /// The file that the path led to, with links resolved.
    pub(super) target: PathBuf,
    /// The time of the last change of any kind, by the clock of its file system: milliseconds since 1970.
    pub(super) touched: i64,
    /// It was written to while it was read.
    pub(super) torn: bool,
}

/// Why a file cannot be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The system does not allow it.
    Io(io::Error),
    /// It cannot be a people file.
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
/// [`Unread`] if it is missing, not a file, or larger than [`MAX_BYTES`].
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

/// Whether a file looks unchanged, without reading it.
pub(super) fn looks_like(path: &Path, stamp: &Stamp) -> bool {
    path.metadata().is_ok_and(|now| {
        let modified = i128::from(now.mtime()) * 1_000_000_000 + i128::from(now.mtime_nsec());
        ((now.dev(), now.ino()), now.len(), modified) == (stamp.inode, stamp.size, stamp.modified)
    })
}

/// The text of a file as far as it can be decoded, and what is wrong with it: line and description. Bytes that are not
/// UTF-8 are replaced by U+FFFD, and the text ends before the first NUL.
pub(super) fn text(bytes: &[u8]) -> (Cow<'_, str>, Option<(u64, String)>) {
    let line = |good: &[u8]| u64::try_from(good.iter().filter(|byte| **byte == b'\n').count() + 1).unwrap_or(0);
    let utf16: Option<fn([u8; 2]) -> u16> = match bytes {
        [0xff, 0xfe, ..] | [_, 0, ..] => Some(u16::from_le_bytes),
        [0xfe, 0xff, ..] | [0, _, ..] => Some(u16::from_be_bytes),
        _ => None,
    };
    if let Some(unit) = utf16 {
        let units: Vec<u16> = bytes.as_chunks().0.iter().map(|pair| unit(*pair)).collect();
        let what = "is not UTF-8 but UTF-16 or the like: save it as UTF-8".to_owned();
        return (Cow::Owned(String::from_utf16_lossy(&units)), Some((1, what)));
    }
    let (bytes, nul) = match bytes.iter().position(|byte| *byte == 0) {
        Some(end) => (bytes.get(..end).unwrap_or_default(), true),
        None => (bytes, false),
    };
    let what = match std::str::from_utf8(bytes) {
        Ok(_) if nul => Some((line(bytes), "has a NUL character: what stood there is lost".to_owned())),
        Ok(_) => None,
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            Some((line(good), "has a character that is not UTF-8: save it as UTF-8".to_owned()))
        }
    };
    (String::from_utf8_lossy(bytes), what)
}
