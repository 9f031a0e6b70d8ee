//! Tests of the embedded log: the suite of all logs, what is its own, kills, and a disk that fails.

mod faults;
mod kill;
mod moved;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::Embedded;
use crate::domain::event::{Epoch, NewEvent};
use crate::domain::time::Timestamp;
use crate::log::conformance::{self, all, event};
use crate::log::{Cut, Log, LogError, Snapshot};

/// Opens a store that this test has closed. Another test may be starting a child just now, which holds a copy of the lock
/// between fork and exec: that is waited for.
fn reopened(directory: &Path) -> Result<Embedded, LogError> {
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        match Embedded::open(directory) {
            Err(LogError::Locked { .. }) if Instant::now() < patience => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

fn open(directory: &Path) -> Embedded {
    reopened(directory).expect("open")
}

fn refused(directory: &Path) -> String {
    reopened(directory).expect_err("it must not open").to_string()
}

fn batch(numbers: std::ops::Range<u64>) -> Vec<NewEvent> {
    numbers.map(|number| event(number, None)).collect()
}

/// Changes the store behind its back, while it is closed.
fn tamper(directory: &Path, sql: &str) {
    Connection::open(directory.join("log.db")).unwrap().execute_batch(sql).unwrap();
}

async fn filled(directory: &Path, events: u64) -> Epoch {
    let log = open(directory);
    log.append(log.head().await.unwrap(), batch(0..events)).await.unwrap()
}

/// There may be a million records, and each event that a provider named is looked for.
#[test]
fn an_id_is_found_without_looking_through_everything() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let connection = Connection::open(dir.path().join("log.db")).unwrap();
    let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", super::reader::FIND)).unwrap();
    let parameters = plan.parameter_count();
    let steps = plan.query_map(rusqlite::params_from_iter(vec![""; parameters]), |row| row.get::<_, String>(3));
    let steps: Vec<String> = steps.unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(steps.iter().filter(|step| step.starts_with("SEARCH")).count(), 3, "{steps:?}");
    assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{steps:?}");
}

#[tokio::test]
async fn it_keeps_what_every_log_promises() {
    let parent = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    conformance::suite(async || {
        count.set(count.get() + 1);
        open(&parent.path().join(count.get().to_string()))
    })
    .await;
}

#[tokio::test]
async fn what_was_appended_is_there_after_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let head = filled(directory.path(), 5).await;
    assert!(!directory.path().join("log.db-wal").exists(), "an orderly stop leaves everything in the database");
    let log = open(directory.path());
    assert_eq!(log.head().await.unwrap(), head);
    assert_eq!(head, Epoch { generation: 0, position: 5 }, "an orderly stop raises no generation");
    assert_eq!(all(&log).await, batch(0..5));
    let snapshot = Snapshot { epoch: head, bytes: vec![7; 10] };
    log.keep_snapshot(snapshot.clone()).await.unwrap();
    drop(log);
    assert_eq!(open(directory.path()).snapshot(u64::MAX).await.unwrap(), Some(snapshot));
}

#[tokio::test]
async fn a_second_one_is_refused_while_the_first_lives() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    let error = Embedded::open(directory.path()).unwrap_err();
    assert!(matches!(&error, LogError::Locked { path } if *path == directory.path().display().to_string()), "{error}");
    let key_values = log.key_values();
    drop(log);
    assert!(matches!(Embedded::open(directory.path()), Err(LogError::Locked { .. })), "notes keep the store open");
    drop(key_values);
    open(directory.path());
}

#[tokio::test]
async fn appends_that_chain_are_each_answered() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    let at = |position| Epoch { generation: 0, position };
    let appends = (0..50).map(|number| log.append(at(number), batch(number..number + 1)));
    let heads: Vec<_> = futures_util::future::join_all(appends).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(heads, (1..=50).map(at).collect::<Vec<_>>());
    assert_eq!(all(&log).await, batch(0..50));
}

#[tokio::test]
async fn notes_stand_beside_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    let key_values = log.key_values();
    conformance::values_are_kept(key_values.as_ref()).await;
    drop((log, key_values));
    let log = open(directory.path());
    assert_eq!(log.key_values().get("time").await.unwrap(), Some(vec![]), "empty is not absent");
    assert_eq!(log.key_values().get("secret").await.unwrap(), Some(b"one".to_vec()));
    assert_eq!(log.head().await.unwrap().position, 0, "a note is no event");
}

#[tokio::test]
async fn a_later_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 1).await;
    tamper(directory.path(), "PRAGMA user_version = 99");
    let error = refused(directory.path());
    assert!(error.contains("schema version 99") && error.contains(&directory.path().display().to_string()), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 1).await;
    fs::write(directory.path().join("log.db"), "no database, but longer than a header of one hundred bytes ".repeat(9))
        .unwrap();
    assert!(refused(directory.path()).contains("damaged"));
}

#[tokio::test]
async fn damaged_pages_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 500).await;
    let file = directory.path().join("log.db");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 2048].fill(0xAA);
    fs::write(&file, bytes).unwrap();
    assert!(refused(directory.path()).contains("damaged"));
}

#[tokio::test]
async fn a_gap_is_refused_at_start_and_when_read() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 10).await;
    tamper(directory.path(), "DELETE FROM events WHERE position = 4");
    assert!(refused(directory.path()).contains("events are missing"));
}

#[tokio::test]
async fn a_log_that_lost_acknowledged_events_is_refused_until_somebody_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let head = filled(directory.path(), 7).await;
    let log = open(directory.path());
    log.append(head, batch(7..10)).await.unwrap();
    drop(log);
    tamper(directory.path(), "DELETE FROM events WHERE position > 7; DELETE FROM batches WHERE position > 7");
    let error = refused(directory.path());
    assert!(error.contains("0.10") && error.contains("0.7") && error.contains("`seen`"), "{error}");
    fs::remove_file(directory.path().join("seen")).unwrap();
    let head = open(directory.path()).head().await.unwrap();
    assert_eq!(head, Epoch { generation: 1, position: 7 }, "8 to 10 were seen once: they must not mean two things");
    assert_eq!(open(directory.path()).head().await.unwrap(), head, "once");
}

#[tokio::test]
async fn a_damaged_snapshot_is_passed_over_for_the_older_one() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    let [older, newer] =
        [3, 5].map(|position| Snapshot { epoch: Epoch { generation: 0, position }, bytes: vec![1; 100] });
    log.keep_snapshot(older.clone()).await.unwrap();
    log.keep_snapshot(newer).await.unwrap();
    drop(log);
    let damage = "UPDATE snapshot_chunks SET bytes = zeroblob(100) WHERE snapshot = ";
    tamper(directory.path(), &format!("{damage} (SELECT max(snapshot) FROM snapshots)"));
    assert_eq!(open(directory.path()).snapshot(u64::MAX).await.unwrap(), Some(older));
    tamper(directory.path(), &format!("{damage} (SELECT min(snapshot) FROM snapshots)"));
    assert_eq!(open(directory.path()).snapshot(u64::MAX).await.unwrap(), None);
}

#[tokio::test]
async fn a_batch_that_is_not_whole_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 10).await;
    tamper(directory.path(), "DELETE FROM events WHERE position > 7");
    let error = refused(directory.path());
    assert!(error.contains("its last batch ends at 10, its last event is 7"), "{error}");
}

#[tokio::test]
async fn an_event_that_was_changed_is_not_followed() {
    for change in ["event = replace(event, '\"s4\"', '\"s9\"')", "time = 7", "id = 'x'", "happened = 1"] {
        let directory = tempfile::tempdir().unwrap();
        let head = filled(directory.path(), 3).await;
        let log = open(directory.path());
        log.append(head, batch(3..6)).await.unwrap();
        drop(log);
        tamper(directory.path(), &format!("UPDATE events SET {change} WHERE position = 5"));
        let log = open(directory.path());
        assert_eq!(log.batches(0, 5).await.unwrap().events.len(), 3, "what stands before it is sound");
        let error = log.batches(0, 6).await.unwrap_err().to_string();
        assert!(error.contains("up to 6 were altered"), "{change}: {error}");
    }
}

#[tokio::test]
async fn a_log_that_was_cut_is_refused_without_its_snapshots() {
    let directory = tempfile::tempdir().unwrap();
    let mut head = filled(directory.path(), 5).await;
    let log = open(directory.path());
    for _ in 0..2 {
        log.keep_snapshot(Snapshot { epoch: head, bytes: vec![1] }).await.unwrap();
        head = log.append(head, batch(head.position..head.position + 1)).await.unwrap();
    }
    log.cut(Cut { to: 5, keep: vec![], needless: vec![], ids_until: Timestamp::MIN }).await.unwrap();
    drop(log);
    assert_eq!(open(directory.path()).head().await.unwrap(), head);
    tamper(directory.path(), "UPDATE snapshots SET complete = 0");
    assert!(refused(directory.path()).contains("it begins at 6 and has no snapshot"));
    tamper(directory.path(), "UPDATE snapshots SET complete = 1; DELETE FROM events WHERE position = 6");
    assert!(refused(directory.path()).contains("events are missing"));
}

/// Takes out of the schema what came after its first version.
const BACK_TO_FIRST: &str = "DROP TABLE batches; DROP TABLE records; DROP TABLE known_ids; DROP TABLE forgotten;
    DELETE FROM meta WHERE name = 'cut'; PRAGMA user_version = 1";

/// What a version that kept no batches left: their ends are the same in each copy, and one is where a snapshot was kept.
#[tokio::test]
async fn an_old_log_gets_its_chain() {
    let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut chains = Vec::new();
    for (directory, sizes) in directories.iter().zip([[5000, 4000], [1, 8999]]) {
        let log = open(directory.path());
        for size in sizes {
            let head = log.head().await.unwrap();
            log.append(head, batch(head.position..head.position + size)).await.unwrap();
        }
        log.keep_snapshot(Snapshot { epoch: Epoch { generation: 0, position: 6000 }, bytes: vec![] }).await.unwrap();
        drop(log);
        tamper(directory.path(), BACK_TO_FIRST);
        let log = open(directory.path());
        let whole = log.batches(0, u64::MAX).await.unwrap();
        assert_eq!(whole.events.len(), 9000);
        let behind = log.batches(6000, u64::MAX).await.unwrap();
        assert_eq!((behind.after, behind.chain), (6000, whole.chain), "whoever has that snapshot reads on");
        chains.push(whole.chain);
    }
    assert_eq!(chains[0], chains[1]);
}

#[tokio::test]
async fn the_store_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("store");
    let _log = open(&directory);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for file in fs::read_dir(&directory).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
