//! Detects changed files, by kernel events and by comparing contents.
//!
//! Events tell *that* something happened to a name in a directory; how is up to the kubelet. Events for names that the
//! configuration is not read from, such as a log or a socket beside it, are ignored. Events can be lost (limits, queues,
//! network file systems), so contents are also compared at an interval.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::problem::Invalid;
use super::read::{self, Inputs};

/// Interval between comparisons, whatever events say.
pub const POLL: Duration = Duration::from_secs(10);
/// A swap by the kubelet is several events within a millisecond; editors take longer.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// After events without new contents, the next look comes no sooner than this: rewriting or touching a file again and
/// again costs one look per interval.
const SAME: Duration = Duration::from_secs(1);
/// A shorter interval would only waste CPU.
const SHORTEST_POLL: Duration = Duration::from_millis(100);

/// How changes are detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By events, and at the interval.
    Events,
    /// At the interval only.
    Poll,
}

/// Watches the files that a configuration is read from.
pub struct Watcher {
    paths: Vec<PathBuf>,
    poll: Duration,
    seen: Option<ReadState>,
    /// Time of the last look, if it found nothing new.
    same: Option<Instant>,
    /// An event happened that no reading has followed yet. Survives a cancelled [`Watcher::next`].
    pending: bool,
    sender: mpsc::Sender<()>,
    events: mpsc::Receiver<()>,
    notifier: Option<RecommendedWatcher>,
    watched: Vec<(PathBuf, Option<Identity>)>,
}

/// Device and inode.
type Identity = (u64, u64);

#[derive(PartialEq, Eq)]
enum ReadState {
    Good(String),
    Bad(Invalid),
}

impl Watcher {
    /// Watches `paths`, last read as `inputs` (`None`: they could not be read).
    #[must_use]
    pub fn new(paths: Vec<PathBuf>, inputs: Option<&Inputs>, poll: Duration) -> Self {
        // A capacity of one is enough: one pending event is as good a reason to look as many.
        let (sender, events) = mpsc::channel(1);
        let seen = inputs.map(|inputs| ReadState::Good(inputs.hash(&BTreeMap::new())));
        // Detects at once what changed between that reading and now.
        let pending = true;
        let poll = poll.max(SHORTEST_POLL);
        let (notifier, watched, same) = (None, vec![], None);
        let mut watcher = Self { paths, poll, seen, same, pending, sender, events, notifier, watched };
        watcher.arm();
        watcher
    }

    /// How changes are currently detected.
    #[must_use]
    pub fn mode(&self) -> Mode {
        if self.notifier.is_some() { Mode::Events } else { Mode::Poll }
    }

    /// Has [`next`](Self::next) return what it reads now, changed or not.
    pub fn read_again(&mut self) {
        (self.seen, self.same, self.pending) = (None, None, true);
    }

    /// Waits until the contents change, become unreadable, or become readable again.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// Why the files cannot be read; once per cause.
    pub async fn next(&mut self) -> Result<Inputs, Invalid> {
        loop {
            if !self.pending {
                tokio::select! {
                    _ = self.events.recv() => {}
                    () = tokio::time::sleep(self.poll) => {}
                }
                self.pending = true;
            }
            tokio::time::sleep_until(self.next_look()).await;
            while self.events.try_recv().is_ok() {}
            self.arm();
            let paths = self.paths.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || read::read(&paths)).await else { continue };
            self.pending = false;
            let seen = match &read {
                Ok(inputs) => ReadState::Good(inputs.hash(&BTreeMap::new())),
                Err(invalid) => ReadState::Bad(invalid.clone()),
            };
            if self.seen.as_ref() != Some(&seen) {
                (self.seen, self.same) = (Some(seen), None);
                return read;
            }
            self.same = Some(Instant::now());
        }
    }

    /// When to look after an event.
    fn next_look(&self) -> Instant {
        let soon = Instant::now() + DEBOUNCE;
        self.same.map_or(soon, |same| soon.max(same + SAME.min(self.poll)))
    }

    /// Watches the directories as they are now: a replaced directory has a new inode, and events of the old one say
    /// nothing about it.
    fn arm(&mut self) {
        let directories = directories(&self.paths);
        let now: Vec<_> = directories.keys().map(|path| (path.clone(), identity(path))).collect();
        if self.notifier.is_some() && now == self.watched {
            return;
        }
        self.notifier = notifier(directories, self.sender.clone()).ok();
        self.watched = now;
    }
}

/// Which files of a directory matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    /// Every `*.yaml`, because the directory itself was named.
    all: bool,
    /// These files.
    named: Vec<OsString>,
}

impl Names {
    /// Whether this name is read or leads to a file that is read: the kubelet swaps `..data`.
    fn matter(&self, name: &OsStr) -> bool {
        let yaml = || read::is_configuration(Path::new(name));
        name == "..data" || self.named.iter().any(|named| named == name) || (self.all && yaml())
    }
}

/// The directories to watch, and which files matter in each.
fn directories(paths: &[PathBuf]) -> BTreeMap<PathBuf, Names> {
    let mut directories: BTreeMap<PathBuf, Names> = BTreeMap::new();
    for path in paths {
        // Events name absolute paths.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        if path.is_dir() {
            directories.entry(path).or_default().all = true;
        } else if let Some(parent) = path.parent() {
            let names = directories.entry(parent.to_owned()).or_default();
            names.named.extend(path.file_name().map(OsStr::to_owned));
        }
    }
    directories
}

/// Whether an event is a reason to look.
fn matters(event: &notify::Event, directories: &BTreeMap<PathBuf, Names>) -> bool {
    // Reading is an event too; reacting to our own reads would never end.
    let reading = matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
    let of_name = |path: &PathBuf| {
        // The directory itself was moved or deleted: watch its replacement.
        let itself = || directories.contains_key(path);
        let within = path.parent().and_then(|parent| directories.get(parent)).zip(path.file_name());
        within.map_or_else(itself, |(names, name)| names.matter(name) || itself())
    };
    // Without a name, anything may have happened: events may have been lost.
    !reading && (event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(of_name))
}

fn identity(path: &Path) -> Option<Identity> {
    path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn notifier(directories: BTreeMap<PathBuf, Names>, sender: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    use notify::Watcher as _;
    let paths: Vec<PathBuf> = directories.keys().cloned().collect();
    let mut notifier = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.map_or(true, |event| matters(&event, &directories)) {
            let _ = sender.try_send(());
        }
    })?;
    for path in &paths {
        notifier.watch(path, RecursiveMode::NonRecursive)?;
    }
    Ok(notifier)
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, Flag, ModifyKind, RemoveKind, RenameMode};

    use super::*;

    fn event(kind: EventKind, path: &Path) -> notify::Event {
        notify::Event::new(kind).add_path(path.to_owned())
    }

    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const RENAMED: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));

    #[test]
    fn neighbours_are_no_reason_to_look() {
        let parent = tempfile::tempdir().unwrap();
        let (file, all) = (parent.path().join("etc/offboard.conf"), parent.path().join("conf.d"));
        std::fs::create_dir_all(&all).unwrap();
        let etc = file.parent().unwrap().to_owned();
        let directories = directories(&[file.clone(), all.clone()]);
        let look = |kind, path: &Path| matters(&event(kind, path), &directories);
        for path in [&etc.join("debug.log"), &etc.join("admin.sock"), &etc.join("other.yaml"), &all.join("a.yaml.swp")]
        {
            for kind in [WRITTEN, RENAMED, EventKind::Create(CreateKind::Any), EventKind::Remove(RemoveKind::Any)] {
                assert!(!look(kind, path), "{path:?}: {kind:?}");
            }
        }
        for hidden in [".10-a.yaml.tmp", ".hidden.yaml", "..data_tmp", "..2026_11_30"] {
            assert!(!look(WRITTEN, &all.join(hidden)), "{hidden}");
        }
        for path in [&file, &etc.join("..data"), &all.join("10-a.yaml"), &all.join("..data"), &etc, &all] {
            for kind in [WRITTEN, RENAMED, EventKind::Create(CreateKind::Any), EventKind::Remove(RemoveKind::Any)] {
                assert!(look(kind, path), "{path:?}: {kind:?}");
            }
            assert!(!look(EventKind::Access(AccessKind::Read), path), "our own reading");
            assert!(look(EventKind::Access(AccessKind::Close(AccessMode::Write)), path));
        }
        assert!(matters(&notify::Event::new(EventKind::Other), &directories), "nobody knows what happened");
        let lost = event(EventKind::Other, &etc.join("debug.log")).set_flag(Flag::Rescan);
        assert!(matters(&lost, &directories), "events were lost");
    }

    #[test]
    fn a_path_is_watched_as_events_name_it() {
        let here = std::env::current_dir().unwrap();
        let directories = directories(&[PathBuf::from("offboard.conf"), PathBuf::from("./src")]);
        assert!(matters(&event(WRITTEN, &here.join("offboard.conf")), &directories));
        assert!(matters(&event(WRITTEN, &here.join("src/a.yaml")), &directories));
        assert!(!matters(&event(WRITTEN, &here.join("a.yaml")), &directories));
    }

    /// Whoever only touches it, or writes the same again, is looked at once a second; what is new shows at once.
    #[tokio::test]
    async fn what_stays_the_same_is_looked_at_once_a_second() {
        let directory = tempfile::tempdir().unwrap();
        let paths = vec![directory.path().join("a.yaml")];
        std::fs::write(&paths[0], "a: 1").unwrap();
        let inputs = read::read(&paths).unwrap();
        let mut watcher = Watcher::new(paths.clone(), Some(&inputs), POLL);
        std::fs::write(&paths[0], "a: 2").unwrap();
        watcher.same = Some(Instant::now());
        assert_eq!(watcher.next().await.unwrap().files[0].text, "a: 2");
        assert!(watcher.same.is_none(), "something was new");
        let same = Instant::now();
        assert!(watcher.next_look() < same + SAME, "after a change");
        watcher.same = Some(same);
        assert_eq!(watcher.next_look(), same + SAME, "after a look at the same");
    }
}
