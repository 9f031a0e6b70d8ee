//! Identifiers that `link` compares, and what becomes of them when they pass from one person to another.
//!
//! A value that leaves a person, or that is taken up after all its holders departed, is cut off: what was issued under
//! it before is dead for everyone. Values are compared as sets, by the rule of their attribute: to write a directory in
//! another spelling cuts nobody off, nor does adding a value that somebody else has who is still there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::plan::{Plan, When};
use crate::domain::event::Event;
use crate::domain::name::Compare;
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::policy::Policy;
use crate::domain::revocation::{Owner, Revocation, Shape, Target};
use crate::domain::source::SourceRules;
use crate::domain::time::Now;
use crate::state::State;

/// A value that passed on, of which attribute.
pub(super) struct Passed {
    attribute: String,
    value: String,
}

/// A source, and the `iss` of its people's tokens.
struct Of {
    rules: SourceRules,
    issuer: String,
}

fn of(policy: &Policy, source: &str) -> Option<Of> {
    let rules = policy.sources.iter().find(|rules| rules.name == source)?.clone();
    let issuer = policy.issuers.get(usize::from(rules.issuer))?.issuer.to_string();
    Some(Of { rules, issuer })
}

/// The attributes that `link` compares.
fn linked(rules: &SourceRules) -> BTreeSet<&str> {
    rules.link.iter().map(|link| link.attribute.as_str()).collect()
}

/// The values of an attribute by their one spelling, each as it is written.
fn values(rule: Compare, person: &Person, attribute: &str) -> BTreeMap<String, String> {
    person.values(attribute).map(|value| (rule.fold(value).text.into_owned(), value.to_owned())).collect()
}

/// Plans the cut-offs of whatever `link` compares and that left this person, or that they take up from people who are
/// gone.
pub(super) fn cut_off(plan: &mut Plan, old: Option<&Person>, new: &Person, when: When) {
    let Some(of) = of(&plan.state.rules.policy, &new.id.source) else { return };
    let back = new.status != Status::Departed && old.is_some_and(|old| old.status == Status::Departed);
    for attribute in linked(&of.rules) {
        let rule = of.rules.directory.compares(attribute);
        let before = old.map(|old| values(rule, old, attribute)).unwrap_or_default();
        let after = values(rule, new, attribute);
        let left = before.iter().filter(|(folded, _)| !after.contains_key(*folded));
        left.for_each(|(_, value)| passed_on(plan, &of, attribute, value, &new.id, when));
        if new.status == Status::Departed {
            continue;
        }
        // Whoever comes back takes up again what they were called.
        for (_, value) in after.iter().filter(|(folded, _)| back || !before.contains_key(*folded)) {
            if take_up(plan, (attribute, value), new, when) {
                passed_on(plan, &of, attribute, value, &new.id, when);
            }
        }
    }
}

/// Plans the cut-off of one value for each claim that links by its attribute, under each of the spellings that tokens are
/// looked up with: the folded one, and the one that it was written in, which is all that earlier versions look at.
fn passed_on(plan: &mut Plan, of: &Of, attribute: &str, value: &str, person: &PersonId, when: When) {
    let folded = of.rules.directory.compares(attribute).fold(value).text.into_owned();
    let spellings: BTreeSet<&str> = [folded.as_str(), value].into();
    let claims: BTreeSet<&str> =
        of.rules.link.iter().filter(|link| link.attribute == attribute).map(|link| link.claim.as_str()).collect();
    for claim in claims {
        for value in &spellings {
            revoke(plan, of, (claim, attribute, value), person, when);
        }
    }
}

fn revoke(plan: &mut Plan, of: &Of, (claim, attribute, value): (&str, &str, &str), person: &PersonId, when: When) {
    let (issuer, claim, value) = (of.issuer.clone(), claim.to_owned(), value.to_owned());
    let revocation = Revocation {
        id: None,
        target: Target::LinkClaim { issuer, claim, value },
        shape: Shape::CutOff { at: when.cut_off() },
        reason: format!("`{attribute}` passed on in {}", person.source),
        owner: Owner::Source(person.source.clone()),
        actor: person.source.clone(),
        effective: when.now.wall.min(when.now.steady),
        expires: None,
        persons: Vec::new(),
        by_rule: false,
    };
    plan.revoke(revocation, when.provider, when.now);
}

/// Plans that a value leaves those who had it and are gone, where nobody else has it who is there: from now on it is the
/// new holder's alone. Whether there was anybody.
fn take_up(plan: &mut Plan, (attribute, value): (&str, &str), person: &Person, when: When) -> bool {
    let fold = &plan.state.fold;
    let key = fold.people.link_key(&fold.keyer, &person.id.source, attribute, value);
    let mut gone: BTreeMap<&PersonId, &Arc<Person>> = BTreeMap::new();
    for (known, _) in fold.people.linked(&key).filter(|(known, _)| known.person.id != person.id) {
        // One who is there is enough: a value that many share is looked at no further.
        if known.person.status != Status::Departed {
            return false;
        }
        gone.insert(&known.person.id, &known.person);
    }
    let rule = fold.people.rule(&person.id.source, attribute);
    let gone: Vec<Person> = gone.into_values().map(|other| Person::clone(other)).collect();
    for mut other in gone.iter().cloned() {
        other.forget(attribute, |theirs| rule.matches(theirs, value).is_some());
        plan.add_of(Event::Person(other), when.provider, None, when.now);
    }
    !gone.is_empty()
}

/// Takes from the record of somebody who is gone what somebody has who is there: a listing says again what the former was
/// once called. What that was.
pub(super) fn give_way(plan: &Plan, person: &mut Person) -> Vec<Passed> {
    let Some(of) = of(&plan.state.rules.policy, &person.id.source) else { return Vec::new() };
    let (people, keyer) = (&plan.state.fold.people, &plan.state.fold.keyer);
    let mut passed = Vec::new();
    for attribute in linked(&of.rules) {
        let is_held = |value: &str| {
            let key = people.link_key(keyer, &of.rules.name, attribute, value);
            let mut holders = people.linked(&key);
            holders.any(|(known, _)| known.person.status != Status::Departed && known.person.id != person.id)
        };
        let held: Vec<String> = person.values(attribute).filter(|value| is_held(value)).map(str::to_owned).collect();
        person.forget(attribute, |value| held.iter().any(|other| other == value));
        passed.extend(held.into_iter().map(|value| Passed { attribute: attribute.to_owned(), value }));
    }
    passed
}

/// Plans the cut-offs of what somebody was called who is gone when they are first heard of: another has it by now, and
/// nobody knows since when.
pub(super) fn gave_way(plan: &mut Plan, person: &PersonId, passed: &[Passed], when: When) {
    let Some(of) = of(&plan.state.rules.policy, &person.source) else { return };
    passed.iter().for_each(|passed| passed_on(plan, &of, &passed.attribute, &passed.value, person, when));
}

/// Plans what follows where the names of a source come to be compared by another rule: whoever is gone gives way to those
/// who are there and are called the same now. They alone are cut off, by the spelling that was theirs: whoever is there was
/// never denied by it, and goes on.
pub(super) fn compared_anew(plan: &mut Plan, source: &str, now: Now) {
    let Some(of) = of(&plan.state.rules.policy, source) else { return };
    let when = When { now, provider: None };
    let gone = plan.state.fold.people.of_source(source).filter(|known| known.person.status == Status::Departed);
    let gone: Vec<Arc<Person>> = gone.map(|known| Arc::clone(&known.person)).collect();
    for known in gone {
        let mut person = Person::clone(&known);
        let passed = give_way(plan, &mut person);
        if passed.is_empty() {
            continue;
        }
        plan.add(Event::Person(person), now);
        for Passed { attribute, value } in passed {
            let claims: BTreeSet<String> = of
                .rules
                .link
                .iter()
                .filter(|link| link.attribute == attribute)
                .map(|link| link.claim.clone())
                .collect();
            claims.iter().for_each(|claim| revoke(plan, &of, (claim, &attribute, &value), &known.id, when));
        }
    }
}

/// The spellings under which what was cut off as it was written is looked up by another rule, where that is another one, and
/// nobody is there who is called so in another way.
pub(super) fn respelt(state: &State, target: &Target) -> Vec<Target> {
    let Target::LinkClaim { issuer, claim, value } = target else { return Vec::new() };
    let policy = &state.rules.policy;
    let sources = policy
        .sources
        .iter()
        .filter(|source| policy.issuers.get(usize::from(source.issuer)).is_some_and(|rules| *rules.issuer == **issuer));
    let links = sources.flat_map(|source| source.link.iter().map(move |link| (source, link)));
    let mut spellings = BTreeSet::new();
    for (source, link) in links.filter(|(_, link)| link.claim == *claim) {
        let rule = source.directory.compares(&link.attribute);
        let key = state.fold.people.link_key(&state.fold.keyer, &source.name, &link.attribute, value);
        let differs = |person: &Person| {
            person.values(&link.attribute).any(|held| held != value && rule.matches(held, value).is_some())
        };
        let mut holders = state.fold.people.linked(&key).map(|(known, _)| &known.person);
        if !holders.any(|person| person.status != Status::Departed && differs(person)) {
            spellings.insert(rule.fold(value).text.into_owned());
        }
    }
    spellings.remove(value);
    let target = |value: String| Target::LinkClaim { issuer: issuer.clone(), claim: claim.clone(), value };
    spellings.into_iter().map(target).collect()
}
