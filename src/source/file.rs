#![doc = include_str!("file.md")]

mod find;
mod quiet;
mod read;
mod records;
mod watch;
mod yaml;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::context::Time;
use super::directory::{Changes, Directory, Finding, ListingOutcome};
use super::error::SourceError;
use super::outbox::Outbox;
use super::page::{Page, PageToken};
use super::report::CheckReport;
use crate::domain::command::Observation;
use crate::domain::person::Person;
pub use find::Found;
use quiet::{Quiet, Stamp, Verdict};
use read::{Snapshot, Unread};
use records::{Flaw, Reading};
use watch::Watch;

/// How long one call waits for the watch; then other work gets its turn.
const WAIT: Duration = Duration::from_secs(1);
/// How often a file that is being written is checked.
const LOOK: Duration = Duration::from_millis(250);
/// A file that is seen for the first time and was last modified this long ago is not being written, even if its clock
/// is off. In milliseconds.
const SETTLED: i64 = 30_000;
/// People per page.
const PIECE: usize = 2_000;
/// How many mistakes are listed one by one.
const TOLD: usize = 10;
const STEP: &str = "read the people file";

/// A source of kind `file`. The content is compared every `poll`, and whenever the file is touched.
pub struct PeopleFile {
    name: String,
    path: PathBuf,
    poll: Duration,
    time: Time,
    /// Measures pauses.
    clock: fn() -> Instant,
    next_look: Instant,
    quiet: Quiet,
    /// The file that the path led to.
    target: Option<PathBuf>,
    /// The file that was last listed.
    listed: Option<Stamp>,
    /// Who was in it, by the hash of their ids.
    ids: HashSet<u64>,
    hasher: RandomState,
    /// The people of the running listing.
    people: Vec<Person>,
    /// The file that was last read while it was being written.
    glanced: Option<Stamp>,
    /// The complete file that was last rejected as a listing, and what is wrong with it.
    refused: Option<(Stamp, String)>,
    /// It was reported that the file never becomes quiet.
    complained: bool,
    /// People whom it marks as out and who were not reported yet; and hashes of what was reported since the file was
    /// last quiet.
    out: Vec<Observation>,
    told: HashSet<u64>,
    outbox: Outbox,
    /// Nothing was asked yet.
    first: bool,
    /// A listing has begun, and has not read the file yet.
    awaited: bool,
    /// The last look for changes failed.
    unread: bool,
    watch: Watch,
}

/// The position in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListingPosition {
    /// The file was being written.
    Waiting,
    /// This many people were given.
    After(usize),
}

impl PeopleFile {
    /// The source with this name, which reads this file. `time` tells the file's age.
    #[must_use]
    pub fn new(name: String, path: PathBuf, poll: Duration, time: Time) -> Self {
        let watch = Watch::begin(&path);
        Self {
            name,
            path,
            poll,
            time,
            clock: Instant::now,
            next_look: Instant::now(),
            quiet: Quiet::default(),
            target: None,
            listed: None,
            ids: HashSet::new(),
            hasher: RandomState::new(),
            people: Vec::new(),
            glanced: None,
            refused: None,
            complained: false,
            out: Vec::new(),
            told: HashSet::new(),
            outbox: Outbox::default(),
            first: true,
            awaited: false,
            unread: false,
            watch,
        }
    }

    fn unreachable(&self, cause: impl std::fmt::Display) -> SourceError {
        SourceError::Unreachable { step: STEP, cause: format!("`{}`: {cause}", self.path.display()) }
    }

    fn malformed(&self, what: impl std::fmt::Display) -> SourceError {
        SourceError::Malformed { step: STEP, what: what.to_string() }
    }

    fn at(&self, flaw: &Flaw) -> String {
        match flaw.line {
            0 => format!("{}: {}", self.path.display(), flaw.what),
            line => format!("{}:{line}: {}", self.path.display(), flaw.what),
        }
    }

    /// Reads the file, and decides whether it is complete.
    async fn look(&mut self) -> Result<(Snapshot, Verdict), SourceError> {
        let path = self.path.clone();
        let read = spawn_blocking(move || read::read(&path)).await.map_err(|error| self.unreachable(error))?;
        let mut snapshot = read.map_err(|unread| match unread {
            Unread::Io(error) => self.unreachable(error),
            Unread::Wrong(what) => self.malformed(format!("{} {what}", self.path.display())),
        })?;
        if snapshot.torn {
            // INVARIANT: a file that changed while it was read never equals a later state, whatever its clock says.
            snapshot.stamp.hash = [0; 32];
        }
        let swapped = self.target.replace(snapshot.target.clone()).is_some_and(|before| before != snapshot.target);
        let age = (self.time)().wall.as_millis().saturating_sub(snapshot.touched);
        let settled = self.quiet.is_new() && age >= SETTLED && !snapshot.torn;
        let whole = (swapped || self.watch.placed(snapshot.stamp.inode)) && !snapshot.torn;
        let verdict = self.quiet.observe(snapshot.stamp.clone(), whole, settled, (self.clock)());
        Ok((snapshot, verdict))
    }

    async fn parse(&self, bytes: Vec<u8>, whole: bool) -> Result<Reading, SourceError> {
        let name = self.name.clone();
        spawn_blocking(move || records::read(&name, &bytes, whole)).await.map_err(|error| self.unreachable(error))
    }

    /// Everybody who is in the file now, whether or not it is being written.
    ///
    /// # Errors
    /// [`SourceError`] if it cannot be read or has a mistake.
    pub async fn now(&mut self) -> Result<Vec<Person>, SourceError> {
        let (snapshot, _) = self.look().await?;
        let reading = self.parse(snapshot.bytes, false).await?;
        match reading.flaws.first() {
            Some(flaw) => Err(self.malformed(self.at(flaw))),
            None => Ok(reading.people),
        }
    }

    /// The person in the file with this name.
    ///
    /// # Errors
    /// As for [`PeopleFile::now`].
    pub async fn find(&mut self, attribute: &str, value: &str) -> Result<Found, SourceError> {
        Ok(find::find(self.now().await?, attribute, value))
    }

    /// A file that is being written is not a listing, but people whom it marks as out are out.
    async fn glance(&mut self, snapshot: Snapshot) -> Result<(), SourceError> {
        if self.glanced.as_ref() != Some(&snapshot.stamp) {
            let reading = self.parse(snapshot.bytes, false).await?;
            self.glanced = Some(snapshot.stamp);
            self.tell_out(&reading, false);
        }
        Ok(())
    }

    fn tell_out(&mut self, reading: &Reading, end_is_known: bool) {
        for (person, status) in reading.out(end_is_known) {
            if self.told.insert(self.hasher.hash_one((&person.key, status))) {
                self.out.push(Observation::PartialDisable { person: person.clone(), status });
            }
        }
    }

    /// A complete file with mistakes is not a listing either.
    fn refuse(&mut self, stamp: Stamp, reading: &Reading) -> SourceError {
        self.tell_out(reading, true);
        let more = match reading.flaws.len() {
            0 | 1 => String::new(),
            many => format!(" (and {} more: `offboard source check {}` lists them)", many - 1, self.name),
        };
        let flaw = reading.flaws.first().map(|flaw| self.at(flaw)).unwrap_or_default();
        let flaw = format!("{flaw}{more}");
        self.refused = Some((stamp, flaw.clone()));
        self.malformed(flaw)
    }

    /// The changes to report if the file is unchanged.
    fn nothing_new(&mut self) -> Changes {
        let silent = self.quiet.is_restless() || self.refused.is_some();
        Changes { observations: std::mem::take(&mut self.out), silent, ..Changes::default() }
    }

    fn never_quiet(&self) -> SourceError {
        let (longest, pause) = (quiet::LONGEST.as_secs(), quiet::PAUSE.as_secs());
        let path = self.path.display();
        self.malformed(format!(
            "{path} has been written to for {longest}s without a pause of {pause}s, so it is never known to be complete: \
             write a new file, then rename it"
        ))
    }

    /// The next page of the listing, after this many people.
    fn piece(&self, from: usize) -> Result<Page, SourceError> {
        let rest = self.people.get(from..).ok_or_else(|| self.malformed("the listing was dropped"))?;
        let people: Vec<Person> = rest.iter().take(PIECE).cloned().collect();
        let next = from + people.len();
        let is_last = next == self.people.len();
        let count = is_last.then_some(self.people.len());
        Ok(Page { count, ..Page::of(people, (!is_last).then_some(ListingPosition::After(next))) })
    }

    /// Whether this id is certainly not in the file; does not read it.
    fn is_missing(&self, id: &str) -> bool {
        let same = self.listed.as_ref().is_some_and(|stamp| read::looks_like(&self.path, stamp));
        same && !self.ids.contains(&self.hasher.hash_one(id))
    }
}

#[async_trait]
impl Directory for PeopleFile {
    fn long_polls(&self) -> bool {
        true
    }

    fn open(&mut self, _: Option<String>) {
        // A file has no events to continue from: everybody is listed whenever it changes.
    }

    async fn changes(&mut self) -> Result<Changes, SourceError> {
        if let Some(again) = self.outbox.again() {
            return Ok(again);
        }
        if std::mem::take(&mut self.first) {
            // Everybody is listed first; there is nothing to wait for yet.
            return Ok(Changes::default());
        }
        let was_written = self.quiet.is_restless();
        let touched = if was_written {
            sleep(LOOK.min(self.poll)).await;
            true
        } else {
            self.watch.touched(WAIT.min(self.poll)).await
        };
        // A file that could not be read is looked at again at once: until it can be, this source does not work.
        if !touched && !self.unread && Instant::now() < self.next_look {
            let changes = self.nothing_new();
            return Ok(self.outbox.give(changes));
        }
        self.next_look = Instant::now() + self.poll;
        self.unread = true;
        if self.watch.is_lost() {
            self.watch = Watch::begin(&self.path);
        }
        let (snapshot, verdict) = self.look().await?;
        self.unread = false;
        let resync = match verdict {
            Verdict::Quiet => {
                self.complained = false;
                self.told.clear();
                let refused = self.refused.as_ref().map(|(stamp, _)| stamp);
                // The running listing will read it. Another one would only delay what comes next.
                !self.awaited && self.listed.as_ref() != Some(&snapshot.stamp) && refused != Some(&snapshot.stamp)
            }
            Verdict::Written | Verdict::NeverQuiet => {
                self.glance(snapshot).await?;
                // The listing reports what is wrong, each time.
                !self.awaited && verdict == Verdict::NeverQuiet && !std::mem::replace(&mut self.complained, true)
            }
        };
        let changes = Changes { resync, ..self.nothing_new() };
        Ok(self.outbox.give(changes))
    }

    fn acknowledged(&mut self) {
        self.outbox.acknowledged();
    }

    async fn page(&mut self, token: Option<PageToken>) -> Result<Page, SourceError> {
        match token.map(|token| token.read()).transpose()? {
            Some(ListingPosition::After(people)) => return self.piece(people),
            Some(ListingPosition::Waiting) => sleep(LOOK.min(self.poll)).await,
            None => {}
        }
        self.awaited = false;
        let (snapshot, verdict) = self.look().await?;
        match (verdict, &self.refused) {
            (Verdict::Quiet, Some((stamp, flaw))) if *stamp == snapshot.stamp => return Err(self.malformed(flaw)),
            (Verdict::Quiet, _) => {}
            (Verdict::NeverQuiet, _) => return Err(self.never_quiet()),
            (Verdict::Written, _) => {
                // People whom it marks as out are reported with the events.
                self.glance(snapshot).await?;
                self.awaited = true;
                return Ok(Page::of(Vec::new(), Some(ListingPosition::Waiting)));
            }
        }
        let reading = self.parse(snapshot.bytes, true).await?;
        if !reading.flaws.is_empty() {
            return Err(self.refuse(snapshot.stamp, &reading));
        }
        self.ids = reading.people.iter().map(|person| self.hasher.hash_one(&person.id.key)).collect();
        (self.listed, self.refused, self.people) = (Some(snapshot.stamp), None, reading.people);
        self.piece(0)
    }

    fn listing_over(&mut self, _: ListingOutcome) {
        self.awaited = false;
        self.people = Vec::new();
    }

    async fn look_up(&mut self, attribute: &str, value: &str) -> Result<Option<Person>, SourceError> {
        if attribute == "id" && self.is_missing(value) {
            return Ok(None);
        }
        let (snapshot, verdict) = self.look().await?;
        if verdict != Verdict::Quiet {
            return Err(self.unreachable("is being written"));
        }
        let reading = self.parse(snapshot.bytes, false).await?;
        if let Some(flaw) = reading.flaws.first() {
            return Err(self.malformed(self.at(flaw)));
        }
        Ok(find::one(reading.people, attribute, value))
    }

    async fn examine(&mut self) -> Vec<Finding> {
        let (what, mut report) = ("people file", CheckReport::default());
        let reading = match self.look().await {
            Ok((snapshot, _)) => self.parse(snapshot.bytes, false).await,
            Err(error) => Err(error),
        };
        let reading = match reading {
            Ok(reading) => reading,
            Err(error) => {
                report.failed(what, &error);
                return report.findings();
            }
        };
        for flaw in reading.flaws.iter().take(TOLD) {
            report.failed(what, &self.malformed(self.at(flaw)));
        }
        match (reading.flaws.len(), reading.people.len()) {
            (0, 0) => report.warn(what, "it lists nobody: an empty listing is held back"),
            (0, people) => report.good(what, format!("it lists {people} people")),
            (flaws, _) if flaws > TOLD => report.bad(what, format!("and {} more", flaws - TOLD)),
            _ => {}
        }
        report.findings()
    }
}

#[cfg(test)]
mod tests;
