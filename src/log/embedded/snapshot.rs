//! Snapshots in chunks: a large one is written between appends, and counts only when complete.

use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::{Connection, params};

use super::error::{signed, unsigned};
use super::job::Reply;
use crate::domain::event::{Epoch, Position};
use crate::log::Snapshot;

/// The bytes of a chunk: writing one takes a few milliseconds, so no append waits longer.
const CHUNK: usize = 1 << 20;

/// A snapshot that is being written.
pub(super) struct Writing {
    snapshot: Snapshot,
    /// The id of its row; `None` before the first step.
    row: Option<i64>,
    written: usize,
    /// The channel for the answer.
    pub(super) reply: Reply<()>,
}

impl Writing {
    /// Prepares to write `snapshot`.
    pub(super) fn new(snapshot: Snapshot, reply: Reply<()>) -> Self {
        Self { snapshot, row: None, written: 0, reply }
    }

    /// Writes the next chunk in its own transaction. Returns whether the snapshot is complete.
    pub(super) fn step(&mut self, connection: &mut Connection) -> rusqlite::Result<bool> {
        let transaction = connection.transaction()?;
        let row = match self.row {
            Some(row) => row,
            None => begin(&transaction, &self.snapshot)?,
        };
        let mut done = true;
        let mut written = self.written;
        if let Some(bytes) = self.snapshot.bytes.chunks(CHUNK).nth(written) {
            transaction
                .prepare_cached("INSERT INTO snapshot_chunks (snapshot, chunk, bytes) VALUES (?1, ?2, ?3)")?
                .execute(params![row, i64::try_from(written).unwrap_or(i64::MAX), bytes])?;
            written += 1;
            done = written.saturating_mul(CHUNK) >= self.snapshot.bytes.len();
        }
        if done {
            transaction.execute("UPDATE snapshots SET complete = 1 WHERE snapshot = ?1", [row])?;
            remove_others(&transaction, row, self.snapshot.epoch)?;
        }
        transaction.commit()?;
        self.row = Some(row);
        self.written = written;
        Ok(done)
    }
}

/// Removes incomplete snapshots and inserts the row of the new one.
fn begin(connection: &Connection, snapshot: &Snapshot) -> rusqlite::Result<i64> {
    connection.execute(
        "DELETE FROM snapshot_chunks WHERE snapshot NOT IN (SELECT snapshot FROM snapshots WHERE complete = 1)",
        [],
    )?;
    connection.execute("DELETE FROM snapshots WHERE complete = 0", [])?;
    let Epoch { generation, position } = snapshot.epoch;
    connection.execute(
        "INSERT INTO snapshots (generation, position, length, sha256, complete) VALUES (?1, ?2, ?3, ?4, 0)",
        params![
            signed(generation),
            signed(position),
            i64::try_from(snapshot.bytes.len()).unwrap_or(i64::MAX),
            digest(&SHA256, &snapshot.bytes).as_ref()
        ],
    )?;
    Ok(connection.last_insert_rowid())
}

/// Removes all snapshots but the new one and the newest below it, which is the fallback if the new one is unreadable.
fn remove_others(connection: &Connection, new: i64, epoch: Epoch) -> rusqlite::Result<()> {
    connection.execute(
        "DELETE FROM snapshots WHERE snapshot <> ?1 AND snapshot IS NOT
             (SELECT max(snapshot) FROM snapshots WHERE complete = 1 AND snapshot <> ?1 AND position < ?2)",
        params![new, signed(epoch.position)],
    )?;
    connection
        .execute("DELETE FROM snapshot_chunks WHERE snapshot NOT IN (SELECT snapshot FROM snapshots)", [])
        .map(|_| ())
}

/// The newest complete snapshot below a position. Damaged ones are skipped.
pub(super) fn newest(connection: &Connection, below: Position) -> rusqlite::Result<Option<Snapshot>> {
    // One transaction, since the writer may remove a snapshot meanwhile.
    let transaction = connection.unchecked_transaction()?;
    let mut kept = transaction.prepare_cached(
        "SELECT snapshot, generation, position, length, sha256 FROM snapshots WHERE complete = 1 AND position < ?1
         ORDER BY snapshot DESC",
    )?;
    let mut kept = kept.query([signed(below)])?;
    while let Some(row) = kept.next()? {
        let epoch = Epoch { generation: unsigned(row.get(1)?), position: unsigned(row.get(2)?) };
        let bytes = bytes_of(&transaction, row.get(0)?, row.get(3)?)?;
        if digest(&SHA256, &bytes).as_ref() == row.get_ref(4)?.as_blob().unwrap_or_default() {
            return Ok(Some(Snapshot { epoch, bytes }));
        }
        tracing::warn!(snapshot.epoch = %epoch, "a snapshot is damaged; using an older one or the whole log");
    }
    Ok(None)
}

fn bytes_of(connection: &Connection, snapshot: i64, length: i64) -> rusqlite::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    let mut statement =
        connection.prepare_cached("SELECT bytes FROM snapshot_chunks WHERE snapshot = ?1 ORDER BY chunk")?;
    let mut rows = statement.query([snapshot])?;
    while let Some(chunk) = rows.next()? {
        bytes.extend_from_slice(chunk.get_ref(0)?.as_blob().unwrap_or_default());
    }
    Ok(bytes)
}
