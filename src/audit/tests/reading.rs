//! Reading the trail, and who is found in it.

use super::*;

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
    assert_eq!(count(Filter { person: Some("hr/alice".into()), ..Filter::default() }), 1);
    assert_eq!(count(Filter { person: Some("hr/bob".into()), ..Filter::default() }), 0);
    assert_eq!(count(Filter { kind: Some(Kind::Reload), ..Filter::default() }), 2);
    assert_eq!(count(Filter { kind: Some(Kind::Reload), since: Some(at(2)), ..Filter::default() }), 1);
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
