//! A provider that went back to an older state: what gives access waits for an operator, what takes it does not.

use super::listings::{id, in_group, many};
use super::*;
use crate::domain::command::Verdict;
use crate::domain::event::Event;
use crate::domain::guard::ReleaseCause;
use crate::log::Log as _;

const WHY: &str = "its counter went from 90 back to 12";

impl Bench {
    async fn goes_back(&self, now: Now) {
        let went = Observation::RolledBack { source: "hr".into(), because: WHY.into() };
        self.observe(went, now).await.unwrap();
    }

    async fn tells(&self, person: Person, now: Now) {
        let change = Observation::Change { person, at: None, event_id: None };
        self.observe(change, now).await.unwrap();
    }

    fn because(&self) -> Option<String> {
        self.published.snapshot().fold.feeds["hr"].held.as_ref().and_then(|held| held.because.clone())
    }

    fn groups(&self, key: &str) -> Vec<String> {
        let state = self.published.snapshot();
        state.fold.people.find(&self.keyer, &id(key)).unwrap().person.groups.clone()
    }
}

/// Thirty people; since the backup p000 was suspended, p001 departed, p002 left a group and p029 joined.
async fn restored() -> (Bench, Vec<Person>) {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let mut backup = many(29);
    backup[2] = in_group("p002", "payroll");
    let mut now = many(30);
    now[0].status = Status::Suspended;
    now.remove(1);
    bench.list(&backup, at(0)).await.unwrap();
    bench.list(&now, at(1)).await.unwrap();
    bench.goes_back(at(2)).await;
    (bench, backup)
}

#[tokio::test]
async fn nobody_gets_in_again_by_a_restored_backup() {
    let (bench, mut backup) = restored().await;
    assert_eq!(bench.because().as_deref(), Some(WHY));
    backup[5].status = Status::Suspended;
    // One person missing is no number for the guard.
    let refused = bench.list(&backup, at(3)).await.unwrap_err();
    assert!(matches!(refused, Refused::Guarded { missing: 1, known: 29, .. }), "{refused}");
    assert!(refused.to_string().contains(WHY), "{refused}");
    let status = |key: &str| bench.status(key).unwrap();
    assert_eq!((status("p000"), status("p001"), status("p029")), (Status::Suspended, Status::Departed, Status::Active));
    assert_eq!(status("p005"), Status::Suspended, "an explicit disable applies");
    assert!(bench.groups("p002").is_empty());
    bench.folds_agree().await;

    bench.judge(Verdict::Confirm, at(4)).await.unwrap();
    assert_eq!((status("p029"), status("p000")), (Status::Departed, Status::Suspended));
    assert_eq!(bench.because(), None);
    bench.list(&backup, at(5)).await.unwrap();
    assert_eq!((status("p000"), status("p001")), (Status::Active, Status::Active));
    assert_eq!(bench.groups("p002"), ["payroll"]);
    bench.folds_agree().await;
}

/// The same by what is told of each of them, and by what is told of clients.
#[tokio::test]
async fn events_give_nothing_either() {
    let (bench, backup) = restored().await;
    for person in [&backup[0], &backup[1], &backup[2], &person("stranger", Status::Active)] {
        bench.tells(person.clone(), at(3)).await;
    }
    let status = |key: &str| bench.status(key);
    assert_eq!((status("p000"), status("p001")), (Some(Status::Suspended), Some(Status::Departed)));
    assert_eq!((status("stranger"), bench.groups("p002")), (None, vec![]));
    let partly = Observation::Listing { source: "hr".into(), people: backup.clone(), complete: false, at: at(3).wall };
    bench.observe(partly, at(3)).await.unwrap();
    assert_eq!((status("p000"), status("p001")), (Some(Status::Suspended), Some(Status::Departed)));
    let client = |stands| Observation::Block {
        source: "hr".into(),
        target: Target::Client { issuer: ISSUER.into(), client: "mesh".into() },
        stands,
        at: None,
        expires: None,
        reason: "client disabled".into(),
    };
    let blocks = || bench.published.load().fold.live(TargetKind::Client);
    bench.observe(client(true), at(4)).await.unwrap();
    bench.observe(client(false), at(5)).await.unwrap();
    assert_eq!(blocks(), 1);
    // What is taken away is taken away.
    bench.tells(person("p007", Status::Suspended), at(6)).await;
    bench.observe(Observation::Deleted { person: id("p008"), at: None }, at(6)).await.unwrap();
    assert_eq!((status("p007"), status("p008")), (Some(Status::Suspended), Some(Status::Departed)));
    bench.folds_agree().await;
}

/// Whoever is read again is not in a group that they joined since the backup: that is as little an event as their absence from
/// a listing.
#[tokio::test]
async fn groups_wait_until_they_are_confirmed() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let mut all = many(12);
    all[3].groups = vec!["a".into(), "b".into()];
    bench.list(&all, at(0)).await.unwrap();
    bench.goes_back(at(1)).await;
    all[3].groups = vec!["b".into(), "c".into()];
    bench.tells(all[3].clone(), at(2)).await;
    assert_eq!(bench.groups("p003"), ["a", "b"]);
    bench.list(&all, at(3)).await.unwrap_err();
    assert_eq!(bench.groups("p003"), ["a", "b"]);
    bench.judge(Verdict::Confirm, at(4)).await.unwrap();
    bench.tells(all[3].clone(), at(5)).await;
    assert_eq!(bench.groups("p003"), ["b", "c"]);
    bench.folds_agree().await;
}

/// A restart forgets none of it, and discarding is no consent.
#[tokio::test]
async fn it_is_held_until_somebody_says_yes() {
    let (bench, backup) = restored().await;
    bench.list(&backup, at(3)).await.unwrap_err();
    bench.judge(Verdict::Discard, at(4)).await.unwrap();
    assert_eq!(bench.because().as_deref(), Some(WHY));
    let refused = bench.judge(Verdict::Confirm, at(5)).await.unwrap_err();
    assert!(matches!(&refused, Refused::Invalid(what) if what.contains("listed anew")), "{refused}");
    bench.folds_agree().await;

    let again = Bench::over(Arc::clone(&bench.log), policy()).await;
    assert_eq!(again.because().as_deref(), Some(WHY));
    again.tells(backup[0].clone(), at(6)).await;
    again.list(&backup, at(7)).await.unwrap_err();
    assert_eq!((again.status("p000"), again.status("p001")), (Some(Status::Suspended), Some(Status::Departed)));
    again.judge(Verdict::Confirm, at(8)).await.unwrap();
    again.list(&backup, at(9)).await.unwrap();
    assert_eq!(again.status("p000"), Some(Status::Active));
}

/// The one that lagged behind has caught up, or the right one is back.
#[tokio::test]
async fn one_that_says_again_what_is_known_is_older_no_more() {
    let (bench, backup) = restored().await;
    bench.list(&backup, at(3)).await.unwrap_err();
    let mut known = many(30);
    known[0].status = Status::Suspended;
    known.remove(1);
    bench.list(&known, at(4)).await.unwrap();
    assert_eq!(bench.because(), None);
    let events = bench.log.read(0, 1_000).await.unwrap();
    assert!(
        events
            .iter()
            .any(|recorded| matches!(recorded.new.event, Event::Released { cause: ReleaseCause::Superseded, .. }))
    );
    bench.tells(known[3].clone(), at(5)).await;
    bench.tells(person("stranger", Status::Active), at(5)).await;
    assert_eq!(bench.status("stranger"), Some(Status::Active));
}

/// What was said of an earlier listing is not said of this one; a listing that was let pass, and is not in force as a whole
/// yet, goes no further.
#[tokio::test]
async fn what_was_under_way_goes_no_further() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let mut all = many(3_000);
    bench.list(&all, at(0)).await.unwrap();
    bench.list(&all[..1_000], at(1)).await.unwrap_err();
    let confirm = Command::Judge { source: "hr".into(), listing: None, verdict: Verdict::Confirm, actor: "ops".into() };
    let answer = bench.put(confirm, at(2)).await;
    bench.goes_back(at(3)).await;
    assert!(matches!(answer.await.unwrap(), Err(Refused::NothingHeld(_))));
    assert!(matches!(bench.judge(Verdict::Confirm, at(4)).await, Err(Refused::Invalid(_))));

    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    bench.list(&all, at(0)).await.unwrap();
    all.iter_mut().for_each(|person| person.groups = vec!["new".into()]);
    bench.page(1, &all, at(1)).await.unwrap();
    let end = Observation::ListingEnd { source: "hr".into(), listing: 1, at: at(1).wall, count: None, verify: false };
    let answer = bench.put(Command::Observe(end), at(1)).await;
    bench.goes_back(at(2)).await;
    assert!(answer.await.unwrap().unwrap().more);
    assert!(matches!(bench.swept(1, None, false, at(3)).await, Err(Refused::Void { .. })));
    let named = |bench: &Bench| {
        let state = bench.published.snapshot();
        state.fold.people.iter().filter(|known| !known.person.groups.is_empty()).count()
    };
    assert_eq!(named(&bench), 1_000);
    // One that only began before is held at its end.
    bench.page(2, &all[..5], at(4)).await.unwrap();
    bench.goes_back(at(5)).await;
    bench.page(2, &all[5..], at(6)).await.unwrap();
    let refused = bench.swept(2, None, true, at(7)).await.unwrap_err();
    assert!(matches!(refused, Refused::Guarded { missing: 0, memberships: 0, .. }), "{refused}");
    assert_eq!(named(&bench), 1_000);
}
