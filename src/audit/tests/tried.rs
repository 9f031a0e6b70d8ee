//! What a leaver tried, and what is known of their last use.

use super::*;

async fn tries(recorder: &Recorder, method: &str, path: &str, credential: u8, seconds: i64) {
    let facts =
        Facts { id: recorder.draw_id(), time: at(seconds), method, path, address: Some("192.0.2.7".parse().unwrap()) };
    recorder.decision(&Arc::new(decided(Reason::RevokedPerson, Some(credential))), facts);
}

fn told(dir: &Path) -> Vec<(String, Option<u64>)> {
    let tried = |record: &Record| Some(format!("{} {}", record.method.as_deref()?, record.path.as_deref()?));
    let one = |record: Record| (tried(&record).unwrap_or_default(), record.count);
    of(dir, Kind::Decision).into_iter().map(one).collect()
}

#[tokio::test]
async fn each_distinct_attempt_of_a_leaver_is_recorded_and_repeats_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 0, async |recorder| {
        for (method, path) in [("GET", "/a?q=1"), ("GET", "/a?q=2"), ("POST", "/a"), ("GET", "/b"), ("GET", "/b")] {
            tries(recorder, method, path, 1, 1).await;
        }
        // Another token of the same person is no news.
        tries(recorder, "GET", "/b", 2, 2).await;
        recorder.tick(now(60));
        recorder.durable().await.unwrap();
        tries(recorder, "GET", "/c", 1, 61).await;
        tries(recorder, "GET", "/a", 1, 62).await;
    })
    .await;
    let found = told(dir.path());
    let single: Vec<&str> = found.iter().filter(|(_, count)| count.is_none()).map(|(what, _)| what.as_str()).collect();
    assert_eq!(single, ["GET /a", "POST /a", "GET /b", "GET /b", "GET /c"], "{found:?}");
    let counted: u64 = found.iter().filter_map(|(_, count)| *count).sum();
    assert_eq!(counted, 3, "no attempt is counted that has a record: {found:?}");
    let records = of(dir.path(), Kind::Decision);
    let line = serde_json::to_string(&records[0]).unwrap();
    assert!(line.contains(r#""path":"/a","address":"192.0.2.7","decision":"deny""#), "{line}");
    assert!(records.iter().filter(|record| record.count.is_some()).all(|record| record.address.is_none()));
}

#[tokio::test]
async fn a_thousand_a_day_are_told_apart_and_the_rest_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 0, async |recorder| {
        for number in 0..1_010 {
            tries(recorder, "GET", &format!("/{number}"), 1, 1).await;
        }
        tries(recorder, "GET", "/0", 1, DAY).await;
    })
    .await;
    let found = told(dir.path());
    assert_eq!(found.iter().filter(|(_, count)| count.is_none()).count(), 1_001, "another day is another thousand");
    assert_eq!(found.iter().filter_map(|(_, count)| *count).sum::<u64>(), 10);
}

#[tokio::test]
async fn other_denials_are_one_a_minute_whatever_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 0, async |recorder| {
        for path in ["/a", "/b", "/c"] {
            let id = recorder.draw_id();
            let facts = Facts { id, time: at(1), method: "GET", path, address: None };
            recorder.decision(&Arc::new(decided(Reason::NoPermission, Some(1))), facts);
        }
    })
    .await;
    assert_eq!(told(dir.path()), [("GET /a".to_owned(), None), (String::new(), Some(2))]);
}

#[tokio::test]
async fn an_attempt_that_found_no_room_is_new_the_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = open(options_with(dir.path(), Decisions::All, 400), now(0)).unwrap();
    for _ in 0..WAITING {
        decide(&recorder, decided(Reason::Allowed, Some(1)), 0).await;
    }
    recorder.set_decisions(Decisions::Denied);
    tries(&recorder, "GET", "/a", 1, 1).await;
    let thread = std::thread::spawn(move || writer.run());
    recorder.durable().await.unwrap();
    tries(&recorder, "GET", "/a", 1, 2).await;
    recorder.close(now(3)).await;
    thread.join().unwrap().unwrap();
    let denied: Vec<Record> = of(dir.path(), Kind::Decision)
        .into_iter()
        .filter(|record| record.decision.as_deref() == Some("deny"))
        .collect();
    let found: Vec<_> = denied.iter().map(|record| (record.path.as_deref(), record.count)).collect();
    assert_eq!(found, [(Some("/a"), None), (None, Some(1))]);
}

/// What the file has while the process lives is what a kill leaves.
#[tokio::test]
async fn a_kill_loses_no_last_use_that_a_tick_saw() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = started(dir.path(), 0);
    let _thread = std::thread::spawn(move || writer.run());
    let left = tempfile::tempdir().unwrap();
    for second in 1..=3 {
        decide(&recorder, decided(Reason::Allowed, Some(1)), second).await;
        recorder.tick(now(second));
        // The second is answered only when the first, and what came before it, is settled.
        recorder.durable().await.unwrap();
        recorder.durable().await.unwrap();
        let mut file = fs::read(Side::LastAllows.path(dir.path())).unwrap();
        assert_eq!(file.iter().filter(|byte| **byte == b'\n').count(), usize::try_from(second).unwrap());
        // And half a line, as a kill in the middle of one leaves it.
        file.extend_from_slice(b"{\"person\":{\"sour");
        fs::write(Side::LastAllows.path(left.path()), file).unwrap();
        let (again, _writer) = started(left.path(), 200 + second);
        assert_eq!(again.last_allows(&alice())[0].time, at(second));
        assert!(of(left.path(), Kind::Recovered).is_empty());
    }
    recorder.tick(now(61));
    recorder.durable().await.unwrap();
    recorder.durable().await.unwrap();
    let file = fs::read_to_string(Side::LastAllows.path(dir.path())).unwrap();
    assert_eq!(file.lines().count(), 1, "once a minute it is written anew: {file}");
}
