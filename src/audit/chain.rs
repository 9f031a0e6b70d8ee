//! The chain: each record is sealed with a hash over the one before it.
//!
//! The canonical form of a record is its JSON without white space, members in the order of [`Record`], absent
//! members and `hash` left out, strings escaped as `serde_json` does (`"`, `\` and control characters only).
//! `hash` is the lower-case hex SHA-256 of the 64 hex characters of `prev` followed by the canonical form. In
//! the file `hash` stands last, so the canonical form can be cut out of the line by any tool:
//!
//! ```text
//! hash = sha256( prev + (line up to `,"hash":`) + "}" )
//! ```

use aws_lc_rs::digest;

use super::record::Record;

/// `prev` of the first record.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What stands between the canonical members and the hash.
const HASH_MEMBER: &str = ",\"hash\":\"";

/// The end of a chain, to which the next record is linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `seq` of the last record; 0 before the first.
    pub seq: u64,
    /// Its `hash`.
    pub hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Self { seq: 0, hash: GENESIS.to_owned() }
    }
}

impl Head {
    /// Links a record: sets its `seq`, `prev` and `hash`, and returns its line, without line feed.
    ///
    /// # Errors
    /// Only if the record cannot be written as JSON, which no record does.
    pub fn seal(&mut self, record: &mut Record) -> Result<String, serde_json::Error> {
        record.seq = self.seq.saturating_add(1);
        record.prev.clone_from(&self.hash);
        record.hash = String::new();
        let mut line = serde_json::to_string(record)?;
        record.hash = hash(&record.prev, &line);
        // The canonical form ends with the closing brace; it is removed to append the hash.
        line.pop();
        line.push_str(HASH_MEMBER);
        line.push_str(&record.hash);
        line.push_str("\"}");
        self.seq = record.seq;
        self.hash.clone_from(&record.hash);
        Ok(line)
    }
}

fn hash(prev: &str, canonical: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(prev.as_bytes());
    context.update(canonical.as_bytes());
    hex::encode(context.finish())
}

/// Whether the hash at the end of a line matches the line.
#[must_use]
pub fn holds(record: &Record, line: &str) -> bool {
    let ending = format!("{HASH_MEMBER}{}\"}}", record.hash);
    line.strip_suffix(&ending).is_some_and(|body| hash(&record.prev, &format!("{body}}}")) == record.hash)
}
