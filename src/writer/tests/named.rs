//! What names in the log mean, whichever log it is.

use std::collections::BTreeSet;

use super::*;
use crate::domain::event::Event;

async fn events(bench: &Bench) -> Vec<Recorded> {
    bench.log.read(0, 1_000).await.unwrap()
}

/// A bench over a log of its own, in which nothing but `first` was revoked.
async fn with_one(first: Target) -> (Bench, RevocationId) {
    let bench = Bench::start().await;
    let done = bench.revoke(first, at(1)).await.unwrap();
    (bench, done.revocation.unwrap())
}

#[tokio::test]
async fn every_event_has_a_name_of_its_own() {
    let (bench, id) = with_one(alice()).await;
    bench.list(&[person("alice", Status::Suspended), person("bob", Status::Active)], at(2)).await.unwrap();
    let events = events(&bench).await;
    let names: Vec<&str> = events.iter().map(|recorded| recorded.new.id.as_deref().unwrap()).collect();
    let different: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(different.len(), events.len());
    assert!(names.contains(&id.to_string().as_str()), "the event that begins a revocation bears its name");
    for (name, recorded) in names.iter().zip(&events) {
        assert_eq!(bench.log.find(name).await.unwrap(), Some(recorded.position));
    }
}

#[tokio::test]
async fn a_record_that_is_appended_elsewhere_ends_nobody_elses_block() {
    let ((one, id), (other, _)) = (with_one(session("s1")).await, with_one(session("s2")).await);
    one.restore(id, at(2)).await.unwrap();
    let ended = events(&one).await.into_iter().map(|recorded| recorded.new);
    let ended = ended.filter(|new| matches!(new.event, Event::Ended(_)));
    let head = other.log.head().await.unwrap();
    other.log.append(head, ended.collect()).await.unwrap();
    other.revoke(session("s3"), at(3)).await.unwrap();
    let fold = &other.published.load().fold;
    assert_eq!(fold.live(TargetKind::Session), 2, "what was ended there was another one");
    assert_eq!(other.restore(id, at(4)).await, Err(Refused::NotFound(id)));
}

#[tokio::test]
async fn the_format_before_is_written_on_request_and_read_on() {
    let bench = Bench::writing_to(Arc::new(Memory::default()), policy(), EventFormat::One).await;
    bench.list(&[person("alice", Status::Active)], at(0)).await.unwrap();
    let done = bench.revoke(session("s1"), at(1)).await.unwrap();
    let position = bench.log.head().await.unwrap().position;
    assert_eq!(done.revocation, Some(RevocationId::of_position(position)), "named by its position");
    let (reference, expires) = ("alice".to_owned(), at(100).wall);
    let exempt = Command::Exempt { reference, expires, reason: "on call".into(), actor: "ops".into() };
    bench.writer.ask(exempt, at(2)).await.unwrap();
    for recorded in events(&bench).await {
        let named = match &recorded.new.event {
            Event::Revoked(revocation) => revocation.id.is_some(),
            Event::Exempted(exemption) => exemption.id.is_some(),
            _ => false,
        };
        assert_eq!((&recorded.new.id, named), (&None, false), "{recorded:?}");
    }
    // A later writer goes on in the new one, and ends what the old one began.
    let later = Bench::over(Arc::clone(&bench.log), policy()).await;
    later.restore(RevocationId::of_position(position), at(3)).await.unwrap();
    assert_eq!(later.published.load().fold.live(TargetKind::Session), 0);
    let new = later.revoke(session("s2"), at(4)).await.unwrap().revocation.unwrap();
    assert_eq!(new.position(), None);
    later.folds_agree().await;
}
