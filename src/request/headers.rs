//! Request headers: every value of a name, whichever way it was spelt or sent.

use std::fmt;

/// Request headers by lower-case name; doubles joined by `,` in order, as Envoy does.
///
/// Nothing is lost and nothing is first: a scheme that must stand alone sees that it does not.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// As sent, lower case, by name, each once.
    sent: Vec<(String, Vec<u8>)>,
    /// What a service that takes `_` for `-` would see: only names of which a spelling with `_` was sent.
    folded: Vec<(String, Vec<u8>)>,
}

impl Headers {
    /// Collects headers in any order and spelling; order counts only among values of one name.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<Vec<u8>>,
    {
        let mut sent: Vec<(String, Vec<u8>)> = pairs
            .into_iter()
            .map(|(name, value)| {
                let mut name = name.into();
                name.make_ascii_lowercase();
                (name, value.into())
            })
            .collect();
        // Stable, so that values of one name keep their order, and the rest does not hang on a map's whim.
        sent.sort_by(|(one, _), (other, _)| one.cmp(other));
        join_doubles(&mut sent);
        let folded = fold(&sent);
        Self { sent, folded }
    }

    /// The value of a header, `-` and `_` taken for the same in its name.
    ///
    /// For credentials: many services cannot tell `x_api_key` from `x-api-key` (CVE-2025-64484), so whatever
    /// stands under either name is judged. Where both were sent, the values are joined by `,`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let find = |headers: &'_ [(String, Vec<u8>)]| headers.iter().position(|(sent, _)| alike(sent, name));
        if let Some(found) = find(&self.folded).and_then(|at| self.folded.get(at)) {
            return Some(&found.1);
        }
        find(&self.sent).and_then(|at| self.sent.get(at)).map(|(_, value)| value.as_slice())
    }

    /// The value of the header of exactly this lower-case name: for conditions and what the proxy itself sets.
    #[must_use]
    pub fn exact(&self, name: &str) -> Option<&[u8]> {
        self.sent.iter().find(|(sent, _)| sent == name).map(|(_, value)| value.as_slice())
    }

    /// Names and values as sent, in order of the lower-case names, Envoy's pseudo headers (`:path`) included.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.sent.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Names as sent, lower case, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sent.iter().map(|(name, _)| name.as_str())
    }

    /// Whether there is none, not even a pseudo header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Bytes in all names and values.
    #[must_use]
    pub fn size(&self) -> usize {
        self.sent.iter().map(|(name, value)| name.len().saturating_add(value.len())).fold(0, usize::saturating_add)
    }
}

/// Only the names: values may be secret.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// Whether two header names are the same to somebody who takes `_` for `-`.
#[must_use]
pub fn alike(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.bytes().map(plain).eq(other.bytes().map(plain))
}

/// Joins neighbours of one name.
fn join_doubles(sorted: &mut Vec<(String, Vec<u8>)>) {
    sorted.dedup_by(|(name, value), (kept, all)| {
        let double = name == kept;
        if double {
            all.push(b',');
            all.append(value);
        }
        double
    });
}

/// The names that were sent with `_`, with `-` for it, each with all that stands under any of its spellings.
fn fold(sent: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let mut folded: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, _) in sent.iter().filter(|(name, _)| name.contains('_')) {
        if folded.iter().any(|(known, _)| alike(known, name)) {
            continue;
        }
        let values: Vec<&[u8]> =
            sent.iter().filter(|(other, _)| alike(other, name)).map(|(_, value)| value.as_slice()).collect();
        folded.push((name.replace('_', "-"), values.join(&b',')));
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
