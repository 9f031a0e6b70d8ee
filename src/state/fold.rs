//! The fold: the state that results from the events of the log, in order.
//!
//! [`Fold::apply`] is total and depends only on the fold and the event, so every replica and every restart gets the
//! same result (law 11).

mod pinned;

use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;

use super::answers::Answers;
use super::feed::Feed;
use super::people::{People, person_key};
use super::revocations::{Entry, EntryFields, Revocations, entry, entry_of_ref, owner_hash};
use super::table::{Keyed, Table};
use crate::domain::chain::ChainHash;
use crate::domain::event::{ConfigurationRole, Ended, Epoch, Event, Exemption, Position, Recorded};
use crate::domain::guard::{HeldListingUpdate, ReleaseCause, Removals};
use crate::domain::id::{ExemptionId, RevocationId};
use crate::domain::key::{Key, Keyer, RefKey};
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::revocation::{Owner, Revocation, Shape, Target, TargetKind};
use crate::domain::source::{Linking, Retired, SourceRules};
use crate::domain::time::{Now, Timestamp};

/// The state of a source that completed a full sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SourceState {
    /// When its first full listing was taken.
    pub first_synced: Timestamp,
    /// When its last full listing was taken.
    pub last_synced: Timestamp,
    /// Everything that happened there up to this time is known, from a listing or from its events.
    pub last_heard: Timestamp,
}

impl SourceState {
    /// Whether the source was last heard more than `max` ago. Judged by the wall clock alone: the time that never falls
    /// stands still after the clock was ahead.
    #[must_use]
    pub fn is_stale(&self, max: Duration, now: Now) -> bool {
        now.wall > self.last_heard.plus(max)
    }
}

/// The later of two times, unless the earlier record lies in the future: it was logged while the clock was ahead.
fn later(before: Timestamp, at: Timestamp, now: Timestamp) -> Timestamp {
    if before > now { at } else { before.max(at) }
}

/// A break-glass entry for one person.
#[derive(Clone, Copy, Debug)]
pub struct Exempted {
    /// The key of the person.
    pub key: Key,
    /// The exemption.
    pub id: ExemptionId,
    /// When it expires.
    pub expires: Timestamp,
}

impl Keyed for Exempted {
    fn key(&self) -> Key {
        self.key
    }
    fn rank(&self) -> (u64, u64) {
        (self.id.number(), 0)
    }
}

/// A name in a binding: the issuer's name, and the name itself.
pub type PinName = (String, String);

/// The identity of an entry of `revocations:`: its target and shape, wherever it is configured.
#[must_use]
pub fn note_of(target: &Target, shape: Shape) -> String {
    let shape = match shape {
        Shape::Block => String::new(),
        Shape::CutOff { at } => format!(" issued at or before {at}"),
    };
    format!("{target}{shape}")
}

/// The fold of the log. Cloning is cheap: parts are shared until they change.
#[derive(Clone, Debug)]
pub struct Fold {
    /// Makes all keys, with the installation's secret.
    pub keyer: Keyer,
    /// The epoch up to which the log is folded.
    pub epoch: Epoch,
    /// The hash of the log's chain there; `None` after a snapshot of an earlier version, which lacks it.
    pub chain: Option<ChainHash>,
    /// The latest time of an event; the time that never falls starts from it.
    pub witnessed: Timestamp,
    /// What is denied.
    pub revocations: Revocations,
    /// The known people.
    pub people: People,
    /// The people who are exempted.
    pub exempted: Table<Exempted>,
    /// Exemptions in force.
    pub exemptions: OrdMap<ExemptionId, Arc<Exemption>>,
    /// The names in bindings that are pinned to a person, by the person's key.
    pub pinned: OrdMap<Key, Vec<Arc<PinName>>>,
    /// The persons that each name in a binding is pinned to.
    pub pins: OrdMap<PinName, Vec<PersonId>>,
    /// The sources that have completed a full sync, and when.
    pub sources: OrdMap<String, SourceState>,
    /// The state of each source between listings, with its cursor and held listing.
    pub feeds: OrdMap<String, Feed>,
    /// The holder of the configuration role; `None` until a process takes it.
    pub configuration_role: Option<Arc<ConfigurationRole>>,
    /// The ids of noted entries of `revocations:`, by [`note_of`].
    pub noted: OrdMap<String, RevocationId>,
    /// Revocations that expire, by time.
    pub expiring: OrdMap<(Timestamp, RevocationId), Arc<Revocation>>,
    /// Up to where residual cut-offs of operators were merged, by versions that could not undo one; 0 for a log that was
    /// folded here from its beginning.
    pub merged_until: Position,
    /// The persons whom a REF revocation was extended to since it was made.
    pub extensions: OrdMap<RevocationId, Vec<PersonId>>,
    /// What calls of the last day were answered.
    pub answers: Answers,
}

impl Fold {
    /// The fold of an empty log.
    #[must_use]
    pub fn empty(keyer: Keyer, generation: u64) -> Self {
        Self {
            keyer,
            epoch: Epoch { generation, position: 0 },
            chain: Some(ChainHash::START),
            witnessed: Timestamp::MIN,
            revocations: Revocations::default(),
            people: People::default(),
            exempted: Table::default(),
            exemptions: OrdMap::new(),
            pinned: OrdMap::new(),
            pins: OrdMap::new(),
            sources: OrdMap::new(),
            feeds: OrdMap::new(),
            configuration_role: None,
            noted: OrdMap::new(),
            expiring: OrdMap::new(),
            merged_until: 0,
            extensions: OrdMap::new(),
            answers: Answers::default(),
        }
    }

    /// Applies the next event.
    pub fn apply(&mut self, recorded: &Recorded) {
        debug_assert_eq!(recorded.position, self.epoch.position + 1, "the log has no gaps");
        self.epoch.position = recorded.position;
        self.witnessed = self.witnessed.max(recorded.new.time);
        match &recorded.new.event {
            Event::Revoked(revocation) => {
                self.revoke(revocation.id_at(recorded.position), revocation, recorded.new.happened)
            }
            Event::Extended { revocation, target, person } => self.extend(*revocation, target, person),
            Event::Ended(ended) => self.end(ended),
            Event::Person(person) => {
                self.count_applied(person);
                self.people.put(&self.keyer, Arc::clone(person));
            }
            Event::Synced { source, at, left_out } => {
                self.synced(source, *at, recorded.new.time);
                // The removals of a listing in steps were counted when it was accepted; a newer listing replaces the
                // rest.
                let counted = self.feed(source).to_come.is_some() && left_out.is_nothing();
                if counted {
                    let feed = self.feed(source);
                    (feed.to_come, feed.confirmed) = (None, None);
                } else {
                    self.feed(source).add_up(*left_out, recorded.new.time);
                }
            }
            Event::ListingAccepted { source, left_out, .. } => {
                let feed = self.feed(source);
                // What was confirmed counts until the listing is fully applied: the next one may repeat the rest.
                let confirmed = feed.confirmed.take();
                feed.add_up(*left_out, recorded.new.time);
                (feed.to_come, feed.confirmed) = (Some(*left_out), confirmed);
            }
            Event::Linked { source, linking } => {
                self.feed(source).linking = Some(Arc::new(linking.clone()));
                self.people.compare_by(&self.keyer, [(source.as_str(), linking.directory)]);
            }
            Event::Heartbeat { source, at, cursor } => {
                self.heartbeat(source, (*at, recorded.new.time), cursor.as_ref())
            }
            Event::ListingHeld(held) => self.feed(&held.source).held = Some(Arc::new(held.clone())),
            Event::ListingHeldUpdated(on) => self.update_held(on),
            Event::Released { source, cause, .. } => self.release(source, *cause),
            Event::Expected { source, share, until, .. } => self.feed(source).expected = Some((*share, *until)),
            Event::MembershipsConfirmed { source, confirmed, .. } => {
                self.feed(source).confirmed = Some(confirmed.clone());
            }
            Event::ConfigurationRole(role) => self.configuration_role = Some(Arc::new(role.clone())),
            Event::Exempted(exemption) => self.exempt(exemption.id_at(recorded.position), exemption),
            Event::ExemptionEnded { exemption, .. } => self.end_exemption(*exemption),
            Event::Pinned { issuer, name, person } => self.pin(issuer, name, person),
            Event::Unpinned { issuer, name, .. } => self.unpin(issuer, name),
            Event::Answered(answered) => self.answers.keep(recorded.position, recorded.new.time, answered),
        }
    }

    fn revoke(&mut self, id: RevocationId, revocation: &Revocation, happened: Option<Timestamp>) {
        let Revocation { shape, effective, ref owner, .. } = *revocation;
        let kind = revocation.target.kind();
        let fields = EntryFields { kind, shape, effective, owner, owner_hash: owner_hash(&self.keyer, owner) };
        let main = revocation.target.key(&self.keyer);
        let stood = self.revocations.stands(main, id);
        for key in self.keys_of(&revocation.target, &revocation.persons) {
            self.revocations.insert(entry(key, id, &fields, happened));
        }
        self.revocations.recount(main, id, kind, stood);
        if let (Owner::Source(_), Shape::CutOff { at }) = (&revocation.owner, revocation.shape) {
            self.revocations.supersede(main, id, kind, at);
        }
        if let Some(reference) = revocation.target.reference().filter(|_| revocation.by_rule) {
            // In place of the entry that compares as the first versions do.
            for name in RefKey::of(&self.keyer, reference) {
                self.revocations.insert(entry_of_ref(&name, id, &fields, happened));
            }
        }
        if let Some(expires) = revocation.expires {
            self.expiring.insert((expires, id), Arc::new(revocation.clone()));
        }
        if revocation.owner == Owner::Configuration {
            self.noted.insert(note_of(&revocation.target, revocation.shape), id);
        }
    }

    fn keys_of(&self, target: &Target, persons: &[PersonId]) -> Vec<Key> {
        let mut keys = target.keys(&self.keyer);
        keys.extend(persons.iter().map(|person| person_key(&self.keyer, person)));
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The further keys of a REF that is compared by the rules of names.
    fn ref_keys(&self, target: &Target) -> impl Iterator<Item = Key> {
        let names = target.reference().map(|reference| RefKey::of(&self.keyer, reference));
        names.into_iter().flatten().map(|name| name.key)
    }

    fn extend(&mut self, id: RevocationId, target: &Target, person: &PersonId) {
        let mut under = self.keys_of(target, &[]);
        under.extend(self.ref_keys(target));
        let standing = under.iter().flat_map(|key| self.revocations.under(*key));
        let Some(standing) = standing.into_iter().find(|entry| entry.id == id).copied() else { return };
        let key = person_key(&self.keyer, person);
        self.revocations.insert(Entry { key, owner_hash: 0, rules: 0, ..standing });
        let mut persons = self.extensions.get(&id).cloned().unwrap_or_default();
        if !persons.contains(person) {
            persons.push(person.clone());
        }
        self.extensions.insert(id, persons);
    }

    fn end(&mut self, ended: &Ended) {
        let id = ended.revocation;
        let mut persons = ended.persons.clone();
        persons.extend(self.extensions.remove(&id).unwrap_or_default());
        let mut keys = self.keys_of(&ended.target, &persons);
        keys.extend(self.ref_keys(&ended.target));
        keys.sort_unstable();
        keys.dedup();
        let main = ended.target.key(&self.keyer);
        let stood = self.revocations.stands(main, id);
        for key in keys {
            self.revocations.end(key, id, ended);
        }
        self.revocations.recount(main, id, ended.target.kind(), stood);
        let note = note_of(&ended.target, ended.shape);
        if self.noted.get(&note) == Some(&id) {
            self.noted.remove(&note);
        }
        if let Some(expires) = ended.expires {
            self.expiring.remove(&(expires, id));
        }
    }

    fn synced(&mut self, source: &str, at: Timestamp, now: Timestamp) {
        let mut state = SourceState { first_synced: at, last_synced: at, last_heard: at };
        if let Some(before) = self.sources.get(source) {
            state.first_synced = before.first_synced;
            state.last_synced = later(before.last_synced, at, now);
            state.last_heard = later(before.last_heard, at, now);
        }
        self.sources.insert(source.to_owned(), state);
    }

    fn heartbeat(&mut self, source: &str, (at, now): (Timestamp, Timestamp), cursor: Option<&String>) {
        // A source without a complete listing is not up to date either. The earliest time means that only the cursor
        // moved.
        if let Some(state) = self.sources.get_mut(source).filter(|_| at != Timestamp::MIN) {
            state.last_heard = later(state.last_heard, at, now);
        }
        if let Some(cursor) = cursor {
            self.feed(source).cursor = Some(cursor.clone());
        }
    }

    /// Subtracts a record from the rest of an accepted listing, if it may be part of it.
    fn count_applied(&mut self, new: &Person) {
        let Some(rest) = self.feeds.get(&new.id.source).and_then(|feed| feed.to_come) else { return };
        let Some(known) = self.people.find(&self.keyer, &new.id).map(|known| &known.person) else { return };
        let is_gone = |person: &Person| person.status == Status::Departed;
        let came = Removals {
            people: usize::from(is_gone(new) && !is_gone(known)),
            memberships: match is_gone(new) {
                true => 0,
                false => known.groups.iter().filter(|group| !new.groups.contains(group)).count(),
            },
            ..Removals::default()
        };
        self.feed(&new.id.source).to_come = Some(rest.less(came));
    }

    fn update_held(&mut self, on: &HeldListingUpdate) {
        let feed = self.feed(&on.held.source);
        if let Some(held) = &mut feed.held {
            Arc::make_mut(held).follow(on);
        }
    }

    fn release(&mut self, source: &str, cause: ReleaseCause) {
        let feed = self.feed(source);
        let held = feed.held.take().filter(|_| cause == ReleaseCause::Discarded);
        feed.held = held.and_then(|held| held.discarded()).map(Arc::new);
        if cause == ReleaseCause::Confirmed {
            // An operator has reviewed what is missing.
            feed.left_out = None;
        }
    }

    fn feed(&mut self, source: &str) -> &mut Feed {
        self.feeds.entry(source.to_owned()).or_default()
    }

    fn exempt(&mut self, id: ExemptionId, exemption: &Exemption) {
        for person in &exemption.persons {
            let key = person_key(&self.keyer, person);
            self.exempted.insert(Exempted { key, id, expires: exemption.expires });
        }
        self.exemptions.insert(id, Arc::new(exemption.clone()));
    }

    fn end_exemption(&mut self, id: ExemptionId) {
        let Some(exemption) = self.exemptions.remove(&id) else { return };
        for person in &exemption.persons {
            self.exempted.remove(person_key(&self.keyer, person), |entry| entry.id == id);
        }
    }

    /// Sources that are no longer configured.
    #[must_use]
    pub fn retired(&self, configured: &[SourceRules]) -> Vec<Retired> {
        let gone = self.feeds.iter().filter(|(name, _)| !configured.iter().any(|source| source.name == **name));
        gone.filter_map(|(name, feed)| {
            Some(Retired { name: name.clone(), linking: Linking::clone(feed.linking.as_ref()?) })
        })
        .collect()
    }

    /// The number of revocations that stand about targets of this kind.
    #[must_use]
    pub fn live(&self, kind: TargetKind) -> usize {
        self.revocations.live(kind)
    }
}
