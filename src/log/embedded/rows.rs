//! Events as rows.

use std::path::Path;

use rusqlite::Row;

use super::error::{failed, unsigned, unusable};
use crate::domain::event::{NewEvent, Recorded};
use crate::domain::time::Timestamp;
use crate::log::LogError;

/// Reads an event from a row: position, time, id, event, happened.
pub(super) fn recorded(directory: &Path, row: &Row<'_>) -> Result<Recorded, LogError> {
    let fail = |cause: rusqlite::Error| failed(directory, "read an event", &cause);
    let position = unsigned(row.get(0).map_err(fail)?);
    let text = row.get_ref(3).map_err(fail)?;
    let event = text
        .as_bytes()
        .ok()
        .and_then(|bytes| serde_json::from_slice(bytes).ok())
        // The text is not repeated, since it may be about a person.
        .ok_or_else(|| unusable(directory, format!("the event at {position} cannot be read")))?;
    let time = Timestamp::from_millis(row.get(1).map_err(fail)?);
    let happened = row.get::<_, Option<i64>>(4).map_err(fail)?.map(Timestamp::from_millis);
    Ok(Recorded { position, new: NewEvent { time, happened, id: row.get(2).map_err(fail)?, event } })
}
