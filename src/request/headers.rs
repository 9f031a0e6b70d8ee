//! Request headers: every value of a name, however it was spelled or sent.

use std::fmt;

use tonic::codegen::Bytes;

use super::fields::Span;
use super::message::Pair;

/// Request headers by lower-case name; repeated ones are joined by `,` in order, as Envoy does.
///
/// No value is lost or preferred, so a credential that must stand alone is seen not to.
#[derive(Clone, Default)]
pub struct Headers {
    /// Holds all names and values: the message itself, if nothing in it had to be written differently.
    bytes: Bytes,
    /// As sent, by lower-case name, each once.
    sent: Vec<Pair>,
    /// As seen by a service that treats `_` as `-`: only names that were also sent with `_`.
    folded: Vec<Pair>,
}

impl Headers {
    /// The headers of a message: the entries of its map as they were sent, and the raw ones in order.
    pub(super) fn of_message(message: &Bytes, mut mapped: Vec<Pair>, raw: &[Pair]) -> Self {
        keep_last(message, &mut mapped);
        let mut sent = mapped;
        sent.extend_from_slice(raw);
        let needs_nothing = |pair: &Pair| pair.name.of(message).iter().all(|byte| !matches!(byte, b'A'..=b'Z' | b'_'));
        if sent.iter().all(needs_nothing) {
            // Stable, as in `from_pairs`.
            sent.sort_by_key(|pair| pair.name.of(message));
            let double = |pairs: &[Pair]| match pairs {
                [one, other] => one.name.of(message) == other.name.of(message),
                _ => false,
            };
            if !sent.windows(2).any(double) {
                return Self { bytes: message.clone(), sent, folded: Vec::new() };
            }
        }
        Self::from_pairs(sent.iter().map(|pair| (pair.name.text_of(message), pair.value.of(message))))
    }

    /// Collects headers in any order and spelling; order matters only among values of one name.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let mut bytes = Vec::new();
        let written = |(name, value): (N, V)| Pair {
            name: append_name(&mut bytes, name.as_ref().as_bytes(), |byte| byte.to_ascii_lowercase()),
            value: append(&mut bytes, value.as_ref()),
        };
        let mut sent: Vec<Pair> = pairs.into_iter().map(written).collect();
        // Stable: values of one name keep their order, and the rest does not depend on the order of a map.
        sent.sort_by(|one, other| one.name.of(&bytes).cmp(other.name.of(&bytes)));
        let sent = join_doubles(&mut bytes, &sent);
        let folded = fold(&mut bytes, &sent);
        Self { bytes: bytes.into(), sent, folded }
    }

    /// The value of a header, with `-` and `_` treated alike in its name.
    ///
    /// For credentials: many services cannot tell `x_api_key` from `x-api-key` (CVE-2025-64484), so both are checked. If
    /// both were sent, the values are joined by `,`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let mut both = self.folded.iter().chain(&self.sent);
        both.find(|pair| alike(pair.name.of(&self.bytes), name.as_bytes())).map(|pair| pair.value.of(&self.bytes))
    }

    /// The value of the header with exactly this lower-case name: for conditions, and for what the proxy itself sets.
    #[must_use]
    pub fn exact(&self, name: &str) -> Option<&[u8]> {
        let found = self.sent.iter().find(|pair| pair.name.of(&self.bytes) == name.as_bytes());
        found.map(|pair| pair.value.of(&self.bytes))
    }

    /// Names and values as sent, in order of the lower-case names, including Envoy's pseudo headers (`:path`).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.sent.iter().map(|pair| (pair.name.text_of(&self.bytes), pair.value.of(&self.bytes)))
    }

    /// Names as sent, in lower case, in order, as bytes: for comparisons.
    pub fn raw_names(&self) -> impl Iterator<Item = &[u8]> {
        self.sent.iter().map(|pair| pair.name.of(&self.bytes))
    }

    /// Names as sent, in lower case, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// Values as sent, in order of the lower-case names.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.sent.iter().map(|pair| pair.value.of(&self.bytes))
    }

    /// Whether there is no header, not even a pseudo header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// The size of all names and values, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.raw_names().chain(self.values()).map(<[u8]>::len).fold(0, usize::saturating_add)
    }

    /// The headers under the names with which they are looked up: folded, then as sent.
    fn all(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let both = self.folded.iter().chain(&self.sent);
        both.map(|pair| (pair.name.of(&self.bytes), pair.value.of(&self.bytes)))
    }
}

/// By their names and values, wherever they are kept.
impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.folded.len() == other.folded.len() && self.all().eq(other.all())
    }
}

impl Eq for Headers {}

/// Only the names: values may be secret.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// Whether two header names are the same to a service that treats `_` as `-`.
#[must_use]
pub fn alike(one: &[u8], other: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.iter().map(plain).eq(other.iter().map(plain))
}

/// Sorts the entries of a map and keeps, of several with one name, the last (Protocol Buffers, "Maps").
fn keep_last(message: &[u8], entries: &mut Vec<Pair>) {
    // Stable, so that the last of them comes last.
    entries.sort_by_key(|entry| entry.name.of(message));
    entries.dedup_by(|later, kept| {
        let double = later.name.of(message) == kept.name.of(message);
        if double {
            *kept = *later;
        }
        double
    });
}

/// Writes `part` behind `bytes`.
fn append(bytes: &mut Vec<u8>, part: &[u8]) -> Span {
    let start = bytes.len();
    bytes.extend_from_slice(part);
    Span { start, end: bytes.len() }
}

fn append_name(bytes: &mut Vec<u8>, name: &[u8], spell: impl Fn(u8) -> u8) -> Span {
    let start = bytes.len();
    bytes.extend(name.iter().copied().map(spell));
    Span { start, end: bytes.len() }
}

/// Writes the values of `pairs` behind `bytes`, separated by `,`.
fn append_values<'a>(bytes: &mut Vec<u8>, pairs: impl Iterator<Item = &'a Pair>) -> Span {
    let start = bytes.len();
    for (index, pair) in pairs.enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_within(pair.value.start..pair.value.end);
    }
    Span { start, end: bytes.len() }
}

/// Joins adjacent entries of one name.
fn join_doubles(bytes: &mut Vec<u8>, sorted: &[Pair]) -> Vec<Pair> {
    let mut joined = Vec::with_capacity(sorted.len());
    let mut rest = sorted;
    while let Some(first) = rest.first() {
        let name = first.name.of(bytes);
        let many = rest.iter().take_while(|pair| pair.name.of(bytes) == name).count();
        let (same, others) = rest.split_at_checked(many).unwrap_or((rest, &[]));
        joined.push(match same {
            [alone] => *alone,
            _ => Pair { name: first.name, value: append_values(bytes, same.iter()) },
        });
        rest = others;
    }
    joined
}

/// The names that were sent with `_`, written with `-`, each with the values of all its spellings.
fn fold(bytes: &mut Vec<u8>, sent: &[Pair]) -> Vec<Pair> {
    let mut folded: Vec<Pair> = Vec::new();
    for Pair { name, .. } in sent {
        let known = |pair: &Pair| alike(pair.name.of(bytes), name.of(bytes));
        if !name.of(bytes).contains(&b'_') || folded.iter().any(known) {
            continue;
        }
        let same: Vec<Pair> = sent.iter().filter(|pair| known(pair)).copied().collect();
        let spelled = name.of(bytes).to_vec();
        let value = append_values(bytes, same.iter());
        let name = append_name(bytes, &spelled, |byte| if byte == b'_' { b'-' } else { byte });
        folded.push(Pair { name, value });
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        Headers::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn names_are_compared_in_any_case() {
        let headers = headers(&[("X-API-Key", "k")]);
        assert_eq!(headers.get("x-api-key"), Some(&b"k"[..]));
        assert_eq!(headers.exact("x-api-key"), Some(&b"k"[..]));
        assert_eq!(headers.get("x-api-keys"), None);
    }

    #[test]
    fn doubles_are_joined_in_order_and_never_first_wins() {
        let headers = headers(&[("authorization", "Bearer b"), ("via", "1"), ("Authorization", "Bearer a")]);
        assert_eq!(headers.get("authorization"), Some(&b"Bearer b,Bearer a"[..]));
        assert_eq!(headers.names().collect::<Vec<_>>(), ["authorization", "via"]);
    }

    #[test]
    fn an_underscore_hides_no_credential() {
        let smuggled = headers(&[("x_api_key", "evil")]);
        assert_eq!(smuggled.get("x-api-key"), Some(&b"evil"[..]));
        assert_eq!(smuggled.exact("x-api-key"), None, "the proxy did not set this one");
        let both = headers(&[("x-api-key", "a"), ("x_api-key", "b"), ("x_api_key", "c")]);
        assert_eq!(both.get("x-api-key"), Some(&b"a,b,c"[..]));
        assert_eq!(both.get("x_api_key"), Some(&b"a,b,c"[..]));
        assert_eq!(both.exact("x-api-key"), Some(&b"a"[..]));
    }

    #[test]
    fn values_are_bytes() {
        let headers = Headers::from_pairs([("x-raw", vec![0xff, 0x00])]);
        assert_eq!(headers.get("x-raw"), Some(&[0xff, 0x00][..]));
        assert_eq!(headers.size(), 7);
        assert_eq!(format!("{headers:?}"), "[\"x-raw\"]", "never a value");
    }

    #[test]
    fn the_order_of_a_map_changes_nothing() {
        let one = headers(&[("a", "1"), ("b_c", "2"), ("b-c", "3")]);
        let other = headers(&[("b-c", "3"), ("b_c", "2"), ("a", "1")]);
        assert_eq!(one, other);
    }
}
