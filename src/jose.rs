//! Strict JWS and JWKS: parse, verify, and the keys of each issuer.
//!
//! Used for everything that is signed for us: access tokens, security event tokens, logout tokens.
//! Reading order: [`json`] (no duplicate members) → [`jws`] (compact form, RFC 7515) → [`jwks`] (which keys may
//! verify what, RFC 7517) → [`fetch`] (where they come from) → [`keys`] (how they stay fresh).
//!
//! Not supported, and refused: symmetric algorithms, `none`, `ES512`, `ES256K`, `Ed448`,
//! encrypted tokens (RFC 7516), the JSON forms of RFC 7515 section 7.2, detached and unencoded payloads.

#![doc = include_str!("jose.md")]

mod digest;
pub mod fetch;
pub mod json;
pub mod jwks;
pub mod jws;
pub mod keys;

#[cfg(test)]
pub(crate) mod provider;
#[cfg(test)]
pub(crate) mod tests;
