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

use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;

use crate::domain::inbox::{Command, Done, Inbox, Observation, Refused};
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::time::Now;

/// A people file may have this many bytes: 100,000 people with long names.
const MAX_BYTES: u64 = 32 << 20;

/// Why a sync of a people file came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("read people file `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is too large to be one.
    #[error("people file `{path}` has more than {MAX_BYTES} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It does not say what a people file says.
    #[error("people file `{path}`: {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// The writer did not take it.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl FileError {
    /// The closed set of kinds that metrics count.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Read { .. } => "unreachable",
            Self::TooLarge { .. } | Self::Malformed { .. } => "malformed",
            Self::Refused(Refused::Guarded { .. }) => "guarded",
            Self::Refused(_) => "refused",
        }
    }
}

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
        Person {
            id: PersonId { source: source.to_owned(), key: self.id },
            status: match self.status {
                RowStatus::Active => Status::Active,
                RowStatus::Suspended => Status::Suspended,
                RowStatus::Departed => Status::Departed,
            },
            email: self.email,
            username: self.username,
            attributes: std::collections::BTreeMap::new(),
            changed: None,
            groups: self.groups,
        }
    }
}

/// What became of a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Synced {
    /// The file is as it was; nothing was sent.
    Unchanged,
    /// It was sent, and is enforced.
    Sent(Done),
}

/// A source of kind `file`.
#[derive(Debug)]
pub struct FileSource {
    name: String,
    path: PathBuf,
    seen: Option<[u8; 32]>,
}

impl FileSource {
    /// The source of this name that reads this file.
    #[must_use]
    pub fn new(name: String, path: PathBuf) -> Self {
        Self { name, path, seen: None }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file and sends it as a listing, if it changed since the last listing that was taken or
    /// `always` says so (a listing that found nothing new keeps a source fresh).
    ///
    /// # Errors
    /// [`FileError`]: what is known stays as it is, and the file is sent again next time.
    pub async fn sync(&mut self, inbox: &Inbox, now: Now, always: bool) -> Result<Synced, FileError> {
        let bytes = self.read().await?;
        let digest: [u8; 32] = digest(&SHA256, &bytes).as_ref().try_into().unwrap_or([0; 32]);
        if self.seen == Some(digest) && !always {
            return Ok(Synced::Unchanged);
        }
        self.seen = None;
        let people = self.parse(&bytes)?;
        let listing = Observation::Listing { source: self.name.clone(), people, complete: true, at: now.wall };
        let done = inbox.ask(Command::Observe(listing), now).await?;
        self.seen = Some(digest);
        Ok(Synced::Sent(done))
    }

    async fn read(&self) -> Result<Vec<u8>, FileError> {
        let unread = |source| FileError::Read { path: self.path.clone(), source };
        let size = tokio::fs::metadata(&self.path).await.map_err(unread)?.len();
        if size > MAX_BYTES {
            return Err(FileError::TooLarge { path: self.path.clone() });
        }
        tokio::fs::read(&self.path).await.map_err(unread)
    }

    fn parse(&self, bytes: &[u8]) -> Result<Vec<Person>, FileError> {
        let malformed = |what: String| FileError::Malformed { path: self.path.clone(), what };
        let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
        // Its errors carry a picture of the place over several lines; a log line has one.
        let first_line = |error: serde_saphyr::Error| error.to_string().lines().next().unwrap_or("").to_owned();
        let file: People = serde_saphyr::from_str(text).map_err(|error| malformed(first_line(error)))?;
        let mut ids = BTreeSet::new();
        for row in &file.people {
            if row.id.trim().is_empty() {
                return Err(malformed("somebody has an empty id".to_owned()));
            }
            if !ids.insert(row.id.as_str()) {
                return Err(malformed(format!("id `{}` stands there twice", row.id)));
            }
        }
        Ok(file.people.into_iter().map(|row| row.into_person(&self.name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Person>, String> {
        let source = FileSource::new("hr".into(), "people.yaml".into());
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
