//! Distinguished names (RFC 4514), as far as it takes to tell that two spellings mean one name.

use std::borrow::Cow;

use super::prepare::prepared;

/// The normal spelling of a name: values are prepared (RFC 4518), special characters are written as `\xx`. A text that
/// does not have the form of a name counts as one part of a name.
#[must_use]
pub fn normal(dn: &str) -> String {
    let mut parts: Vec<String> = split(dn, ',').iter().map(|rdn| relative(rdn)).collect();
    if parts.len() == 1 && parts.first().is_some_and(String::is_empty) {
        parts.clear();
    }
    parts.join(",")
}

/// A name with its hexadecimal escapes decoded, except those of characters that have a meaning in a name.
pub(super) fn plain(dn: &str) -> Cow<'_, str> {
    if !dn.contains('\\') {
        return Cow::Borrowed(dn);
    }
    let part = |part: &str| match part.split_once('=') {
        None => part.to_owned(),
        Some((name, value)) => match String::from_utf8(unescaped(value.trim())) {
            Ok(text) => format!("{name}={}", escaped(&text)),
            Err(_) => part.to_owned(),
        },
    };
    let relative = |rdn: &String| split(rdn, '+').iter().map(|one| part(one)).collect::<Vec<_>>().join("+");
    Cow::Owned(split(dn, ',').iter().map(relative).collect::<Vec<_>>().join(","))
}

/// Whether a name lies at or below another, both in normal spelling.
#[must_use]
pub fn is_within(dn: &str, base: &str) -> bool {
    base.is_empty() || dn == base || dn.strip_suffix(base).is_some_and(|rest| rest.ends_with(','))
}

/// The name of the entry above, both in normal spelling.
#[must_use]
pub fn above(dn: &str) -> &str {
    dn.split_once(',').map_or("", |(_, above)| above)
}

/// The value of the first part of a name, if that part has this type.
#[must_use]
pub fn leading(dn: &str, attribute: &str) -> Option<String> {
    let first = split(dn, ',').into_iter().next()?;
    let part = split(&first, '+').into_iter().find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case(attribute).then(|| value.trim().to_owned())
    })?;
    String::from_utf8(unescaped(&part)).ok()
}

/// Parts between separators that are not escaped.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == separator && !escaped {
            parts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

fn relative(rdn: &str) -> String {
    let mut parts: Vec<String> = split(rdn, '+').iter().map(|part| pair(part)).collect();
    parts.sort_unstable();
    parts.join("+")
}

fn pair(part: &str) -> String {
    let Some((name, value)) = part.split_once('=') else {
        return prepared(part).unwrap_or_else(|| part.trim().to_owned());
    };
    // Preparing removes the spaces at both ends, except one that bears a combining mark. Trimming would remove it too.
    let prepared = String::from_utf8(unescaped(value)).ok().and_then(|text| prepared(&text));
    if let Some(text) = prepared {
        return format!("{}={}", name.trim().to_lowercase(), escaped(&text));
    }
    let value = match String::from_utf8(unescaped(value.trim())) {
        Ok(text) => escaped(&text),
        Err(bytes) => bytes.into_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect(),
    };
    format!("{}={value}", name.trim().to_lowercase())
}

fn unescaped(value: &str) -> Vec<u8> {
    let mut bytes = value.bytes().peekable();
    let mut found = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            found.push(byte);
            continue;
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let Some(first) = bytes.next() else { break };
        match (digit(&first), bytes.peek().and_then(digit)) {
            (Some(high), Some(low)) => {
                bytes.next();
                found.push(high << 4 | low);
            }
            _ => found.push(first),
        }
    }
    found
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if ",+\"\\<>;=#\0".contains(c) {
            text.push_str(&format!("\\{:02x}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name() {
        let one = normal("uid=alice,ou=People,dc=example,dc=org");
        assert_eq!(normal("UID = Alice , OU=people, DC=Example,dc=ORG"), one);
        assert_eq!(normal(r"cn=Doe\, John,dc=x"), normal(r"CN=doe\2C  john,DC=X"));
        assert_ne!(normal(r"cn=a\,cn=b,dc=x"), normal("cn=a,cn=b,dc=x"));
        assert_eq!(normal("cn=a+uid=b,dc=x"), normal("uid=b+cn=a,dc=x"));
        assert_eq!(normal(r"cn=M\c3\bcller"), normal("cn=Müller"));
        assert_eq!(normal(&normal(r"cn=a\+b\\c,dc=x")), normal(r"cn=a\+b\\c,dc=x"));
        assert_eq!(normal(""), "");
        for marked in ["\u{ad} \u{301}", "cn=\u{ad} \u{301},dc=x", " cn = \u{301} "] {
            assert_eq!(normal(&normal(marked)), normal(marked), "{marked:?}");
        }
    }

    #[test]
    fn what_lies_below() {
        let base = normal("ou=people,dc=x");
        assert!(is_within(&normal("uid=a,ou=people,dc=x"), &base) && is_within(&base, &base));
        assert!(!is_within(&normal("uid=a,ou=morepeople,dc=x"), &normal("people,dc=x")));
        assert!(!is_within(&normal("uid=a,xou=people,dc=x"), &base));
        assert!(is_within("anything", ""));
        assert_eq!(above(&normal(r"cn=Doe\, John, ou=People")), "ou=people");
        assert_eq!(above(&normal("dc=x")), "");
        assert_eq!(leading(r"uid=Al\2Cice,dc=x", "UID").as_deref(), Some("Al,ice"));
        assert_eq!(leading("cn=a,uid=b", "uid"), None);
    }
}
