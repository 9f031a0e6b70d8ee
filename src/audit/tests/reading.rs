//! Reading the trail, and who is found in it.

use super::*;
use crate::domain::event::EndCause;
use crate::domain::id::ExemptionId;

#[tokio::test]
async fn the_same_credential_has_the_same_hash_within_one_trail_only() {
    let mut hashes = Vec::new();
    for _ in 0..2 {
        let dir = tempfile::tempdir().unwrap();
        for start in [0, 200] {
            session(dir.path(), start, async |recorder| {
                decide(recorder, decided(Reason::Expired, Some(1)), start).await;
            })
            .await;
        }
        let found = of(dir.path(), Kind::Decision);
        assert_eq!(found[0].credential, found[1].credential);
        hashes.push(found[0].credential.clone());
    }
    assert_ne!(hashes[0], hashes[1]);
}

#[tokio::test]
async fn recent_decisions_are_found_by_id() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _writer) = started(dir.path(), 0);
    let id = decide(&recorder, decided(Reason::Allowed, Some(1)), 3).await;
    let other = decide(&recorder, decided(Reason::Expired, Some(1)), 4).await;
    assert_ne!(id, other);
    let id: DecisionId = id.to_string().parse().unwrap();
    let found = recorder.recent(id).unwrap();
    assert_eq!((found.time, found.path.as_str(), found.decision.reason), (at(3), "/v1/orders", Reason::Allowed));
    for _ in 0..10_000 {
        decide(&recorder, decided(Reason::Allowed, None), 5).await;
    }
    assert!(recorder.recent(id).is_none(), "long past");
}

#[tokio::test]
async fn records_are_found_by_person_kind_and_time() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 0, async |recorder| {
        reload(recorder, 1, "one").await;
        decide(recorder, decided(Reason::Expired, Some(1)), 2).await;
        reload(recorder, 2 * DAY, "two").await;
    })
    .await;
    let count = |filter: Filter| query(dir.path(), filter).unwrap().count();
    assert_eq!(count(Filter { persons: Some(vec![alice()]), ..Filter::default() }), 1);
    assert_eq!(
        count(Filter { persons: Some(vec![PersonId { key: "bob".into(), ..alice() }]), ..Filter::default() }),
        0
    );
    assert_eq!(count(Filter { kind: Some(Kind::Reload), ..Filter::default() }), 2);
    assert_eq!(count(Filter { kind: Some(Kind::Reload), since: Some(at(2)), ..Filter::default() }), 1);
}

/// Whom a record is about is written as text and read back exactly, whatever a provider uses as a key.
#[tokio::test]
async fn persons_are_read_back_as_they_were_written() {
    let keys = ["alice", "a/b//c", "with space", "b, lab/7", "(x)", "naïve-\u{1F600}", "quote\"back\\slash", ""];
    let odd = keys.map(|key| PersonId { key: key.into(), ..alice() });
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 0, async |recorder| {
        let entry = |persons: Vec<PersonId>| Entry { persons, ..Entry::new(Kind::Revocation, at(1)) };
        for person in odd.clone() {
            recorder.record(entry(vec![person])).await.unwrap();
        }
        recorder.record(entry(odd.to_vec())).await.unwrap();
        recorder.record(entry(vec![])).await.unwrap();
    })
    .await;
    let found = of(dir.path(), Kind::Revocation);
    let alone: Vec<_> = found.iter().filter_map(|record| record.person.clone()).collect();
    assert_eq!((alone.as_slice(), found.len()), (odd.as_slice(), odd.len() + 2));
    assert_eq!((&found[odd.len()].person, found[odd.len()].persons.as_slice()), (&None, odd.as_slice()));
    assert_eq!((&found[odd.len() + 1].person, found[odd.len() + 1].persons.as_slice()), (&None, [].as_slice()));
    for person in odd {
        let filter = Filter { persons: Some(vec![person.clone()]), kind: Some(Kind::Revocation), ..Filter::default() };
        assert_eq!(query(dir.path(), filter).unwrap().count(), 2, "{person}");
    }
    assert!(verify(dir.path()).unwrap().holds());
}

/// Everybody whom an event names is found by their name.
#[tokio::test]
async fn the_end_of_an_exemption_and_of_a_pin_name_whom_they_were_for() {
    let dir = tempfile::tempdir().unwrap();
    let persons = vec![alice(), PersonId { source: "lab".into(), key: "7".into() }];
    let (exemption, cause) = (ExemptionId::of_position(3), EndCause::Expired);
    let (issuer, name) = ("corp".to_owned(), "alice@example.com".to_owned());
    session(dir.path(), 0, async |recorder| {
        let (actor, reason) = (String::new(), String::new());
        let ended = Event::ExemptionEnded { exemption, persons: persons.clone(), cause, actor, reason };
        enforce(recorder, 8, ended).await;
        enforce(recorder, 9, Event::Unpinned { issuer, name, persons: persons.clone() }).await;
    })
    .await;
    for person in persons {
        let found = query(dir.path(), Filter { persons: Some(vec![person]), ..Filter::default() }).unwrap();
        let kinds: Vec<_> = found.map(|record| record.unwrap().kind).collect();
        assert_eq!(kinds, [Kind::ExemptionEnded, Kind::Binding]);
    }
}

/// One credential of several people: the denial is found by each of them, not only by the first.
#[tokio::test]
async fn a_denial_of_several_people_names_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let people = vec![alice(), PersonId { key: "bob".into(), ..alice() }];
    session(dir.path(), 0, async |recorder| {
        let determining = Determining::People(people.clone());
        decide(recorder, Decision { determining, ..decided(Reason::MixedIdentities, Some(1)) }, 0).await;
    })
    .await;
    for person in &people {
        let found = query(dir.path(), Filter { persons: Some(vec![person.clone()]), ..Filter::default() }).unwrap();
        let named: Vec<_> = found.map(|record| record.unwrap().persons).collect();
        assert_eq!(named, std::slice::from_ref(&people), "{person}");
    }
}

/// A source that moves its cursor before its first listing is heard at no time that could be named.
#[tokio::test]
async fn a_cursor_that_moves_before_the_first_listing_leaves_a_readable_record() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 0, async |recorder| {
        let cursor = Some("7".to_owned());
        enforce(recorder, 8, Event::Heartbeat { source: "hr".into(), at: Timestamp::MIN, cursor }).await;
    })
    .await;
    assert_eq!(verify(dir.path()).unwrap().broken, None);
    let record = &of(dir.path(), Kind::Source)[0];
    assert_eq!((record.reason.as_deref(), record.since), (Some("heard"), None));
}

/// Versions before this one wrote such a time in words, and then could not read the line.
#[tokio::test]
async fn a_time_in_words_of_an_earlier_version_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut record = Entry { reason: Some("heard".into()), ..Entry::new(Kind::Source, at(0)) }.into_record("r-0");
    record.since = Some(Timestamp::MIN);
    let line = Head::default().seal(&mut record).unwrap();
    assert!(line.contains(r#""since":"the beginning""#), "{line}");
    fs::write(files::path(dir.path(), "2026-03-01"), line + "\n").unwrap();
    session(dir.path(), 10, async |_| {}).await;
    let verdict = verify(dir.path()).unwrap();
    assert_eq!((verdict.broken, verdict.records), (None, 3), "it goes on behind that record");
    let found = records(dir.path());
    assert_eq!(found.iter().map(|record| record.kind).collect::<Vec<_>>(), [Kind::Source, Kind::Start, Kind::Stop]);
    assert_eq!(found[0].since, None);
}

async fn enforce(recorder: &Recorder, position: u64, event: Event) {
    let new = NewEvent { time: at(0), happened: None, id: None, event };
    recorder.enforced(&Recorded { position, new }, 1, at(0), None).await.unwrap();
}

/// The revocations of several people in trails of before `persons`, and what only looks like one.
#[tokio::test]
async fn persons_in_the_target_of_an_older_record_are_found() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 0, async |recorder| {
        for (kind, target) in [
            (Kind::Revocation, "r17 block on person a@example.com (hr/alice, lab/7)"),
            (Kind::RevocationEnded, "r17 block on person a@example.com (hr/alice, lab/7)"),
            (Kind::Revocation, "r18 block on person a@example.com (hr/alice, not one)"),
            (Kind::Control, "person a@example.com (hr/alice)"),
        ] {
            recorder.record(Entry { target: Some(target.into()), ..Entry::new(kind, at(1)) }).await.unwrap();
        }
    })
    .await;
    let found = query(dir.path(), Filter { persons: Some(vec![alice()]), ..Filter::default() }).unwrap();
    let kinds: Vec<_> = found.map(|record| record.unwrap().kind).collect();
    assert_eq!(kinds, [Kind::Revocation, Kind::RevocationEnded]);
}

#[tokio::test]
async fn followers_see_records_as_they_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut follower = None;
    session(dir.path(), 0, async |recorder| {
        follower = Some(recorder.follow());
        reload(recorder, 1, "one").await;
    })
    .await;
    assert_eq!(follower.unwrap().recv().await.unwrap().reason.as_deref(), Some("one"));
}
