//! One claims set, and the first flaw found in it.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::{Map, Number, Value};

use crate::domain::claim::ClaimName;
use crate::domain::detail::Detail;
use crate::domain::time::Timestamp;
use crate::faults::{Fault, planted};

/// The longest identifier, in bytes; longer ones are a flaw. The longest in the field are DNs of a few hundred.
const MAX_TEXT: usize = 1024;
/// 9999-12-31T23:59:59Z in seconds, the last time in RFC 3339.
const LAST_SECOND: i64 = 253_402_300_799;
/// The message for a claim in two places.
const TWICE: &str = "is present twice: under that name, and nested";

/// How to round a fraction of a millisecond: whichever way is stricter for the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// For `exp`, which ends sooner, and `iat`, which is older.
    Down,
    /// For `nbf`, which begins later.
    Up,
}

/// Where a claim is in a claims set.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    /// Nowhere.
    Absent,
    /// Under its exact name and under the nested one: it is unclear which one is meant.
    Twice,
    /// The path to it leads through this, which is not an object.
    Blocked(&'a Value),
    /// Here, with any value.
    Here(&'a Value),
}

/// The name of a claim: a standard one, or a configured one.
pub(super) trait Name: std::fmt::Display {
    fn locate<'a>(&self, members: &'a Map<String, Value>) -> Found<'a>;
}

impl Name for str {
    fn locate<'a>(&self, members: &'a Map<String, Value>) -> Found<'a> {
        members.get(self).map_or(Found::Absent, Found::Here)
    }
}

impl Name for ClaimName {
    fn locate<'a>(&self, members: &'a Map<String, Value>) -> Found<'a> {
        let exact = self.exact().and_then(|name| members.get(name));
        match (exact, nested(self.way(), members)) {
            (Some(_), Found::Here(_)) => Found::Twice,
            (Some(value), _) => Found::Here(value),
            (None, nested) => nested,
        }
    }
}

fn nested<'a>(way: &[String], members: &'a Map<String, Value>) -> Found<'a> {
    let Some((last, outer)) = way.split_last() else { return Found::Absent };
    let mut members = members;
    for segment in outer {
        match members.get(segment) {
            // `null` counts as absent, as everywhere.
            None | Some(Value::Null) => return Found::Absent,
            Some(Value::Object(inner)) => members = inner,
            Some(other) => return Found::Blocked(other),
        }
    }
    last.as_str().locate(members)
}

/// A claims set as received. Reading a claim of the wrong form returns `None` and marks the set as flawed.
///
/// `null` and the empty string count as absent (contract section 3, "Claims"), with the exceptions that methods name.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    members: &'a Map<String, Value>,
    /// Follows the name of a claim in messages: empty, or which actor the claims describe.
    of_actor: String,
    flaw: OnceCell<Detail>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(members: &'a Map<String, Value>) -> Self {
        Self { members, of_actor: String::new(), flaw: OnceCell::new() }
    }

    /// Marks the set as flawed. The first reason is kept.
    pub(super) fn refuse(&self, detail: Detail) {
        let _first = self.flaw.set(detail);
    }

    /// Marks the set as flawed because of one claim: "claim `sub` is missing".
    pub(super) fn refuse_claim<N: Name + ?Sized>(&self, name: &N, what: &str) {
        let detail = Detail::new(format!("claim `{name}`{} {what}", self.of_actor));
        self.refuse(match name.locate(self.members) {
            Found::Here(value) if planted(Fault::ClaimIsQuoted) => Detail::new(format!("claim `{name}` is {value}")),
            Found::Here(value) | Found::Blocked(value) => detail.found(&value.to_string()),
            Found::Absent | Found::Twice => detail,
        });
    }

    /// Marks the set as flawed if an inner one is, for the same reason.
    pub(super) fn refuse_with(&self, inner: &Self) {
        if let Some(flaw) = inner.flaw() {
            self.refuse(flaw.clone());
        }
    }

    /// The first flaw, if there is one.
    pub(super) fn flaw(&self) -> Option<&Detail> {
        self.flaw.get()
    }

    /// Whether the claim is present, with any value, even `null`.
    pub(super) fn has<N: Name + ?Sized>(&self, name: &N) -> bool {
        !matches!(name.locate(self.members), Found::Absent)
    }

    /// Whether the claim is present and neither `null` nor the empty string.
    pub(super) fn has_value<N: Name + ?Sized>(&self, name: &N) -> bool {
        match name.locate(self.members) {
            Found::Absent => false,
            Found::Here(value) => !is_absence(value),
            Found::Twice | Found::Blocked(_) => true,
        }
    }

    /// The value of a claim that must be readable if present; `None` also for `null` and the empty string.
    fn value<N: Name + ?Sized>(&self, name: &N) -> Option<&'a Value> {
        match name.locate(self.members) {
            Found::Absent => None,
            Found::Here(value) => (!is_absence(value)).then_some(value),
            Found::Twice => {
                self.refuse_claim(name, TWICE);
                None
            }
            Found::Blocked(_) => {
                self.refuse_claim(name, "cannot be reached: something on the path to it is not an object");
                None
            }
        }
    }

    /// A string that is compared, so its length is limited.
    pub(super) fn text<N: Name + ?Sized>(&self, name: &N) -> Option<&'a str> {
        match self.value(name)? {
            Value::String(text) => self.bounded(name, text),
            _ => {
                self.refuse_claim(name, "is not a string");
                None
            }
        }
    }

    /// An identifier that some providers write as a number: a string, or a whole number as its decimal digits.
    ///
    /// A number with a fraction or an exponent has several spellings, and one beyond 64 bits is not read exactly. Both are
    /// flaws, because a revocation might not be found.
    pub(super) fn id<N: Name + ?Sized>(&self, name: &N) -> Option<Cow<'a, str>> {
        match self.value(name)? {
            Value::String(text) => self.bounded(name, text).map(Cow::Borrowed),
            Value::Number(number) if number.is_i64() || number.is_u64() => Some(Cow::Owned(number.to_string())),
            _ => {
                self.refuse_claim(name, "is neither a string nor a whole number of at most 64 bits");
                None
            }
        }
    }

    fn bounded<N: Name + ?Sized>(&self, name: &N, text: &'a str) -> Option<&'a str> {
        if text.len() > MAX_TEXT {
            self.refuse_claim(name, &format!("is longer than {MAX_TEXT} bytes"));
            return None;
        }
        Some(text)
    }

    /// A string or a list of strings; empty if absent.
    pub(super) fn texts<N: Name + ?Sized>(&self, name: &N) -> Vec<&'a str> {
        match self.value(name) {
            None => return Vec::new(),
            Some(Value::String(text)) => return vec![text],
            Some(Value::Array(values)) => {
                let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
                if texts.len() == values.len() {
                    return texts;
                }
            }
            Some(_) => {}
        }
        self.refuse_claim(name, "is neither a string nor a list of strings");
        Vec::new()
    }

    /// Whether the claim is a number of any kind.
    pub(super) fn is_number(&self, name: &ClaimName) -> bool {
        matches!(name.locate(self.members), Found::Here(Value::Number(_)))
    }

    /// Names that grant and are never compared for denials: a list of strings, one string, or an object with the names as
    /// keys, except keys with the value `false` (Zitadel's roles). Anything else names nothing and is no flaw.
    pub(super) fn names<N: Name + ?Sized>(&self, name: &N) -> Vec<&'a str> {
        let names: Vec<&str> = match name.locate(self.members) {
            Found::Absent | Found::Blocked(_) => Vec::new(),
            Found::Twice => {
                self.refuse_claim(name, TWICE);
                Vec::new()
            }
            Found::Here(Value::String(text)) => vec![text],
            Found::Here(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
            Found::Here(Value::Object(members)) => {
                let held = members.iter().filter(|(_, value)| **value != Value::Bool(false));
                held.map(|(name, _)| name.as_str()).collect()
            }
            Found::Here(_) => Vec::new(),
        };
        names.into_iter().filter(|name| !name.is_empty()).collect()
    }

    /// Whether the claim has exactly this value. Booleans and whole numbers are compared as written.
    pub(super) fn says(&self, name: &ClaimName, what: &str) -> bool {
        match name.locate(self.members) {
            Found::Here(Value::String(text)) => text == what,
            Found::Here(Value::Bool(flag)) => flag.to_string() == what,
            Found::Here(Value::Number(number)) => !number.is_f64() && number.to_string() == what,
            Found::Twice => {
                self.refuse_claim(name, TWICE);
                false
            }
            Found::Here(_) | Found::Absent | Found::Blocked(_) => false,
        }
    }

    /// A NumericDate (RFC 7519 section 2), with or without fraction, from 1970 to 9999. `null` is a flaw here.
    pub(super) fn date(&self, name: &str, round: Round) -> Option<Timestamp> {
        let value = self.members.get(name)?;
        let date = value.as_number().and_then(|number| millis(number, round)).map(Timestamp::from_millis);
        if date.is_none() {
            self.refuse_claim(name, "is not a number of seconds between 1970 and 9999");
        }
        date
    }

    /// The claims of the actor with this number, from the object `act`.
    pub(super) fn actor(&self, number: usize) -> Option<Self> {
        let name = "act";
        match self.value(name)? {
            Value::Object(members) => {
                Some(Self { of_actor: format!(" of actor {number} in `act`"), ..Self::new(members) })
            }
            _ => {
                self.refuse_claim(name, "is not an object");
                None
            }
        }
    }
}

/// The values by which providers express absence.
fn is_absence(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
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
