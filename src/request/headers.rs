//! Request headers: every value of a name, however it was spelled or sent.

use std::fmt;

/// Request headers by lower-case name; repeated ones are joined by `,` in order, as Envoy does.
///
/// No value is lost or preferred, so a credential that must stand alone is seen not to.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// As sent, by lower-case name, each once.
    sent: Vec<(String, Vec<u8>)>,
    /// As seen by a service that treats `_` as `-`: only names that were also sent with `_`.
    folded: Vec<(String, Vec<u8>)>,
}

impl Headers {
    /// Collects headers in any order and spelling; order matters only among values of one name.
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
        // Stable: values of one name keep their order, and the rest does not depend on the order of a map.
        sent.sort_by(|(one, _), (other, _)| one.cmp(other));
        join_doubles(&mut sent);
        let folded = fold(&sent);
        Self { sent, folded }
    }

    /// The value of a header, with `-` and `_` treated alike in its name.
    ///
    /// For credentials: many services cannot tell `x_api_key` from `x-api-key` (CVE-2025-64484), so both are checked. If
    /// both were sent, the values are joined by `,`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let find = |headers: &'_ [(String, Vec<u8>)]| headers.iter().position(|(sent, _)| alike(sent, name));
        if let Some(found) = find(&self.folded).and_then(|at| self.folded.get(at)) {
            return Some(&found.1);
        }
        find(&self.sent).and_then(|at| self.sent.get(at)).map(|(_, value)| value.as_slice())
    }

    /// The value of the header with exactly this lower-case name: for conditions, and for what the proxy itself sets.
    #[must_use]
    pub fn exact(&self, name: &str) -> Option<&[u8]> {
        self.sent.iter().find(|(sent, _)| sent == name).map(|(_, value)| value.as_slice())
    }

    /// Names and values as sent, in order of the lower-case names, including Envoy's pseudo headers (`:path`).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.sent.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Names as sent, in lower case, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sent.iter().map(|(name, _)| name.as_str())
    }

    /// Whether there is no header, not even a pseudo header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// The size of all names and values, in bytes.
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

/// Whether two header names are the same to a service that treats `_` as `-`.
#[must_use]
pub fn alike(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.bytes().map(plain).eq(other.bytes().map(plain))
}

/// Joins adjacent entries of one name.
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

/// The names that were sent with `_`, written with `-`, each with the values of all its spellings.
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
