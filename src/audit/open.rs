//! Opens a trail where the last process left it.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::domain::event::Position;
use crate::domain::settings::audit::TrailSettings;
use crate::domain::time::Now;

use super::AuditError;
use super::chain::{self, Head};
use super::entry::Entry;
use super::files::{self, Mark, Side};
use super::read::Lines;
use super::record::{Kind, Record};
use super::sink::{Recorder, Shared, WAITING};
use super::writer::{Resumed, TrailWriter};

/// How a trail is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is configured.
    pub settings: TrailSettings,
    /// Name of this replica, in every record.
    pub replica: String,
    /// Salt of the credential hashes.
    pub salt: [u8; 32],
}

/// Locks the directory, repairs the damage of a crash, and writes the `start` record.
///
/// An unfinished last line was never acknowledged: it is cut off, and a `recovered` record says so. Records that
/// `head.json` knows but the files lack are not replaced: the chain continues after them, so that `verify` always shows
/// the gap.
///
/// # Errors
/// [`AuditError`]: nothing can be recorded, so nothing should be served.
pub fn open(options: Options, now: Now) -> Result<(Recorder, TrailWriter), AuditError> {
    let Options { settings, replica, salt } = options;
    let dir = &settings.path;
    let lock = files::lock(dir)?;
    let shared = Arc::new(Shared::new(salt, process_number(), settings.decisions));
    let mut notes = Vec::new();
    if let Some(lines) = files::read(dir, Side::LastAllows)?
        && !shared.last_allows.take_lines(&lines)
    {
        notes.push("some last allows were unreadable and are lost".to_owned());
    }
    let (last_day, mut head) = last_record(dir, &mut notes)?;
    let mark = files::read_mark(dir)?;
    if let Some(mark) = &mark
        && mark.seq > head.seq
    {
        notes.push(format!("records {} to {} are missing", head.seq.saturating_add(1), mark.seq));
        head = mark.head();
    }
    let audited = last_event(dir, &mark.unwrap_or_default())?;
    let today = files::day(now.wall).unwrap_or_else(|| "1970-01-01".to_owned());
    let day = last_day.map_or(today.clone(), |last| last.max(today));
    let (file, length) = files::append_to(dir, &day)?;
    let resumed = Resumed { lock, head, audited, day, file, length };
    let (sender, receiver) = mpsc::channel(WAITING);
    let mut writer = TrailWriter::new((settings, replica), resumed, shared.clone(), receiver, now);
    for note in notes {
        writer.append(Entry { reason: Some(note), ..Entry::new(Kind::Recovered, now.wall) });
    }
    writer.append(Entry { reason: Some(env!("CARGO_PKG_VERSION").to_owned()), ..Entry::new(Kind::Start, now.wall) });
    writer.commit()?;
    writer.retire();
    // From the first record on, something says where the trail ends.
    writer.write_mark()?;
    Ok((Recorder::new(shared, sender), writer))
}

/// The last event of the log in the trail: from the mark, and from what was written after it.
fn last_event(dir: &Path, mark: &Mark) -> Result<Option<Position>, AuditError> {
    let mut files = files::list(dir)?;
    files.retain(|path| files::day_of(path).is_some_and(|day| day >= mark.day.as_str()));
    let in_first = files.first().and_then(|path| files::day_of(path)).is_some_and(|day| day == mark.day);
    let mut last = mark.position;
    for line in Lines::from(files, if in_first { mark.length } else { 0 })? {
        let event = line?.record().filter(|record| record.kind.is_event());
        last = event.and_then(|record| record.epoch).map(|epoch| epoch.position).or(last);
    }
    Ok(last)
}

/// A number that is unique to this process: it keeps decision ids apart, and is not a secret.
///
/// Taken from the random keys of the standard library, because the first random bytes of aws-lc would delay the start
/// by 30 ms.
fn process_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The salt that a version before drew and kept in this directory.
///
/// # Errors
/// [`AuditError`] if there is one that cannot be read.
pub fn old_salt(dir: &Path) -> Result<Option<[u8; 32]>, AuditError> {
    let Some(text) = files::read(dir, Side::Salt)? else { return Ok(None) };
    let mut salt = [0; 32];
    match hex::decode_to_slice(text.trim(), &mut salt) {
        Ok(()) => Ok(Some(salt)),
        Err(_) => Err(AuditError::Damaged(Side::Salt.path(dir))),
    }
}

/// The day of the newest file, and the record to which the next one is linked.
fn last_record(dir: &Path, notes: &mut Vec<String>) -> Result<(Option<String>, Head), AuditError> {
    let files = files::list(dir)?;
    let newest = files.last().and_then(|path| files::day_of(path)).map(str::to_owned);
    for path in files.iter().rev() {
        let ending = files::ending(path)?;
        if ending.torn > 0 {
            files::cut(path, ending.whole)?;
            notes.push(format!("cut an unfinished last line of {} bytes", ending.torn));
        }
        let Some(line) = ending.line else { continue };
        if let Some(head) = std::str::from_utf8(&line).ok().and_then(sealed) {
            return Ok((newest, head));
        }
        // Evidence of something: the line stays, `verify` reports it, and the chain continues from the last valid record.
        notes.push("the last line is damaged".to_owned());
        return Ok((newest, last_sealed(files)));
    }
    Ok((newest, Head::default()))
}

fn sealed(line: &str) -> Option<Head> {
    let record: Record = serde_json::from_str(line).ok()?;
    chain::holds(&record, line).then_some(Head { seq: record.seq, hash: record.hash })
}

fn last_sealed(files: Vec<PathBuf>) -> Head {
    let lines = Lines::of(files).filter_map(Result::ok);
    lines.filter_map(|line| sealed(&line.text)).last().unwrap_or_default()
}
