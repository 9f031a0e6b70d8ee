//! Snapshots in chunks: a large one is written piece by piece between appends, and counts only when whole.

use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::{Connection, OptionalExtension, params};

use super::error::{signed, unsigned};
use super::writer::Reply;
use crate::domain::event::Epoch;
use crate::log::Snapshot;

/// Bytes of one chunk: one takes a few milliseconds to write, so an append never waits for longer.
const CHUNK: usize = 1 << 20;

/// A snapshot that is being written.
pub(super) struct Writing {
    snapshot: Snapshot,
    /// Its row; `None` before the first step.
    row: Option<i64>,
    written: usize,
    /// Who waits for it.
    pub(super) reply: Reply<()>,
}

impl Writing {
    /// Will write `snapshot` and then answer.
    pub(super) fn new(snapshot: Snapshot, reply: Reply<()>) -> Self {
        Self { snapshot, row: None, written: 0, reply }
    }

    /// Writes the next piece in a transaction of its own. True when it is whole and stands in place of the
    /// one before.
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
            transaction.execute("DELETE FROM snapshots WHERE snapshot <> ?1", [row])?;
            transaction.execute("DELETE FROM snapshot_chunks WHERE snapshot <> ?1", [row])?;
        }
        transaction.commit()?;
        self.row = Some(row);
        self.written = written;
        Ok(done)
    }
}

/// Clears what an earlier run left half written, and notes what is coming.
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

/// The newest whole snapshot. One whose bytes are not what was written counts as none: it is derived from
/// the events, which are read instead.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<Option<Snapshot>> {
    // One transaction: a writer may replace the snapshot meanwhile.
    let transaction = connection.unchecked_transaction()?;
    let found = transaction
        .query_row(
            "SELECT snapshot, generation, position, length, sha256 FROM snapshots WHERE complete = 1
             ORDER BY snapshot DESC LIMIT 1",
            [],
            |row| {
                let epoch = Epoch { generation: unsigned(row.get(1)?), position: unsigned(row.get(2)?) };
                Ok((row.get::<_, i64>(0)?, epoch, row.get::<_, i64>(3)?, row.get::<_, Vec<u8>>(4)?))
            },
        )
        .optional()?;
    let Some((row, epoch, length, sha256)) = found else { return Ok(None) };
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    let mut statement =
        transaction.prepare_cached("SELECT bytes FROM snapshot_chunks WHERE snapshot = ?1 ORDER BY chunk")?;
    let mut rows = statement.query([row])?;
    while let Some(chunk) = rows.next()? {
        bytes.extend_from_slice(chunk.get_ref(0)?.as_blob().unwrap_or_default());
    }
    if digest(&SHA256, &bytes).as_ref() != sha256 {
        tracing::warn!(snapshot.epoch = %epoch, "the snapshot is damaged: reading all events instead");
        return Ok(None);
    }
    Ok(Some(Snapshot { epoch, bytes }))
}
