//! One claims set, and whether anything in it was not what it must be.

use std::cell::Cell;

use serde_json::{Map, Number, Value};

use crate::domain::time::Timestamp;

/// Longer identifiers are a flaw, in bytes; the longest in the field are DNs of a few hundred.
const MAX_TEXT: usize = 1024;
/// 9999-12-31T23:59:59Z in seconds, the last time that RFC 3339 can write.
const LAST_SECOND: i64 = 253_402_300_799;

/// Which way a fraction of a millisecond goes: whichever is stricter for the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// `exp` ends sooner, `iat` is older.
    Down,
    /// `nbf` begins later.
    Up,
}

/// Claims as they came. Reading one that is not well-typed answers `None` and marks the whole as flawed.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    members: &'a Map<String, Value>,
    flawed: Cell<bool>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(members: &'a Map<String, Value>) -> Self {
        Self { members, flawed: Cell::new(false) }
    }

    /// Marks the whole as flawed unless `holds`.
    pub(super) fn expect(&self, holds: bool) {
        if !holds {
            self.flawed.set(true);
        }
    }

    pub(super) fn is_flawed(&self) -> bool {
        self.flawed.get()
    }

    /// Whether the claim is there, whatever it is.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// A string, without judging what else it may be.
    pub(super) fn peek(&self, name: &str) -> Option<&'a str> {
        self.members.get(name).and_then(Value::as_str)
    }

    /// An identifier: a string, not empty, not too long.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        let value = self.members.get(name)?;
        let text = value.as_str().filter(|text| !text.is_empty() && text.len() <= MAX_TEXT);
        self.expect(text.is_some());
        text
    }

    /// A name that providers send empty where there is none.
    pub(super) fn name(&self, name: &str) -> Option<&'a str> {
        if self.peek(name) == Some("") { None } else { self.text(name) }
    }

    /// A string or an array of strings; absent is none.
    pub(super) fn texts(&self, name: &str) -> Vec<&'a str> {
        match self.members.get(name) {
            None => Vec::new(),
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(values)) => {
                let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
                self.expect(texts.len() == values.len());
                texts
            }
            Some(_) => {
                self.expect(false);
                Vec::new()
            }
        }
    }

    /// A NumericDate (RFC 7519 section 2), with or without fraction, of 1970 to 9999.
    pub(super) fn date(&self, name: &str, round: Round) -> Option<Timestamp> {
        let value = self.members.get(name)?;
        let date = value.as_number().and_then(|number| millis(number, round)).map(Timestamp::from_millis);
        self.expect(date.is_some());
        date
    }

    /// An object inside.
    pub(super) fn inner(&self, name: &str) -> Option<Self> {
        let value = self.members.get(name)?;
        let inner = value.as_object().map(Self::new);
        self.expect(inner.is_some());
        inner
    }
}

fn millis(number: &Number, round: Round) -> Option<i64> {
    if let Some(seconds) = number.as_i64() {
        return (0..=LAST_SECOND).contains(&seconds).then(|| seconds.saturating_mul(1000));
    }
    #[expect(clippy::cast_precision_loss, reason = "the last second fits into 53 bits")]
    let seconds = number.as_f64().filter(|seconds| (0.0..=LAST_SECOND as f64).contains(seconds))?;
    let millis = match round {
        Round::Down => (seconds * 1000.0).floor(),
        Round::Up => (seconds * 1000.0).ceil(),
    };
    #[expect(clippy::cast_possible_truncation, reason = "its range was checked")]
    Some(millis as i64)
}
