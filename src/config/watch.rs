//! Notices that the files have changed: by the kernel's events, and by comparing what they hold.
//!
//! Events say only *that* something happened in a directory; which name and how is the kubelet's affair. They
//! can also be lost (limits, queues, network file systems), so contents are compared at an interval anyhow.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode};
use tokio::sync::mpsc;

use super::problem::Invalid;
use super::read::{self, Inputs};

/// How often contents are compared, whatever events say.
pub const POLL: Duration = Duration::from_secs(10);
/// The kubelet's swap is several events within a millisecond; editors take longer.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// A shorter interval would only burn a core.
const SHORTEST_POLL: Duration = Duration::from_millis(100);

/// How changes are noticed.
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
    seen: Option<Seen>,
    /// Something happened that no reading has followed yet. Survives a cancelled [`Watcher::next`].
    pending: bool,
    sender: mpsc::Sender<()>,
    events: mpsc::Receiver<()>,
    notifier: Option<RecommendedWatcher>,
    watched: Vec<(PathBuf, Option<Identity>)>,
}

/// Device and inode.
type Identity = (u64, u64);

#[derive(PartialEq, Eq)]
enum Seen {
    Good(String),
    Bad(Invalid),
}

impl Watcher {
    /// Watches `paths`, of which `inputs` was read last (`None`: they could not be read).
    #[must_use]
    pub fn new(paths: Vec<PathBuf>, inputs: Option<&Inputs>, poll: Duration) -> Self {
        // One place is enough: an event is a reason to look, and many are no better a reason.
        let (sender, events) = mpsc::channel(1);
        let seen = inputs.map(|inputs| Seen::Good(inputs.hash(&BTreeMap::new())));
        // What changed between that reading and now shows at once.
        let pending = true;
        let poll = poll.max(SHORTEST_POLL);
        let mut watcher = Self { paths, poll, seen, pending, sender, events, notifier: None, watched: vec![] };
        watcher.arm();
        watcher
    }

    /// How changes are noticed at present.
    #[must_use]
    pub fn mode(&self) -> Mode {
        if self.notifier.is_some() { Mode::Events } else { Mode::Poll }
    }

    /// Waits until the files hold something else than last time, or can no longer be read, or can again.
    ///
    /// Cancelling it loses nothing.
    ///
    /// # Errors
    /// Why they cannot be read; once for each cause.
    pub async fn next(&mut self) -> Result<Inputs, Invalid> {
        loop {
            if !self.pending {
                tokio::select! {
                    _ = self.events.recv() => {}
                    () = tokio::time::sleep(self.poll) => {}
                }
                self.pending = true;
            }
            tokio::time::sleep(DEBOUNCE).await;
            while self.events.try_recv().is_ok() {}
            self.arm();
            let paths = self.paths.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || read::read(&paths)).await else { continue };
            self.pending = false;
            let seen = match &read {
                Ok(inputs) => Seen::Good(inputs.hash(&BTreeMap::new())),
                Err(invalid) => Seen::Bad(invalid.clone()),
            };
            if self.seen.as_ref() != Some(&seen) {
                self.seen = Some(seen);
                return read;
            }
        }
    }

    /// Watches the directories as they are now: one that was replaced has another inode, and events of the old
    /// one say nothing about it.
    fn arm(&mut self) {
        let now: Vec<_> = directories(&self.paths).into_iter().map(|path| (path.clone(), identity(&path))).collect();
        if self.notifier.is_some() && now == self.watched {
            return;
        }
        self.notifier = notifier(&now, self.sender.clone()).ok();
        self.watched = now;
    }
}

fn directories(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = paths
        .iter()
        .map(|path| match path.parent() {
            _ if path.is_dir() => path.clone(),
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        })
        .collect();
    directories.sort_unstable();
    directories.dedup();
    directories
}

fn identity(path: &Path) -> Option<Identity> {
    path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn notifier(watched: &[(PathBuf, Option<Identity>)], sender: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    use notify::Watcher as _;
    let mut notifier = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading is an event too, and our own would never end.
        let reading = matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(kind)
            if kind != AccessKind::Close(AccessMode::Write)));
        if !reading {
            let _ = sender.try_send(());
        }
    })?;
    for (path, _) in watched {
        notifier.watch(path, RecursiveMode::NonRecursive)?;
    }
    Ok(notifier)
}
