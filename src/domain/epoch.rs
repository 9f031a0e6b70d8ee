//! Positions in the log, and how far a process enforces it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where an event stands in the log: starts at 1, no gaps, never reused. 0 is "before the first".
pub type Position = u64;

/// How far a process enforces the log. Never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// Rises with every import and recovery.
    pub generation: u64,
    /// The last event that is enforced.
    pub position: Position,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.position)
    }
}

/// A text that is not an epoch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an epoch such as 1.17")]
pub struct NotAnEpoch(String);

impl FromStr for Epoch {
    type Err = NotAnEpoch;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, NotAnEpoch> {
        let numbers = text.split_once('.').and_then(|(generation, position)| {
            Some(Self { generation: generation.parse().ok()?, position: position.parse().ok()? })
        });
        numbers.ok_or_else(|| NotAnEpoch(text.to_owned()))
    }
}
