//! People: what a source's record of one person changes.
//!
//! The status becomes a block that the source owns, or the end of that block: `decide` reads no status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::access;
use super::identifiers;
use super::operator::end;
use super::plan::{Plan, When};
use crate::domain::event::{EndCause, Event};
use crate::domain::id::RevocationId;
use crate::domain::key::NameKey;
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::revocation::{Owner, Revocation, Shape, Target, TargetKind};
use crate::domain::time::{Now, Timestamp};
use crate::state::people::person_key;
use crate::state::revocations::{Entry, EntryKind, OwnerKind};

/// Plans that an active person is disabled, without any other change. Returns whether they were active.
pub(super) fn disable(plan: &mut Plan, id: &PersonId, status: Status, now: Now) -> bool {
    let known = plan.state.fold.people.find(&plan.state.fold.keyer, id);
    let Some(known) = known.filter(|known| known.person.status == Status::Active && status != Status::Active) else {
        return false;
    };
    let person = Person { status, ..Person::clone(&known.person) };
    change(plan, Arc::new(person), None, When { now, provider: None });
    true
}

/// Plans the changes of one person's record. A record older than the known one, on the provider's clock, grants
/// nothing.
pub(super) fn change(plan: &mut Plan, mut person: Arc<Person>, id: Option<String>, when: When) {
    if !person.has_groups_in_order() {
        Arc::make_mut(&mut person).put_groups_in_order();
    }
    let key = person_key(&plan.state.fold.keyer, &person.id);
    let old = plan.state.fold.people.get(key).map(|known| Arc::clone(&known.person));
    if let Some(old) = old.as_deref().filter(|old| is_late(old, &person)) {
        return late(plan, old, &person, when);
    }
    let passed = match person.status {
        Status::Departed => identifiers::give_way(plan, Arc::make_mut(&mut person)),
        _ => Vec::new(),
    };
    // An event that changes nothing is logged too, for its id: a repeated delivery after a later event would change
    // something.
    if old.as_deref() != Some(&*person) || id.is_some() {
        identifiers::cut_off(plan, old.as_deref(), &person, when);
        if old.is_none() {
            identifiers::gave_way(plan, &person.id, &passed, when);
        }
        plan.add_of(Event::Person(Arc::clone(&person)), when.provider, id, when.now);
        extend(plan, &person, when.now);
    }
    block(plan, &person, when);
}

fn is_late(known: &Person, new: &Person) -> bool {
    known.changed.zip(new.changed).is_some_and(|(known, new)| new < known)
}

/// A late record says that a person had been disabled, and they are known to be active again: law 7 still applies.
fn late(plan: &mut Plan, known: &Person, late: &Person, when: When) {
    if late.status != Status::Active
        && known.status == Status::Active
        && let Some(back) = known.changed
    {
        let target = Target::DirectoryPerson { person: known.id.clone() };
        let reason = format!("had been {} in {}", late.status.word(), known.id.source);
        access::cut_off(plan, &known.id.source, (&target, back), &reason, when.now);
    }
}

/// Plans the departure of a person whom the source no longer has, since `at` on its clock, if known. A listing gives no
/// time; our clock is never compared with the provider's, since otherwise a record unchanged for years could not undo
/// the departure.
pub(super) fn departed(plan: &mut Plan, id: &PersonId, at: Option<Timestamp>, when: When) {
    let known = plan.state.fold.people.find(&plan.state.fold.keyer, id).map(|known| Person::clone(&known.person));
    let known = known.unwrap_or_else(|| Person::new(id.clone(), Status::Departed));
    let changed = known.changed.max(at);
    let departed = Person { status: Status::Departed, groups: Vec::new(), changed, ..known };
    change(plan, Arc::new(departed), None, when);
}

/// Makes the source's block follow the status. It is looked up, not assumed, so a lost block is restored.
fn block(plan: &mut Plan, person: &Person, when: When) {
    let key = person_key(&plan.state.fold.keyer, &person.id);
    let own = |entry: &&Entry| {
        entry.effect == EntryKind::Block && entry.owner == OwnerKind::Source && entry.kind == TargetKind::Person
    };
    let standing = plan.state.fold.revocations.under(key).iter().find(own).map(|entry| entry.id);
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
            plan.revoke(revocation, when.provider, when.now);
        }
        (Status::Active, None) | (Status::Suspended | Status::Departed, Some(_)) => {}
    }
}

fn own_block(person: &Person, reason: &str, now: Now) -> Revocation {
    Revocation {
        id: None,
        target: Target::DirectoryPerson { person: person.id.clone() },
        shape: Shape::Block,
        reason: reason.to_owned(),
        owner: Owner::Source(person.id.source.clone()),
        actor: person.id.source.clone(),
        effective: now.wall.min(now.steady),
        expires: None,
        persons: Vec::new(),
        by_rule: false,
    }
}

/// Extends standing REF revocations that match a name of the person: they apply to the person from now on, whatever the
/// person's later names.
fn extend(plan: &mut Plan, person: &Person, now: Now) {
    if !may_be_meant(plan, person) {
        return;
    }
    let key = person_key(&plan.state.fold.keyer, &person.id);
    for (name, reference) in references(plan, person) {
        let revocations = &plan.state.fold.revocations;
        let under = revocations.under(name.key).iter().filter(|entry| name.is(entry.rules, entry.owner_hash));
        let new: BTreeSet<RevocationId> = under
            .filter(|entry| entry.effect != EntryKind::ResidualCutoff && entry.kind == TargetKind::Person)
            .map(|entry| entry.id)
            .filter(|id| !revocations.stands(key, *id))
            .collect();
        for revocation in new {
            let target = Target::Person { reference: reference.clone() };
            plan.add(Event::Extended { revocation, target, person: person.id.clone() }, now);
        }
    }
}

/// `false` if no revocation is of a REF that means this person, whose record is planned. `true` may be wrong.
fn may_be_meant(plan: &Plan, person: &Person) -> bool {
    let fold = &plan.state.fold;
    let may_hold = |name: &NameKey| fold.revocations.may_hold(name.key);
    let Some(known) = fold.people.find(&fold.keyer, &person.id) else { return true };
    known.names.iter().any(may_hold)
        || subjects(plan, person).any(|(attribute, subject)| {
            let rule = fold.people.name_rule(&person.id.source, attribute);
            NameKey::of(&fold.keyer, rule, &subject).any(|name| may_hold(&name))
        })
}

/// Every REF that means this person: names, `SOURCE/KEY`, and `ISS|SUB` if `sub` links to them.
fn references(plan: &Plan, person: &Person) -> BTreeMap<NameKey, String> {
    let fold = &plan.state.fold;
    let mut references = BTreeMap::new();
    let mut add = |attribute: &str, reference: String| {
        let rule = fold.people.name_rule(&person.id.source, attribute);
        let names: Vec<NameKey> = match attribute {
            "id" => vec![NameKey::id(&fold.keyer, &reference)],
            _ => NameKey::of(&fold.keyer, rule, &reference).collect(),
        };
        references.extend(names.into_iter().map(|name| (name, reference.clone())));
    };
    person.attributes().for_each(|(attribute, value)| add(attribute, value.to_owned()));
    add("id", person.id.to_string());
    subjects(plan, person).for_each(|(attribute, subject)| add(attribute, subject));
    references
}

/// `ISS|SUB` for each value of an attribute that `sub` links to, with the attribute.
fn subjects<'a>(plan: &'a Plan, person: &'a Person) -> impl Iterator<Item = (&'a str, String)> {
    let policy = &plan.state.rules.policy;
    let source = policy.sources.iter().find(|rules| rules.name == person.id.source);
    let issuer = source.and_then(|rules| policy.issuers.get(usize::from(rules.issuer)));
    let links = source.zip(issuer).into_iter().flat_map(|(rules, issuer)| {
        rules.link.iter().filter(|link| link.claim == "sub").map(move |link| (link.attribute.as_str(), issuer))
    });
    links.flat_map(move |(attribute, issuer)| {
        person.values(attribute).map(move |subject| (attribute, format!("{}|{subject}", issuer.issuer)))
    })
}
