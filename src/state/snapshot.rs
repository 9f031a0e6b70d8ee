//! Snapshots: a fold as bytes and back, so that a start need not read the whole log.
//!
//! Format: one line of JSON (everything but the set), then the entries, 48 bytes each. The format has a number; the
//! previous format can be read too. If a snapshot is unreadable, the older one is used, or the log from its beginning.

use std::ops::RangeInclusive;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::answers::{Answers, Kept};
use super::feed::Feed;
use super::fold::{Fold, PinName, SourceState};
use super::people::People;
use super::revocations::{Entry, EntryKind, OwnerKind, Revocations};
use crate::domain::chain::ChainHash;
use crate::domain::event::{ConfigurationRole, Epoch, Event, Exemption, NewEvent, Position, Recorded};
use crate::domain::id::{ExemptionId, RevocationId};
use crate::domain::key::{Key, Keyer};
use crate::domain::person::{Person, PersonId};
use crate::domain::revocation::{Revocation, TargetKind};
use crate::domain::time::Timestamp;
use crate::faults::{Fault, planted};

/// The version of the format. Version 4 lacks the log's chain and the secret's fingerprint; up to version 5 the residual
/// cut-offs of operators are merged.
const VERSION: u32 = 6;
const MERGED: u32 = 5;
/// The versions that can be read.
const READ: RangeInclusive<u32> = 4..=VERSION;
const ENTRY: usize = 48;

#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    epoch: Epoch,
    #[serde(default)]
    chain: Option<ChainHash>,
    #[serde(default)]
    secret: Option<String>,
    witnessed: Timestamp,
    entries: usize,
    people: Vec<Arc<Person>>,
    exemptions: Vec<(ExemptionId, Arc<Exemption>)>,
    pins: Vec<(PinName, Vec<PersonId>)>,
    sources: Vec<(String, SourceState)>,
    feeds: Vec<(String, Feed)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    configuration_role: Option<Arc<ConfigurationRole>>,
    noted: Vec<(String, RevocationId)>,
    #[serde(default)]
    merged_until: Position,
    expiring: Vec<(RevocationId, Arc<Revocation>)>,
    extensions: Vec<(RevocationId, Vec<PersonId>)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    answers: Vec<Kept>,
}

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("snapshot cannot be read: {0}")]
pub struct Unreadable(String);

fn pairs<K: Clone + Ord, V: Clone>(map: &imbl::OrdMap<K, V>) -> Vec<(K, V)> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn head(fold: &Fold) -> Head {
    let mut people: Vec<Arc<Person>> = fold.people.iter().map(|known| Arc::clone(&known.person)).collect();
    people.sort_by(|one, other| one.id.cmp(&other.id));
    Head {
        version: VERSION,
        epoch: fold.epoch,
        chain: fold.chain,
        secret: Some(fold.keyer.fingerprint().to_string()),
        witnessed: fold.witnessed,
        entries: fold.revocations.len(),
        people,
        exemptions: pairs(&fold.exemptions),
        pins: pairs(&fold.pins),
        sources: pairs(&fold.sources),
        feeds: pairs(&fold.feeds),
        configuration_role: fold.configuration_role.clone(),
        noted: pairs(&fold.noted),
        merged_until: fold.merged_until,
        expiring: fold.expiring.iter().map(|((_, id), revocation)| (*id, Arc::clone(revocation))).collect(),
        extensions: pairs(&fold.extensions),
        answers: fold.answers.iter().cloned().collect(),
    }
}

fn write_entry(entry: &Entry) -> [u8; ENTRY] {
    let mut bytes = [0; ENTRY];
    let [a, b, c, d] = entry.owner_hash.to_le_bytes();
    let fields = [
        entry.key.high.to_le_bytes(),
        entry.key.low.to_le_bytes(),
        entry.id.number().to_le_bytes(),
        entry.at.as_millis().to_le_bytes(),
        entry.effective.as_millis().to_le_bytes(),
        [entry.kind as u8, entry.effect as u8, entry.owner as u8, entry.rules, a, b, c, d],
    ];
    for (into, from) in bytes.iter_mut().zip(fields.iter().flatten()) {
        *into = *from;
    }
    bytes
}

fn read_entry(bytes: &[u8]) -> Option<Entry> {
    let word = |index: usize| bytes.get(index * 8..index * 8 + 8)?.try_into().ok().map(u64::from_le_bytes);
    let flag = |index: usize| bytes.get(40 + index).copied();
    Some(Entry {
        key: Key { high: word(0)?, low: word(1)? },
        id: RevocationId::from_number(word(2)?),
        at: Timestamp::from_millis(word(3)?.cast_signed()),
        effective: Timestamp::from_millis(word(4)?.cast_signed()),
        kind: TargetKind::ALL.into_iter().find(|kind| Some(*kind as u8) == flag(0))?,
        effect: [EntryKind::Block, EntryKind::CutOff, EntryKind::ResidualCutoff]
            .into_iter()
            .find(|stand| Some(*stand as u8) == flag(1))?,
        owner: [OwnerKind::Operator, OwnerKind::Configuration, OwnerKind::Source]
            .into_iter()
            .find(|owner| Some(*owner as u8) == flag(2))?,
        owner_hash: u32::from_le_bytes(bytes.get(44..48)?.try_into().ok()?),
        // 0 in snapshots of earlier versions, which stands for the rules that they compared by.
        rules: flag(3)?,
    })
}

/// Writes a fold as a snapshot.
///
/// # Errors
/// [`Unreadable`] if it has no JSON form, which never happens to the fold of a log.
pub fn write(fold: &Fold) -> Result<Vec<u8>, Unreadable> {
    write_under(&head(fold), fold)
}

fn write_under(head: &Head, fold: &Fold) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = serde_json::to_vec(head).map_err(|error| Unreadable(error.to_string()))?;
    bytes.push(b'\n');
    bytes.reserve(fold.revocations.len() * ENTRY);
    for entry in fold.revocations.iter() {
        bytes.extend_from_slice(&write_entry(entry));
    }
    Ok(bytes)
}

/// Reads a snapshot. The keyer must have the secret that it was written with: with another one, no denial in it would
/// be found.
///
/// # Errors
/// [`Unreadable`] says what is wrong with these bytes.
pub fn read(bytes: &[u8], keyer: Keyer) -> Result<Fold, Unreadable> {
    let unreadable = |what: &str| Unreadable(what.to_owned());
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| unreadable("its head is missing"))?;
    let (first, rest) = bytes.split_at(end);
    let head: Head = serde_json::from_slice(first).map_err(|error| Unreadable(error.to_string()))?;
    if !READ.contains(&head.version) {
        let (oldest, newest) = READ.into_inner();
        return Err(Unreadable(format!(
            "it has version {}; this offboard reads versions {oldest} to {newest}",
            head.version
        )));
    }
    let (made, ours) = (&head.secret, keyer.fingerprint().to_string());
    if let Some(made) = made.as_ref().filter(|made| **made != ours) {
        return Err(Unreadable(format!("it was made under the secret with the fingerprint {made}, not {ours}")));
    }
    let rest = rest.get(1..).unwrap_or(&[]);
    if rest.len() != head.entries * ENTRY {
        return Err(unreadable("its entries are incomplete"));
    }
    let forgotten = usize::from(planted(Fault::SnapshotForgets));
    let entries: Option<Vec<Entry>> = rest.chunks_exact(ENTRY).skip(forgotten).map(read_entry).collect();
    let mut fold = Fold::empty(keyer, head.epoch.generation);
    let directories = head.feeds.iter().filter_map(|(name, feed)| {
        let directory = feed.linking.as_ref().and_then(|linking| linking.directory)?;
        Some((name.clone(), directory))
    });
    fold.people = People::build(&fold.keyer, head.people, Arc::new(directories.collect()));
    // Exemptions and pins have indices, which their events rebuild.
    for (id, exemption) in head.exemptions {
        // In the first format its position is its name.
        fold.replay(id.position().unwrap_or_default(), Event::Exempted(Arc::unwrap_or_clone(exemption)));
    }
    for ((issuer, name), persons) in head.pins {
        for person in persons {
            fold.replay(0, Event::Pinned { issuer: issuer.clone(), name: name.clone(), person });
        }
    }
    fold.revocations = Revocations::build(entries.ok_or_else(|| unreadable("an entry is damaged"))?);
    fold.sources = head.sources.into_iter().collect();
    fold.feeds = head.feeds.into_iter().collect();
    fold.configuration_role = head.configuration_role;
    fold.noted = head.noted.into_iter().collect();
    fold.expiring = head
        .expiring
        .into_iter()
        .filter_map(|(id, revocation)| Some(((revocation.expires?, id), revocation)))
        .collect();
    fold.merged_until = if head.version <= MERGED { head.epoch.position } else { head.merged_until };
    fold.extensions = head.extensions.into_iter().collect();
    fold.answers = Answers::build(head.answers);
    fold.epoch = head.epoch;
    fold.chain = head.chain;
    fold.witnessed = head.witnessed;
    Ok(fold)
}

impl Fold {
    /// Applies an event out of order, to rebuild an index.
    fn replay(&mut self, position: Position, event: Event) {
        self.epoch.position = position.saturating_sub(1);
        self.apply(&Recorded {
            position: self.epoch.position + 1,
            new: NewEvent { time: self.witnessed, happened: None, id: None, event },
        });
    }

    /// SHA-256 over the content of the fold, in lower-case hex: equal for all folds of the same log, however they were
    /// made. Generation, chain hash, the secret's fingerprint and `merged_until` are left out.
    #[must_use]
    pub fn digest(&self) -> String {
        let head = head(self);
        let head =
            Head { epoch: Epoch { generation: 0, ..head.epoch }, chain: None, secret: None, merged_until: 0, ..head };
        hex::encode(digest(&SHA256, &write_under(&head, self).unwrap_or_default()))
    }
}
