//! Reads what a token that is not verified says of itself, for `explain` and `offboard observed` alone.

use serde_json::{Map, Value};

use crate::domain::claimed::Claimed;
use crate::domain::time::Timestamp;
use crate::jose::jws::Compact;

/// The most audiences that are kept.
const AUDIENCES: usize = 5;

/// What a token claims; a member of another type counts as absent.
pub(super) fn read(compact: &Compact<'_>, members: &Map<String, Value>) -> Claimed {
    let audiences = match members.get("aud") {
        Some(Value::String(one)) => vec![Claimed::text(one)],
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).take(AUDIENCES).map(Claimed::text).collect()
        }
        _ => Vec::new(),
    };
    let time = |name: &str| members.get(name).and_then(Value::as_i64).map(Timestamp::from_secs);
    Claimed {
        issuer: members.get("iss").and_then(Value::as_str).map(Claimed::text),
        key_id: compact.claimed_header("kid").as_deref().map(Claimed::text),
        audiences,
        issued: time("iat"),
        not_before: time("nbf"),
        expires: time("exp"),
    }
}
