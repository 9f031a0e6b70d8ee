//! An entry as received, and the formats of its values.

use std::collections::BTreeMap;

use ldap3::asn1::{PL, StructureTag};

use crate::domain::name::dn;
use crate::domain::time::Timestamp;

/// The immutable key of an entry: `entryUUID`, or `objectGUID` in the order of its text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(u128);

impl Key {
    /// From the 16 bytes of a UUID.
    pub(super) fn of_uuid(bytes: &[u8]) -> Option<Self> {
        Some(Self(u128::from_be_bytes(bytes.try_into().ok()?)))
    }

    /// From the 16 bytes of an `objectGUID`, whose first three groups are little-endian.
    pub(super) fn of_guid(bytes: &[u8]) -> Option<Self> {
        Self::of_uuid(&swapped(bytes.try_into().ok()?))
    }

    /// From its text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let groups: Vec<usize> = text.split('-').map(str::len).collect();
        let digits = text.replace('-', "");
        let fits = groups == [8, 4, 4, 4, 12] && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if fits { u128::from_str_radix(&digits, 16).ok().map(Self) } else { None }
    }

    /// The bytes of the `objectGUID`, escaped for a filter.
    pub(super) fn guid_filter(self) -> String {
        swapped(self.0.to_be_bytes()).iter().map(|byte| format!("\\{byte:02x}")).collect()
    }
}

fn swapped(bytes: [u8; 16]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let [i, j, k, l, m, n, o, p] = rest;
    [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e] =
            [self.0 >> 96, self.0 >> 80 & 0xffff, self.0 >> 64 & 0xffff, self.0 >> 48 & 0xffff, self.0];
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{:012x}", e & 0xffff_ffff_ffff)
    }
}

/// An entry, with those requested attributes that are readable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name, as the server writes it.
    pub(super) dn: String,
    /// Values by attribute, in lower case.
    pub(super) attributes: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Entry {
    /// From a `SearchResultEntry`; `None` if it is not one.
    pub(super) fn read(tag: StructureTag) -> Option<Self> {
        let mut parts = constructed(tag)?.into_iter();
        let dn = String::from_utf8(primitive(parts.next()?)?).ok()?;
        let mut attributes: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for attribute in constructed(parts.next()?)? {
            let mut pair = constructed(attribute)?.into_iter();
            let name = String::from_utf8(primitive(pair.next()?)?).ok()?.to_ascii_lowercase();
            let values = constructed(pair.next()?)?.into_iter().map(primitive).collect::<Option<Vec<_>>>()?;
            attributes.entry(name).or_default().extend(values);
        }
        Some(Self { dn, attributes })
    }

    /// All text values of an attribute.
    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.attributes
            .get(&name.to_ascii_lowercase())
            .into_iter()
            .flatten()
            .filter_map(|value| std::str::from_utf8(value).ok().filter(|text| !text.is_empty()))
    }

    /// One value of an attribute, always the same one, although servers return values in any order. The value in the
    /// entry's name comes first.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let leading = dn::leading(&self.dn, name);
        self.texts(name).find(|text| leading.as_deref() == Some(*text)).or_else(|| self.texts(name).min())
    }

    /// All text values of an attribute in a stable order: the one that [`Entry::text`] returns, then the rest.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let first = self.text(name);
        let mut rest: Vec<&str> = self.texts(name).filter(|text| Some(*text) != first).collect();
        rest.sort_unstable();
        first.into_iter().chain(rest).map(str::to_owned).collect()
    }

    /// The only value of an attribute, as bytes.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.attributes.get(&name.to_ascii_lowercase())?.first().map(Vec::as_slice)
    }

    /// A value as a number.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// A value as a GeneralizedTime.
    pub(super) fn time(&self, name: &str) -> Option<Timestamp> {
        generalized_time(self.text(name)?)
    }

    /// Whether one of the values is this word.
    pub(super) fn is(&self, name: &str, word: &str) -> bool {
        self.texts(name).any(|text| text.eq_ignore_ascii_case(word))
    }
}

pub(super) fn constructed(tag: StructureTag) -> Option<Vec<StructureTag>> {
    match tag.payload {
        PL::C(parts) => Some(parts),
        PL::P(_) => None,
    }
}

pub(super) fn primitive(tag: StructureTag) -> Option<Vec<u8>> {
    match tag.payload {
        PL::P(bytes) => Some(bytes),
        PL::C(_) => None,
    }
}

/// Parses `20261125132715Z`, with or without minutes, seconds and a fraction; instead of `Z` it may have a zone such as
/// `+0130` or `-05` (RFC 4517 section 3.3.13).
pub(super) fn generalized_time(text: &str) -> Option<Timestamp> {
    let (text, zone) = match text.strip_suffix('Z') {
        Some(text) => (text, "+00:00".to_owned()),
        None => {
            let (text, zone) = text.split_at_checked(text.rfind(['+', '-'])?)?;
            let (sign, digits) = zone.split_at_checked(1)?;
            if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let (hours, minutes) = digits.split_at_checked(2)?;
            (text, format!("{sign}{hours}:{}", if minutes.is_empty() { "00" } else { minutes }))
        }
    };
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    if !matches!(whole.len(), 10 | 12 | 14) || !whole.chars().chain(fraction.chars()).all(|c| c.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| whole.get(from..to).unwrap_or("00");
    let millis = format!("{fraction:0<3}");
    let millis = millis.get(..3)?;
    let [year, month, day, hour] = [part(0, 4), part(4, 6), part(6, 8), part(8, 10)];
    format!("{year}-{month}-{day}T{hour}:{}:{}.{millis}{zone}", part(10, 12), part(12, 14)).parse().ok()
}

/// Formats a time as GeneralizedTime, to the second.
pub(super) fn as_generalized_time(time: Timestamp) -> String {
    let text = time.to_string();
    let digits: String = text.chars().filter(char::is_ascii_digit).take(14).collect();
    format!("{digits}Z")
}

/// Converts 100-nanosecond intervals since 1601.
pub(super) fn file_time(ticks: i64) -> Option<Timestamp> {
    let seconds = (ticks / 10_000_000).checked_sub(11_644_473_600)?;
    Some(Timestamp::from_millis(seconds.checked_mul(1_000)?.checked_add(ticks % 10_000_000 / 10_000)?))
}
