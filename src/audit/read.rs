//! Reading records back, in order, over all files.

mod older;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::person::PersonId;
use crate::domain::time::Timestamp;

use super::AuditError;
use super::files;
use super::record::{Kind, Record};

/// A line of a file of records.
#[derive(Clone, Debug)]
pub struct Line {
    /// The file.
    pub file: Arc<PathBuf>,
    /// Number of the line, from 1.
    pub number: u64,
    /// The line, without line feed; invalid UTF-8 is replaced.
    pub text: String,
    /// Whether it ends with a line feed; only a line that is being written or was torn by a crash does not.
    pub finished: bool,
}

impl Line {
    /// The record, if the line is one.
    #[must_use]
    pub fn record(&self) -> Option<Record> {
        serde_json::from_str(&self.text).ok().map(older::with_persons)
    }
}

/// The lines of some files, one after the other.
#[derive(Debug)]
pub struct Lines {
    files: std::vec::IntoIter<PathBuf>,
    open: Option<(Arc<PathBuf>, BufReader<File>, u64)>,
}

impl Lines {
    /// All lines of these files.
    #[must_use]
    pub fn of(files: Vec<PathBuf>) -> Self {
        Self { files: files.into_iter(), open: None }
    }

    /// The lines of these files; the first file is read from this byte on.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn from(files: Vec<PathBuf>, start: u64) -> Result<Self, AuditError> {
        let mut files = files.into_iter();
        let Some(path) = files.next() else { return Ok(Self { files, open: None }) };
        let open = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(start))?;
            Ok(file)
        };
        let file = open().map_err(AuditError::io("open audit file", &path))?;
        Ok(Self { files, open: Some((Arc::new(path), BufReader::new(file), 0)) })
    }

    fn step(&mut self) -> Result<Option<Line>, AuditError> {
        loop {
            if let Some((file, reader, number)) = &mut self.open {
                let mut bytes = Vec::new();
                let read = reader.read_until(b'\n', &mut bytes);
                read.map_err(AuditError::io("read audit file", file.as_path()))?;
                if !bytes.is_empty() {
                    *number += 1;
                    let finished = bytes.pop_if(|byte| *byte == b'\n').is_some();
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    return Ok(Some(Line { file: file.clone(), number: *number, text, finished }));
                }
            }
            let Some(path) = self.files.next() else { return Ok(None) };
            let file = File::open(&path).map_err(AuditError::io("open audit file", &path))?;
            self.open = Some((Arc::new(path), BufReader::new(file), 0));
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Line, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// Which records are wanted; `None` does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Records about any of these people, alone or with others.
    pub persons: Option<Vec<PersonId>>,
    /// Records of this kind.
    pub kind: Option<Kind>,
    /// Records at or after this time.
    pub since: Option<Timestamp>,
    /// Records before this time.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether this record is wanted.
    #[must_use]
    pub fn takes(&self, record: &Record) -> bool {
        self.kind.is_none_or(|kind| record.kind == kind)
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
            && self.persons.as_ref().is_none_or(|persons| persons.iter().any(|person| record.concerns(person)))
    }

    /// Whether a file may hold wanted records: one of a day before `since` cannot. One day is allowed for clocks that were
    /// set back while a file was open.
    fn opens(&self, path: &Path) -> bool {
        const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);
        let first = self.since.and_then(|since| files::day(since.minus(DAY)));
        first.is_none_or(|first| files::day_of(path).is_none_or(|day| day >= first.as_str()))
    }
}

/// The wanted records of a directory, oldest first. Lines that are not records are skipped; `verify` reports them.
///
/// # Errors
/// [`AuditError::Io`] if the directory cannot be read; each item, if a file cannot.
pub fn query(
    dir: &Path,
    filter: Filter,
) -> Result<impl Iterator<Item = Result<Record, AuditError>> + Send + use<>, AuditError> {
    let wanted = files::list(dir)?.into_iter().filter(|path| filter.opens(path)).collect();
    Ok(Lines::of(wanted).filter_map(move |line| match line {
        Ok(line) => line.record().filter(|record| filter.takes(record)).map(Ok),
        Err(error) => Some(Err(error)),
    }))
}
