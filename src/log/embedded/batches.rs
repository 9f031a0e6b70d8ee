//! The ends of batches, and the hash that is chained through them.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::cut;
use super::error::{failed, signed, unsigned, unusable};
use super::rows::recorded;
use crate::domain::chain::ChainHash;
use crate::domain::event::{Epoch, Position};
use crate::domain::time::Timestamp;
use crate::log::chain::Link;
use crate::log::{Batches, LogError};

/// The end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) epoch: Epoch,
    /// The hash of the chain there.
    pub(super) chain: ChainHash,
}

/// The number of events in a batch for logs of versions without batches.
const OLD_BATCH: u64 = 4096;

/// The last end of a batch at or before `position`; the beginning if there is none.
pub(super) fn end_at(connection: &Connection, position: Position) -> rusqlite::Result<(Position, ChainHash)> {
    let found = connection
        .prepare_cached("SELECT position, chain FROM batches WHERE position <= ?1 ORDER BY position DESC LIMIT 1")?
        .query_row([signed(position)], end)
        .optional()?;
    Ok(found.unwrap_or((0, ChainHash::START)))
}

/// Records the end of a batch.
pub(super) fn put(connection: &Connection, position: Position, chain: ChainHash) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO batches (position, chain) VALUES (?1, ?2)")?
        .execute(params![signed(position), chain.0])
        .map(|_| ())
}

fn end(row: &Row<'_>) -> rusqlite::Result<(Position, ChainHash)> {
    Ok((unsigned(row.get(0)?), ChainHash(row.get(1)?)))
}

/// The batches that end behind `after` and at or before `to`, each checked against its hash.
pub(super) fn read(
    directory: &Path,
    connection: &Connection,
    after: Position,
    to: Position,
) -> Result<Batches, LogError> {
    let fail = |cause: rusqlite::Error| failed(directory, "read the log", &cause);
    // One transaction, since the log may be cut meanwhile.
    let _one = connection.unchecked_transaction().map_err(fail)?;
    let (after, before) = end_at(connection, after).map_err(fail)?;
    let cut = cut::end(connection).map_err(fail)?;
    if after < cut {
        return Err(LogError::Cut { first: cut + 1 });
    }
    let mut ends = connection
        .prepare_cached("SELECT position, chain FROM batches WHERE position > ?1 AND position <= ?2 ORDER BY position")
        .map_err(fail)?;
    let ends: Vec<_> = ends.query_map([signed(after), signed(to)], end).and_then(Iterator::collect).map_err(fail)?;
    let mut read = Batches { after, before, events: Vec::new(), chain: before };
    let Some((last, _)) = ends.last() else { return Ok(read) };
    read.events.reserve(usize::try_from(last.saturating_sub(after)).unwrap_or(0));
    let mut statement = connection
        .prepare_cached(
            "SELECT position, time, id, event, happened FROM events WHERE position > ?1 AND position <= ?2
             ORDER BY position",
        )
        .map_err(fail)?;
    let mut rows = statement.query([signed(after), signed(*last)]).map_err(fail)?;
    let mut expected = after;
    for (position, chain) in ends {
        let mut link = Link::behind(read.chain);
        while expected < position {
            let row = rows.next().map_err(fail)?.ok_or_else(|| missing(directory, expected, position))?;
            let event = recorded(directory, row)?;
            expected = expected.saturating_add(1);
            if event.position != expected {
                return Err(missing(directory, expected - 1, event.position));
            }
            let json = row.get_ref(3).map_err(fail)?.as_bytes().unwrap_or_default();
            link.add_new(&event.new, json);
            read.events.push(event);
        }
        read.chain = link.finish();
        if read.chain != chain {
            let what = format!(
                "the events up to {position} were altered: their hash is {}, not {chain}; restore it \
                 from a backup",
                read.chain
            );
            return Err(unusable(directory, what));
        }
    }
    Ok(read)
}

pub(super) fn missing(directory: &Path, after: Position, next: Position) -> LogError {
    unusable(directory, format!("events are missing between {after} and {next}; restore it from a backup"))
}

/// Chains the events of a store of a version without batches. Batches end at fixed positions, so that copies of a store
/// get the same hashes; at snapshots, from which reading continues; and at the end.
pub(super) fn chain_old_events(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(
        "SELECT position, time, happened, id, event,
                position IN (SELECT position FROM snapshots) OR position = (SELECT max(position) FROM events)
         FROM events ORDER BY position",
    )?;
    let mut rows = statement.query([])?;
    let mut chain = ChainHash::START;
    let mut link = Link::behind(chain);
    while let Some(row) = rows.next()? {
        let position = unsigned(row.get(0)?);
        let happened = row.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis);
        let (id, json): (Option<String>, _) = (row.get(3)?, row.get_ref(4)?.as_bytes().unwrap_or_default());
        link.add(Timestamp::from_millis(row.get(1)?), happened, id.as_deref(), json);
        if position.is_multiple_of(OLD_BATCH) || row.get(5)? {
            chain = link.finish();
            put(connection, position, chain)?;
            link = Link::behind(chain);
        }
    }
    Ok(())
}
