//! Do the roles permit the request, or is it public?

use crate::domain::binding::Permission;
use crate::domain::decision::HeldRole;
use crate::request::{Path, Request};
use crate::state::State;

/// What the rules say about all forms of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OverForms {
    /// Every form is permitted; the form as sent by this binding.
    All(Option<u32>),
    /// No form is.
    None,
    /// Only some forms are.
    Mixed,
}

/// Whether the roles permit all forms of the path.
pub(super) fn by_roles(state: &State, request: &Request, service: u16, held: &[HeldRole]) -> OverForms {
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

/// The roles that permit all forms of the path, whoever holds them.
pub(super) fn roles(state: &State, request: &Request, service: u16) -> Vec<u16> {
    let permits = |role: &u16| {
        let held = [HeldRole { role: *role, binding: 0 }];
        matches!(by_roles(state, request, service, &held), OverForms::All(_))
    };
    (0..).zip(&state.rules.policy.roles).map(|(role, _)| role).filter(permits).collect()
}

/// Whether all forms of the path are public.
pub(super) fn is_public(state: &State, request: &Request, service: u16) -> bool {
    let public = &state.rules.policy.public;
    let fits =
        |path: Option<&str>| public.iter().any(|permission| fits(permission, request, service, path)).then_some(None);
    !public.is_empty() && matches!(over_forms(&request.path, fits), OverForms::All(_))
}

/// Asks about each form of a path, or once without a path for a connection that has none.
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
    let fits_method =
        permission.methods.as_ref().is_none_or(|methods| methods.iter().any(|method| *method == request.method));
    let fits_path = permission
        .paths
        .as_ref()
        .is_none_or(|patterns| path.is_some_and(|path| patterns.iter().any(|pattern| pattern.matches(path))));
    fits_service && fits_method && fits_path
}
