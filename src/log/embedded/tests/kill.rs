//! `kill -9` at any moment loses nothing acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{all, batch, event, open};
use crate::domain::event::{Epoch, NewEvent};
use crate::domain::id::RevocationId;
use crate::domain::time::Timestamp;
use crate::log::{Bounds, Cut, Log, Snapshot, conformance};

/// Where a child of these tests finds its store. Unset in an ordinary run: then a child has nothing to do.
pub(super) const STORE: &str = "OFFBOARD_TEST_STORE";

/// Runs one of the tests below in a process of its own.
pub(super) fn child(test: &str, store: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(STORE, store).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// What a child reported, line by line, up to its end. A torn last line is no report.
pub(super) fn reports(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    std::iter::from_fn(move || {
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).ok().filter(|length| *length > 0)?;
            // The test runner prints its own words, possibly before ours on one line.
            if let Some((_, report)) = line.split_once("report: ").filter(|_| line.ends_with('\n')) {
                return Some(report.trim_end().to_owned());
            }
        }
    })
}

/// Tells the parent, at once.
pub(super) fn report(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("report: {text}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

#[tokio::test]
#[ignore = "run by the tests below in a process of its own"]
async fn child_appends_without_end() {
    let Some(store) = std::env::var_os(STORE) else { return };
    let log = open(Path::new(&store));
    let mut head = log.head().await.unwrap();
    report(&head.position.to_string());
    loop {
        // Appends of several sizes, which wait together: some share a commit.
        let sizes = [1, 7, 200];
        let mut after = head;
        let appends: Vec<_> = sizes
            .iter()
            .map(|size| {
                let append = log.append(after, batch(after.position..after.position + size));
                after.position += size;
                append
            })
            .collect();
        for result in futures_util::future::join_all(appends).await {
            head = result.unwrap();
            report(&head.position.to_string());
        }
    }
}

#[tokio::test]
async fn every_acknowledged_event_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..10_u64 {
        let mut child =
            child("log::embedded::tests::kill::child_appends_without_end", directory.path()).spawn().unwrap();
        let mut reports = reports(&mut child);
        let started: u64 = reports.next().expect("the child opened the store").parse().unwrap();
        assert!(started >= acknowledged, "round {round}: {started} < {acknowledged}");
        // Not a wait for something to happen: the moment of the kill is what varies.
        std::thread::sleep(Duration::from_millis(5 + round * 17 % 60));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = reports.last().map_or(started, |last| last.parse().unwrap());
        let log = open(directory.path());
        let head = log.head().await.unwrap();
        assert!(head.position >= acknowledged, "round {round}: {head} < {acknowledged}");
        assert_eq!(head.generation, 0, "a kill loses nothing, so no position means two things");
        assert!(all(&log).await == batch(0..head.position), "round {round}: what stands is what was appended");
    }
    assert!(acknowledged > 0);
}

/// Position of the event that `number` tells itself by, and whether it is one of those that are kept as records.
fn numbered(number: u64) -> NewEvent {
    if number.is_multiple_of(10) {
        conformance::cut::revoked(number)
    } else {
        event(number, Some(&format!("hr:{number}")))
    }
}

#[tokio::test]
#[ignore = "run by the test below in a process of its own"]
async fn child_cuts_without_end() {
    let Some(store) = std::env::var_os(STORE) else { return };
    let log = open(Path::new(&store));
    let mut head = log.head().await.unwrap();
    report(&head.position.to_string());
    loop {
        for _ in 0..2 {
            let numbers = head.position + 1..=head.position + 300;
            head = log.append(head, numbers.map(numbered).collect()).await.unwrap();
            log.keep_snapshot(Snapshot { epoch: head, bytes: vec![3; 5_000] }).await.unwrap();
            report(&head.position.to_string());
        }
        let Bounds { first, covered } = log.bounds().await.unwrap();
        let (steps, last) = ((first + 50..covered).step_by(70), covered);
        for to in steps.chain([last]) {
            let from = log.bounds().await.unwrap().first;
            let keep = (from..=to).filter(|position| position.is_multiple_of(10));
            let keep = keep.map(|position| (position, RevocationId::random(position))).collect();
            log.cut(Cut { to, keep, needless: vec![], ids_until: Timestamp::MIN }).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_kill_while_the_log_is_cut_loses_nothing_that_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut cut) = (0, 0);
    for round in 0..10_u64 {
        let mut child = child("log::embedded::tests::kill::child_cuts_without_end", directory.path()).spawn().unwrap();
        let mut reports = reports(&mut child);
        let started: u64 = reports.next().expect("the child opened the store").parse().unwrap();
        std::thread::sleep(Duration::from_millis(10 + round * 17 % 60));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = reports.last().map_or(started, |last| last.parse().unwrap()).max(acknowledged);
        let log = open(directory.path());
        let (head, Bounds { first, covered }) = (log.head().await.unwrap(), log.bounds().await.unwrap());
        assert!(head.position >= acknowledged, "round {round}: {head} < {acknowledged}");
        assert!(first <= covered + 1, "round {round}: {first} > {covered} + 1");
        let rest = log.read(first - 1, usize::MAX).await.unwrap();
        let expected: Vec<NewEvent> = (first..=head.position).map(numbered).collect();
        assert!(rest.into_iter().map(|recorded| recorded.new).eq(expected), "round {round}: the rest of the log");
        let records = log.records(first, usize::MAX).await.unwrap();
        let expected = (1..first).rev().filter(|position| position.is_multiple_of(10));
        assert!(records.iter().map(|record| record.position).eq(expected), "round {round}: each record, once");
        for position in (1..=head.position).filter(|position| !position.is_multiple_of(10)) {
            let found = log.find(&format!("hr:{position}")).await.unwrap();
            assert_eq!(found, Some(position), "round {round}: each name is known");
        }
        let covering = log.snapshot(u64::MAX).await.unwrap().map_or(0, |snapshot| snapshot.epoch.position);
        assert!(covering + 1 >= first, "round {round}: a snapshot stands for what is gone");
        assert!(first >= cut, "round {round}: no cut is undone");
        cut = first;
    }
    assert!(acknowledged > 0 && cut > 1);
}

#[tokio::test]
async fn nothing_is_half_there_after_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = child("log::embedded::tests::kill::child_appends_without_end", directory.path()).spawn().unwrap();
    let mut reports = reports(&mut child);
    reports.nth(10).expect("the child appends");
    child.kill().unwrap();
    child.wait().unwrap();
    let Epoch { position, .. } = open(directory.path()).head().await.unwrap();
    assert!([0, 1, 8].contains(&(position % 208)), "{position} is not the end of an append");
}
