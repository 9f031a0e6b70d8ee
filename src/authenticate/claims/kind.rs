//! Whether a JWT is an access token at all.
//!
//! ID, refresh, logout and event tokens are signed by the same keys and often have `typ: JWT` too. Each kind has its own
//! marks, and one mark is enough to refuse a token (RFC 8725 section 3.12).

use super::typed::Claims;
use crate::domain::detail::Detail;
use crate::domain::issuer::{IssuerRules, TokenType};

/// The values of the claim `typ` (Keycloak) in access tokens; the others are `ID`, `Refresh`, `Offline` and `Logout`.
const ACCESS_TYPES: [&str; 6] = ["bearer", "dpop", "jwt", "at+jwt", "access", "access_token"];
/// Hashes of what was issued beside an ID token (OpenID Connect Core section 3.3.2.11).
const HASHES: [&str; 2] = ["at_hash", "c_hash"];
/// Likewise, a hash of `state` (Financial-grade API 1.0 part 2, section 5.1.1); no provider puts it into access tokens.
const STATE_HASH: &str = "s_hash";

/// Refuses a token that is marked as another kind, or whose `typ` this issuer's access tokens may not have.
pub(super) fn expect_access_token(claims: &Claims<'_>, rules: &IssuerRules, typ: Option<&str>) {
    let named = token_type(typ);
    if !named.is_some_and(|named| rules.token_types.contains(&named)) {
        let detail = Detail::new("header `typ` is not one that access tokens of this issuer may have (`token_types`)");
        claims.refuse(match typ {
            Some(typ) => detail.found(typ),
            None => detail,
        });
    }
    // A security event token (RFC 8417 section 2.2) or a logout token (OpenID Connect Back-Channel Logout 2.4).
    if claims.has_value("events") {
        claims.refuse_claim("events", "marks a logout or event token");
    }
    // The header names the kind (RFC 9068 section 2.1): then what some providers copy from the login marks nothing.
    let is_typed = named == Some(TokenType::AtJwt);
    if !is_typed && claims.has_value(STATE_HASH) {
        claims.refuse_claim(STATE_HASH, "marks an ID token");
    }
    let is_lifted = is_typed || rules.accepts_id_tokens;
    if !is_lifted {
        expect_no_marks_of_an_id_token(claims);
    }
    expect_to_say_access(claims, is_lifted);
}

/// Media types ignore case (RFC 2045), and `application/` may be omitted (RFC 7515 section 4.1.9).
fn token_type(typ: Option<&str>) -> Option<TokenType> {
    let Some(typ) = typ else { return Some(TokenType::Absent) };
    let lower = typ.to_ascii_lowercase();
    match lower.strip_prefix("application/").unwrap_or(&lower) {
        "at+jwt" => Some(TokenType::AtJwt),
        "jwt" => Some(TokenType::Jwt),
        _ => None,
    }
}

/// Refuses an ID token (OpenID Connect Core sections 2 and 3.3.2.11). Some providers copy `nonce` into access tokens,
/// which have a scope.
fn expect_no_marks_of_an_id_token(claims: &Claims<'_>) {
    const REMEDY: &str = "marks an ID token (`id_tokens: accept` of the issuer lets it pass)";
    for hash in HASHES.into_iter().filter(|hash| claims.has_value(*hash)) {
        claims.refuse_claim(hash, REMEDY);
    }
    if claims.has_value("nonce") && !claims.has("scope") && !claims.has("scp") {
        claims.refuse_claim("nonce", &format!("without `scope` {REMEDY}"));
    }
}

/// Checks the claims in which Keycloak (`typ`) and Cognito (`token_use`) name the kind of a token.
fn expect_to_say_access(claims: &Claims<'_>, id_is_lifted: bool) {
    for (name, accepted) in [("typ", &ACCESS_TYPES[..]), ("token_use", &["access"])] {
        let Some(kind) = claims.text(name) else { continue };
        let is = |word: &str| kind.eq_ignore_ascii_case(word);
        let is_accepted = accepted.iter().any(|word| is(word)) || (id_is_lifted && is("id"));
        if !is_accepted {
            claims.refuse_claim(name, "says that this is not an access token");
        }
    }
}
