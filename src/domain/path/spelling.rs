//! The normal spelling in which paths and patterns are compared (RFC 3986 section 6.2.2).
//!
//! Except for structure, an escape equals its character: `%20` and a space, `%c3%b8` and `ø`, `%5B`, `%5b` and `[` are the
//! same. The spelling is ASCII without control characters, safe for records and terminals.

/// The characters that servers treat as structure: their escapes stay distinct from the bare characters.
const STRUCTURE: &[u8] = b"/\\;?#";

/// Whether an escape of this byte is kept, in upper case.
///
/// A dot is kept until the dot segments of a path are known ([`with_dots`]).
fn is_kept(byte: u8) -> bool {
    byte == b'.' || STRUCTURE.contains(&byte)
}

/// The characters of a segment that need no escape (RFC 3986 section 3.3, `pchar`), without structure.
pub(crate) fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte)
}

/// Checks for encodings that no honest client sends.
///
/// # Errors
/// The first problem: a broken escape, an encoded NUL, CR or LF, double encoding that hides structure, or invalid UTF-8
/// after decoding.
pub(crate) fn examine(text: &str) -> Result<(), &'static str> {
    let mut signs = text.as_bytes().iter().enumerate().filter(|(_, byte)| **byte == b'%');
    if signs.any(|(at, _)| text.as_bytes().get(at..).and_then(escaped).is_none()) {
        return Err("broken percent encoding");
    }
    let once = decode_bytes(text, |_| true);
    if once.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        return Err("encoded NUL, CR or LF");
    }
    if once.contains(&b'%') && hides_structure(&once) {
        return Err("double encoding");
    }
    std::str::from_utf8(&once).map(drop).map_err(|_| "invalid UTF-8")
}

/// The normal spelling of an examined path or segment. Escapes of structure and of dots stay.
pub(crate) fn spell(text: &str) -> String {
    let mut spelt = String::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let (escaped, tail) = escaped(rest).map_or((None, tail), |(byte, tail)| (Some(byte), tail));
        match escaped {
            Some(byte) if is_kept(byte) => push_escape(&mut spelt, byte),
            None if STRUCTURE.contains(&byte) => spelt.push(char::from(byte)),
            other => match other.unwrap_or(byte) {
                bare if is_bare(bare) => spelt.push(char::from(bare)),
                odd => push_escape(&mut spelt, odd),
            },
        }
        rest = tail;
    }
    spelt
}

/// The spelling with escaped dots as dots.
pub(crate) fn with_dots(spelt: String) -> String {
    if spelt.contains("%2E") { spelt.replace("%2E", ".") } else { spelt }
}

/// Decodes the escapes of `wanted` bytes in a spelling, once; `None` if there are none.
pub(crate) fn decode(spelt: &str, wanted: impl Fn(u8) -> bool) -> Option<String> {
    if !spelt.contains('%') {
        return None;
    }
    String::from_utf8(decode_bytes(spelt, wanted)).ok().filter(|decoded| decoded != spelt)
}

/// Whether a spelling has an escape of structure.
pub(crate) fn has_escaped_structure(spelt: &str) -> bool {
    decode(spelt, |byte| STRUCTURE.contains(&byte)).is_some()
}

fn decode_bytes(text: &str, wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after_first)) = rest.split_first() {
        match escaped(rest) {
            Some((byte, tail)) if wanted(byte) => {
                decoded.push(byte);
                rest = tail;
            }
            _ => {
                decoded.push(first);
                rest = after_first;
            }
        }
    }
    decoded
}

/// The byte that is escaped at the beginning, and the rest.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'%', high, low, tail @ ..] => Some((hex(*high)? << 4 | hex(*low)?, tail)),
        _ => None,
    }
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn push_escape(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    for digit in [byte >> 4, byte & 15] {
        text.extend(DIGITS.get(usize::from(digit)).map(|digit| char::from(*digit)));
    }
}

/// Whether decoding any number of times what was decoded once ever yields structure or a control character.
///
/// No escape is part of another, so the order of decoding does not matter: each escape is replaced as soon as it is
/// complete, in one pass. No honest client escapes a dot, so a decoded dot counts wherever it is.
fn hides_structure(once: &[u8]) -> bool {
    // Each byte, with whether it was decoded here.
    let mut decoded: Vec<(u8, bool)> = Vec::with_capacity(once.len());
    for &byte in once {
        decoded.push((byte, false));
        while let Some((rest, &[(b'%', _), (high, _), (low, _)])) = decoded.split_last_chunk::<3>()
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            let kept = rest.len();
            decoded.truncate(kept);
            decoded.push((high << 4 | low, true));
        }
    }
    (0..decoded.len()).any(|at| decoded.get(at..).is_some_and(begins_with_hidden_structure))
}

fn begins_with_hidden_structure(text: &[(u8, bool)]) -> bool {
    let Some(&(first, _)) = text.first() else { return false };
    // Some decoders accept the overlong forms that RFC 3629 section 3 forbids.
    let length = match first.leading_ones() {
        0 => 1,
        ones @ 2..=6 => usize::try_from(ones).unwrap_or(1),
        _ => return false,
    };
    let Some(character) = text.get(..length) else { return false };
    if !character.iter().any(|(_, further)| *further) {
        return false;
    }
    let mask = if length == 1 { 0xff } else { 0x7f >> length };
    let (mut value, tail) = (u32::from(first & mask), character.iter().skip(1));
    for (byte, _) in tail {
        if byte & 0xc0 != 0x80 {
            return false;
        }
        value = value << 6 | u32::from(byte & 0x3f);
    }
    let character = char::from_u32(value);
    character.is_some_and(|c| c.is_control() || c == '.' || STRUCTURE.iter().any(|byte| char::from(*byte) == c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_of_each() {
        for (text, spelt) in [
            ("/v1/%6frders", "/v1/orders"),
            ("/a b/%20", "/a%20b/%20"),
            ("/\u{e5}/%c3%A5", "/%C3%A5/%C3%A5"),
            ("/(x)/%28x%29", "/(x)/(x)"),
            ("/{x}|%7bx%7D%7c", "/%7Bx%7D%7C%7Bx%7D%7C"),
            ("/100%25/%2541", "/100%25/%2541"),
            ("/a%2fb\\c%5cd;e%3bf%3f%23", "/a%2Fb\\c%5Cd;e%3Bf%3F%23"),
            ("/%1b%7F%c2%85", "/%1B%7F%C2%85"),
        ] {
            assert_eq!(spell(text), spelt, "{text}");
            assert_eq!(spell(spelt), spelt, "{text} twice");
        }
        assert_eq!(with_dots(spell("/a%2eb/%2E%2e")), "/a.b/..");
    }

    #[test]
    fn a_percent_sign_hides_no_structure() {
        let hidden = [
            "%252e",
            "%25252e",
            "%25%32%65",
            "%252f",
            "%25255C",
            "%25%33%62",
            "%2523",
            "%253f",
            "%2500",
            "%250a",
            "%251b",
            "%257f",
            "%25c2%2585",
            "%25c0%25af",
            "%25c0%25ae",
            "%c3%25a4%25c1%259c",
            "%25e0%2580%25af",
            "%25f0%2580%2580%25ae",
        ];
        for text in hidden {
            assert_eq!(examine(text), Err("double encoding"), "{text}");
        }
        for text in
            ["100%25", "%2520", "%2541", "%25zz", "%25", "%2525", "%252525", "%25c3%25a4", "%25e2%2582%25ac", "%25ff"]
        {
            assert_eq!(examine(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_long_chain_is_looked_through_in_one_pass() {
        let deep = format!("/%{}2e", "25".repeat(4_000));
        assert_eq!(examine(&deep), Err("double encoding"));
        assert_eq!(examine(&deep.replace("2e", "41")), Ok(()));
    }
}
