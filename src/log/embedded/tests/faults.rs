//! A disk that fails: `tests/shim/faults.c` between the log and the system, in a process of its own.
//!
//! The child appends event 1, plans faults, appends event 2 (refused), goes on as its scenario says, and is
//! killed without closing anything; what the next start finds is what counts. libfiu could fail the same calls,
//! but not on the WAL alone, and it would be one more thing to install: the shim needs only the C compiler that
//! the build needs anyway.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::kill::{STORE, child, report, reports};
use super::{Embedded, all, event, open};
use crate::log::{Log, LogError};

const CHILD: &str = "log::embedded::tests::faults::child_on_a_failing_disk";
const PLAN: &str = "FAULT_PLAN";
const FAULT: &str = "OFFBOARD_TEST_FAULT";

/// Compiles the shim once.
fn shim() -> &'static Path {
    static SHIM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = SHIM.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/faults.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&path).arg(source).arg("-ldl");
        assert!(cc.status().expect("cc").success(), "the shim does not compile");
        (directory, path)
    });
    path
}

async fn append(log: &Embedded, number: u64) -> Result<(), LogError> {
    let head = log.head().await.unwrap();
    log.append(head, vec![event(number, None)]).await.map(|_| ())
}

#[tokio::test]
#[ignore = "run by the tests below in a process of its own"]
async fn child_on_a_failing_disk() {
    let (Some(store), Ok(fault)) = (std::env::var_os(STORE), std::env::var(FAULT)) else { return };
    let plan = std::env::var_os(PLAN).unwrap();
    let log = open(Path::new(&store));
    append(&log, 1).await.unwrap();
    std::fs::write(&plan, fault).unwrap();
    let second = append(&log, 2);
    match tokio::time::timeout(Duration::from_secs(3), second).await {
        Ok(Ok(())) => report("2 acknowledged"),
        Ok(Err(error)) => report(&format!("2 refused: {error}")),
        Err(_) => {
            report("2 unanswered");
            match append(&log, 3).await {
                Ok(()) => report("3 acknowledged"),
                Err(error) => report(&format!("3 refused: {error}")),
            }
        }
    }
    std::fs::remove_file(&plan).unwrap();
    assert!(all(&log).await.iter().all(|found| *found != event(2, None)), "2 is not read");
    if std::env::var_os("OFFBOARD_TEST_GOES_ON").is_some() {
        // In doubt, it takes a moment until the next attempt to prove what stands.
        for _ in 0..100 {
            if append(&log, 4).await.is_ok() {
                report("4 acknowledged");
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    std::process::abort();
}

/// Runs the child under `fault`; what it reported, and the numbers of the events that stand afterwards.
async fn run(fault: &str, goes_on: bool) -> (Vec<String>, Vec<i64>) {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let mut command = child(CHILD, &store);
    command.env("LD_PRELOAD", shim()).env(PLAN, directory.path().join("plan")).env(FAULT, fault);
    if goes_on {
        command.env("OFFBOARD_TEST_GOES_ON", "1");
    }
    let mut child = command.spawn().unwrap();
    let reports: Vec<_> = reports(&mut child).collect();
    child.wait().unwrap();
    let log = open(&store);
    assert_eq!(log.head().await.unwrap().generation, 0, "nothing was seen and lost");
    let standing = all(&log).await.into_iter().map(|new| new.time.as_millis()).collect();
    (reports, standing)
}

#[tokio::test]
async fn an_append_whose_flush_failed_is_never_read() {
    for fault in ["sync 1 -wal", "sync 2 -wal", "sync 3 -wal"] {
        let (reports, standing) = run(fault, false).await;
        assert!(reports[0].starts_with("2 refused: append to the log"), "{fault}: {reports:?}");
        assert_eq!(standing, [1], "{fault}: 2 must not come back with a restart");
    }
}

#[tokio::test]
async fn after_a_failed_flush_the_log_goes_on() {
    let (reports, standing) = run("sync 1 -wal", true).await;
    assert_eq!(reports[1..], ["4 acknowledged"]);
    assert_eq!(standing, [1, 4]);
}

#[tokio::test]
async fn while_in_doubt_nothing_is_appended() {
    let (reports, standing) = run("sync 1000 -wal", true).await;
    assert_eq!(reports[0], "2 unanswered", "neither yes nor no can be said of it");
    assert!(reports[1].starts_with("3 refused: append to the log: an earlier flush failed"), "{reports:?}");
    assert_eq!(reports[2..], ["4 acknowledged"], "the disk came back");
    assert_eq!(standing, [1, 4]);
}

#[tokio::test]
async fn a_failed_or_short_write_and_a_full_disk_are_refused_whole() {
    for fault in ["write 1 -wal", "write 2 -wal", "short 1 -wal", "short 2 -wal", "full 1 -wal", "full 2 -wal"] {
        let (reports, standing) = run(fault, true).await;
        assert!(reports[0].starts_with("2 refused: "), "{fault}: {reports:?}");
        assert_eq!(reports[1..], ["4 acknowledged"], "{fault}");
        assert_eq!(standing, [1, 4], "{fault}");
    }
}
