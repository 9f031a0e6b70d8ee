//! One claims set, and the first thing in it that was not what it must be.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::{Map, Number, Value};

use crate::domain::claim::ClaimName;
use crate::domain::detail::Detail;
use crate::domain::time::Timestamp;
use crate::faults::{Fault, planted};

/// Longer identifiers are a flaw, in bytes; the longest in the field are DNs of a few hundred.
const MAX_TEXT: usize = 1024;
/// 9999-12-31T23:59:59Z in seconds, the last time that RFC 3339 can write.
const LAST_SECOND: i64 = 253_402_300_799;
/// What is said of a claim that stands in two places.
const TWICE: &str = "is there twice: under that name, and nested";

/// Which way a fraction of a millisecond goes: whichever is stricter for the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// `exp` ends sooner, `iat` is older.
    Down,
    /// `nbf` begins later.
    Up,
}

/// Where a claim stands in a claims set.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    /// Nowhere.
    Absent,
    /// Under its exact name and on the way that the name may also be: nobody can tell which one is meant.
    Twice,
    /// The way to it leads through this, which is no object.
    Blocked(&'a Value),
    /// Here, whatever it is.
    Here(&'a Value),
}

/// What names a claim: a name that a standard gave, or one of the configuration.
pub(super) trait Name: std::fmt::Display {
    fn place<'a>(&self, members: &'a Map<String, Value>) -> Found<'a>;
}

impl Name for str {
    fn place<'a>(&self, members: &'a Map<String, Value>) -> Found<'a> {
        members.get(self).map_or(Found::Absent, Found::Here)
    }
}

impl Name for ClaimName {
    fn place<'a>(&self, members: &'a Map<String, Value>) -> Found<'a> {
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
            // Absence, as everywhere.
            None | Some(Value::Null) => return Found::Absent,
            Some(Value::Object(inner)) => members = inner,
            Some(other) => return Found::Blocked(other),
        }
    }
    last.as_str().place(members)
}

/// Claims as they came. Reading one that is not what it must be answers `None` and marks the whole as flawed.
///
/// `null` and an empty text are absence (contract section 3, "Claims"), but not for every reader: see each.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    members: &'a Map<String, Value>,
    /// Whose claims they are, behind the name of a claim: nothing, or which actor's.
    whose: String,
    flaw: OnceCell<Detail>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(members: &'a Map<String, Value>) -> Self {
        Self { members, whose: String::new(), flaw: OnceCell::new() }
    }

    /// Marks the whole as flawed, for the first reason that is given.
    pub(super) fn refuse(&self, detail: Detail) {
        let _first = self.flaw.set(detail);
    }

    /// Marks the whole as flawed because of one claim: "claim `sub` is missing".
    pub(super) fn refuse_claim<N: Name + ?Sized>(&self, name: &N, what: &str) {
        let detail = Detail::new(format!("claim `{name}`{} {what}", self.whose));
        self.refuse(match name.place(self.members) {
            Found::Here(value) if planted(Fault::ClaimIsQuoted) => Detail::new(format!("claim `{name}` is {value}")),
            Found::Here(value) | Found::Blocked(value) => detail.found(&value.to_string()),
            Found::Absent | Found::Twice => detail,
        });
    }

    /// Marks the whole as flawed if what is inside it is, for the same reason.
    pub(super) fn refuse_with(&self, inner: &Self) {
        if let Some(flaw) = inner.flaw() {
            self.refuse(flaw.clone());
        }
    }

    /// What is wrong with it, if something is.
    pub(super) fn flaw(&self) -> Option<&Detail> {
        self.flaw.get()
    }

    /// Whether the claim is there, whatever it is: also `null`.
    pub(super) fn has<N: Name + ?Sized>(&self, name: &N) -> bool {
        !matches!(name.place(self.members), Found::Absent)
    }

    /// Whether the claim is there and says something, whatever it is: not `null`, not an empty text.
    pub(super) fn bears<N: Name + ?Sized>(&self, name: &N) -> bool {
        match name.place(self.members) {
            Found::Absent => false,
            Found::Here(value) => !is_absence(value),
            Found::Twice | Found::Blocked(_) => true,
        }
    }

    /// The value of a claim that must be read if it is there; `None` also for `null` and an empty text.
    fn value<N: Name + ?Sized>(&self, name: &N) -> Option<&'a Value> {
        match name.place(self.members) {
            Found::Absent => None,
            Found::Here(value) => (!is_absence(value)).then_some(value),
            Found::Twice => {
                self.refuse_claim(name, TWICE);
                None
            }
            Found::Blocked(_) => {
                self.refuse_claim(name, "cannot be reached: something on the way to it is no object");
                None
            }
        }
    }

    /// A text that is compared: not too long.
    pub(super) fn text<N: Name + ?Sized>(&self, name: &N) -> Option<&'a str> {
        match self.value(name)? {
            Value::String(text) => self.bounded(name, text),
            _ => {
                self.refuse_claim(name, "is no text");
                None
            }
        }
    }

    /// An identifier that some providers write as a number: a text, or a whole number as its decimal digits.
    ///
    /// A fraction or an exponent has more than one spelling, and beyond 64 bits numbers are no longer read exactly:
    /// such a one is a flaw, since what was revoked might not be found.
    pub(super) fn id<N: Name + ?Sized>(&self, name: &N) -> Option<Cow<'a, str>> {
        match self.value(name)? {
            Value::String(text) => self.bounded(name, text).map(Cow::Borrowed),
            Value::Number(number) if number.is_i64() || number.is_u64() => Some(Cow::Owned(number.to_string())),
            _ => {
                self.refuse_claim(name, "is neither a text nor a whole number of at most 64 bits");
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

    /// A text or a list of texts; absent is none.
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
        self.refuse_claim(name, "is neither a text nor a list of texts");
        Vec::new()
    }

    /// Whether the claim is a number, of whatever kind.
    pub(super) fn is_number(&self, name: &ClaimName) -> bool {
        matches!(name.place(self.members), Found::Here(Value::Number(_)))
    }

    /// Names that grant and are never compared for denial: a list of texts, one text, or an object whose keys they
    /// are, but for those that are `false` (Zitadel's roles). Anything else in it names nothing and is no flaw.
    pub(super) fn names<N: Name + ?Sized>(&self, name: &N) -> Vec<&'a str> {
        let names: Vec<&str> = match name.place(self.members) {
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

    /// Whether the claim says exactly this. Flags and whole numbers are compared as they are written.
    pub(super) fn says(&self, name: &ClaimName, what: &str) -> bool {
        match name.place(self.members) {
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

    /// A NumericDate (RFC 7519 section 2), with or without fraction, of 1970 to 9999. `null` is no date either.
    pub(super) fn date(&self, name: &str, round: Round) -> Option<Timestamp> {
        let value = self.members.get(name)?;
        let date = value.as_number().and_then(|number| millis(number, round)).map(Timestamp::from_millis);
        if date.is_none() {
            self.refuse_claim(name, "is no number of seconds between 1970 and 9999");
        }
        date
    }

    /// An object inside, as the claims of the actor of this number.
    pub(super) fn actor(&self, number: usize) -> Option<Self> {
        let name = "act";
        match self.value(name)? {
            Value::Object(members) => {
                Some(Self { whose: format!(" of actor {number} in `act`"), ..Self::new(members) })
            }
            _ => {
                self.refuse_claim(name, "is no object");
                None
            }
        }
    }
}

/// How providers write that there is nothing.
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
