//! Values of headers that the service behind gets.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::text::{Pieces, Told};
use crate::domain::policy::HeaderValue as Holds;
use crate::envoy::wire::Wire;

/// Room for the names of the roles that most people have.
const ROLES: usize = 64;

/// The value of a header.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// As it is.
    Plain(Pieces<'a>),
    /// Written for a header.
    Written(String),
}

impl Value<'_> {
    /// Writes it as this text field.
    pub(super) fn write(&self, wire: &mut Wire, field: u32) {
        match self {
            Self::Plain(pieces) => wire.pieces(field, pieces),
            Self::Written(text) => wire.text(field, text),
        }
    }
}

/// The value of a configured header; `None` if there is none or it is empty.
///
/// Percent-encoded are control characters, non-ASCII characters (as UTF-8), `%` itself, and a space at either end, which
/// HTTP would trim. So distinct values stay distinct, and decoding restores the original. In a list of roles, separated by
/// `,`, a `,` within a role is encoded too.
pub(super) fn value<'a>(holds: Holds, told: &'a Told<'_>) -> Option<Value<'a>> {
    if holds == Holds::Roles {
        let mut list = String::with_capacity(ROLES);
        for (index, role) in told.decision.role_names().enumerate() {
            list.push_str(if index == 0 { "" } else { "," });
            list.push_str(&encode(role, ","));
        }
        return Some(list).filter(|list| !list.is_empty()).map(Value::Written);
    }
    let pieces = told.text(holds)?;
    if pieces.iter().all(|piece| piece.is_empty()) {
        return None;
    }
    Some(match pieces.iter().all(|piece| needs_nothing(piece, "")) {
        true => Value::Plain(pieces),
        false => Value::Written(encode(&pieces.concat(), "").into_owned()),
    })
}

/// Whether a text can stand in a header as it is, wherever in the value it stands.
fn needs_nothing(text: &str, besides: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'%' && !besides.as_bytes().contains(&byte))
}

/// Encodes what a header cannot contain, and the characters of `besides`.
pub(super) fn encode<'a>(value: &'a str, besides: &str) -> Cow<'a, str> {
    if needs_nothing(value, besides) {
        return Cow::Borrowed(value);
    }
    let last = value.chars().count().saturating_sub(1);
    let plain = |at: usize, character: char| match character {
        ' ' => at != 0 && at != last,
        '%' => false,
        other => other.is_ascii_graphic() && !besides.contains(other),
    };
    if value.chars().enumerate().all(|(at, character)| plain(at, character)) {
        return Cow::Borrowed(value);
    }
    let mut encoded = String::with_capacity(value.len().saturating_mul(3));
    for (at, character) in value.chars().enumerate() {
        if plain(at, character) {
            encoded.push(character);
            continue;
        }
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::encode;

    #[test]
    fn ordinary_values_stay_as_they_are() {
        for plain in ["", "okta/00u1", "alice@example.com", "https://idp.example.com/realms/a b", "a,b", "\"x\""] {
            assert_eq!(encode(plain, ""), plain);
        }
    }

    #[test]
    fn what_a_header_cannot_hold_is_encoded() {
        assert_eq!(encode("a\r\nx-role: admin", ""), "a%0D%0Ax-role: admin");
        assert_eq!(encode("müller\0", ""), "m%C3%BCller%00");
        assert_eq!(encode("100%", ""), "100%25");
        assert_eq!(encode(" a b ", ""), "%20a b%20");
        assert_eq!(encode("a,b", ","), "a%2Cb");
        assert_eq!(encode("\x7f\t", ""), "%7F%09");
    }

    proptest! {
        #[test]
        fn a_value_is_always_fit_and_never_two(one in "\\PC*|[\\x00-\\x7f]*", other in "\\PC*") {
            let encoded = encode(&one, "");
            prop_assert!(encoded.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(encoded.trim(), &*encoded);
            prop_assert_eq!(encoded == encode(&other, ""), one == other);
        }
    }
}
