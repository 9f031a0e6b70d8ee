//! Whether a JWT is an access token at all.
//!
//! ID, refresh, logout and event tokens are signed by the same keys and often have `typ: JWT` too. Each has
//! marks of its own; one mark is enough to refuse it (RFC 8725 section 3.12).

use super::typed::Claims;

/// What the claim `typ` (Keycloak) may be in an access token; there, `ID`, `Refresh`, `Offline` and `Logout`
/// are the others.
const ACCESS_TYPES: [&str; 6] = ["bearer", "dpop", "jwt", "at+jwt", "access", "access_token"];

/// Whether nothing marks it as a token of another kind.
pub(super) fn is_access_token(claims: &Claims<'_>) -> bool {
    !has_marks_of_an_event(claims) && !has_marks_of_an_id_token(claims) && says_access(claims)
}

/// A security event token (RFC 8417 section 2.2) or a logout token (OpenID Connect Back-Channel Logout 2.4).
fn has_marks_of_an_event(claims: &Claims<'_>) -> bool {
    claims.has("events")
}

/// An ID token (OpenID Connect Core sections 2 and 3.3.2.11). Some providers copy `nonce` into access tokens,
/// but those have a scope.
fn has_marks_of_an_id_token(claims: &Claims<'_>) -> bool {
    let hashed = ["at_hash", "c_hash", "s_hash"].iter().any(|name| claims.has(name));
    hashed || (claims.has("nonce") && !claims.has("scope") && !claims.has("scp"))
}

/// The claims in which Keycloak (`typ`) and Cognito (`token_use`) say what a token is.
fn says_access(claims: &Claims<'_>) -> bool {
    let is = |name: &str, accepted: &[&str]| match claims.text(name) {
        None => !claims.has(name),
        Some(kind) => accepted.iter().any(|access| kind.eq_ignore_ascii_case(access)),
    };
    is("typ", &ACCESS_TYPES) && is("token_use", &["access"])
}
