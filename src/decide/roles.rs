//! Who holds which roles: the one place where groups, names, clients and their bindings become roles.

use super::revoked;
use crate::domain::credential::Verified;
use crate::domain::decision::HeldRole;
use crate::domain::key::KeyKind;
use crate::domain::name::Match;
use crate::domain::person::PersonId;
use crate::domain::time::Now;
use crate::faults::{Fault, planted};
use crate::state::State;
use crate::state::people::Known;

/// The roles that a credential holds, each once, in order of the configuration.
///
/// Groups come from the directory if a source supplies them, else from the token. A pinned name counts only if the
/// credential belongs to everyone whom the name means.
pub(super) fn of_credential(state: &State, credential: &Verified, now: Now) -> Vec<HeldRole> {
    let mut held = Held::of_everyone(state, now);
    let mut from_directory = false;
    let mut nobody = true;
    let owns = |id: &PersonId| revoked::owners(state, &credential.owner).any(|known| known.person.id == *id);
    for link in &credential.owner.links {
        let supplies_groups = supplies_groups(state, link.source);
        for (known, by) in state.fold.people.linked(&link.person) {
            nobody = false;
            from_directory |= supplies_groups;
            if by == Match::Grants {
                add_bindings(&mut held, (credential.issuer_index, link.source), known, owns);
            }
        }
    }
    if !from_directory || planted(Fault::TokenGroupsStay) {
        held.add(credential.groups.iter().flat_map(|group| state.rules.of_group(*group)));
    }
    if nobody && credential.machine {
        held.add(credential.client_key.iter().flat_map(|client| state.rules.of_client(*client)));
    }
    held.roles()
}

/// The roles that the directory gives a person, each once, in order of the configuration.
///
/// A token may add groups if the source supplies none. A name that is pinned to several people counts here, while a
/// credential needs to belong to all of them.
#[must_use]
pub fn of_person(state: &State, known: &Known, now: Now) -> Vec<HeldRole> {
    let sources = (0_u16..).zip(&state.rules.policy.sources);
    let Some((index, source)) = sources.into_iter().find(|(_, source)| source.name == known.person.id.source) else {
        return Vec::new();
    };
    let mut held = Held::of_everyone(state, now);
    add_bindings(&mut held, (source.issuer, index), known, |_| true);
    held.roles()
}

fn supplies_groups(state: &State, source: u16) -> bool {
    state.rules.policy.sources.get(usize::from(source)).is_some_and(|source| source.supplies.groups)
}

/// Adds the bindings of a person's groups and pinned names, within one issuer.
fn add_bindings(held: &mut Held<'_>, (issuer, source): (u16, u16), known: &Known, owns: impl Fn(&PersonId) -> bool) {
    let state = held.state;
    if supplies_groups(state, source) {
        add_groups(held, issuer, known);
    }
    held.add(pinned(state, issuer, known, owns));
}

/// Adds the bindings of a person's groups, as their directory compares them, within an issuer.
fn add_groups(held: &mut Held<'_>, issuer: u16, known: &Known) {
    let state = held.state;
    let keyer = &state.fold.keyer;
    let name = state.rules.policy.issuers.get(usize::from(issuer)).map(|issuer| issuer.name.as_str());
    for group in &known.person.groups {
        if let Some(name) = name {
            held.add(state.rules.of_group(keyer.key(KeyKind::Group, &[name, group])));
        }
        if !state.rules.compares_groups() {
            continue;
        }
        let compared = state.fold.people.group(keyer, &known.person.id.source, group);
        for binding in compared.into_iter().flat_map(|group| state.rules.of_folded_group(issuer, group)) {
            held.add(&[binding]);
        }
    }
}

/// The bindings of the names pinned to a person within an issuer, of each name whose every person `owns` accepts.
fn pinned<'a>(
    state: &'a State,
    issuer: u16,
    known: &Known,
    owns: impl Fn(&PersonId) -> bool + 'a,
) -> impl Iterator<Item = &'a u32> + 'a {
    let issuer = state.rules.policy.issuers.get(usize::from(issuer));
    let names = state.fold.pinned.get(&known.key).map_or(&[][..], Vec::as_slice);
    names
        .iter()
        .filter(move |name| issuer.is_some_and(|issuer| issuer.name == name.0))
        .filter(move |name| {
            let persons = state.fold.pins.get(name.as_ref()).map_or(&[][..], Vec::as_slice);
            !persons.is_empty() && persons.iter().all(&owns)
        })
        .flat_map(|name| state.rules.of_name(name))
}

/// Collects the roles of bindings.
struct Held<'a> {
    state: &'a State,
    now: Now,
    roles: Vec<HeldRole>,
}

impl<'a> Held<'a> {
    /// The roles that every verified credential holds.
    fn of_everyone(state: &'a State, now: Now) -> Self {
        let mut held = Self { state, now, roles: Vec::new() };
        held.add(state.rules.of_everyone());
        held
    }

    /// Adds the roles of those bindings that have not expired.
    fn add<'b>(&mut self, bindings: impl IntoIterator<Item = &'b u32>) {
        let (policy, now) = (&self.state.rules.policy, self.now);
        self.roles.extend(bindings.into_iter().filter_map(|index| {
            let binding = policy.bindings.get(usize::try_from(*index).ok()?)?;
            let in_force = binding.expires.is_none_or(|expires| now.steady < expires);
            in_force.then_some(HeldRole { role: binding.role, binding: *index })
        }));
    }

    /// Each role once, in order, with its first binding.
    fn roles(mut self) -> Vec<HeldRole> {
        self.roles.sort_unstable();
        self.roles.dedup_by_key(|held| held.role);
        self.roles
    }
}
