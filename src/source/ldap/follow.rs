//! What changed since a cursor, by each sync mode. The changes are hints: every entry they name is read again.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use ldap3::controls::{RefreshMode, SyncRequest};
use ldap3::{ResultEntry, Scope};
use tokio::time::timeout;

use super::ber;
use super::cursor::{Counter, Cursor, DirSync, Modified, older_cookie, older_state};
use super::entry::{Entry, Key, as_generalized_time};
use super::failure::{garbled, refused, shown};
use super::link::{Found, Search};
use super::{Client, NOTHING, ROWS, at_base};
use crate::domain::name::dn;
use crate::source::error::SourceError;

const HEAR: &str = "follow changes";
/// How long one call waits; then other work gets its turn.
const WAIT: Duration = Duration::from_secs(1);
/// Changes that follow each other this quickly are handled together.
const TOGETHER: Duration = Duration::from_millis(20);
/// How many entries are read again in one turn.
const MANY: usize = 500;
/// How many messages are taken in one turn if they are only counted.
const COUNTED: usize = 50_000;
/// e-syncRefreshRequired.
const FORGOTTEN: u32 = 4096;
/// What Active Directory may answer to a cookie that it did not issue, or that is too old.
const NOT_ITS: [u32; 4] = [FORGOTTEN, 1, 2, 53];
/// What OpenLDAP answers to a cookie that is newer than all its data.
const UNWILLING: u32 = 53;
/// How far back `modifyTimestamp` is requested: it has whole seconds, and servers' clocks differ.
const OVERLAP: Duration = Duration::from_secs(30);

/// The changes.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// Entries that changed or were removed.
    pub(super) touched: BTreeSet<Key>,
    /// Entries in their current state.
    pub(super) entries: Vec<Entry>,
    /// The position after these changes.
    pub(super) cursor: Option<Cursor>,
    /// More changes are available.
    pub(super) more: bool,
    /// Only a full listing can show what changed.
    pub(super) resync: bool,
    /// Deletions are not reported.
    pub(super) silent: bool,
}

/// A message of the stream.
pub(super) enum Told {
    Entry(ber::SyncState),
    Info(ber::SyncInfo),
    /// The server no longer knows the cookie.
    Forgotten,
    /// It refuses the cookie, in its own words.
    Refused(String),
    /// A referral.
    Nothing,
}

impl Client {
    /// Reads changes from the stream (RFC 4533, refreshAndPersist).
    pub(super) async fn hear(&mut self, cursor: Option<Cursor>) -> Result<Hints, SourceError> {
        let mut hints = Hints { cursor: cursor.clone(), ..Hints::default() };
        if self.stream.is_none() {
            let cookie = match &cursor {
                Some(Cursor::Sync(text)) => STANDARD.decode(text).ok(),
                _ => None,
            };
            self.begin_stream(cookie, &mut hints).await?;
        }
        let mut wait = if self.groups.is_listing() { TOGETHER } else { WAIT };
        for _ in 0..COUNTED {
            let patience = if self.refreshed { wait } else { self.settings.server.timeout };
            match self.told(patience).await? {
                Some(told) => self.take(told, &mut hints).await?,
                None if self.refreshed => break,
                None => return Err(SourceError::Unreachable { step: HEAR, cause: "no answer in time".to_owned() }),
            }
            if hints.touched.len() >= MANY {
                break;
            }
            wait = TOGETHER;
        }
        hints.more = !self.refreshed || hints.touched.len() >= MANY;
        if let (Some(Cursor::Sync(before)), Some(Cursor::Sync(now))) = (&cursor, &hints.cursor)
            && let (Ok(before), Ok(now)) = (STANDARD.decode(before), STANDARD.decode(now))
            && let Some(how) = older_cookie(&before, &now)
        {
            self.age.is_older(how);
        }
        if hints.touched.is_empty() && self.refreshed {
            // A dead connection is silent too.
            let probe = at_base(&self.settings.base_dn, &[NOTHING]);
            self.link().await?.list("check that the server still answers", probe).await?;
        }
        Ok(hints)
    }

    async fn begin_stream(&mut self, cookie: Option<Vec<u8>>, hints: &mut Hints) -> Result<(), SourceError> {
        // Without a cookie the server sends everything. Only the cookie at its end is needed; a listing reads the rest.
        (self.draining, self.refreshed) = (cookie.is_none(), false);
        hints.resync |= cookie.is_none();
        let request = SyncRequest { mode: RefreshMode::RefreshAndPersist, cookie, reload_hint: false };
        let mut control: ldap3::controls::RawControl = request.into();
        control.crit = true;
        let search = Search {
            base: self.settings.base_dn.clone(),
            scope: Scope::Subtree,
            filter: self.everything(),
            attributes: vec![NOTHING.to_owned()],
            controls: vec![control],
            limit: 0,
        };
        self.stream = Some(self.link().await?.stream(HEAR, search).await?);
        Ok(())
    }

    pub(super) async fn take(&mut self, told: Told, hints: &mut Hints) -> Result<(), SourceError> {
        match told {
            Told::Nothing => {}
            Told::Forgotten => {
                tracing::warn!(source.name = %self.settings.name, "the server no longer knows the sync cookie; listing everybody");
                hints.cursor = None;
                self.begin_stream(None, hints).await?;
            }
            Told::Refused(words) => {
                self.age.is_older(format!("it refuses the cookie that it gave: {words}"));
                hints.cursor = None;
                self.begin_stream(None, hints).await?;
            }
            Told::Entry(state) => {
                if !state.present && !self.draining {
                    hints.touched.insert(state.key);
                }
                self.move_on(state.cookie, hints);
            }
            Told::Info(info) => {
                if !self.draining {
                    hints.touched.extend(info.deleted);
                }
                // Entries that a present phase does not name are gone. A listing finds out which, and its guard
                // decides.
                hints.resync |= info.phase == Some(true);
                self.move_on(info.cookie, hints);
                if info.done {
                    (self.refreshed, self.draining) = (true, false);
                }
            }
        }
        Ok(())
    }

    fn move_on(&self, cookie: Option<Vec<u8>>, hints: &mut Hints) {
        if let Some(cookie) = cookie {
            hints.cursor = Some(Cursor::Sync(STANDARD.encode(cookie)));
        }
    }

    /// The next message of the stream; `None` if there is none for this long.
    async fn told(&mut self, wait: Duration) -> Result<Option<Told>, SourceError> {
        let (Some(stream), Some(link)) = (&mut self.stream, &mut self.link) else {
            return Err(SourceError::Unreachable { step: HEAR, cause: "no connection".to_owned() });
        };
        let next = match timeout(wait, AssertUnwindSafe(stream.next()).catch_unwind()).await {
            Err(_) => return Ok(None),
            Ok(Err(_)) => return Err(garbled(HEAR)),
            Ok(Ok(Err(error))) => return Err(link.cause(HEAR, &error).await),
            Ok(Ok(Ok(next))) => next,
        };
        let Some(message) = next else {
            let result = stream.finish().await;
            return match result.rc {
                FORGOTTEN => Ok(Some(Told::Forgotten)),
                // Without a cookie, or later, it is unwilling for another reason.
                UNWILLING if !(self.draining || self.refreshed) => Ok(Some(Told::Refused(shown(&result.text)))),
                0 => Err(SourceError::Unreachable { step: HEAR, cause: "the server ended the stream".to_owned() }),
                rc => Err(refused(HEAR, rc, &result.text)),
            };
        };
        understood(message).map(Some).ok_or_else(|| garbled(HEAR))
    }

    /// Asks Active Directory for changes (DirSync).
    pub(super) async fn ask_dirsync(&mut self, cursor: Option<Cursor>) -> Result<Hints, SourceError> {
        let step = "read changes (DirSync)";
        let kept = match cursor {
            Some(Cursor::DirSync(kept)) => Some(kept),
            _ => None,
        };
        // This is read first, so that everything from now on is reported.
        let root = self.root(&["namingContexts", "dsServiceName", "highestCommittedUSN"]).await?;
        let (base, counter) = (self.context_in(&root), self.counter(&root).await?);
        let before = kept.as_ref().and_then(DirSync::counter);
        let back = counter.as_ref().zip(before).and_then(|(now, before)| now.went_back_from(before));
        // A restored controller may accept the cookie, and report nothing until its counter has reached it again.
        let cookie = kept.as_ref().filter(|_| back.is_none()).and_then(|kept| STANDARD.decode(kept.cookie()).ok());
        back.into_iter().for_each(|how| self.age.is_older(how));
        // The first answer holds everything; only its cookie is needed.
        let mut first = cookie.is_none();
        let mut found = self.dirsync(step, &base, cookie.unwrap_or_default()).await?;
        if !first && NOT_ITS.contains(&found.result.rc) {
            // It does not know the cookie: start anew. It is then older, unless it is known not to be.
            first = true;
            let newer = counter.as_ref().zip(before).is_some_and(|(now, before)| is_no_older(now, before));
            if !newer {
                self.age.is_older(format!("it refuses the cookie that it gave ({})", found.result.rc));
            }
            found = self.dirsync(step, &base, Vec::new()).await?;
        }
        self.draining |= first;
        super::failure::checked(step, &found.result).map_err(dirsync_right)?;
        let (more, cookie) = found.control(ber::DIRSYNC).and_then(ber::dirsync_answer).ok_or_else(|| garbled(step))?;
        let mut touched = BTreeSet::new();
        for entry in found.entries.iter().filter(|_| !self.draining) {
            touched.insert(self.key(entry)?);
        }
        self.draining &= more;
        let cursor = Some(Cursor::DirSync(DirSync::of(STANDARD.encode(cookie), counter)));
        let silent = !self.hears_deletions(&base).await?;
        Ok(Hints { touched, cursor, more, resync: first, silent, ..Hints::default() })
    }

    async fn dirsync(&mut self, step: &'static str, base: &str, cookie: Vec<u8>) -> Result<Found, SourceError> {
        let mut search = Search { controls: vec![ber::dirsync(&cookie)], ..self.search(base, self.anything()) };
        // If a person is moved, only these attributes change.
        search.attributes.extend(["name", "parentGUID"].map(str::to_owned));
        self.link().await?.search(step, search).await
    }

    /// The longest naming context above `base_dn`.
    pub(super) async fn naming_context(&mut self) -> Result<String, SourceError> {
        let root = self.root(&["namingContexts"]).await?;
        Ok(self.context_in(&root))
    }

    fn context_in(&self, root: &Entry) -> String {
        let base = dn::normal(&self.settings.base_dn);
        let above = root.texts("namingContexts").filter(|name| dn::is_within(&base, &dn::normal(name)));
        above.max_by_key(|name| name.len()).unwrap_or(&self.settings.base_dn).to_owned()
    }

    /// The counter of a domain controller; `None` if the server does not report it.
    async fn counter(&mut self, root: &Entry) -> Result<Option<Counter>, SourceError> {
        let (Some(server), Some(last)) = (root.text("dsServiceName"), root.number("highestCommittedUSN")) else {
            return Ok(None);
        };
        let database = self.database(server).await?;
        Ok(Some(Counter { server: server.to_owned(), database, last }))
    }

    /// Reads the server's root DSE.
    pub(super) async fn root(&mut self, attributes: &[&str]) -> Result<Entry, SourceError> {
        let found = self.link().await?.list("read the root DSE", at_base("", attributes)).await?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    /// Asks Active Directory for entries with a higher `uSNChanged`, including deleted ones.
    pub(super) async fn ask_usn(&mut self, cursor: Option<Cursor>) -> Result<Hints, SourceError> {
        let root = self.root(&["namingContexts", "dsServiceName", "highestCommittedUSN"]).await?;
        let Some(counter) = self.counter(&root).await? else {
            let what = "the server has no `highestCommittedUSN`, so it is not a domain controller: check `flavor`";
            return Err(SourceError::Misconfigured { step: "read changes", what: what.to_owned() });
        };
        let kept = match cursor {
            Some(Cursor::Usn(kept)) => Some(kept),
            _ => None,
        };
        if let Some(how) = kept.as_ref().and_then(|kept| counter.went_back_from(kept)) {
            self.age.is_older(how);
        }
        let last = kept.filter(|kept| counter.goes_on_from(kept)).map(|kept| kept.last);
        let now = Cursor::Usn(counter);
        let context = self.context_in(&root);
        let silent = !self.sees_deletions(&context).await?;
        let Some(last) = last else {
            return Ok(Hints { cursor: Some(now), resync: true, silent, ..Hints::default() });
        };
        let since = format!("(uSNChanged>={})", last.saturating_add(1));
        // This also finds people who were moved out of `base_dn`.
        let changed = format!("(&{since}{})", self.anything());
        let mut found = self.pages(self.search(&context, changed), "read changes").await?;
        let deleted = Search {
            controls: vec![ber::show_deleted()],
            ..self.search(&context, format!("(&(isDeleted=TRUE){since})"))
        };
        found.extend(self.pages(deleted, "read deletions").await?);
        let mut touched = BTreeSet::new();
        for entry in &found {
            touched.insert(self.key(entry)?);
        }
        Ok(Hints { touched, cursor: Some(now), silent, ..Hints::default() })
    }

    /// The `invocationId` of a domain controller; `None` if it is not readable.
    async fn database(&mut self, server: &str) -> Result<Option<String>, SourceError> {
        let search = at_base(server, &["invocationId"]);
        let found = self.link().await?.search("read `invocationId`", search).await?;
        let id = found.entries.first().and_then(|entry| entry.bytes("invocationId")).and_then(Key::of_guid);
        Ok(id.map(|id| id.to_string()))
    }

    /// Asks for entries with a newer `modifyTimestamp`. No answer contains deletions.
    pub(super) async fn ask_modified(&mut self, cursor: Option<Cursor>) -> Result<Hints, SourceError> {
        let kept = match cursor {
            Some(Cursor::Modified(kept)) => Some(kept),
            _ => None,
        };
        let state = self.state().await?;
        let before = kept.as_ref().and_then(Modified::state);
        if let Some(how) = before.zip(state.as_deref()).and_then(|(before, now)| older_state(before, now)) {
            self.age.is_older(how);
        }
        // Until an entry was read, the server's clock is unknown; the first listing reads everything. A stamp from the
        // future would hide earlier changes.
        let newest = self.newest.max(kept.as_ref().map(Modified::newest));
        let Some(last) = newest.map(|last| last.min(self.now())) else {
            return Ok(Hints { silent: true, ..Hints::default() });
        };
        let since = as_generalized_time(last.minus(OVERLAP));
        let filter = format!("(&(modifyTimestamp>={since}){})", self.everything());
        let search = self.search(&self.settings.base_dn, filter);
        let entries = self.pages(search, "read modified entries").await?;
        let newest = entries.iter().filter_map(|entry| entry.time("modifyTimestamp")).max();
        let cursor = newest.max(Some(last)).map(|last| Cursor::Modified(Modified::of(last, state)));
        Ok(Hints { entries, cursor, silent: true, ..Hints::default() })
    }

    /// The values of `contextCSN`, if the server has it and it is readable: OpenLDAP with syncprov.
    async fn state(&mut self) -> Result<Option<String>, SourceError> {
        let context = self.naming_context().await?;
        let search = at_base(&context, &["contextCSN"]);
        let found = self.link().await?.search("read `contextCSN`", search).await?;
        let mut changes: Vec<&str> = found.entries.iter().flat_map(|entry| entry.texts("contextCSN")).collect();
        changes.sort_unstable();
        Ok((!changes.is_empty()).then(|| changes.join(";")))
    }

    /// Everything that a search finds, page by page.
    pub(super) async fn pages(&mut self, search: Search, step: &'static str) -> Result<Vec<Entry>, SourceError> {
        let (mut found, mut cookie) = (Vec::new(), Vec::new());
        loop {
            let (entries, next) = self.link().await?.page(step, search.clone(), (ROWS, cookie)).await?;
            found.extend(entries);
            match next {
                Some(next) => cookie = next,
                None => return Ok(found),
            }
        }
    }
}

/// What a message of a stream means; `None` if it is malformed.
pub(super) fn understood(message: ResultEntry) -> Option<Told> {
    if message.is_ref() {
        return Some(Told::Nothing);
    }
    if message.is_intermediate() {
        return ber::sync_info(message.0).map(Told::Info);
    }
    let control = message.1.iter().find(|control| control.1.ctype == ber::SYNC_STATE)?;
    ber::sync_state(control.1.val.as_deref()?).map(Told::Entry)
}

/// Whether a domain controller is known not to be older: it is another one, or the same one and its counter went on. If
/// the `invocationId` is not readable, nothing is known.
fn is_no_older(now: &Counter, before: &Counter) -> bool {
    now.server != before.server || (now.database.is_some() && now.goes_on_from(before))
}

/// Names the right that DirSync needs.
fn dirsync_right(error: SourceError) -> SourceError {
    match error {
        SourceError::Forbidden { step, advice } => SourceError::Forbidden {
            step,
            advice: format!(
                "{advice}; `bind_dn` needs \"Replicating Directory Changes\" on the domain, or `sync: poll`"
            ),
        },
        other => other,
    }
}
