//! Watches the file for speed; it is checked every `poll` anyway.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{Event, EventKind, ModifyKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

type Inode = (u64, u64);

/// Watches the file's directory: the kubelet swaps a link there, and never touches the file.
pub(super) struct Watch {
    touches: mpsc::Receiver<()>,
    /// The file that was renamed to the name, if nothing happened to it since: device and inode.
    placed: Arc<Mutex<Option<Inode>>>,
    /// Reports changes as long as it lives.
    watcher: Option<RecommendedWatcher>,
    directory: PathBuf,
    /// Which directory that was when it began; `None`: there was none.
    watched: Option<Inode>,
}

impl Watch {
    /// Starts watching. If that fails, changes take until the next `poll`.
    pub(super) fn begin(path: &Path) -> Self {
        let (touched, touches) = mpsc::channel(1);
        let placed = Arc::new(Mutex::new(None));
        let (name, noted) = (path.file_name().unwrap_or_default().to_owned(), Arc::clone(&placed));
        let file = path.to_owned();
        let on_event = move |event: notify::Result<Event>| {
            if event.as_ref().is_ok_and(|event| !concerns(event, &name)) {
                return;
            }
            if let Some(placed) = event.ok().and_then(|event| placing(&event, &name)) {
                *noted.lock().unwrap_or_else(PoisonError::into_inner) = inode(&file).filter(|_| placed);
            }
            // If the channel is full, a look is due already.
            let _ = touched.try_send(());
        };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let before = inode(directory);
        let watched = notify::recommended_watcher(on_event).and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let warned = watched.inspect_err(
            |error| tracing::warn!(error.message = %error, "cannot watch the people file; comparing it every `poll` instead"),
        );
        Self { touches, placed, watcher: warned.ok(), directory: directory.to_owned(), watched: before }
    }

    /// Whether the directory is another one now: nothing is heard of that.
    pub(super) fn is_lost(&self) -> bool {
        let now = inode(&self.directory);
        now.is_some() && now != self.watched
    }

    /// Waits until the file is touched, at most this long; returns whether it was.
    pub(super) async fn touched(&mut self, longest: Duration) -> bool {
        if self.watcher.is_none() {
            // The channel is closed, so receiving would return at once.
            sleep(longest).await;
            return false;
        }
        timeout(longest, self.touches.recv()).await.is_ok()
    }

    /// Whether this file was renamed to the name and not written since, as far as the system reported.
    pub(super) fn placed(&self, inode: Inode) -> bool {
        *self.placed.lock().unwrap_or_else(PoisonError::into_inner) == Some(inode)
    }
}

fn inode(path: &Path) -> Option<Inode> {
    path.metadata().ok().map(|found| (found.dev(), found.ino()))
}

/// Whether an event is about the file, or about the links that the kubelet swaps (`..data`). Our own reads do not
/// count.
fn concerns(event: &Event, name: &OsStr) -> bool {
    let is_near = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|other| other == name || other.as_encoded_bytes().starts_with(b".."))
    };
    !event.kind.is_access() && (event.paths.is_empty() || event.paths.iter().any(is_near))
}

/// Whether another file took this name (`true`), or it was written to (`false`).
fn placing(event: &Event, name: &OsStr) -> Option<bool> {
    let last = event.paths.last()?.file_name()?;
    match event.kind {
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => (last == name).then_some(true),
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => {
            (last == name).then_some(false)
        }
        _ => None,
    }
}
