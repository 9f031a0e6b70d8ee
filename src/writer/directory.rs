//! What sources saw, compared with what is known.
//!
//! The source's word on a person becomes a block that the source owns, or the end of it: `decide` reads no
//! status.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::operator::end;
use super::plan::{Outcome, Plan};
use crate::domain::event::{EndCause, Event};
use crate::domain::inbox::{Observation, Refused};
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::policy::Policy;
use crate::domain::revocation::{Owner, Revocation, RevocationId, Shape, Target, TargetKind};
use crate::domain::source::SourceRules;
use crate::domain::time::{Now, Timestamp};
use crate::faults::{Fault, planted};
use crate::state::people::person_key;
use crate::state::revocations::{OwnerKind, Stand};

/// What our clock and an issuer's may differ by, where we dated the end of access ourselves (design section 2).
const SKEW: Duration = Duration::from_secs(5);

/// When something happened: the provider's own time, where it gave one.
#[derive(Clone, Copy)]
struct When {
    now: Now,
    provider: Option<Timestamp>,
}

impl When {
    fn ended(self) -> Timestamp {
        self.provider.unwrap_or(self.now.wall)
    }

    fn cut_off(self) -> Timestamp {
        self.provider.unwrap_or_else(|| self.now.wall.plus(SKEW))
    }
}

/// The id under which an observation is taken in only once.
pub(super) fn event_id(observation: &Observation) -> Option<String> {
    match observation {
        Observation::Change { person, event_id: Some(id), .. } => Some(format!("{}:{id}", person.id.source)),
        Observation::Change { .. } | Observation::Listing { .. } => None,
    }
}

/// Plans what an observation changes.
pub(super) fn observe(
    plan: &mut Plan,
    observation: &Observation,
    id: Option<String>,
    now: Now,
) -> Result<Outcome, Refused> {
    match observation {
        Observation::Change { person, at, .. } => {
            change(plan, person.clone(), id, When { now, provider: *at });
            Ok(Outcome::default())
        }
        Observation::Listing { source, people, complete, at } => listing(plan, source, people, *complete, *at, now),
    }
}

fn rules(policy: &Policy, source: &str) -> Option<SourceRules> {
    policy.sources.iter().find(|rules| rules.name == source).cloned()
}

/// Plans what a listing changes. What it leaves out counts only if it is complete and the guard lets it.
fn listing(
    plan: &mut Plan,
    source: &str,
    people: &[Person],
    complete: bool,
    at: Timestamp,
    now: Now,
) -> Result<Outcome, Refused> {
    let Some(rules) = rules(&plan.state.rules.policy, source) else {
        return Err(Refused::Invalid(format!("source `{source}` is not configured")));
    };
    let when = When { now, provider: None };
    let missing = if complete { missing(plan, source, people) } else { Vec::new() };
    let known = plan.state.fold.people.of_source(source).filter(|known| present(&known.person)).count();
    if guarded(&rules, missing.len(), known) {
        // Held back: it ends no block and adds no group, but who is disabled explicitly is disabled.
        let counts = |person: &&Person| person.status != Status::Active || planted(Fault::GuardedListingRestores);
        for person in people.iter().filter(counts) {
            change(plan, person.clone(), None, when);
        }
        return Err(Refused::Guarded { source_name: source.to_owned(), missing: missing.len(), known });
    }
    for person in people {
        change(plan, person.clone(), None, when);
    }
    for person in missing {
        change(plan, Person { status: Status::Departed, groups: Vec::new(), ..person }, None, when);
    }
    if complete {
        plan.add(Event::Synced { source: source.to_owned(), at }, now);
    }
    Ok(Outcome::default())
}

fn present(person: &Person) -> bool {
    person.status != Status::Departed
}

fn missing(plan: &Plan, source: &str, people: &[Person]) -> Vec<Person> {
    let listed: HashSet<&str> = people.iter().map(|person| person.id.key.as_str()).collect();
    let known = plan.state.fold.people.of_source(source);
    known
        .filter(|known| present(&known.person) && !listed.contains(known.person.id.key.as_str()))
        .map(|known| Person::clone(&known.person))
        .collect()
}

/// The guard: from `from` people upward by share, and always where something known becomes empty.
#[expect(clippy::cast_precision_loss, reason = "numbers of people fit into 53 bits")]
fn guarded(rules: &SourceRules, missing: usize, known: usize) -> bool {
    let all_gone = missing > 0 && missing == known;
    all_gone || (missing >= rules.max_change.from && missing as f64 > known as f64 * rules.max_change.share)
}

/// Plans what one person's record changes.
fn change(plan: &mut Plan, mut person: Person, id: Option<String>, when: When) {
    person.groups.sort_unstable();
    person.groups.dedup();
    let key = person_key(&plan.state.fold.keyer, &person.id);
    let old = plan.state.fold.people.get(key).map(|known| Arc::clone(&known.person));
    // An event that changes nothing is written down too, for its id: delivered again after a later one, it would.
    if old.as_deref() != Some(&person) || id.is_some() {
        cut_off_identifiers(plan, old.as_deref(), &person, when);
        plan.add_of(Event::Person(person.clone()), when.provider, id, when.now);
        extend(plan, &person, when.now);
    }
    block(plan, &person, when);
}

/// The source's block follows the status. It is looked for, not assumed: a lost one is put back.
fn block(plan: &mut Plan, person: &Person, when: When) {
    let key = person_key(&plan.state.fold.keyer, &person.id);
    let own = |entry: &&crate::state::revocations::Entry| {
        entry.stand == Stand::Block && entry.owner == OwnerKind::Source && entry.kind == TargetKind::Person
    };
    let standing = plan.state.fold.revocations.under(key).iter().find(own).map(|entry| RevocationId(entry.id));
    match (person.status, standing) {
        (Status::Active, Some(id)) => {
            let reason = format!("active again in {}", person.id.source);
            let revocation = own_block(person, &reason, when.now);
            let ended =
                end(id, revocation, (EndCause::ActiveAgain, when.ended()), (&person.id.source, &reason), when.now);
            plan.add_of(Event::Ended(ended), when.provider, None, when.now);
        }
        (Status::Suspended | Status::Departed, None) => {
            let reason = format!("{} in {}", person.status.word(), person.id.source);
            let revocation = own_block(person, &reason, when.now);
            plan.add_of(Event::Revoked(revocation), when.provider, None, when.now);
        }
        (Status::Active, None) | (Status::Suspended | Status::Departed, Some(_)) => {}
    }
}

fn own_block(person: &Person, reason: &str, now: Now) -> Revocation {
    Revocation {
        target: Target::DirectoryPerson { person: person.id.clone() },
        shape: Shape::Block,
        reason: reason.to_owned(),
        owner: Owner::Source(person.id.source.clone()),
        actor: person.id.source.clone(),
        effective: now.wall.min(now.steady),
        expires: None,
        persons: Vec::new(),
    }
}

/// Whatever `link` compares and that left this person, or came to them from somebody else, is cut off: what
/// was issued under it before is dead for everyone.
fn cut_off_identifiers(plan: &mut Plan, old: Option<&Person>, new: &Person, when: When) {
    let policy = Arc::clone(&plan.state.rules.policy);
    let Some(rules) = rules(&policy, &new.id.source) else { return };
    let Some(issuer) = policy.issuers.get(usize::from(rules.issuer)) else { return };
    for link in &rules.link {
        let before = old.and_then(|old| old.attribute(&link.attribute));
        let after = new.attribute(&link.attribute);
        if before == after {
            continue;
        }
        let taken_over = after.filter(|value| held_by_another(plan, &rules, &link.attribute, value, &new.id));
        for value in [before, taken_over].into_iter().flatten() {
            let revocation = Revocation {
                target: Target::LinkClaim {
                    issuer: issuer.name.clone(),
                    claim: link.claim.clone(),
                    value: value.to_owned(),
                },
                shape: Shape::CutOff { at: when.cut_off() },
                reason: format!("`{}` passed on in {}", link.attribute, new.id.source),
                owner: Owner::Source(new.id.source.clone()),
                actor: new.id.source.clone(),
                effective: when.now.wall.min(when.now.steady),
                expires: None,
                persons: Vec::new(),
            };
            plan.add_of(Event::Revoked(revocation), when.provider, None, when.now);
        }
    }
}

fn held_by_another(plan: &Plan, rules: &SourceRules, attribute: &str, value: &str, id: &PersonId) -> bool {
    let parts = [rules.name.as_str(), attribute, value];
    let key = plan.state.fold.keyer.key(crate::domain::key::KeyKind::Link, &parts);
    plan.state.fold.people.linked(key).any(|known| known.person.id != *id)
}

/// A standing REF revocation that one of the person's names fits means them too, from now on and whatever
/// they will be called later.
fn extend(plan: &mut Plan, person: &Person, now: Now) {
    let key = person_key(&plan.state.fold.keyer, &person.id);
    for reference in references(&plan.state.rules.policy, person) {
        let name = plan.state.fold.keyer.name(&reference);
        let revocations = &plan.state.fold.revocations;
        let new: Vec<RevocationId> = revocations
            .under(name)
            .iter()
            .filter(|entry| entry.stand != Stand::Leftover && entry.kind == TargetKind::Person)
            .map(|entry| RevocationId(entry.id))
            .filter(|id| !revocations.stands(key, *id))
            .collect();
        for revocation in new {
            let target = Target::Person { reference: reference.clone() };
            plan.add(Event::Extended { revocation, target, person: person.id.clone() }, now);
        }
    }
}

/// Every REF that means this person: their names, and `ISS|SUB` where `sub` links to them.
fn references(policy: &Policy, person: &Person) -> Vec<String> {
    let mut references: Vec<String> = person.names().map(str::to_owned).collect();
    let source = policy.sources.iter().find(|rules| rules.name == person.id.source);
    if let Some(rules) = source
        && let Some(issuer) = policy.issuers.get(usize::from(rules.issuer))
    {
        let by_sub = rules.link.iter().filter(|link| link.claim == "sub");
        let subjects = by_sub.filter_map(|link| person.attribute(&link.attribute));
        references.extend(subjects.map(|subject| format!("{}|{subject}", issuer.issuer)));
    }
    references.sort_unstable();
    references.dedup();
    references
}
