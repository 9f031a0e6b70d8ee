//! The fold: what the log, read in order, amounts to.
//!
//! [`Fold::apply`] is total and depends on nothing but the fold and the event, so every replica and every
//! restart comes to the same result (law 11).

use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;

use super::feed::Feed;
use super::people::{People, person_key};
use super::revocations::{Entry, Of, Revocations, entry, entry_of_ref, whose};
use super::table::{Keyed, Table};
use crate::domain::chain::ChainHash;
use crate::domain::event::{ConfigurationRole, Ended, Epoch, Event, Exemption, Recorded};
use crate::domain::guard::{HeldListingUpdate, ReleaseCause, Removals};
use crate::domain::id::{ExemptionId, RevocationId};
use crate::domain::key::{Key, Keyer, RefKey};
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::revocation::{Owner, Revocation, Shape, Target, TargetKind};
use crate::domain::source::{Linking, Retired, SourceRules};
use crate::domain::time::{Now, Timestamp};

/// What the log says of a source that completed a full sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SourceState {
    /// When its first full listing was taken.
    pub first_synced: Timestamp,
    /// When its last full listing was taken.
    pub last_synced: Timestamp,
    /// Everything that happened there up to then is known: by a listing, or because its events were read.
    pub last_heard: Timestamp,
}

impl SourceState {
    /// Whether more than `max` passed since everything at the source was known. On the wall clock alone: the time that
    /// never falls stands still for as long as the clock once was ahead.
    #[must_use]
    pub fn is_stale(&self, max: Duration, now: Now) -> bool {
        now.wall > self.last_heard.plus(max)
    }
}

/// The later of two times, unless the one before lies in the future: it was written while the clock was ahead.
fn later(before: Timestamp, at: Timestamp, now: Timestamp) -> Timestamp {
    if before > now { at } else { before.max(at) }
}

/// Break glass for one person.
#[derive(Clone, Copy, Debug)]
pub struct Exempted {
    /// Key of the person.
    pub key: Key,
    /// Which exemption.
    pub id: ExemptionId,
    /// It ends by itself then.
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

/// Identity of an entry of `revocations:`: the same target and shape is the same entry, wherever it stands.
#[must_use]
pub fn note_of(target: &Target, shape: Shape) -> String {
    let shape = match shape {
        Shape::Block => String::new(),
        Shape::CutOff { at } => format!(" issued at or before {at}"),
    };
    format!("{target}{shape}")
}

/// The state that the log amounts to. Cloning is cheap: parts are shared until they change.
#[derive(Clone, Debug)]
pub struct Fold {
    /// The installation's secret, under which all keys are made.
    pub keyer: Keyer,
    /// Up to where the log is folded.
    pub epoch: Epoch,
    /// The hash of the log's chain there. `None`: a snapshot says nothing of it, which an earlier version wrote.
    pub chain: Option<ChainHash>,
    /// The latest time that an event bears; time that never falls starts from it.
    pub witnessed: Timestamp,
    /// What is denied.
    pub revocations: Revocations,
    /// Who is known.
    pub people: People,
    /// For whom glass is broken.
    pub exempted: Table<Exempted>,
    /// Exemptions in force.
    pub exemptions: OrdMap<ExemptionId, Arc<Exemption>>,
    /// The names in bindings that stand for a person, by the person's key.
    pub pinned: OrdMap<Key, Vec<Arc<PinName>>>,
    /// The persons of each name in a binding.
    pub pins: OrdMap<PinName, Vec<PersonId>>,
    /// Which sources ever completed a full sync, and when.
    pub sources: OrdMap<String, SourceState>,
    /// Where each source goes on, and what of it is held back.
    pub feeds: OrdMap<String, Feed>,
    /// Who writes what follows from the configuration; `None` until somebody took that role.
    pub configuration_role: Option<Arc<ConfigurationRole>>,
    /// Standing entries of `revocations:`, by what they say.
    pub noted: OrdMap<String, RevocationId>,
    /// What ends by itself, by time.
    pub expiring: OrdMap<(Timestamp, RevocationId), Arc<Revocation>>,
    /// Whom a REF revocation turned out to mean since it was written.
    pub extensions: OrdMap<RevocationId, Vec<PersonId>>,
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
            extensions: OrdMap::new(),
        }
    }

    /// Takes in the next event.
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
                self.come(person);
                self.people.put(&self.keyer, person.clone());
            }
            Event::Synced { source, at, left_out } => {
                self.synced(source, *at, recorded.new.time);
                // What was accepted is in force as a whole, and was counted then; a newer one takes the place of the rest.
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
                // What was confirmed counts until all of it is in force: the next listing says the rest again.
                let confirmed = feed.confirmed.take();
                feed.add_up(*left_out, recorded.new.time);
                (feed.to_come, feed.confirmed) = (Some(*left_out), confirmed);
            }
            Event::Linked { source, linking } => {
                self.feed(source).linking = Some(Arc::new(linking.clone()));
                self.people.compare_by(&self.keyer, [(source.as_str(), linking.directory)]);
            }
            Event::Heartbeat { source, at, cursor } => self.heard(source, (*at, recorded.new.time), cursor.as_ref()),
            Event::ListingHeld(held) => self.feed(&held.source).held = Some(Arc::new(held.clone())),
            Event::ListingHeldUpdated(on) => self.hold_on(on),
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
        }
    }

    fn revoke(&mut self, id: RevocationId, revocation: &Revocation, happened: Option<Timestamp>) {
        let Revocation { shape, effective, ref owner, .. } = *revocation;
        let kind = revocation.target.kind();
        let of = Of { kind, shape, effective, owner, whose: whose(&self.keyer, owner) };
        for key in self.keys_of(&revocation.target, &revocation.persons) {
            self.revocations.stand(entry(key, id, &of, happened));
            if let (Owner::Source(_), Shape::CutOff { at }) = (&revocation.owner, revocation.shape) {
                self.revocations.outdate(key, id, kind, at);
            }
        }
        if let Some(reference) = revocation.target.reference().filter(|_| revocation.by_rule) {
            // In place of the entry that compares as the first versions did.
            for name in RefKey::of(&self.keyer, reference) {
                self.revocations.stand(entry_of_ref(&name, id, &of, happened));
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
        let mut keys = vec![target.key(&self.keyer)];
        keys.extend(persons.iter().map(|person| person_key(&self.keyer, person)));
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Further keys under which a REF stands that is compared by the rules of names.
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
        self.revocations.stand(Entry { key, whose: 0, rules: 0, ..standing });
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
        for key in keys {
            self.revocations.end(key, id, ended);
        }
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

    fn heard(&mut self, source: &str, (at, now): (Timestamp, Timestamp), cursor: Option<&String>) {
        // Who never listed its people completely is not heard to the end either.
        // The beginning of time: it was only said from where it goes on.
        if let Some(state) = self.sources.get_mut(source).filter(|_| at != Timestamp::MIN) {
            state.last_heard = later(state.last_heard, at, now);
        }
        if let Some(cursor) = cursor {
            self.feed(source).cursor = Some(cursor.clone());
        }
    }

    /// A record comes into force, perhaps one of an accepted listing.
    fn come(&mut self, new: &Person) {
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

    fn hold_on(&mut self, on: &HeldListingUpdate) {
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
            // Somebody looked at what is missing.
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

    fn pin(&mut self, issuer: &str, name: &str, person: &PersonId) {
        let pin_name = (issuer.to_owned(), name.to_owned());
        let mut persons = self.pins.get(&pin_name).cloned().unwrap_or_default();
        if !persons.contains(person) {
            persons.push(person.clone());
        }
        let key = person_key(&self.keyer, person);
        let mut names = self.pinned.get(&key).cloned().unwrap_or_default();
        if !names.iter().any(|other| **other == pin_name) {
            names.push(Arc::new(pin_name.clone()));
        }
        self.pinned.insert(key, names);
        self.pins.insert(pin_name, persons);
    }

    fn unpin(&mut self, issuer: &str, name: &str) {
        let pin_name = (issuer.to_owned(), name.to_owned());
        for person in self.pins.remove(&pin_name).unwrap_or_default() {
            let key = person_key(&self.keyer, &person);
            let mut names = self.pinned.remove(&key).unwrap_or_default();
            names.retain(|other| **other != pin_name);
            if !names.is_empty() {
                self.pinned.insert(key, names);
            }
        }
    }

    /// Sources that were configured once and no longer are.
    #[must_use]
    pub fn retired(&self, configured: &[SourceRules]) -> Vec<Retired> {
        let gone = self.feeds.iter().filter(|(name, _)| !configured.iter().any(|source| source.name == **name));
        gone.filter_map(|(name, feed)| {
            Some(Retired { name: name.clone(), linking: Linking::clone(feed.linking.as_ref()?) })
        })
        .collect()
    }

    /// Live entries about targets of this kind.
    #[must_use]
    pub fn live(&self, kind: TargetKind) -> usize {
        self.revocations.live(kind)
    }
}
