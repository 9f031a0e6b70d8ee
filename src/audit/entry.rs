//! What is to be recorded, before it is linked into the chain.

use std::net::IpAddr;

use serde_json::Value;

use crate::domain::decision::{Decision, Determining};
use crate::domain::event::{EndCause, Ended, Epoch, Event, Exemption, Recorded};
use crate::domain::guard::{Confirmed, HeldListing, ReleaseCause};
use crate::domain::id::{ExemptionId, RevocationId};
use crate::domain::person::{Person, PersonId};
use crate::domain::policy::Enforcement;
use crate::domain::revocation::{Revocation, Shape, Target};
use crate::domain::time::Timestamp;

use super::record::{CredentialRef, DecisionId, Kind, Record};

/// Longest text kept from a caller (method, path), in characters.
const LONGEST: usize = 1024;

/// A record before it is linked: [`Record`] without `seq`, `replica`, `prev` and `hash`. `persons` are all it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members of `Record`")]
pub struct Entry {
    pub time: Timestamp,
    pub kind: Kind,
    pub actor: Option<String>,
    pub persons: Vec<PersonId>,
    pub target: Option<String>,
    pub service: Option<String>,
    pub method: Option<String>,
    pub path: Option<String>,
    pub address: Option<IpAddr>,
    pub decision: Option<&'static str>,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub decision_id: Option<DecisionId>,
    pub credential: Option<CredentialRef>,
    pub source: Option<String>,
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub epoch: Option<Epoch>,
    pub count: Option<u64>,
    pub since: Option<Timestamp>,
}

/// What a record says about a request besides its decision.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Id of the decision.
    pub id: DecisionId,
    /// When it was made.
    pub time: Timestamp,
    /// Method of the request; empty for a TCP connection.
    pub method: &'a str,
    /// Its path; the query is cut off.
    pub path: &'a str,
    /// Where it came from, as the proxy saw it.
    pub address: Option<IpAddr>,
}

/// The word for the outcome of a request.
#[must_use]
pub fn word(decision: &Decision) -> &'static str {
    match (decision.reason.allows(), decision.enforcement) {
        (true, _) => "allow",
        (false, Enforcement::Observe) => "observed_deny",
        (false, Enforcement::Enforce) => "deny",
    }
}

/// A text from the caller without query or fragment.
pub(super) fn plain(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or_default()
}

/// The same, bounded.
fn bounded(text: &str) -> Option<String> {
    let plain = plain(text);
    (!plain.is_empty()).then(|| plain.chars().take(LONGEST).collect())
}

/// The detail behind a reason, without anything the caller sent.
pub(super) fn told(decision: &Decision) -> Option<String> {
    decision.detail.as_ref().map(|detail| detail.words().to_owned())
}

impl Entry {
    /// An entry with only kind and time.
    #[must_use]
    pub fn new(kind: Kind, time: Timestamp) -> Self {
        Self {
            time,
            kind,
            actor: None,
            persons: Vec::new(),
            target: None,
            service: None,
            method: None,
            path: None,
            address: None,
            decision: None,
            reason: None,
            detail: None,
            decision_id: None,
            credential: None,
            source: None,
            before: None,
            after: None,
            epoch: None,
            count: None,
            since: None,
        }
    }

    /// The record of a decision; `credential` is what may be told about its credential.
    #[must_use]
    pub fn of_decision(decision: &Decision, facts: &Facts<'_>, credential: Option<CredentialRef>) -> Self {
        let shown = decision.verified();
        Self {
            actor: shown.and_then(|shown| shown.subject.as_ref().map(|subject| format!("{}|{subject}", shown.issuer))),
            persons: whom(decision),
            target: determining(decision),
            service: Some(decision.service.to_string()),
            method: bounded(facts.method),
            path: bounded(facts.path),
            address: facts.address,
            decision: Some(word(decision)),
            reason: Some(decision.reason.code().to_owned()),
            detail: told(decision),
            decision_id: Some(facts.id),
            credential,
            source: match &decision.determining {
                Determining::Source(source) => Some(decision.policy.source_name(*source).to_owned()),
                _ => decision.person_id().map(|person| person.source.clone()),
            },
            epoch: Some(decision.epoch),
            ..Self::new(Kind::Decision, facts.time)
        }
    }

    /// The record of an event of the log, enforced here at `time`; `generation` is the log's. `None`: the call whose answer
    /// it keeps has its record, and so has all that it changed.
    #[must_use]
    pub fn of_event(recorded: &Recorded, generation: u64, time: Timestamp) -> Option<Self> {
        let epoch = Epoch { generation, position: recorded.position };
        let entry = match &recorded.new.event {
            Event::Revoked(revocation) => revoked(revocation, revocation.id_at(recorded.position), time),
            Event::Extended { revocation, person, .. } => {
                Self { target: Some(revocation.to_string()), ..about(Kind::RevocationExtended, person, time) }
            }
            Event::Ended(end) => ended(end, time),
            Event::Person(person) => changed(person, time),
            Event::Synced { source, at, .. } => said(source, "synced", Some(*at), time),
            Event::ListingAccepted { source, at, .. } => said(source, "listing accepted", Some(*at), time),
            Event::Linked { source, linking } => {
                let links: Vec<String> =
                    linking.link.iter().map(|link| format!("{}={}", link.claim, link.attribute)).collect();
                let target = Some(format!("{} of {}", links.join(", "), linking.issuer));
                Self { target, ..said(source, "linked", None, time) }
            }
            Event::Heartbeat { source, at, .. } => said(source, "heard", Some(*at), time),
            Event::ListingHeld(held) => held_back(held, held.missing.len(), "listing held back", time),
            Event::ListingHeldUpdated(on) => held_back(&on.held, on.missing, "another listing held back", time),
            Event::Released { source, cause, actor } => {
                let cause = match cause {
                    ReleaseCause::Confirmed => "held listing confirmed",
                    ReleaseCause::Discarded => "held listing discarded",
                    ReleaseCause::Superseded => "a later listing was in order",
                };
                Self { actor: Some(actor.clone()), ..said(source, cause, None, time) }
            }
            Event::Expected { source, share, until, actor } => Self {
                actor: Some(actor.clone()),
                target: Some(format!("up to {}.{:02} % until {until}", share / 100, share % 100)),
                ..said(source, "departures announced", None, time)
            },
            Event::MembershipsConfirmed { source, confirmed: Confirmed { memberships, groups, until }, actor } => {
                let groups = groups.iter().map(|group| format!(", nobody in `{group}`")).collect::<String>();
                Self {
                    actor: Some(actor.clone()),
                    target: Some(format!("{memberships} memberships{groups} until {until}")),
                    ..said(source, "lost memberships confirmed", None, time)
                }
            }
            Event::ConfigurationRole(role) => Self {
                actor: Some(role.process.clone()),
                reason: Some(format!("configuration role taken, term {}", role.term)),
                ..Self::new(Kind::Reload, time)
            },
            Event::Exempted(exemption) => exempted(exemption, exemption.id_at(recorded.position), time),
            Event::ExemptionEnded { exemption, persons, cause, actor, reason } => Self {
                actor: Some(actor.clone()).filter(|actor| !actor.is_empty()),
                persons: persons.clone(),
                target: Some(format!("exemption {exemption}")),
                reason: Some(match reason.as_str() {
                    "" => cause_word(*cause).to_owned(),
                    reason => format!("{}: {reason}", cause_word(*cause)),
                }),
                ..Self::new(Kind::ExemptionEnded, time)
            },
            Event::Pinned { issuer, name, person } => Self {
                target: Some(format!("name {name} of {issuer}")),
                reason: Some("pinned".to_owned()),
                ..about(Kind::Binding, person, time)
            },
            Event::Unpinned { issuer, name, persons } => Self {
                persons: persons.clone(),
                target: Some(format!("name {name} of {issuer}")),
                reason: Some("unpinned".to_owned()),
                ..Self::new(Kind::Binding, time)
            },
            Event::Answered(_) => return None,
        };
        Some(Self { epoch: Some(epoch), ..entry })
    }

    /// The record, not yet sealed.
    #[must_use]
    pub fn into_record(self, replica: &str) -> Record {
        let (person, persons) = match <[PersonId; 1]>::try_from(self.persons) {
            Ok([person]) => (Some(person), Vec::new()),
            Err(persons) => (None, persons),
        };
        Record {
            seq: 0,
            time: self.time,
            kind: self.kind,
            actor: self.actor,
            person,
            persons,
            target: self.target,
            service: self.service,
            method: self.method,
            path: self.path,
            address: self.address,
            decision: self.decision.map(str::to_owned),
            reason: self.reason,
            detail: self.detail,
            decision_id: self.decision_id,
            credential: self.credential,
            source: self.source,
            before: self.before,
            after: self.after,
            epoch: self.epoch,
            count: self.count,
            // A source may move its cursor at a time that nobody can name: no full listing was read yet.
            since: self.since.filter(|since| *since != Timestamp::MIN),
            replica: replica.to_owned(),
            prev: String::new(),
            hash: String::new(),
        }
    }
}

fn about(kind: Kind, person: &PersonId, time: Timestamp) -> Entry {
    Entry { persons: vec![person.clone()], source: Some(person.source.clone()), ..Entry::new(kind, time) }
}

/// What the removal guard did.
fn held_back(held: &HeldListing, missing: usize, what: &str, time: Timestamp) -> Entry {
    let emptied = held.emptied.iter().map(|group| format!(", nobody in `{group}`")).collect::<String>();
    let numbers = format!("{missing} of {} people, {} memberships{emptied}", held.known, held.memberships);
    let target = match &held.because {
        Some(because) if held.unlisted => because.clone(),
        Some(because) => format!("{numbers}; {because}"),
        None => numbers,
    };
    Entry { target: Some(target), kind: Kind::HeldBack, ..said(&held.source, what, Some(held.at), time) }
}

/// What a source did as a whole.
fn said(source: &str, what: &str, since: Option<Timestamp>, time: Timestamp) -> Entry {
    Entry { source: Some(source.to_owned()), reason: Some(what.to_owned()), since, ..Entry::new(Kind::Source, time) }
}

fn determining(decision: &Decision) -> Option<String> {
    let policy = &decision.policy;
    match &decision.determining {
        Determining::None => None,
        Determining::Revocation(id) => Some(format!("revocation {id}")),
        Determining::Configured(entry) => Some(format!("configured {}", policy.revocation_place(*entry))),
        Determining::Binding(binding) => Some(format!("binding {}", policy.binding_place(*binding))),
        Determining::Source(source) => Some(format!("source {}", policy.source_name(*source))),
        Determining::Exemption(id) => Some(format!("exemption {id}")),
        Determining::People(people) => Some(format!("people {}", listed(people))),
    }
}

fn listed(people: &[PersonId]) -> String {
    people.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Everybody whom a decision is about: the owner of its credential, or all whom the request does not tell apart.
fn whom(decision: &Decision) -> Vec<PersonId> {
    let several = match &decision.determining {
        Determining::People(people) => people.as_slice(),
        _ => &[],
    };
    let owner = decision.person_id().into_iter().filter(|owner| !several.contains(owner));
    owner.chain(several).cloned().collect()
}

/// Everybody to whom an event denies something.
#[must_use]
pub fn concerned(event: &Event) -> Vec<PersonId> {
    match event {
        Event::Revoked(Revocation { target: Target::DirectoryPerson { person }, .. })
        | Event::Extended { person, .. } => vec![person.clone()],
        Event::Revoked(revocation) => revocation.persons.clone(),
        _ => Vec::new(),
    }
}

/// Everybody whom a revocation applies to.
fn meant(target: &Target, persons: &[PersonId]) -> Vec<PersonId> {
    match target {
        Target::DirectoryPerson { person } => vec![person.clone()],
        _ => persons.to_vec(),
    }
}

/// The source of the person, if a record is about one.
fn source_of(persons: &[PersonId]) -> Option<String> {
    match persons {
        [person] => Some(person.source.clone()),
        _ => None,
    }
}

/// `r17 block on person a@example.com`
fn described(id: RevocationId, shape: Shape, target: &Target) -> String {
    match shape {
        Shape::Block => format!("{id} block on {target}"),
        Shape::CutOff { at } => format!("{id} cut-off at {at} on {target}"),
    }
}

fn revoked(revocation: &Revocation, id: RevocationId, time: Timestamp) -> Entry {
    let persons = meant(&revocation.target, &revocation.persons);
    Entry {
        actor: Some(revocation.actor.clone()),
        target: Some(described(id, revocation.shape, &revocation.target)),
        reason: Some(revocation.reason.clone()),
        source: source_of(&persons),
        persons,
        // The time from which the source or the operator wants it to apply.
        since: Some(revocation.effective),
        ..Entry::new(Kind::Revocation, time)
    }
}

fn ended(end: &Ended, time: Timestamp) -> Entry {
    let persons = meant(&end.target, &end.persons);
    Entry {
        actor: Some(end.actor.clone()),
        target: Some(described(end.revocation, end.shape, &end.target)),
        reason: Some(format!("{}: {}", cause_word(end.cause), end.reason)),
        source: source_of(&persons),
        persons,
        since: Some(end.at),
        ..Entry::new(Kind::RevocationEnded, time)
    }
}

fn changed(person: &Person, time: Timestamp) -> Entry {
    Entry { reason: Some(person.status.word().to_owned()), ..about(Kind::Source, &person.id, time) }
}

fn exempted(exemption: &Exemption, id: ExemptionId, time: Timestamp) -> Entry {
    Entry {
        actor: Some(exemption.actor.clone()),
        persons: exemption.persons.clone(),
        target: Some(format!("exemption {id} of {} until {}", exemption.reference, exemption.expires)),
        reason: Some(exemption.reason.clone()),
        ..Entry::new(Kind::Exemption, time)
    }
}

fn cause_word(cause: EndCause) -> &'static str {
    match cause {
        EndCause::Restored => "restored",
        EndCause::Expired => "expired",
        EndCause::ActiveAgain => "active again",
        EndCause::TakenOut => "taken out",
        EndCause::Undone => "undone",
        EndCause::Replaced => "replaced",
    }
}
