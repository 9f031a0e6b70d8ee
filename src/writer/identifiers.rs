//! Identifiers that `link` compares: cut-offs for those that pass from one person to another.
//!
//! A value that a person loses, or takes over from departed holders, is cut off: credentials issued under it before are
//! denied for everyone. Values are compared as sets, by the rule of their attribute. Neither another spelling nor a
//! value shared with a present person causes a cut-off.

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

/// A value that passed from one person to another.
pub(super) struct Passed {
    attribute: String,
    value: String,
}

/// The rules of a source, and the `iss` of its people's tokens.
struct SourceLinks<'a> {
    rules: &'a SourceRules,
    issuer: &'a str,
}

fn source_links<'a>(policy: &'a Policy, source: &str) -> Option<SourceLinks<'a>> {
    let rules = policy.sources.iter().find(|rules| rules.name == source)?;
    let issuer = &policy.issuers.get(usize::from(rules.issuer))?.issuer;
    Some(SourceLinks { rules, issuer })
}

/// The attributes that `link` compares.
fn linked(rules: &SourceRules) -> BTreeSet<&str> {
    rules.link.iter().map(|link| link.attribute.as_str()).collect()
}

/// The values of an attribute as written, by their folded form.
fn values(rule: Compare, person: &Person, attribute: &str) -> BTreeMap<String, String> {
    person.values(attribute).map(|value| (rule.fold(value).text.into_owned(), value.to_owned())).collect()
}

/// Plans the cut-offs of identifiers that this person loses, or takes over from departed people.
pub(super) fn cut_off(plan: &mut Plan, old: Option<&Person>, new: &Person, when: When) {
    let policy = Arc::clone(&plan.state.rules.policy);
    let Some(links) = source_links(&policy, &new.id.source) else { return };
    let back = new.status != Status::Departed && old.is_some_and(|old| old.status == Status::Departed);
    for attribute in linked(links.rules) {
        let rule = links.rules.directory.compares(attribute);
        let before = old.map(|old| values(rule, old, attribute)).unwrap_or_default();
        let after = values(rule, new, attribute);
        let left = before.iter().filter(|(folded, _)| !after.contains_key(*folded));
        left.for_each(|(_, value)| passed_on(plan, &links, attribute, value, &new.id, when));
        if new.status == Status::Departed {
            continue;
        }
        // A person who comes back takes over all their identifiers again.
        for (_, value) in after.iter().filter(|(folded, _)| back || !before.contains_key(*folded)) {
            if take_up(plan, (attribute, value), new, when) {
                passed_on(plan, &links, attribute, value, &new.id, when);
            }
        }
    }
}

/// Plans the cut-off of one value, for each claim that links by its attribute, in both spellings under which tokens are
/// looked up: folded, and as written, which is the only one that earlier versions check.
fn passed_on(plan: &mut Plan, links: &SourceLinks<'_>, attribute: &str, value: &str, person: &PersonId, when: When) {
    let folded = links.rules.directory.compares(attribute).fold(value).text.into_owned();
    let spellings: BTreeSet<&str> = [folded.as_str(), value].into();
    let claims: BTreeSet<&str> =
        links.rules.link.iter().filter(|link| link.attribute == attribute).map(|link| link.claim.as_str()).collect();
    for claim in claims {
        for value in &spellings {
            revoke(plan, links, (claim, attribute, value), person, when);
        }
    }
}

fn revoke(
    plan: &mut Plan,
    links: &SourceLinks<'_>,
    (claim, attribute, value): (&str, &str, &str),
    person: &PersonId,
    when: When,
) {
    let (issuer, claim, value) = (links.issuer.to_owned(), claim.to_owned(), value.to_owned());
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

/// Plans that departed people lose a value that no present person shares: from now on it belongs to the new holder
/// alone. Returns whether there was a departed holder.
fn take_up(plan: &mut Plan, (attribute, value): (&str, &str), person: &Person, when: When) -> bool {
    let fold = &plan.state.fold;
    let key = fold.people.link_key(&fold.keyer, &person.id.source, attribute, value);
    let mut gone: BTreeMap<&PersonId, &Arc<Person>> = BTreeMap::new();
    for (known, _) in fold.people.linked(&key).filter(|(known, _)| known.person.id != person.id) {
        // One present holder is enough; a shared value is not checked further.
        if known.person.status != Status::Departed {
            return false;
        }
        gone.insert(&known.person.id, &known.person);
    }
    let rule = fold.people.rule(&person.id.source, attribute);
    let gone: Vec<Person> = gone.into_values().map(|other| Person::clone(other)).collect();
    for mut other in gone.iter().cloned() {
        other.forget(attribute, |theirs| rule.matches(theirs, value).is_some());
        plan.add_of(Event::Person(Arc::new(other)), when.provider, None, when.now);
    }
    !gone.is_empty()
}

/// Removes from a departed person's record the identifiers that a present person has, since listings repeat old
/// identifiers. Returns those removed.
pub(super) fn give_way(plan: &Plan, person: &mut Person) -> Vec<Passed> {
    let Some(links) = source_links(&plan.state.rules.policy, &person.id.source) else { return Vec::new() };
    let (people, keyer) = (&plan.state.fold.people, &plan.state.fold.keyer);
    let mut passed = Vec::new();
    for attribute in linked(links.rules) {
        let is_held = |value: &str| {
            let key = people.link_key(keyer, &links.rules.name, attribute, value);
            let mut holders = people.linked(&key);
            holders.any(|(known, _)| known.person.status != Status::Departed && known.person.id != person.id)
        };
        let held: Vec<String> = person.values(attribute).filter(|value| is_held(value)).map(str::to_owned).collect();
        person.forget(attribute, |value| held.iter().any(|other| other == value));
        passed.extend(held.into_iter().map(|value| Passed { attribute: attribute.to_owned(), value }));
    }
    passed
}

/// Plans the cut-offs of a person's identifiers who is departed when first seen: another person has them by now, since
/// an unknown time.
pub(super) fn gave_way(plan: &mut Plan, person: &PersonId, passed: &[Passed], when: When) {
    let policy = Arc::clone(&plan.state.rules.policy);
    let Some(links) = source_links(&policy, &person.source) else { return };
    passed.iter().for_each(|passed| passed_on(plan, &links, &passed.attribute, &passed.value, person, when));
}

/// Plans the consequences of another rule for the names of a source: departed people lose names that now equal those of
/// present people. Only the departed person's own spelling is cut off, since the present people were never denied by
/// it.
pub(super) fn yield_names(plan: &mut Plan, source: &str, now: Now) {
    let policy = Arc::clone(&plan.state.rules.policy);
    let Some(links) = source_links(&policy, source) else { return };
    let when = When { now, provider: None };
    let gone = plan.state.fold.people.of_source(source).filter(|known| known.person.status == Status::Departed);
    let gone: Vec<Arc<Person>> = gone.map(|known| Arc::clone(&known.person)).collect();
    for known in gone {
        let mut person = Person::clone(&known);
        let passed = give_way(plan, &mut person);
        if passed.is_empty() {
            continue;
        }
        plan.add(Event::Person(Arc::new(person)), now);
        for Passed { attribute, value } in passed {
            let claims: BTreeSet<String> = links
                .rules
                .link
                .iter()
                .filter(|link| link.attribute == attribute)
                .map(|link| link.claim.clone())
                .collect();
            claims.iter().for_each(|claim| revoke(plan, &links, (claim, &attribute, &value), &known.id, when));
        }
    }
}

/// The targets under which a cut-off identifier is looked up by the rules in force, without its own spelling. Empty if
/// a present person has it in another spelling.
pub(super) fn respelled(state: &State, target: &Target) -> Vec<Target> {
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
