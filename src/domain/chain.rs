//! The hash that is chained from batch to batch of the log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The SHA-256 of the log up to the end of a batch: equal hashes mean the same events in the same order.
///
/// Each covers the one before and the events of its batch, so two logs that have differed never agree again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// The hash before the first event.
    pub const START: Self = Self([0; 32]);
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<ChainHash> for String {
    fn from(hash: ChainHash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for ChainHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut bytes = [0; 32];
        match hex::decode_to_slice(&text, &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(error) => Err(format!("not the hash of a chain: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_hex_and_read_back() {
        let hash = ChainHash([0xa0; 32]);
        let text = serde_json::to_string(&hash).unwrap();
        assert_eq!(text, format!("\"{}\"", "a0".repeat(32)));
        assert_eq!(serde_json::from_str::<ChainHash>(&text).unwrap(), hash);
        assert!(serde_json::from_str::<ChainHash>("\"a0\"").is_err());
    }
}
