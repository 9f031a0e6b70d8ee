//! A YAML value as it was written: what an unquoted `0123` or `no` means is for the reader of a key to say, not for YAML.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// A value with the positions of its parts, read with duplicate keys passed through. `K` is what a key may be.
#[derive(Debug)]
pub enum Raw<K> {
    /// Nothing, `~` or `null`.
    Null,
    /// Taken for a number or a boolean: [`written`] has its text.
    Plain(String),
    /// Any other scalar.
    Text(String),
    /// A list.
    List(Vec<Spanned<Raw<K>>>),
    /// A map, in the order written.
    Map(Vec<(Spanned<K>, Spanned<Raw<K>>)>),
}

/// The byte at which a value begins.
#[must_use]
pub fn start(location: Location) -> Option<usize> {
    usize::try_from(location.span().byte_offset()?).ok()
}

/// The byte behind a value.
#[must_use]
pub fn end(location: Location) -> Option<usize> {
    start(location)?.checked_add(usize::try_from(location.span().byte_len()?).ok()?)
}

/// The exact characters of a scalar that was taken for a number or a boolean.
#[must_use]
pub fn written(text: &str, location: Location) -> Option<&str> {
    let text = text.get(start(location)?..end(location)?)?.trim();
    (!text.is_empty() && !text.contains(['\n', '"', '\'', '!', '&'])).then_some(text)
}

impl<'de, K: Deserialize<'de>> Deserialize<'de> for Raw<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor(PhantomData))
    }
}

struct RawVisitor<K>(PhantomData<K>);

impl<'de, K: Deserialize<'de>> Visitor<'de> for RawVisitor<K> {
    type Value = Raw<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Raw<K>, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw<K>, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw<K>, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw<K>, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw<K>, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw<K>, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw<K>, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw<K>, A::Error> {
        let mut list = vec![];
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw<K>, A::Error> {
        let mut map = vec![];
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
