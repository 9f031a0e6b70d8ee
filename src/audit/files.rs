//! The directory of a trail: one file of records per day, plus a lock, the salt, the last allows and the head.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::event::Position;
use crate::domain::time::Timestamp;

use super::AuditError;
use super::chain::Head;

const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";
/// Bytes read at a time when a file is read from its end.
const STEP: u64 = 64 * 1024;

/// Files in the directory besides the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Held by the process that writes.
    Lock,
    /// Salt of the credential hashes, hex: where a version before kept it.
    Salt,
    /// The table of last allows.
    LastAllows,
    /// The last durable record: never ahead of the files, so files that end before it were truncated.
    Head,
}

impl Side {
    /// Its path.
    #[must_use]
    pub fn path(self, dir: &Path) -> PathBuf {
        dir.join(match self {
            Self::Lock => "lock",
            Self::Salt => "salt",
            Self::LastAllows => "last-allows.jsonl",
            Self::Head => "head.json",
        })
    }
}

/// What was durable when the mark was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// `seq` of the last record.
    pub seq: u64,
    /// Its `hash`.
    pub hash: String,
    /// Position in the log of the last event that is recorded, if any is.
    pub position: Option<Position>,
    /// Day of the file that it ends in.
    pub day: String,
    /// Length of that file.
    pub length: u64,
}

impl Mark {
    /// The end of the chain at that time.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash.clone() }
    }
}

/// The UTC day of a time, as in file names; `None` for a time beyond the calendar.
#[must_use]
pub fn day(time: Timestamp) -> Option<String> {
    let text = time.to_string();
    text.split_once('T').map(|(day, _)| day.to_owned())
}

/// Path of the file of a day.
#[must_use]
pub fn path(dir: &Path, day: &str) -> PathBuf {
    dir.join(format!("{PREFIX}{day}{SUFFIX}"))
}

/// The day of a file, if it holds records.
#[must_use]
pub fn day_of(path: &Path) -> Option<&str> {
    let day = path.file_name()?.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    (day.len() == 10 && day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')).then_some(day)
}

/// The files of records, oldest first.
///
/// # Errors
/// [`AuditError::Io`] if the directory cannot be read.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(AuditError::io("read audit directory", dir))? {
        let path = entry.map_err(AuditError::io("read audit directory", dir))?.path();
        if day_of(&path).is_some() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Locks the directory for this process.
///
/// # Errors
/// [`AuditError::Locked`], or [`AuditError::Io`].
pub fn lock(dir: &Path) -> Result<File, AuditError> {
    fs::create_dir_all(dir).map_err(AuditError::io("create audit directory", dir))?;
    let path = Side::Lock.path(dir);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(AuditError::io("open audit lock", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(AuditError::Locked(dir.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(AuditError::io("lock", path)(error)),
    }
}

/// Opens the file of a day at its end, and returns its length.
///
/// # Errors
/// [`AuditError::Io`].
pub fn append_to(dir: &Path, day: &str) -> Result<(File, u64), AuditError> {
    let path = path(dir, day);
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(&path)
        .map_err(AuditError::io("open audit file", &path))?;
    let length = file.metadata().map_err(AuditError::io("read length of audit file", &path))?.len();
    sync_dir(dir)?;
    Ok((file, length))
}

/// Makes the names in a directory durable.
///
/// # Errors
/// [`AuditError::Io`].
pub fn sync_dir(dir: &Path) -> Result<(), AuditError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(AuditError::io("sync audit directory", dir))
}

/// Replaces a file atomically: readers see either the old or the new one.
///
/// # Errors
/// [`AuditError::Io`]; the old one stays.
pub fn replace(dir: &Path, side: Side, bytes: &[u8]) -> Result<(), AuditError> {
    let path = side.path(dir);
    let new = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    write().map_err(AuditError::io("write audit file", &path))?;
    sync_dir(dir)
}

/// Appends to a file beside the records. Not made durable: it survives the process, and what a crash of the machine tears is
/// known by its missing end.
///
/// # Errors
/// [`AuditError::Io`]; a part may be in the file.
pub fn append(dir: &Path, side: Side, bytes: &[u8]) -> Result<(), AuditError> {
    if bytes.is_empty() {
        return Ok(());
    }
    let path = side.path(dir);
    let write = || OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?.write_all(bytes);
    write().map_err(AuditError::io("append to audit file", &path))
}

/// Reads a file beside the records; `None` if it does not exist.
///
/// # Errors
/// [`AuditError::Io`]; [`AuditError::Damaged`] if it is not text.
pub fn read(dir: &Path, side: Side) -> Result<Option<String>, AuditError> {
    let path = side.path(dir);
    match fs::read(&path) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| AuditError::Damaged(path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AuditError::io("read audit file", path)(error)),
    }
}

/// The last mark; `None` if none was ever written.
///
/// # Errors
/// [`AuditError::Io`], [`AuditError::Damaged`].
pub fn read_mark(dir: &Path) -> Result<Option<Mark>, AuditError> {
    let Some(text) = read(dir, Side::Head)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|_| AuditError::Damaged(Side::Head.path(dir)))
}

/// Writes the mark.
///
/// # Errors
/// [`AuditError::Io`].
pub fn write_mark(dir: &Path, mark: &Mark) -> Result<(), AuditError> {
    replace(dir, Side::Head, serde_json::to_string(mark).unwrap_or_default().as_bytes())
}

/// The end of a file of records.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Its last complete line, without line feed.
    pub line: Option<Vec<u8>>,
    /// Length of all complete lines.
    pub whole: u64,
    /// Bytes after them: an unfinished line.
    pub torn: u64,
}

/// Reads the end of a file of any length.
///
/// # Errors
/// [`AuditError::Io`].
pub fn ending(path: &Path) -> Result<Ending, AuditError> {
    let read = || -> std::io::Result<Ending> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut start = length;
        let mut bytes: Vec<u8> = Vec::new();
        loop {
            let step = start.min(STEP);
            start -= step;
            let mut chunk = Vec::new();
            file.seek(SeekFrom::Start(start))?;
            (&mut file).take(step).read_to_end(&mut chunk)?;
            chunk.append(&mut bytes);
            bytes = chunk;
            let mut feeds = bytes.iter().rev().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(back, _)| back);
            let (last, before) = (feeds.next(), feeds.next());
            if start > 0 && before.is_none() {
                continue;
            }
            let Some(torn) = last else { return Ok(Ending { line: None, whole: 0, torn: length }) };
            let from = before.map_or(0, |back| bytes.len() - back);
            let line = bytes.get(from..bytes.len() - torn - 1).map(<[u8]>::to_vec);
            let torn = u64::try_from(torn).unwrap_or_default();
            return Ok(Ending { line, whole: length - torn, torn });
        }
    };
    read().map_err(AuditError::io("read audit file", path))
}

/// Truncates a file to this length.
///
/// # Errors
/// [`AuditError::Io`].
pub fn cut(path: &Path, length: u64) -> Result<(), AuditError> {
    let cut = || {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(length)?;
        file.sync_all()
    };
    cut().map_err(AuditError::io("cut torn line off audit file", path))
}
