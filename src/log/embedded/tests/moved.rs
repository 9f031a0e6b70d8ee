//! The store's directory is deleted, renamed, replaced or half gone while it is open.

use std::os::unix::fs::symlink;

use super::*;

/// Everything that is refused, and nothing else happens.
async fn refuses(log: &Embedded, what: &str) {
    let head = log.head().await.unwrap();
    let errors = [
        log.standing().await.map(drop),
        log.append(head, batch(0..1)).await.map(drop),
        log.key_values().put("key", b"value".to_vec()).await,
        log.key_values().get_or_put("other", b"value".to_vec()).await.map(drop),
        log.keep_snapshot(Snapshot { epoch: head, bytes: vec![1] }).await,
    ];
    for error in errors {
        let error = error.expect_err(what);
        assert!(matches!(error, LogError::Moved { .. }), "{what}: {error}");
        assert!(error.to_string().contains("restart offboard"), "the remedy: {error}");
    }
    assert_eq!(log.head().await.unwrap(), head, "{what}: nothing was appended");
    assert_eq!(all(log).await.len() as u64, head.position, "{what}: what it has is read all the same");
}

async fn started(parent: &Path) -> (std::path::PathBuf, Embedded) {
    let store = parent.join("store");
    let log = open(&store);
    log.append(log.head().await.unwrap(), batch(0..3)).await.unwrap();
    log.standing().await.unwrap();
    (store, log)
}

#[tokio::test]
async fn a_deleted_directory_takes_nothing_even_once_there_is_another() {
    let parent = tempfile::tempdir().unwrap();
    let (store, log) = started(parent.path()).await;
    fs::remove_dir_all(&store).unwrap();
    refuses(&log, "deleted").await;
    fs::create_dir(&store).unwrap();
    refuses(&log, "made anew").await;
    assert_eq!(fs::read_dir(&store).unwrap().count(), 0, "nothing is put there");
    // A whole other store.
    fs::remove_dir(&store).unwrap();
    drop(open(&store));
    refuses(&log, "another store").await;
}

#[tokio::test]
async fn a_directory_that_was_renamed_takes_more_once_it_is_back() {
    let parent = tempfile::tempdir().unwrap();
    let (store, log) = started(parent.path()).await;
    let aside = parent.path().join("aside");
    fs::rename(&store, &aside).unwrap();
    refuses(&log, "renamed").await;
    fs::create_dir(&store).unwrap();
    refuses(&log, "another in its place").await;
    fs::remove_dir(&store).unwrap();
    fs::rename(&aside, &store).unwrap();
    log.append(log.head().await.unwrap(), batch(3..4)).await.unwrap();
    drop(log);
    assert_eq!(all(&open(&store)).await, batch(0..4));
}

#[tokio::test]
async fn each_file_that_matters_is_missed() {
    for name in ["log.db", "log.db-wal", "lock"] {
        let parent = tempfile::tempdir().unwrap();
        let (store, log) = started(parent.path()).await;
        let file = store.join(name);
        fs::rename(&file, parent.path().join("kept")).unwrap();
        refuses(&log, name).await;
        fs::copy(parent.path().join("kept"), &file).unwrap();
        refuses(&log, &format!("a copy of {name}")).await;
        fs::remove_file(&file).unwrap();
        fs::rename(parent.path().join("kept"), &file).unwrap();
        log.standing().await.unwrap();
    }
}

#[tokio::test]
async fn a_link_that_leads_to_it_may_stand_in_between() {
    let parent = tempfile::tempdir().unwrap();
    let (real, other) = (parent.path().join("real"), parent.path().join("other"));
    for path in [&real, &other] {
        fs::create_dir(path).unwrap();
    }
    let link = parent.path().join("store");
    symlink(&real, &link).unwrap();
    let log = open(&link);
    log.append(log.head().await.unwrap(), batch(0..3)).await.unwrap();
    fs::remove_file(&link).unwrap();
    symlink(&other, &link).unwrap();
    refuses(&log, "the link leads elsewhere").await;
}

/// What every other failure of a disk does to the identity of files: nothing.
#[tokio::test]
async fn whatever_sqlite_does_by_itself_is_no_move() {
    let parent = tempfile::tempdir().unwrap();
    let (store, log) = started(parent.path()).await;
    for round in 0..3 {
        let head = log.head().await.unwrap();
        log.append(head, batch(head.position..head.position + 5_000)).await.unwrap();
        // An operator looks with a tool of SQLite's, which moves the WAL into the database.
        let tool = Connection::open(store.join("log.db")).unwrap();
        tool.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop(tool);
        log.standing().await.unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
}
