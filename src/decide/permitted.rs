//! Which roles does the caller hold, and do they permit this?

use std::sync::Arc;

use super::revoked;
use crate::domain::binding::{Binding, Permission};
use crate::domain::credential::Verified;
use crate::domain::name::Match;
use crate::domain::person::PersonId;
use crate::domain::time::Now;
use crate::faults::{Fault, planted};
use crate::request::{Path, Request};
use crate::state::State;

/// A role that the caller holds, by which binding: indices in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    pub(super) role: u16,
    pub(super) binding: u32,
}

/// What the rules say of all forms of a path together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OverForms {
    /// Every form is permitted, the raw one by this binding.
    All(Option<u32>),
    /// No form is.
    None,
    /// Some are, some are not.
    Mixed,
}

/// The roles that a credential holds, each once, in order of the configuration.
///
/// People's grants need the whole person: groups of the directory where a source supplies them, names that
/// are pinned, for a credential that belongs to everyone whom the name means.
pub(super) fn roles(state: &State, credential: &Verified, now: Now) -> Vec<Held> {
    let mut bindings: Vec<u32> = state.rules.of_everyone().to_vec();
    let mut from_directory = false;
    let mut nobody = true;
    for link in &credential.owner.links {
        let source = state.rules.policy.sources.get(usize::from(link.source));
        let supplies_groups = source.is_some_and(|source| source.supplies.groups);
        for (known, by) in state.fold.people.linked(&link.person) {
            nobody = false;
            from_directory |= supplies_groups;
            if by != Match::Grants {
                continue;
            }
            if supplies_groups {
                bindings.extend(state.bindings_of_groups(credential.issuer_index, known));
            }
            bindings.extend(pinned(state, credential, known.key));
        }
    }
    if !from_directory || planted(Fault::TokenGroupsStay) {
        bindings.extend(credential.groups.iter().flat_map(|group| state.rules.of_group(*group)));
    }
    if nobody && credential.machine {
        bindings.extend(credential.client_key.iter().flat_map(|client| state.rules.of_client(*client)));
    }
    held(state, bindings, now)
}

fn held(state: &State, mut bindings: Vec<u32>, now: Now) -> Vec<Held> {
    bindings.sort_unstable();
    let in_force = |binding: &&Binding| binding.expires.is_none_or(|expires| now.steady < expires);
    let mut held: Vec<Held> = bindings
        .into_iter()
        .filter_map(|index| {
            let binding = state.rules.policy.bindings.get(usize::try_from(index).ok()?).filter(in_force)?;
            Some(Held { role: binding.role, binding: index })
        })
        .collect();
    held.sort_unstable();
    held.dedup_by_key(|held| held.role);
    held
}

/// The bindings of names that are pinned to this person, where the credential belongs to everyone whom the
/// name is pinned to within its issuer.
fn pinned<'a>(
    state: &'a State,
    credential: &'a Verified,
    person: crate::domain::key::Key,
) -> impl Iterator<Item = u32> + 'a {
    let issuer = state.rules.policy.issuers.get(usize::from(credential.issuer_index));
    let names = state.fold.pinned.get(&person).map_or(&[][..], Vec::as_slice);
    names
        .iter()
        .filter(move |name| issuer.is_some_and(|issuer| issuer.name == name.0))
        .filter(|name| {
            let persons = state.fold.pins.get(name.as_ref()).map_or(&[][..], Vec::as_slice);
            let own = |id: &PersonId| revoked::owners(state, &credential.owner).any(|known| known.person.id == *id);
            !persons.is_empty() && persons.iter().all(own)
        })
        .flat_map(|name| state.rules.of_name(name))
        .copied()
}

/// What the held roles permit, over all forms of the path.
pub(super) fn by_roles(state: &State, request: &Request, service: u16, held: &[Held]) -> OverForms {
    over_forms(&request.path, |path| {
        held.iter()
            .find(|held| {
                let role = state.rules.policy.roles.get(usize::from(held.role));
                role.is_some_and(|role| {
                    role.permissions.iter().any(|permission| fits(permission, request, service, path))
                })
            })
            .map(|held| Some(held.binding))
    })
}

/// Whether all forms of the path are public.
pub(super) fn is_public(state: &State, request: &Request, service: u16) -> bool {
    let public = &state.rules.policy.public;
    let fits =
        |path: Option<&str>| public.iter().any(|permission| fits(permission, request, service, path)).then_some(None);
    !public.is_empty() && matches!(over_forms(&request.path, fits), OverForms::All(_))
}

/// Asks for each form; of a connection without a path, once without one.
fn over_forms(path: &Path, permits: impl Fn(Option<&str>) -> Option<Option<u32>>) -> OverForms {
    let Path::Forms(forms) = path else { return OverForms::None };
    let Some((raw, others)) = forms.split_first() else {
        return permits(None).map_or(OverForms::None, OverForms::All);
    };
    let first = permits(Some(raw));
    if others.iter().any(|form| permits(Some(form)).is_some() != first.is_some()) {
        return OverForms::Mixed;
    }
    first.map_or(OverForms::None, OverForms::All)
}

fn fits(permission: &Permission, request: &Request, service: u16, path: Option<&str>) -> bool {
    let fits_service = permission.services.as_ref().is_none_or(|services| services.contains(&service));
    let fits_method = permission.methods.as_ref().is_none_or(|methods| methods.contains(&request.method));
    let fits_path = permission
        .paths
        .as_ref()
        .is_none_or(|patterns| path.is_some_and(|path| patterns.iter().any(|pattern| pattern.matches(path))));
    fits_service && fits_method && fits_path
}

/// Names of the held roles.
pub(super) fn names(state: &State, held: &[Held]) -> Vec<Arc<str>> {
    held.iter()
        .filter_map(|held| state.rules.policy.roles.get(usize::from(held.role)))
        .map(|role| Arc::clone(&role.name))
        .collect()
}
