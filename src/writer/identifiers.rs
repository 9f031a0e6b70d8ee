//! Identifiers that `link` compares, and what becomes of them when they pass from one person to another.
//!
//! A value that leaves a person, or that is taken up after all its holders departed, is cut off: what was issued under
//! it before is dead for everyone. Values are compared as sets, by the rule of their attribute: to write a directory in
//! another spelling cuts nobody off, nor does adding a value that somebody else has who is still there.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::directory::When;
use super::plan::Plan;
use crate::domain::event::Event;
use crate::domain::name::Compare;
use crate::domain::person::{Person, Status};
use crate::domain::revocation::{Owner, Revocation, Shape, Target};
use crate::domain::source::{Link, SourceRules};

/// The values of an attribute by their one spelling, each as it is written.
fn values(rule: Compare, person: &Person, attribute: &str) -> BTreeMap<String, String> {
    person.values(attribute).map(|value| (rule.fold(value).text.into_owned(), value.to_owned())).collect()
}

/// Plans the cut-offs of whatever `link` compares and that left this person, or that they take up from people who are
/// gone.
pub(super) fn cut_off(plan: &mut Plan, old: Option<&Person>, new: &Person, when: When) {
    let policy = Arc::clone(&plan.state.rules.policy);
    let Some(rules) = policy.sources.iter().find(|rules| rules.name == new.id.source) else { return };
    let Some(issuer) = policy.issuers.get(usize::from(rules.issuer)) else { return };
    let back = new.status != Status::Departed && old.is_some_and(|old| old.status == Status::Departed);
    for link in &rules.link {
        let rule = rules.directory.compares(&link.attribute);
        let before = old.map(|old| values(rule, old, &link.attribute)).unwrap_or_default();
        let after = values(rule, new, &link.attribute);
        for (folded, value) in before.iter().filter(|(folded, _)| !after.contains_key(*folded)) {
            passed_on(plan, (&issuer.issuer, link), (folded, value), new, when);
        }
        // Whoever comes back takes up again what they were called.
        let fresh = after.iter().filter(|(folded, _)| back || !before.contains_key(*folded));
        for (folded, value) in fresh.filter(|_| new.status != Status::Departed) {
            if take_up(plan, rules, (&link.attribute, value), new, when) {
                passed_on(plan, (&issuer.issuer, link), (folded, value), new, when);
            }
        }
    }
}

/// Plans the cut-off of one value, under each of the spellings that tokens are looked up with: the folded one, and the
/// one that it was written in, which is all that earlier versions look at.
fn passed_on(
    plan: &mut Plan,
    (issuer, link): (&str, &Link),
    (folded, value): (&str, &str),
    person: &Person,
    when: When,
) {
    let spellings = if folded == value { vec![folded] } else { vec![folded, value] };
    for value in spellings {
        let (issuer, claim, value) = (issuer.to_owned(), link.claim.clone(), value.to_owned());
        let revocation = Revocation {
            target: Target::LinkClaim { issuer, claim, value },
            shape: Shape::CutOff { at: when.cut_off() },
            reason: format!("`{}` passed on in {}", link.attribute, person.id.source),
            owner: Owner::Source(person.id.source.clone()),
            actor: person.id.source.clone(),
            effective: when.now.wall.min(when.now.steady),
            expires: None,
            persons: Vec::new(),
            by_rule: false,
        };
        plan.add_of(Event::Revoked(revocation), when.provider, None, when.now);
    }
}

/// Plans that a value leaves those who had it and are gone, where nobody else has it who is there: from now on it is the
/// new holder's alone. Whether there was anybody.
fn take_up(
    plan: &mut Plan,
    rules: &SourceRules,
    (attribute, value): (&str, &str),
    person: &Person,
    when: When,
) -> bool {
    let fold = &plan.state.fold;
    let key = fold.people.link_key(&fold.keyer, &rules.name, attribute, value);
    let others = fold.people.linked(&key).filter(|(known, _)| known.person.id != person.id);
    let mut others: Vec<Arc<Person>> = others.map(|(known, _)| Arc::clone(&known.person)).collect();
    others.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    others.dedup_by(|one, other| one.id == other.id);
    let rule = fold.people.rule(&rules.name, attribute);
    let is_left = others.iter().any(|other| other.status != Status::Departed);
    let gone: Vec<Arc<Person>> = others.into_iter().filter(|other| other.status == Status::Departed).collect();
    let any = !gone.is_empty() && !is_left;
    for other in gone {
        let mut other = Arc::unwrap_or_clone(other);
        other.forget(attribute, |theirs| rule.matches(theirs, value).is_some());
        plan.add_of(Event::Person(other), when.provider, None, when.now);
    }
    any
}

/// Takes from the record of somebody who is gone what somebody has who is there: a listing says again what the former was
/// once called.
pub(super) fn give_way(plan: &Plan, person: &mut Person) {
    let policy = &plan.state.rules.policy;
    let Some(rules) = policy.sources.iter().find(|rules| rules.name == person.id.source) else { return };
    for link in &rules.link {
        let people = &plan.state.fold.people;
        let id = person.id.clone();
        let is_held = |value: &str| {
            let key = people.link_key(&plan.state.fold.keyer, &rules.name, &link.attribute, value);
            let mut holders = people.linked(&key);
            holders.any(|(known, _)| known.person.status != Status::Departed && known.person.id != id)
        };
        person.forget(&link.attribute, is_held);
    }
}
