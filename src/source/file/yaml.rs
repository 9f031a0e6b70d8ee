//! The YAML of a people file, record by record: records before a mistake are kept in spite of it.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Spanned};

use crate::domain::yaml;

/// The deepest nesting of maps and lists; a list of groups is at 4.
const MAX_DEPTH: usize = 16;
/// The limits of what aliases may repeat in total: as many parts as the file has bytes, within this range.
const REPLAYED: [usize; 2] = [50_000, 2_000_000];

/// A value of the file. After a mistake, anything may be a key.
pub(super) type Raw = yaml::Raw<Key>;

/// A key of a map.
pub(super) struct Key(pub(super) Raw);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Raw::deserialize(deserializer).map(Self)
    }
}

/// The name of a value's type in messages.
pub(super) fn noun(value: &Raw) -> &'static str {
    match value {
        Raw::Null => "nothing",
        Raw::Plain(_) | Raw::Text(_) => "a text",
        Raw::List(_) => "a list",
        Raw::Map(_) => "a map",
    }
}

/// Why reading a text ended early.
#[derive(Debug)]
pub(super) struct Fault {
    /// The number of bytes before the fault, if known.
    pub(super) at: Option<usize>,
}

/// The receiver of what is read.
pub(super) trait Hears {
    /// Another record of `people` begins, so the one before is complete.
    fn begins(&mut self);
    /// A complete record.
    fn record(&mut self, record: Spanned<Raw>);
    /// Something in the wrong place that may be a record.
    fn stray(&mut self, record: &Raw);
    /// A mistake in the file as a whole.
    fn wrong(&mut self, line: u64, what: String);
}

/// Reads a text.
///
/// # Errors
/// [`Fault`] if it is not YAML to its end.
pub(super) fn read<H: Hears>(text: &str, heard: &mut H) -> Result<(), Fault> {
    let replayed = text.len().clamp(REPLAYED[0], REPLAYED[1]);
    // Every event and scalar takes at least a byte, so apart from aliases these bounds are the file's own size.
    let most = text.len().saturating_mul(2).saturating_add(2 * replayed);
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: most,
            max_nodes: most,
            max_aliases: most,
            max_anchors: most,
            max_merge_keys: most,
            max_total_scalar_bytes: most,
            max_depth: MAX_DEPTH,
            max_documents: 2,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: replayed, max_replay_stack_depth: 8 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    let read =
        serde_saphyr::with_deserializer_from_str_with_options(text, options, |yaml| Top(&mut *heard).deserialize(yaml));
    let Err(error) = read else { return Ok(()) };
    let location = error.location();
    heard.wrong(location.map_or(0, |location| location.line()), in_words(&error, text, replayed));
    Err(Fault { at: location.and_then(|location| yaml::start(location).or_else(|| by_characters(text, location))) })
}

fn in_words(error: &serde_saphyr::Error, text: &str, replayed: usize) -> String {
    let is_blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    match error.without_snippet() {
        serde_saphyr::Error::MultipleDocuments { .. } => "holds more than one document".to_owned(),
        serde_saphyr::Error::Eof { .. } if text.lines().all(is_blank) => {
            "is empty: write `people: []` for nobody".to_owned()
        }
        other => {
            let text = other.render();
            let text = text.lines().next().unwrap_or_default().trim();
            if text.contains("alias replay limit") {
                return format!("aliases (`*name`) repeat more than {replayed} values: write them out");
            }
            format!("is not readable as YAML: {}", text.strip_prefix("error: ").unwrap_or(text))
        }
    }
}

/// The parser counts bytes only of what it understood.
fn by_characters(text: &str, location: Location) -> Option<usize> {
    let characters = usize::try_from(location.span().offset()).ok()?;
    text.char_indices().nth(characters).map(|(at, _)| at)
}

struct Top<'a, H>(&'a mut H);

impl<'de, H: Hears> DeserializeSeed<'de> for Top<'_, H> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, H: Hears> Visitor<'de> for Top<'_, H> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map with the key `people`")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.wrong(1, "is empty: write `people: []` for nobody".to_owned());
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.0.wrong(1, "must be a map with the key `people`, not a text".to_owned());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.wrong(1, "must be a map with the key `people`, not a list".to_owned());
        while let Some(item) = items.next_element::<Raw>()? {
            strays(&mut *self.0, &item);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut found = false;
        while let Some(key) = entries.next_key::<Spanned<Key>>()? {
            let is_people = matches!(&key.value, Key(Raw::Text(text)) if text == "people");
            if is_people && !found {
                found = true;
                entries.next_value_seed(Records(&mut *self.0, key.referenced.line()))?;
                continue;
            }
            let what = if found && is_people { "`people` is given twice" } else { "the only key is `people`" };
            self.0.wrong(key.referenced.line(), what.to_owned());
            match entries.next_value()? {
                Raw::List(items) => items.iter().for_each(|item| strays(&mut *self.0, &item.value)),
                other => strays(&mut *self.0, &other),
            }
        }
        if !found {
            self.0.wrong(1, "has no `people`".to_owned());
        }
        Ok(())
    }
}

/// A record in the wrong place, or one level too deep, may mark somebody as out.
fn strays<H: Hears>(heard: &mut H, value: &Raw) {
    let Raw::Map(entries) = value else { return };
    heard.begins();
    heard.stray(value);
    for (_, inner) in entries {
        heard.stray(&inner.value);
    }
}

/// The list of records, and the line of its key.
struct Records<'a, H>(&'a mut H, u64);

impl<H: Hears> Records<'_, H> {
    fn no_list<E>(self, what: &str) -> Result<(), E> {
        self.0.wrong(self.1, format!("`people` must be a list, not {what}"));
        Ok(())
    }
}

impl<'de, H: Hears> DeserializeSeed<'de> for Records<'_, H> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, H: Hears> Visitor<'de> for Records<'_, H> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of people")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.no_list("nothing: write `people: []` for nobody")
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.no_list("a text")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.no_list("a text")
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.no_list("a number")
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.no_list("a number")
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.no_list("a number")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut all = vec![];
        while let Some(entry) = entries.next_entry()? {
            all.push(entry);
        }
        strays(&mut *self.0, &Raw::Map(all));
        self.no_list("a map")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Record(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

struct Record<'a, H>(&'a mut H);

impl<'de, H: Hears> DeserializeSeed<'de> for Record<'_, H> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.begins();
        self.0.record(Spanned::deserialize(deserializer)?);
        Ok(())
    }
}
