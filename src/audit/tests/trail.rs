//! The chain and its files: what was written stays, whatever happens to the process or the disk.

use super::*;
use crate::domain::event::ConfigurationRole;
use crate::domain::guard::HeldListing;

#[tokio::test]
async fn a_trail_holds_and_its_hash_can_be_computed_by_any_tool() {
    let dir = tempfile::tempdir().unwrap();
    trail(dir.path()).await;
    let verdict = verify(dir.path()).unwrap();
    assert_eq!((verdict.records, verdict.first, verdict.last, verdict.broken), (6, 1, 6, None));
    assert_eq!(files::list(dir.path()).unwrap().len(), 2, "one file a day");

    let text = fs::read_to_string(&files::list(dir.path()).unwrap()[0]).unwrap();
    let (first, second) = (text.lines().next().unwrap(), text.lines().nth(1).unwrap());
    let first: serde_json::Value = serde_json::from_str(first).unwrap();
    let (body, hash) = second.split_once(",\"hash\":\"").unwrap();
    let input = format!("{}{body}}}", first["hash"].as_str().unwrap());
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, input.as_bytes());
    assert_eq!(hex::encode(digest), hash.trim_end_matches("\"}"));
}

#[tokio::test]
async fn every_tampering_is_found_at_its_first_record() {
    type Change = fn(&[PathBuf]);
    let table: [(&str, Change, Option<u64>, Wrong); 11] = [
        ("edit", |files| edit(&files[0], |l| l[1] = l[1].replace("one", "six")), Some(2), Wrong::Edited),
        ("forge", |files| edit(&files[0], |l| l[1] = "{}".into()), None, Wrong::Unreadable),
        ("add a member", |files| edit(&files[0], |l| l[1] = l[1].replace("{", "{\"x\":1,")), Some(2), Wrong::Edited),
        ("delete", |files| edit(&files[0], |l| drop(l.remove(1))), Some(3), Wrong::Gap { expected: 2 }),
        ("swap", |files| edit(&files[0], |l| l.swap(1, 2)), Some(3), Wrong::Reordered { expected: 2 }),
        (
            "duplicate",
            |files| edit(&files[0], |l| l.insert(2, l[1].clone())),
            Some(2),
            Wrong::Reordered { expected: 3 },
        ),
        ("truncate", |files| edit(&files[1], |l| drop(l.pop())), Some(5), Wrong::TruncatedTail { last: 6 }),
        ("last file gone", |files| fs::remove_file(&files[1]).unwrap(), Some(3), Wrong::TruncatedTail { last: 6 }),
        ("first file gone", |files| fs::remove_file(&files[0]).unwrap(), Some(4), Wrong::NoBeginning),
        ("first record gone", |files| edit(&files[0], |l| drop(l.remove(0))), Some(2), Wrong::NoBeginning),
        (
            "all gone",
            |files| files.iter().for_each(|f| fs::remove_file(f).unwrap()),
            None,
            Wrong::TruncatedTail { last: 6 },
        ),
    ];
    for (name, change, seq, what) in table {
        let dir = tempfile::tempdir().unwrap();
        trail(dir.path()).await;
        change(&files::list(dir.path()).unwrap());
        let broken = verify(dir.path()).unwrap().broken.unwrap_or_else(|| panic!("{name} was not found"));
        assert_eq!((broken.seq, broken.what), (seq, what), "{name}");
    }
}

#[tokio::test]
async fn what_cannot_be_proven_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = verify(dir.path()).unwrap();
    assert_eq!(
        nothing.to_string(),
        format!("{}: not proven: a record is missing: there is no audit record here", dir.path().display())
    );
    fs::write(dir.path().join("holiday.txt"), "sun").unwrap();
    assert!(!verify(dir.path()).unwrap().holds(), "another folder");
    trail(dir.path()).await;
    let proven = verify(dir.path()).unwrap();
    assert!(proven.holds());
    let last = records(dir.path()).pop().unwrap();
    let said = format!(
        "6 records are proven, 1 to 6, from {} to {}; last hash {}",
        records(dir.path())[0].time,
        last.time,
        last.hash
    );
    assert_eq!(proven.to_string(), format!("{}: {said}", dir.path().display()));
    edit(&files::list(dir.path()).unwrap()[1], |lines| drop(lines.pop()));
    fs::remove_file(Side::Head.path(dir.path())).unwrap();
    assert_eq!(verify(dir.path()).unwrap().broken.unwrap().what, Wrong::NoMark, "the end may have been cut off");
}

#[tokio::test]
async fn a_record_sealed_onto_another_chain_is_found() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    trail(one.path()).await;
    session(other.path(), 7, async |recorder| reload(recorder, 8, "else").await).await;
    let foreign = fs::read_to_string(&files::list(other.path()).unwrap()[0]).unwrap();
    let files = files::list(one.path()).unwrap();
    edit(&files[0], |lines| lines[1] = foreign.lines().nth(1).unwrap().to_owned());
    assert_eq!(verify(one.path()).unwrap().broken.unwrap().what, Wrong::Unlinked);
}

#[tokio::test]
async fn a_line_torn_by_a_crash_is_cut_and_the_chain_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    {
        // Killed: dropped without running, so neither `stop` nor head.
        let (_recorder, _writer) = started(dir.path(), 0);
    }
    let file = files::list(dir.path()).unwrap().remove(0);
    let mut torn = fs::read(&file).unwrap();
    torn.extend_from_slice(b"{\"seq\":2,\"ti");
    fs::write(&file, torn).unwrap();
    assert_eq!(verify(dir.path()).unwrap().unfinished, 12);

    session(dir.path(), 10, async |recorder| reload(recorder, 11, "after").await).await;
    let kinds: Vec<Kind> = records(dir.path()).iter().map(|record| record.kind).collect();
    assert_eq!(kinds, [Kind::Start, Kind::Recovered, Kind::Start, Kind::Reload, Kind::Stop]);
    assert_eq!(records(dir.path())[1].reason.as_deref(), Some("cut an unfinished last line of 12 bytes"));
    let verdict = verify(dir.path()).unwrap();
    assert_eq!((verdict.broken, verdict.unfinished), (None, 0));
}

#[tokio::test]
async fn a_tail_cut_off_stays_visible_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    trail(dir.path()).await;
    edit(&files::list(dir.path()).unwrap()[1], |lines| lines.truncate(1));
    session(dir.path(), DAY + 200, async |_| {}).await;
    let recovered = of(dir.path(), Kind::Recovered);
    assert_eq!(recovered[0].reason.as_deref(), Some("records 5 to 6 are missing"));
    let broken = verify(dir.path()).unwrap().broken.unwrap();
    assert_eq!((broken.seq, broken.what), (Some(7), Wrong::Gap { expected: 5 }));
}

#[tokio::test]
async fn a_damaged_last_line_stays_as_evidence() {
    let dir = tempfile::tempdir().unwrap();
    trail(dir.path()).await;
    edit(&files::list(dir.path()).unwrap()[1], |lines| *lines.last_mut().unwrap() = "junk".into());
    session(dir.path(), DAY + 200, async |_| {}).await;
    let broken = verify(dir.path()).unwrap().broken.unwrap();
    assert_eq!((broken.line, broken.what), (3, Wrong::Unreadable));
    assert!(of(dir.path(), Kind::Recovered).iter().any(|r| r.reason.as_deref() == Some("the last line is damaged")));
}

#[tokio::test]
async fn old_files_are_deleted_whole_and_the_rest_is_still_proven() {
    let dir = tempfile::tempdir().unwrap();
    trail(dir.path()).await;
    let short = options_with(dir.path(), Decisions::Denied, 1);
    let (recorder, writer) = open(short, now(2 * DAY)).unwrap();
    let thread = std::thread::spawn(move || writer.run());
    recorder.close(now(2 * DAY + 1)).await;
    thread.join().unwrap().unwrap();

    let retired = of(dir.path(), Kind::Retention);
    assert_eq!((retired.len(), retired[0].target.as_deref()), (1, Some("2026-03-01")));
    let verdict = verify(dir.path()).unwrap();
    assert_eq!((verdict.first, verdict.broken), (4, None));
}

#[tokio::test]
async fn one_process_at_a_time_writes() {
    let dir = tempfile::tempdir().unwrap();
    let _first = started(dir.path(), 0);
    assert!(matches!(open(options(dir.path()), now(0)), Err(AuditError::Locked(_))));
}

/// The follower goes on from there after a kill: events are told from decisions, and from what only bears an epoch.
#[tokio::test]
async fn the_last_event_of_the_log_is_known_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = started(dir.path(), 0);
    assert_eq!(writer.audited(), None, "a new trail has none");
    let work = std::thread::spawn(move || writer.run());
    for position in 7..=8 {
        let event = Event::Unpinned { issuer: "idp".into(), name: "ops".into(), persons: vec![] };
        let new = NewEvent { time: at(2), happened: None, id: None, event };
        recorder.enforced(&Recorded { position, new }, 1, at(2), None).await.unwrap();
        // The mark is written with the tick; what follows it is only in the file.
        recorder.tick(now(2));
    }
    let later = Some(Epoch { generation: 1, position: 9 });
    recorder.record(Entry { epoch: later, ..Entry::new(Kind::Decision, at(3)) }).await.unwrap();
    recorder.durable().await.unwrap();
    drop(recorder);
    work.join().unwrap().unwrap();
    for mark_is_lost in [false, true] {
        if mark_is_lost {
            fs::remove_file(Side::Head.path(dir.path())).unwrap();
        }
        let (_recorder, writer) = started(dir.path(), DAY);
        assert_eq!(writer.audited(), Some(8), "mark lost: {mark_is_lost}");
    }
}

/// Also where its record is of a kind that is not about a person: otherwise each restart would write it once more.
#[tokio::test]
async fn every_kind_of_event_is_known_as_the_last() {
    let held = HeldListing {
        source: "hr".into(),
        at: at(1),
        missing: vec!["alice".into()],
        known: 1,
        memberships: 0,
        all_memberships: 0,
        emptied: vec![],
        because: None,
        unlisted: false,
    };
    let role = ConfigurationRole { process: "p".into(), term: 1 };
    for event in [Event::ListingHeld(held), Event::ConfigurationRole(role)] {
        let dir = tempfile::tempdir().unwrap();
        session(dir.path(), 0, async |recorder| {
            let new = NewEvent { time: at(2), happened: None, id: None, event: event.clone() };
            recorder.enforced(&Recorded { position: 8, new }, 1, at(2), None).await.unwrap();
            reload(recorder, 3, "which bears no epoch").await;
        })
        .await;
        let (_recorder, writer) = started(dir.path(), DAY);
        assert_eq!(writer.audited(), Some(8), "{event:?}");
    }
}

#[tokio::test]
async fn a_clock_set_back_reorders_nothing() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 2 * DAY, async |recorder| reload(recorder, 0, "earlier").await).await;
    session(dir.path(), 0, async |_| {}).await;
    assert_eq!(files::list(dir.path()).unwrap().len(), 1);
    assert_eq!(verify(dir.path()).unwrap().broken, None);
}

#[test]
fn a_long_last_line_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = files::path(dir.path(), "2026-03-01");
    let long = "x".repeat(200_000);
    fs::write(&path, format!("one\n{long}\ntor")).unwrap();
    let ending = files::ending(&path).unwrap();
    assert_eq!((ending.line.map(|line| line.len()), ending.whole, ending.torn), (Some(200_000), 200_005, 3));
    fs::write(&path, "torn").unwrap();
    assert_eq!(files::ending(&path).unwrap().torn, 4);
    assert!(!Side::Salt.path(dir.path()).exists());
}

#[test]
fn the_words_of_kinds_are_those_of_the_records() {
    for kind in Kind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        assert_eq!(Kind::named(kind.word()), Some(kind));
    }
}
