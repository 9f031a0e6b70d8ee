//! The proof that nothing in a trail was changed, removed, added or moved.
//!
//! What it cannot see: somebody who can write the directory may cut the end off *and* rewrite `head.json`, or
//! compute the whole chain anew. Against that, ship the lines elsewhere as they are written.

use std::fmt;
use std::path::{Path, PathBuf};

use super::AuditError;
use super::chain::{self, GENESIS, Head};
use super::files;
use super::read::{Line, Lines};
use super::record::{Kind, Record};

/// What is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The line is no record.
    Unreadable,
    /// The record is not the one that was sealed.
    Edited,
    /// Records are missing before it.
    Gap {
        /// The first that is missing.
        expected: u64,
    },
    /// It stands at the wrong place: a later record before an earlier one, or one twice.
    Reordered {
        /// Which one belongs here.
        expected: u64,
    },
    /// It is sealed, but not onto the record before it.
    Unlinked,
    /// The oldest files are gone, and no record says that they were deleted for their age.
    NoBeginning,
    /// The files end before the last record that was durable.
    TruncatedTail {
        /// That record.
        last: u64,
    },
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
        }
    }
}

/// The first place where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: u64,
    /// `seq` of the record there, if it is one.
    pub seq: Option<u64>,
    /// What is wrong with it.
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

/// What a proof found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Records that are proven.
    pub records: u64,
    /// `seq` of the first of them; 0 if there is none.
    pub first: u64,
    /// `seq` of the last of them; 0 if there is none.
    pub last: u64,
    /// Length of an unfinished last line: the writer is at it, or a crash tore it. It is no record yet.
    pub unfinished: u64,
    /// Records that the trail itself says were lost.
    pub lost: u64,
    /// The first place where the chain is broken; `None`: it holds.
    pub broken: Option<Broken>,
}

impl Verdict {
    /// Whether the chain holds and nothing was lost.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.broken.is_none()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.broken {
            Some(broken) => write!(f, "broken after {} records: {broken}", self.records)?,
            None => write!(f, "{} records are proven, {} to {}", self.records, self.first, self.last)?,
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

/// Proves the trail in a directory.
///
/// # Errors
/// [`AuditError`] if it cannot be read.
pub fn verify(dir: &Path) -> Result<Verdict, AuditError> {
    // Read before the files, so that a writer at work is never taken for a truncated tail.
    let written = files::read_mark(dir)?.map(|mark| mark.head());
    let mut proof = Proof::default();
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
    /// The first record, while no retention record has vouched for what came before it.
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
        self.head = Head { seq: record.seq, hash: record.hash };
        self.at = Some((line.file.to_path_buf(), line.number));
    }

    /// What is wrong with the end, or, seen from there, with the beginning.
    fn ending(&self, written: Option<&Head>, dir: &Path) -> Option<Broken> {
        if let Some((broken, _)) = &self.unvouched {
            return Some(broken.clone());
        }
        let written = written?;
        let (file, line) = self.at.clone().unwrap_or_else(|| (dir.to_owned(), 0));
        let seq = (self.head.seq > 0).then_some(self.head.seq);
        if written.seq > self.head.seq {
            return Some(Broken { file, line, seq, what: Wrong::TruncatedTail { last: written.seq } });
        }
        let replaced = written.seq == self.head.seq && written.hash != self.head.hash;
        replaced.then_some(Broken { file, line, seq, what: Wrong::Unlinked })
    }

    /// A gap may be records that stand further on: then they were not removed, but moved.
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

/// What a retention record says of the last record that it deletes, so that the first kept one can be proven
/// to have followed it.
#[must_use]
pub fn vouch(seq: u64, hash: &str) -> String {
    format!("up to record {seq} with hash {hash}")
}
