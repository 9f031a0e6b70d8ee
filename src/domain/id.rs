//! Ids of revocations and exemptions.
//!
//! An id is random and permanent. It is drawn when the event is planned, so it means the same in every copy of the log
//! and in any log that its record is appended to again. In the first event format the position of the event was the id;
//! such ids stay valid. The topmost bit distinguishes the two: no log is that long.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::epoch::Position;

/// Set in every random id, and in no position.
const RANDOM: u64 = 1 << 63;

/// A text that is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what} id such as {example}17 or {example}8f14e45fceea167a")]
pub struct NotAnId {
    text: String,
    what: &'static str,
    example: char,
}

/// `17`, or `8f14e45fceea167a`.
fn parse(digits: &str) -> Option<u64> {
    let lower_hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    match digits.len() {
        16 if digits.bytes().all(lower_hex) => u64::from_str_radix(digits, 16).ok().filter(|id| id & RANDOM != 0),
        1..=15 if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    }
}

/// On disk: a number if it is a position, as in the first format, else text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Position(Position),
    Text(String),
}

macro_rules! id {
    ($(#[$docs:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$docs])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// A new id of the lower 63 of these bits, which nobody else may have drawn.
            #[must_use]
            pub fn random(bits: u64) -> Self {
                Self(bits | RANDOM)
            }

            /// The id in the first format: the position of the event.
            #[must_use]
            pub fn of_position(position: Position) -> Self {
                Self(position)
            }

            /// The position that this id is, if it is one.
            #[must_use]
            pub fn position(self) -> Option<Position> {
                (self.0 & RANDOM == 0).then_some(self.0)
            }

            /// The id as a number, as tables and snapshots store it.
            #[must_use]
            pub fn number(self) -> u64 {
                self.0
            }

            /// The id of such a number.
            #[must_use]
            pub fn from_number(number: u64) -> Self {
                Self(number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if self.0 & RANDOM == 0 { write!(f, "{}{}", $prefix, self.0) } else { write!(f, "{}{:016x}", $prefix, self.0) }
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let not = || NotAnId { text: text.to_owned(), what: $what, example: $prefix };
                text.strip_prefix($prefix).and_then(parse).map(Self).ok_or_else(not)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if self.0 & RANDOM == 0 { serializer.serialize_u64(self.0) } else { serializer.collect_str(self) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match Written::deserialize(deserializer)? {
                    Written::Position(position) => Ok(Self(position)),
                    Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
                }
            }
        }
    };
}

id! {
    /// The id of a revocation: `r8f14e45fceea167a`, or `r17` in the first event format.
    RevocationId, 'r', "a revocation"
}

id! {
    /// The id of an exemption: `e8f14e45fceea167a`, or `e17` in the first event format.
    ExemptionId, 'e', "an exemption"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back() {
        let old = RevocationId::of_position(17);
        let new = RevocationId::random(0x0f14_e45f_ceea_167a);
        assert_eq!((old.to_string().as_str(), new.to_string().as_str()), ("r17", "r8f14e45fceea167a"));
        for id in [old, new] {
            assert_eq!(id.to_string().parse(), Ok(id));
            let json = serde_json::to_string(&id).unwrap();
            assert_eq!(serde_json::from_str::<RevocationId>(&json).unwrap(), id);
        }
        assert_eq!(serde_json::to_string(&old).unwrap(), "17", "as the first format has it");
        assert_eq!("e17".parse(), Ok(ExemptionId::of_position(17)));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["17", "r", "r-1", "r+1", "e17", "r0f14e45fceea167a", "r8F14E45FCEEA167A", "r8f14e45fceea167a0"] {
            assert!(text.parse::<RevocationId>().is_err(), "{text}");
        }
    }
}
