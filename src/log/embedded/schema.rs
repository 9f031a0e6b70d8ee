//! Opens the database: settings, migrations and checks.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::batches::{self, End};
use super::directory::{Directory, HighWater};
use super::error::{failed, unsigned, unusable};
use crate::domain::event::Epoch;
use crate::log::LogError;

/// A migration from one version of the schema to the next.
struct Migration {
    sql: &'static str,
    /// The part that SQL alone cannot do.
    then: fn(&Connection) -> rusqlite::Result<()>,
}

const fn sql_only(_: &Connection) -> rusqlite::Result<()> {
    Ok(())
}

/// One step per version: `MIGRATIONS[n]` brings version n to n + 1. Only ever append.
const MIGRATIONS: [Migration; 3] = [
    Migration { sql: FIRST, then: sql_only },
    Migration { sql: BATCHES, then: batches::chain_old_events },
    Migration { sql: CUT, then: sql_only },
];

const FIRST: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO meta VALUES ('generation', 0), ('proofs', 0);
    CREATE TABLE events (
        position INTEGER PRIMARY KEY, time INTEGER NOT NULL, happened INTEGER, id TEXT, event TEXT NOT NULL) STRICT;
    CREATE UNIQUE INDEX events_by_id ON events (id) WHERE id IS NOT NULL;
    CREATE TABLE snapshots (
        snapshot INTEGER PRIMARY KEY, generation INTEGER NOT NULL, position INTEGER NOT NULL,
        length INTEGER NOT NULL, sha256 BLOB NOT NULL, complete INTEGER NOT NULL) STRICT;
    CREATE TABLE snapshot_chunks (
        snapshot INTEGER NOT NULL, chunk INTEGER NOT NULL, bytes BLOB NOT NULL,
        PRIMARY KEY (snapshot, chunk)) STRICT;
    CREATE TABLE notes (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
";
/// The end of each batch, and the hash of the chain there.
const BATCHES: &str = "CREATE TABLE batches (position INTEGER PRIMARY KEY, chain BLOB NOT NULL) STRICT";
/// The cut of the log, and what is kept of the removed part: records, provider ids, and the times of forgotten ids.
const CUT: &str = "
    INSERT INTO meta VALUES ('cut', 0);
    CREATE TABLE records (
        position INTEGER PRIMARY KEY, name INTEGER NOT NULL UNIQUE, time INTEGER NOT NULL, happened INTEGER, id TEXT,
        event TEXT NOT NULL) STRICT;
    CREATE TABLE known_ids (
        id TEXT PRIMARY KEY, position INTEGER NOT NULL, time INTEGER NOT NULL, happened INTEGER) STRICT, WITHOUT ROWID;
    CREATE INDEX known_ids_by_time ON known_ids (time);
    CREATE TABLE forgotten (source TEXT PRIMARY KEY, time INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// Up to this many pages (16 MiB of 4 KiB) the whole database is checked at start, in some 20 ms. Beyond that only the
/// small tables are, and each read checks that there is no gap and that every event parses.
const CHECKED_WHOLE: i64 = 4096;
/// The number of newest positions that are counted at start; the rest is checked when read.
const COUNTED: i64 = 10_000;
/// Connections of one process wait for each other only briefly (WAL recovery, restart of the WAL).
const BUSY: Duration = Duration::from_secs(5);

/// Opens a connection for writing.
pub(super) fn open_writer(directory: &Path, file: &Path) -> Result<Connection, LogError> {
    let step = "open the log for writing";
    let connection = connect(directory, file, OpenFlags::SQLITE_OPEN_READ_WRITE, step)?;
    connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))
        .and_then(|_| {
            // FULL flushes the WAL at every commit, so acknowledged means durable.
            connection.execute_batch(
                "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -8000;
                 PRAGMA journal_size_limit = 67108864; PRAGMA cell_size_check = ON;",
            )
        })
        .map_err(|cause| failed(directory, step, &cause))?;
    Ok(connection)
}

/// Opens a connection for reading, beside the writer. It stays attached to the WAL's index, see `writer`.
pub(super) fn open_reader(directory: &Path, file: &Path) -> Result<Connection, LogError> {
    let step = "open the log for reading";
    let connection = connect(directory, file, OpenFlags::SQLITE_OPEN_READ_ONLY, step)?;
    connection
        .execute_batch("PRAGMA cache_size = -4000; PRAGMA cell_size_check = ON;")
        .and_then(|()| connection.query_row("SELECT count(*) FROM meta", [], |_| Ok(())))
        .map_err(|cause| failed(directory, step, &cause))?;
    Ok(connection)
}

fn connect(directory: &Path, file: &Path, mode: OpenFlags, step: &'static str) -> Result<Connection, LogError> {
    let connection = Connection::open_with_flags(file, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|cause| failed(directory, step, &cause))?;
    connection.busy_timeout(BUSY).map_err(|cause| failed(directory, step, &cause))?;
    Ok(connection)
}

/// Migrates the schema, checks the store and returns the end of the log.
pub(super) fn prepare(directory: &Directory, connection: &mut Connection) -> Result<End, LogError> {
    let path = directory.path();
    migrate(path, connection)?;
    check_pages(path, connection)?;
    check_positions(path, connection)?;
    let end = end(path, connection)?;
    let head = end.epoch;
    match HighWater::read(directory)? {
        Some(seen) if seen > head => Err(unusable(path, lost(seen, head))),
        None if head.position > 0 => raise(path, connection, end),
        _ => Ok(end),
    }
}

fn lost(seen: Epoch, head: Epoch) -> String {
    format!(
        "the log ends at {head} but once reached {seen}: acknowledged revocations may be missing; restore the \
         whole directory from a backup, or remove the file `{}` in it to go on without them",
        HighWater::NAME
    )
}

/// The end of the log by the database.
///
/// # Errors
/// [`LogError::Unusable`] if the log does not end where its last batch does: then events are missing.
pub(super) fn end(directory: &Path, connection: &Connection) -> Result<End, LogError> {
    let fail = |cause| failed(directory, "find the end of the log", &cause);
    let epoch = connection
        .query_row(
            "SELECT (SELECT value FROM meta WHERE name = 'generation'), (SELECT coalesce(max(position), 0) FROM events)",
            [],
            |row| Ok(Epoch { generation: unsigned(row.get(0)?), position: unsigned(row.get(1)?) }),
        )
        .map_err(fail)?;
    let (position, chain) = batches::end_at(connection, u64::MAX).map_err(fail)?;
    if position != epoch.position {
        let what = format!(
            "its last batch ends at {position}, its last event is {}; restore it from a backup",
            epoch.position
        );
        return Err(unusable(directory, what));
    }
    Ok(End { epoch, chain })
}

/// Starts a new generation: without the high-water mark, events may have been read and lost, and a position must not
/// mean two events in one generation.
fn raise(directory: &Path, connection: &Connection, end: End) -> Result<End, LogError> {
    tracing::warn!(log.head = %end.epoch, "the log's high-water mark is missing; starting a new generation");
    connection
        .execute("UPDATE meta SET value = value + 1 WHERE name = 'generation'", [])
        .map_err(|cause| failed(directory, "start a new generation of the log", &cause))?;
    self::end(directory, connection)
}

fn migrate(directory: &Path, connection: &mut Connection) -> Result<(), LogError> {
    let step = "migrate the log's schema";
    let fail = |cause: rusqlite::Error| failed(directory, step, &cause);
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fail)?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found < 0 || found > known {
        let what = format!("it has schema version {found}, this offboard supports up to {known}; use a later version");
        return Err(unusable(directory, what));
    }
    for (version, migration) in (0_i64..).zip(MIGRATIONS).skip_while(|(version, _)| *version < found) {
        let transaction = connection.transaction().map_err(fail)?;
        transaction.execute_batch(migration.sql).map_err(fail)?;
        (migration.then)(&transaction).map_err(fail)?;
        transaction.pragma_update(None, "user_version", version + 1).map_err(fail)?;
        transaction.commit().map_err(fail)?;
    }
    Ok(())
}

fn check_pages(directory: &Path, connection: &Connection) -> Result<(), LogError> {
    let fail = |cause: rusqlite::Error| failed(directory, "check the log", &cause);
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(fail)?;
    let checks: &[&str] = if pages <= CHECKED_WHOLE {
        &["PRAGMA quick_check(1)"]
    } else {
        &["PRAGMA quick_check(meta)", "PRAGMA quick_check(notes)", "PRAGMA quick_check(snapshots)"]
    };
    for check in checks {
        let verdict: Option<String> = connection.query_row(check, [], |row| row.get(0)).optional().map_err(fail)?;
        if verdict.as_deref() != Some("ok") {
            let what = format!("it is damaged ({}); restore it from a backup", verdict.unwrap_or_default());
            return Err(unusable(directory, what));
        }
    }
    Ok(())
}

fn check_positions(directory: &Path, connection: &Connection) -> Result<(), LogError> {
    let fail = |cause: rusqlite::Error| failed(directory, "check the log's positions", &cause);
    let (cut, first, last, covered): (i64, i64, i64, bool) = connection
        .query_row(
            "SELECT value, (SELECT coalesce(min(position), value + 1) FROM events),
                    (SELECT coalesce(max(position), 0) FROM events),
                    value = 0 OR EXISTS (SELECT 1 FROM snapshots WHERE complete = 1 AND position >= value)
             FROM meta WHERE name = 'cut'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .map_err(fail)?;
    if !covered {
        let what = format!("it begins at {first} and has no snapshot of earlier events; restore it from a backup");
        return Err(unusable(directory, what));
    }
    let from = last.saturating_sub(COUNTED).max(cut);
    let counted: i64 = connection
        .query_row("SELECT count(*) FROM events WHERE position > ?1", [from], |row| row.get(0))
        .map_err(fail)?;
    if first != cut + 1 || counted != last - from {
        return Err(unusable(directory, format!("events are missing before {last}; restore it from a backup")));
    }
    Ok(())
}
