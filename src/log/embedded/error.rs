//! Translates SQLite's errors to those of a log.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::log::LogError;

/// The error of a step on the store in `directory`.
pub(super) fn failed(directory: &Path, step: &'static str, cause: &rusqlite::Error) -> LogError {
    match cause.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            unusable(directory, format!("it is damaged ({step}: {cause}); restore it from a backup"))
        }
        _ => LogError::Io { step, cause: cause.to_string() },
    }
}

/// The error of a store that cannot be used.
pub(super) fn unusable(directory: &Path, what: String) -> LogError {
    LogError::Unusable { path: directory.display().to_string(), what }
}

/// The error for callers of a log that was dropped.
pub(super) fn closed(step: &'static str) -> LogError {
    LogError::Io { step, cause: "the log was closed".into() }
}

/// A position, count or length for SQLite, which knows signed numbers only.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A position, count or length from SQLite; we never write negative ones.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_order_at_the_edges() {
        assert_eq!((signed(u64::MAX), unsigned(-1), unsigned(signed(7))), (i64::MAX, 0, 7));
    }
}
