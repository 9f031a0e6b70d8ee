//! Writes the trail: a blocking loop on its own thread.

use std::fs::{self, File};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::domain::event::Position;
use crate::domain::settings::audit::TrailSettings;
use crate::domain::time::{Now, Timestamp};

use super::AuditError;
use super::chain::Head;
use super::entry::Entry;
use super::files::{self, Mark, Side};
use super::record::Kind;
use super::sink::{Message, Shared};
use super::verify::vouch;

/// Messages taken before a sync: they become durable together. At 5 µs each, well below the 100 ms that a lifecycle
/// record may wait.
const GROUP: usize = 1024;
/// Bytes kept while the disk fails; anything beyond is lost and counted.
const PATIENCE_BYTES: usize = 8 * 1024 * 1024;
/// How long a decision may wait for the disk.
const LAZY: Duration = Duration::from_secs(1);
const MINUTE: i64 = 60_000;
/// How often last allows are kept where no tick comes through, of which each keeps them: a kill loses at most two seconds.
const ALLOWS_KEPT: Duration = Duration::from_millis(900);

/// Where the trail continues.
#[derive(Debug)]
pub(super) struct Resumed {
    pub(super) lock: File,
    pub(super) head: Head,
    pub(super) audited: Option<Position>,
    pub(super) day: String,
    pub(super) file: File,
    pub(super) length: u64,
}

/// Seals records and appends them. [`TrailWriter::run`] is its whole life.
#[derive(Debug)]
pub struct TrailWriter {
    settings: TrailSettings,
    replica: String,
    shared: Arc<Shared>,
    receiver: mpsc::Receiver<Message>,
    /// Held while the writer lives: no other process writes this directory.
    _lock: File,
    head: Head,
    /// Position in the log of the last event that has its record.
    audited: Option<Position>,
    day: String,
    file: File,
    /// Length of the complete lines in the file.
    length: u64,
    /// Sealed lines that are not in the file yet.
    pending: Vec<u8>,
    pending_records: u64,
    urgent: bool,
    ticked: bool,
    unsynced: bool,
    durable: Vec<oneshot::Sender<()>>,
    now: Now,
    synced: Timestamp,
    /// When the last allows were kept.
    allows_kept: Timestamp,
    /// Something was appended to their file since it was written as a whole.
    allows_grew: bool,
    /// It is to be written as a whole.
    rewrite_allows: bool,
    marked: u64,
    lost_recorded: u64,
    minute: i64,
    /// Failures up to the last time that everything pending was to be written.
    failures: u64,
}

impl TrailWriter {
    pub(super) fn new(
        (settings, replica): (TrailSettings, String),
        resumed: Resumed,
        shared: Arc<Shared>,
        receiver: mpsc::Receiver<Message>,
        now: Now,
    ) -> Self {
        Self {
            settings,
            replica,
            shared,
            receiver,
            _lock: resumed.lock,
            head: resumed.head,
            audited: resumed.audited,
            day: resumed.day,
            file: resumed.file,
            length: resumed.length,
            pending: Vec::new(),
            pending_records: 0,
            urgent: false,
            ticked: false,
            unsynced: false,
            durable: Vec::new(),
            now,
            synced: now.wall,
            allows_kept: now.wall,
            allows_grew: false,
            rewrite_allows: true,
            marked: 0,
            lost_recorded: 0,
            minute: minute(now),
            failures: 0,
        }
    }

    /// Position in the log of the last event with a record here; `None` in a new trail. Later events in the log were in
    /// force, but not yet recorded, when the last process ended.
    #[must_use]
    pub fn audited(&self) -> Option<Position> {
        self.audited
    }

    /// Writes until told to close or until every [`super::sink::Recorder`] is gone; then writes the rest, the sums, and
    /// `stop`. A failed write is tried again with the next message; see [`super::sink::Counts::failures`].
    ///
    /// # Errors
    /// [`AuditError`] if the end could not be written.
    pub fn run(mut self) -> Result<(), AuditError> {
        let mut open = true;
        while open {
            let mut next = self.receiver.blocking_recv();
            open = next.is_some();
            let mut taken = 0;
            while let Some(message) = next.take() {
                open &= self.take(message);
                taken += 1;
                if taken < GROUP {
                    next = self.receiver.try_recv().ok();
                }
            }
            self.settle();
        }
        self.finish()
    }

    /// Handles one message; `false`: it was the last.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Entry(entry) => {
                // Ticks may find no room under load, so entries move the time on as well.
                self.now.wall = self.now.wall.max(entry.time);
                self.append(*entry);
            }
            Message::Tick(now) => self.tick(now),
            Message::Durable(done) => {
                self.urgent = true;
                self.durable.push(done);
            }
            Message::Close(now) => {
                self.now = now;
                return false;
            }
        }
        true
    }

    /// Seals a record and appends it to the pending ones.
    pub(super) fn append(&mut self, entry: Entry) {
        if self.pending.len() > PATIENCE_BYTES {
            self.shared.lose(1);
            return;
        }
        self.roll(entry.time);
        self.urgent |= !entry.kind.may_wait();
        if let (true, Some(epoch)) = (entry.kind.is_event(), entry.epoch) {
            self.audited = Some(epoch.position);
        }
        let mut record = entry.into_record(&self.replica);
        let Ok(line) = self.head.seal(&mut record) else {
            self.shared.lose(1);
            return;
        };
        self.pending.extend_from_slice(line.as_bytes());
        self.pending.push(b'\n');
        self.pending_records += 1;
        if self.shared.feed.receiver_count() > 0 {
            let _nobody_left = self.shared.feed.send(Arc::new(record));
        }
    }

    /// Switches to the file of a new day; never back, so that files and records have the same order. If that fails, the
    /// old file stays in use.
    fn roll(&mut self, time: Timestamp) {
        let Some(day) = files::day(time).filter(|day| *day > self.day) else { return };
        let next = self.write().and_then(|()| self.sync()).and_then(|()| files::append_to(&self.settings.path, &day));
        match next {
            Ok((file, length)) => {
                (self.file, self.length, self.day) = (file, length, day);
                self.retire();
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Deletes files that are too old, oldest first. Each deletion is recorded beforehand, with the seq and hash of the
    /// last deleted record, to which the first kept one is linked.
    pub(super) fn retire(&mut self) {
        let Some(keep) = files::day(self.now.wall.minus(self.settings.retention)) else { return };
        let Ok(files) = files::list(&self.settings.path) else { return };
        let old: Vec<_> =
            files.into_iter().filter(|path| files::day_of(path).is_some_and(|day| day < keep.as_str())).collect();
        let Some(newest) = old.last() else { return };
        let vouched = files::ending(newest).ok().and_then(|ending| {
            let record: super::record::Record = serde_json::from_slice(&ending.line?).ok()?;
            Some(vouch(record.seq, &record.hash))
        });
        let Some(vouched) = vouched else { return };
        let names: Vec<String> = old.iter().filter_map(|path| files::day_of(path)).map(str::to_owned).collect();
        let days = match names.as_slice() {
            [] => return,
            [day] => day.clone(),
            [first, .., last] => format!("{first} to {last}"),
        };
        self.append(Entry {
            target: Some(days),
            reason: Some(vouched),
            count: u64::try_from(names.len()).ok(),
            ..Entry::new(Kind::Retention, self.now.wall)
        });
        if let Err(error) = self.commit() {
            self.failed(&error);
            return;
        }
        for path in old {
            if let Err(error) = fs::remove_file(&path).map_err(AuditError::io("delete audit file", &path)) {
                self.failed(&error);
                return;
            }
        }
    }

    /// Handles the passing of time.
    fn tick(&mut self, now: Now) {
        self.now = now;
        self.ticked = true;
        if minute(now) != self.minute {
            self.minute = minute(now);
            self.sum();
            self.rewrite_allows |= self.allows_grew;
        }
        if files::day(now.wall).is_some_and(|day| day > self.day) {
            self.roll(now.wall);
        }
        let lost = self.shared.lost.load(Ordering::Relaxed);
        if lost > self.lost_recorded && self.pending.len() <= PATIENCE_BYTES {
            let count = Some(lost - self.lost_recorded);
            self.lost_recorded = lost;
            self.append(Entry { count, ..Entry::new(Kind::Lost, now.wall) });
        }
    }

    fn sum(&mut self) {
        for sum in self.shared.repeats.sums() {
            self.append(sum);
        }
    }

    /// Keeps the last allows: what changed since it was last called, or all of them.
    fn keep_last_allows(&mut self) -> Result<(), AuditError> {
        self.allows_kept = self.now.wall;
        let (table, dir) = (&self.shared.last_allows, &self.settings.path);
        // Until it succeeds, the file may end anywhere, and lacks what was taken out of the table for it.
        if std::mem::replace(&mut self.rewrite_allows, true) {
            files::replace(dir, Side::LastAllows, &table.to_lines())?;
            self.allows_grew = false;
        } else {
            let news = table.news();
            files::append(dir, Side::LastAllows, &news)?;
            self.allows_grew |= !news.is_empty();
        }
        self.rewrite_allows = false;
        Ok(())
    }

    /// Writes what is pending to the file, and syncs if something is urgent or has waited long enough.
    fn settle(&mut self) {
        let ticked = std::mem::take(&mut self.ticked);
        let due = ticked || self.urgent || self.now.wall.since(self.synced) >= LAZY;
        let done = if due { self.commit() } else { self.write() };
        let done = if ticked { done.and_then(|()| self.write_mark()) } else { done };
        // Also where the records find no room on the disk, and ticks none in the channel.
        if (ticked || self.now.wall.since(self.allows_kept) >= ALLOWS_KEPT)
            && let Err(error) = self.keep_last_allows()
        {
            self.failed(&error);
        }
        if let Err(error) = done {
            self.failed(&error);
        }
        let failures = self.shared.failures.load(Ordering::Relaxed);
        self.shared.failing.store(failures > std::mem::replace(&mut self.failures, failures), Ordering::Relaxed);
    }

    /// Writes and syncs everything.
    pub(super) fn commit(&mut self) -> Result<(), AuditError> {
        self.write()?;
        self.sync()?;
        self.urgent = false;
        self.synced = self.now.wall;
        for done in self.durable.drain(..) {
            let _gone = done.send(());
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), AuditError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let path = files::path(&self.settings.path, &self.day);
        if let Err(error) = self.file.write_all(&self.pending) {
            // INVARIANT: the file ends after a complete line. A part of this one may be in it.
            self.file.set_len(self.length).map_err(AuditError::io("cut half-written audit file", &path))?;
            return Err(AuditError::io("append to audit file", &path)(error));
        }
        self.length = self.length.saturating_add(u64::try_from(self.pending.len()).unwrap_or_default());
        self.pending.clear();
        self.shared.records.fetch_add(std::mem::take(&mut self.pending_records), Ordering::Relaxed);
        self.unsynced = true;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), AuditError> {
        if !self.unsynced {
            return Ok(());
        }
        let path = files::path(&self.settings.path, &self.day);
        self.file.sync_data().map_err(AuditError::io("sync audit file", path))?;
        self.unsynced = false;
        Ok(())
    }

    fn failed(&self, error: &AuditError) {
        self.shared.failures.fetch_add(1, Ordering::Relaxed);
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        tracing::error!(error.message = %cause, "{error}");
    }

    pub(super) fn write_mark(&mut self) -> Result<(), AuditError> {
        if self.marked == self.head.seq {
            return Ok(());
        }
        let Head { seq, hash } = self.head.clone();
        let mark = Mark { seq, hash, position: self.audited, day: self.day.clone(), length: self.length };
        files::write_mark(&self.settings.path, &mark)?;
        self.marked = seq;
        Ok(())
    }

    fn finish(mut self) -> Result<(), AuditError> {
        self.receiver.close();
        while let Ok(message) = self.receiver.try_recv() {
            let _more = self.take(message);
        }
        self.sum();
        let now = self.now;
        self.tick(now);
        self.append(Entry::new(Kind::Stop, now.wall));
        if let Err(error) = self.commit() {
            self.shared.lose(self.pending_records);
            return Err(error);
        }
        self.rewrite_allows = true;
        self.keep_last_allows()?;
        self.write_mark()
    }
}

fn minute(now: Now) -> i64 {
    now.wall.as_millis().div_euclid(MINUTE)
}
