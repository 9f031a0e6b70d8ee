//! What the system tells of the file as it happens: for speed, since it is looked at every `poll` anyway.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{Event, EventKind, ModifyKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

type Inode = (u64, u64);

/// Watches the directory that a file is in: kubelet swaps a link there, and never touches the file.
pub(super) struct Watch {
    touches: mpsc::Receiver<()>,
    /// The file that was renamed to the name, where that is the last that happened to it: device and inode.
    placed: Arc<Mutex<Option<Inode>>>,
    /// Tells of touches as long as it lives.
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches from now on; without that, everything takes until the next `poll`.
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
                let inode = file.metadata().ok().filter(|_| placed).map(|file| (file.dev(), file.ino()));
                *noted.lock().unwrap_or_else(PoisonError::into_inner) = inode;
            }
            // Full means that a look is due already.
            let _ = touched.try_send(());
        };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let watched = notify::recommended_watcher(on_event).and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let warned = watched.inspect_err(
            |error| tracing::warn!(error = %error, "cannot watch the people file; comparing it every `poll` instead"),
        );
        Self { touches, placed, watcher: warned.ok() }
    }

    /// Waits until the file is touched, for so long at most; whether it was.
    pub(super) async fn touched(&mut self, longest: Duration) -> bool {
        if self.watcher.is_none() {
            // Nobody tells of anything: the channel is closed, and would answer at once.
            sleep(longest).await;
            return false;
        }
        timeout(longest, self.touches.recv()).await.is_ok()
    }

    /// Whether this file was renamed to the name, and not written to since, as far as the system told.
    pub(super) fn placed(&self, inode: Inode) -> bool {
        *self.placed.lock().unwrap_or_else(PoisonError::into_inner) == Some(inode)
    }
}

/// Whether an event is about the file, or about the links that kubelet swaps (`..data`). Our own reading is none.
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
