//! Cuts off the beginning of a log, and keeps records and ids of it.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Params, params};

use super::error::{failed, signed, unsigned};
use super::rows::recorded;
use crate::domain::event::{Position, Recorded, provider_of};
use crate::domain::id::RevocationId;
use crate::domain::time::Timestamp;
use crate::log::{Bounds, Cut, LogError};

/// The most ids to forget in one cut.
const FORGOTTEN: i64 = 1000;

/// The position of the last event that was cut off.
pub(super) fn end(connection: &Connection) -> rusqlite::Result<Position> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = 'cut'")?
        .query_row([], |row| row.get(0).map(unsigned))
}

/// The bounds of the log.
pub(super) fn bounds(connection: &Connection) -> rusqlite::Result<Bounds> {
    // A snapshot beyond the end belongs to another log.
    let covered = connection
        .prepare_cached(
            "SELECT CASE WHEN count(*) >= 2 THEN min(position) ELSE 0 END FROM snapshots
             WHERE complete = 1 AND position <= (SELECT max(position) FROM events)",
        )?
        .query_row([], |row| row.get(0).map(unsigned))?;
    Ok(Bounds { first: end(connection)?.saturating_add(1), covered })
}

/// Cuts in a transaction of the caller. The outer error ends the transaction; after the inner one nothing was changed.
pub(super) fn cut(connection: &Connection, cut: &Cut) -> rusqlite::Result<Result<(), LogError>> {
    let covered = bounds(connection)?.covered;
    if cut.to > covered {
        let cause = format!("cannot cut up to {}: two snapshots cover it up to {covered} only", cut.to);
        return Ok(Err(LogError::Io { step: "cut the log", cause }));
    }
    keep_ids(connection, cut)?;
    forget_ids(connection, cut.ids_until)?;
    let mut keep = connection.prepare_cached(
        "INSERT INTO records (position, name, time, happened, id, event)
         SELECT position, ?2, time, happened, id, event FROM events WHERE position = ?1 AND position <= ?3",
    )?;
    for (position, id) in &cut.keep {
        keep.execute(params![signed(*position), id.number().cast_signed(), signed(cut.to)])?;
    }
    let mut needless = connection.prepare_cached("DELETE FROM records WHERE position = ?1")?;
    for position in &cut.needless {
        needless.execute([signed(*position)])?;
    }
    connection.prepare_cached("DELETE FROM events WHERE position <= ?1")?.execute([signed(cut.to)])?;
    // The next batch is chained to the hash behind the last removed event.
    connection.prepare_cached("DELETE FROM batches WHERE position < ?1")?.execute([signed(cut.to)])?;
    connection
        .prepare_cached("UPDATE meta SET value = max(value, ?1) WHERE name = 'cut'")?
        .execute([signed(cut.to)])?;
    Ok(Ok(()))
}

/// Keeps the provider ids of removed events.
fn keep_ids(connection: &Connection, cut: &Cut) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO known_ids (id, position, time, happened)
             SELECT id, position, time, happened FROM events WHERE position <= ?1 AND instr(id, ':') > 0",
        )?
        .execute([signed(cut.to)])
        .map(|_| ())
}

/// Forgets old provider ids, and records the latest provider time among them for each source.
fn forget_ids(connection: &Connection, until: Timestamp) -> rusqlite::Result<()> {
    let mut old = connection
        .prepare_cached("SELECT id, time, happened FROM known_ids WHERE time <= ?1 ORDER BY time LIMIT ?2")?;
    let old: Vec<(String, i64, Option<i64>)> = old
        .query_map(params![until.as_millis(), FORGOTTEN], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (id, time, happened) in old {
        if let (Some(source), Some(happened)) = (provider_of(&id), happened) {
            connection
                .prepare_cached(
                    "INSERT INTO forgotten (source, time) VALUES (?1, ?2)
                     ON CONFLICT (source) DO UPDATE SET time = max(time, ?2)",
                )?
                // A provider whose clock was ahead must not suppress its own later events.
                .execute(params![source, happened.min(time)])?;
        }
        connection.prepare_cached("DELETE FROM known_ids WHERE id = ?1")?.execute([id])?;
    }
    Ok(())
}

/// The latest provider time of a source's events whose ids were forgotten.
pub(super) fn forgotten(connection: &Connection, source: &str) -> rusqlite::Result<Option<Timestamp>> {
    connection
        .prepare_cached("SELECT time FROM forgotten WHERE source = ?1")?
        .query_row([source], |row| row.get(0).map(Timestamp::from_millis))
        .optional()
}

/// The record of a revocation.
pub(super) fn record(
    directory: &Path,
    connection: &Connection,
    id: RevocationId,
) -> Result<Option<Recorded>, LogError> {
    let sql = "SELECT position, time, id, event, happened FROM records WHERE name = ?1";
    Ok(rows(directory, connection, sql, [id.number().cast_signed()])?.pop())
}

/// Records before a position, newest first.
pub(super) fn records(
    directory: &Path,
    connection: &Connection,
    before: Position,
    limit: usize,
) -> Result<Vec<Recorded>, LogError> {
    let sql = "SELECT position, time, id, event, happened FROM records WHERE position < ?1
               ORDER BY position DESC LIMIT ?2";
    rows(directory, connection, sql, [signed(before), i64::try_from(limit).unwrap_or(i64::MAX)])
}

fn rows(
    directory: &Path,
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> Result<Vec<Recorded>, LogError> {
    let fail = |cause: rusqlite::Error| failed(directory, "read records", &cause);
    let mut statement = connection.prepare_cached(sql).map_err(fail)?;
    let mut rows = statement.query(parameters).map_err(fail)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        found.push(recorded(directory, row)?);
    }
    Ok(found)
}
