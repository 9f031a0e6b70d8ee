//! A file of people: a ConfigMap, an export of an HR system, or the emergency list.
//!
//! ```yaml
//! people:
//!   - { id: "4711", email: alice@example.com, username: alice, status: active, groups: [payments-eng] }
//! ```
//!
//! `id` never changes and is never given to somebody else; `status` is `active` (the default), `suspended` or
//! `departed`. The file is a complete listing: who is no longer in it has departed. A file that cannot be read
//! is no listing at all, and changes nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::directory::{Changes, Directory, Finding, Grade, Page};
use super::error::{SourceError, chain};
use crate::domain::name::Directory as NameRules;
use crate::domain::person::{Person, PersonId, Status};

/// A people file may have this many bytes: 100,000 people with long names.
const MAX_BYTES: u64 = 32 << 20;
/// A watch is waited for that long; then something else gets its turn.
const WAIT: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct People {
    people: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    email: Option<String>,
    username: Option<String>,
    #[serde(default)]
    status: RowStatus,
    #[serde(default)]
    groups: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RowStatus {
    #[default]
    Active,
    Suspended,
    Departed,
}

impl Row {
    fn into_person(self, source: &str) -> Person {
        let status = match self.status {
            RowStatus::Active => Status::Active,
            RowStatus::Suspended => Status::Suspended,
            RowStatus::Departed => Status::Departed,
        };
        let id = PersonId { source: source.to_owned(), key: self.id };
        Person { email: self.email, username: self.username, groups: self.groups, ..Person::new(id, status) }
    }
}

/// What a file held, to know whether it changed.
type Digest = [u8; 32];

/// A source of kind `file`: compared by content every `poll`, and whenever its directory is touched.
pub struct PeopleFile {
    name: String,
    path: PathBuf,
    poll: Duration,
    next_look: Instant,
    seen: Option<Digest>,
    /// It was not asked yet.
    first: bool,
    touches: mpsc::Receiver<()>,
    /// Tells of touches as long as it lives.
    _watch: Option<RecommendedWatcher>,
}

impl PeopleFile {
    /// The source of this name that reads this file.
    #[must_use]
    pub fn new(name: String, path: PathBuf, poll: Duration) -> Self {
        let (touched, touches) = mpsc::channel(1);
        let watch = watch_directory(&path, touched);
        Self { name, path, poll, next_look: Instant::now(), seen: None, first: true, touches, _watch: watch }
    }

    fn malformed(&self, what: String) -> SourceError {
        SourceError::Malformed { step: "read the people file", what: format!("`{}`: {what}", self.path.display()) }
    }

    async fn read(&self) -> Result<(Vec<u8>, Digest), SourceError> {
        let unread = |cause: std::io::Error| SourceError::Unreachable {
            step: "read the people file",
            cause: format!("`{}`: {cause}", self.path.display()),
        };
        let size = tokio::fs::metadata(&self.path).await.map_err(unread)?.len();
        if size > MAX_BYTES {
            return Err(self.malformed(format!("more than {MAX_BYTES} bytes")));
        }
        let bytes = tokio::fs::read(&self.path).await.map_err(unread)?;
        let hash = digest(&SHA256, &bytes).as_ref().try_into().unwrap_or([0; 32]);
        Ok((bytes, hash))
    }

    fn parse(&self, bytes: &[u8]) -> Result<Vec<Person>, SourceError> {
        let text = std::str::from_utf8(bytes).map_err(|error| self.malformed(error.to_string()))?;
        // Its errors carry a picture of the place over several lines; a log line has one.
        let first_line = |error: serde_saphyr::Error| error.to_string().lines().next().unwrap_or("").to_owned();
        let file: People = serde_saphyr::from_str(text).map_err(|error| self.malformed(first_line(error)))?;
        let mut ids = BTreeSet::new();
        for row in &file.people {
            if row.id.trim().is_empty() {
                return Err(self.malformed("somebody has an empty id".to_owned()));
            }
            if !ids.insert(row.id.as_str()) {
                return Err(self.malformed(format!("id `{}` stands there twice", row.id)));
            }
        }
        Ok(file.people.into_iter().map(|row| row.into_person(&self.name)).collect())
    }

    async fn people(&self) -> Result<(Vec<Person>, Digest), SourceError> {
        let (bytes, hash) = self.read().await?;
        Ok((self.parse(&bytes)?, hash))
    }
}

/// Watches the directory that a file is in: kubelet swaps a link there, and never touches the file.
fn watch_directory(path: &Path, touched: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let file = path.file_name().map(std::ffi::OsStr::to_owned);
    // Logs and sockets beside it are no reason to look; without a name nobody knows what happened.
    let matters =
        move |path: &PathBuf| path.file_name().is_none_or(|name| name == "..data" || Some(name) == file.as_deref());
    let on_event = move |event: notify::Result<notify::Event>| {
        // Our own reading is an event too. Full means that a look is due already.
        let idle = event.is_ok_and(|event| {
            event.kind.is_access()
                || (!event.need_rescan() && !event.paths.is_empty() && !event.paths.iter().any(&matters))
        });
        if !idle {
            let _ = touched.try_send(());
        }
    };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let watched = notify::recommended_watcher(on_event).and_then(|mut watcher| {
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watched.map_err(|error| tracing::warn!(error = %error, "the people file is only compared every `poll`")).ok()
}

impl Directory for PeopleFile {
    type Place = ();

    const WAITS: bool = true;

    async fn changes(&mut self, _: Option<&str>) -> Result<Changes, SourceError> {
        if std::mem::take(&mut self.first) {
            // Everybody is listed first; there is nothing to wait for yet.
            return Ok(Changes::default());
        }
        let touched = timeout(WAIT.min(self.poll), self.touches.recv()).await.is_ok();
        if touched && self._watch.is_none() {
            // Nobody tells of anything: the channel is closed, and answers at once.
            tokio::time::sleep(WAIT.min(self.poll)).await;
        }
        if !touched && Instant::now() < self.next_look {
            return Ok(Changes::default());
        }
        self.next_look = Instant::now() + self.poll;
        let (_, hash) = self.read().await?;
        Ok(Changes { resync: self.seen != Some(hash), ..Changes::default() })
    }

    async fn page(&mut self, _: Option<()>) -> Result<Page<()>, SourceError> {
        let (people, hash) = self.people().await?;
        self.seen = Some(hash);
        Ok(Page { count: Some(people.len()), ..Page::of(people, None) })
    }

    async fn look_up(&mut self, attribute: &str, value: &str) -> Result<Option<Person>, SourceError> {
        let (people, _) = self.people().await?;
        let rule = NameRules::File.compares(attribute);
        let is = |person: &Person| person.values(attribute).any(|held| rule.matches(held, value).is_some());
        let mut found = people.into_iter().filter(is);
        Ok(found.next().filter(|_| found.next().is_none()))
    }

    async fn examine(&mut self) -> Vec<Finding> {
        let (grade, text) = match self.people().await {
            Ok((people, _)) if people.is_empty() => {
                (Grade::Warning, "it lists nobody: an empty listing is held back".into())
            }
            Ok((people, _)) => (Grade::Good, format!("it lists {} people", people.len())),
            Err(error) => (Grade::Bad, chain(&error)),
        };
        vec![Finding { grade, what: "people file", text }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Person>, String> {
        let source = PeopleFile::new("hr".into(), "people.yaml".into(), Duration::from_secs(10));
        source.parse(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_row_is_a_person() {
        let people =
            parse("people:\n  - { id: 0123, email: a@example.com, groups: [x] }\n  - { id: b, status: departed }\n");
        let people = people.unwrap();
        assert_eq!(people[0].id.key, "0123", "a number keeps its zeros");
        assert_eq!(people[0].status, Status::Active);
        assert_eq!(people[1].status, Status::Departed);
    }

    #[test]
    fn what_is_no_listing_is_refused() {
        for text in [
            "",
            "people: none",
            "peple: []",
            "people:\n  - { id: a }\n  - { id: a }\n",
            "people:\n  - { id: \"\" }\n",
            "people:\n  - { id: a, status: gone }\n",
            "people:\n  - { id: a, stauts: departed }\n",
            "people:\n  - { id: a",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("people:\n  - id: x\n    groups: &a [g, g, g, g, g, g, g, g, g]\n");
        text.push_str("x: &b [*a, *a, *a, *a, *a, *a, *a, *a]\ny: &c [*b, *b, *b, *b, *b, *b, *b, *b]\n");
        assert!(parse(&text).is_err());
    }
}
