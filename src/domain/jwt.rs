//! What has the form of a JWT: recognized, never read.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Whether a text is a JWT by its form, alone or after `Bearer`: parts between dots, the first of them a JSON object in
/// base64url (RFC 7519 section 3).
#[must_use]
pub fn has_its_form(text: &str) -> bool {
    let Some(last) = text.split_whitespace().next_back() else { return false };
    let mut parts = last.split('.');
    let header = parts.next().unwrap_or_default();
    let decoded = URL_SAFE_NO_PAD.decode(header.trim_end_matches('=')).unwrap_or_default();
    parts.count() >= 2 && serde_json::from_slice::<Map<String, Value>>(&decoded).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_from_an_identifier() {
        for token in ["eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiJ0MSJ9.c2ln", "e30.e30.", "Bearer e30.e30.x", "e30.a.b.c.d"] {
            assert!(has_its_form(token), "{token}");
        }
        for id in ["8f2c", "ghost@corp.example.com", "AT.r2d2-c3po.x", "eyJ0.a.b", "e30.e30", ""] {
            assert!(!has_its_form(id), "{id}");
        }
    }
}
