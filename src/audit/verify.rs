//! Proves that no record of a trail was changed, removed, added or moved.
//!
//! Limits: whoever can write the directory may cut off the end *and* rewrite `head.json`, or recompute the whole chain.
//! Against that, ship the lines elsewhere as they are written.

use std::fmt;
use std::path::{Path, PathBuf};

use super::AuditError;
use super::chain::{self, GENESIS, Head};
use super::files;
use super::read::{Line, Lines};
use super::record::{Kind, Record};
use crate::domain::time::Timestamp;

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The line is not a record.
    Unreadable,
    /// The record differs from the one that was sealed.
    Edited,
    /// Records are missing before it.
    Gap {
        /// The first missing one.
        expected: u64,
    },
    /// It is out of order: a later record before an earlier one, or a repeated one.
    Reordered {
        /// The record that belongs here.
        expected: u64,
    },
    /// It is sealed, but not linked to the record before it.
    Unlinked,
    /// The oldest files are gone, and no record says that they were deleted for their age.
    NoBeginning,
    /// The files end before the last record that was durable.
    TruncatedTail {
        /// That record.
        last: u64,
    },
    /// Nothing says where the trail ends, so its end may have been cut off.
    NoMark,
    /// There is no record at all: the folder is empty, or no trail.
    Nothing,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("is no audit record"),
            Self::Edited => f.write_str("was changed after it was written"),
            Self::Gap { expected } => write!(f, "follows a gap: record {expected} is missing"),
            Self::Reordered { expected } => write!(f, "stands where record {expected} belongs"),
            Self::Unlinked => f.write_str("is not chained to the record before it"),
            Self::NoBeginning => f.write_str("is the first, and no retention record says that older ones were deleted"),
            Self::TruncatedTail { last } => write!(f, "is the last, but record {last} was written"),
            Self::NoMark => f.write_str("is the last, but `head.json` is gone, which says whether more were written"),
            Self::Nothing => f.write_str("is missing: there is no audit record here"),
        }
    }
}

/// The first break in a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: u64,
    /// `seq` of the record there, if it is one.
    pub seq: Option<u64>,
    /// What is wrong.
    pub what: Wrong,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file.display(), self.line)?;
        match self.seq {
            Some(seq) => write!(f, "record {seq} {}", self.what),
            None => write!(f, "line {}", self.what),
        }
    }
}

/// Result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The directory.
    pub dir: PathBuf,
    /// Time of the first and of the last verified record.
    pub period: Option<(Timestamp, Timestamp)>,
    /// `hash` of the last verified record.
    pub last_hash: String,
    /// Verified records.
    pub records: u64,
    /// `seq` of the first; 0 if there is none.
    pub first: u64,
    /// `seq` of the last; 0 if there is none.
    pub last: u64,
    /// Length of an unfinished last line, which is being written or was torn by a crash. It is not a record yet.
    pub unfinished: u64,
    /// Records that were lost, as the trail itself says.
    pub lost: u64,
    /// The first break in the chain; `None`: it is intact.
    pub broken: Option<Broken>,
}

impl Verdict {
    /// Whether the chain is intact.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.broken.is_none()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.dir.display())?;
        match &self.broken {
            Some(Broken { what: what @ Wrong::Nothing, .. }) => write!(f, "not proven: a record {what}")?,
            Some(broken) => write!(f, "not proven: broken after {} records: {broken}", self.records)?,
            None => write!(f, "{} records are proven, {} to {}", self.records, self.first, self.last)?,
        }
        if let Some((from, until)) = self.period {
            write!(f, ", from {from} to {until}; last hash {}", self.last_hash)?;
        }
        if self.lost > 0 {
            write!(f, "; the trail itself says that {} more were lost", self.lost)?;
        }
        if self.unfinished > 0 {
            write!(f, "; an unfinished last line of {} bytes is no record yet", self.unfinished)?;
        }
        Ok(())
    }
}

/// Verifies the trail in a directory.
///
/// # Errors
/// [`AuditError`] if it cannot be read.
pub fn verify(dir: &Path) -> Result<Verdict, AuditError> {
    // Read before the files, so that concurrent writing does not look like a truncated tail.
    let written = files::read_mark(dir)?.map(|mark| mark.head());
    let mut proof = Proof::default();
    proof.verdict.dir = dir.to_owned();
    for line in Lines::of(files::list(dir)?) {
        if let Some(broken) = proof.step(&line?) {
            return proof.end(Some(broken), dir);
        }
    }
    let broken = proof.ending(written.as_ref(), dir);
    proof.end(broken, dir)
}

#[derive(Default)]
struct Proof {
    verdict: Verdict,
    head: Head,
    /// The first record, until a retention record vouches for those before it.
    unvouched: Option<(Broken, String)>,
    at: Option<(PathBuf, u64)>,
}

impl Proof {
    fn step(&mut self, line: &Line) -> Option<Broken> {
        if !line.finished {
            self.verdict.unfinished = u64::try_from(line.text.len()).unwrap_or(u64::MAX);
            return None;
        }
        let broken = |seq, what| Some(Broken { file: line.file.to_path_buf(), line: line.number, seq, what });
        let Some(record) = line.record() else { return broken(None, Wrong::Unreadable) };
        let seq = Some(record.seq);
        if !chain::holds(&record, &line.text) {
            return broken(seq, Wrong::Edited);
        }
        if self.verdict.records == 0 {
            self.begin(&record, line);
        } else {
            let expected = self.head.seq.saturating_add(1);
            if record.seq < expected {
                return broken(seq, Wrong::Reordered { expected });
            }
            if record.seq > expected {
                return broken(seq, Wrong::Gap { expected });
            }
            if record.prev != self.head.hash {
                return broken(seq, Wrong::Unlinked);
            }
        }
        self.accept(record, line);
        None
    }

    fn begin(&mut self, record: &Record, line: &Line) {
        self.verdict.first = record.seq;
        if record.seq == 1 && record.prev == GENESIS {
            return;
        }
        let file = line.file.to_path_buf();
        let broken = Broken { file, line: line.number, seq: Some(record.seq), what: Wrong::NoBeginning };
        self.unvouched = Some((broken, vouch(record.seq.saturating_sub(1), &record.prev)));
    }

    fn accept(&mut self, record: Record, line: &Line) {
        if record.kind == Kind::Lost {
            self.verdict.lost = self.verdict.lost.saturating_add(record.count.unwrap_or_default());
        }
        let vouches = record.kind == Kind::Retention;
        if vouches && self.unvouched.as_ref().is_some_and(|(_, text)| record.reason.as_deref() == Some(text)) {
            self.unvouched = None;
        }
        self.verdict.records = self.verdict.records.saturating_add(1);
        self.verdict.last = record.seq;
        let from = self.verdict.period.map_or(record.time, |(from, _)| from);
        self.verdict.period = Some((from, record.time));
        self.verdict.last_hash.clone_from(&record.hash);
        self.head = Head { seq: record.seq, hash: record.hash };
        self.at = Some((line.file.to_path_buf(), line.number));
    }

    /// What is wrong with the end or, checked last, with the beginning.
    fn ending(&self, written: Option<&Head>, dir: &Path) -> Option<Broken> {
        if let Some((broken, _)) = &self.unvouched {
            return Some(broken.clone());
        }
        let (file, line) = self.at.clone().unwrap_or_else(|| (dir.to_owned(), 0));
        let seq = (self.head.seq > 0).then_some(self.head.seq);
        let Some(written) = written else {
            let what = if self.head.seq == 0 { Wrong::Nothing } else { Wrong::NoMark };
            return Some(Broken { file, line, seq, what });
        };
        if written.seq > self.head.seq {
            return Some(Broken { file, line, seq, what: Wrong::TruncatedTail { last: written.seq } });
        }
        let replaced = written.seq == self.head.seq && written.hash != self.head.hash;
        replaced.then_some(Broken { file, line, seq, what: Wrong::Unlinked })
    }

    /// Missing records may stand further on: then they were moved, not removed.
    fn end(mut self, broken: Option<Broken>, dir: &Path) -> Result<Verdict, AuditError> {
        self.verdict.broken = match broken {
            Some(Broken { what: Wrong::Gap { expected }, file, line, seq }) => {
                let moved = Lines::of(files::list(dir)?)
                    .filter_map(Result::ok)
                    .any(|line| line.record().is_some_and(|record| record.seq == expected));
                let what = if moved { Wrong::Reordered { expected } } else { Wrong::Gap { expected } };
                Some(Broken { file, line, seq, what })
            }
            broken => broken,
        };
        Ok(self.verdict)
    }
}

/// How a retention record identifies the last record that it deletes, to prove that the first kept one followed it.
#[must_use]
pub fn vouch(seq: u64, hash: &str) -> String {
    format!("up to record {seq} with hash {hash}")
}
