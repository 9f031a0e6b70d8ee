//! Clients: which one a token names, and whether the token is a client's own.

use std::borrow::Cow;

use super::typed::{Claims, Name};
use crate::domain::claim::ClaimName;
use crate::domain::issuer::{CLIENT_CLAIMS, ClaimNames, IssuerRules, MachineRule, TOKEN_CLAIMS};
use crate::faults::{Fault, planted};

/// Claims that only a login causes, in whatever a provider issues afterwards (OpenID Connect Core section 2).
const OF_A_LOGIN: [&str; 2] = ["auth_time", "amr"];
/// Claims in which providers put session, user name and e-mail, whatever is configured.
const OF_A_PERSON: [&str; 7] =
    ["sid", "session_state", "preferred_username", "username", "upn", "unique_name", "email"];

/// The client, for what is granted and shown: the configured claim alone, else the first usual one that is present.
pub(super) fn client<'a>(claims: &Claims<'a>, names: &ClaimNames) -> Option<Cow<'a, str>> {
    shown(claims, names.client.as_ref(), &CLIENT_CLAIMS)
}

/// The token's id, likewise.
pub(super) fn token_id<'a>(claims: &Claims<'a>, names: &ClaimNames) -> Option<Cow<'a, str>> {
    shown(claims, names.token.as_ref(), &TOKEN_CLAIMS)
}

fn shown<'a>(claims: &Claims<'a>, configured: Option<&ClaimName>, usual: &[&str]) -> Option<Cow<'a, str>> {
    match configured {
        Some(name) => claims.id(name),
        None => usual.iter().find(|name| claims.has_value(**name)).and_then(|name| claims.id(*name)),
    }
}

/// Every client that a token names, for denials: whoever revokes a client may know it by any of these names.
pub(super) fn clients<'a>(claims: &Claims<'a>, names: &ClaimNames) -> Vec<Cow<'a, str>> {
    every(claims, names.client.as_ref(), &CLIENT_CLAIMS)
}

/// Every id of a token, likewise.
pub(super) fn token_ids<'a>(claims: &Claims<'a>, names: &ClaimNames) -> Vec<Cow<'a, str>> {
    every(claims, names.token.as_ref(), &TOKEN_CLAIMS)
}

fn every<'a>(claims: &Claims<'a>, configured: Option<&ClaimName>, usual: &[&str]) -> Vec<Cow<'a, str>> {
    if planted(Fault::OneNameDenies) {
        return shown(claims, configured, usual).into_iter().collect();
    }
    let usual = usual.iter().filter_map(|name| claims.id(*name));
    configured.and_then(|name| claims.id(name)).into_iter().chain(usual).collect()
}

/// Whether this is a client's own token by the issuer's rule.
pub(super) fn is_by_rule(claims: &Claims<'_>, rules: &IssuerRules, client: Option<&str>) -> bool {
    match &rules.machines {
        MachineRule::ClientIsSubject => client.is_some() && client == claims.text("sub"),
        MachineRule::UsernamePrefix(prefix) => {
            claims.text(&rules.claims.username).is_some_and(|name| name.starts_with(prefix.as_str()))
        }
        MachineRule::Claim { claim, equals } => claims.says(claim, equals),
    }
}

/// Refuses a token without `sub` unless it is certainly a client's own: Keycloak omits `sub` from a user's token too, if
/// the client lacks the scope `basic`. `linking` are the claims that link to people.
pub(super) fn expect_own(
    claims: &Claims<'_>,
    names: &ClaimNames,
    client: Option<&str>,
    linking: impl Iterator<Item = ClaimName>,
) {
    if client.is_none() {
        return claims.refuse_claim("sub", "is missing, and no claim names a client whose own token it could be");
    }
    for name in [&names.session, &names.username, &names.email].into_iter().cloned().chain(linking) {
        expect_not(claims, &name);
    }
    for name in OF_A_PERSON.into_iter().chain(OF_A_LOGIN) {
        expect_not(claims, name);
    }
}

fn expect_not<N: Name + ?Sized>(claims: &Claims<'_>, name: &N) {
    if claims.has_value(name) {
        claims.refuse_claim("sub", &format!("is missing, and claim `{name}` shows that the token is a person's"));
    }
}
