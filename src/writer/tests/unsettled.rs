//! What becomes of what the log never answered: it stands once, or not at all, and whoever asked can find out.

use std::sync::atomic::Ordering;

use super::*;

/// The next `appends` go unanswered; `taken`: the log has them all the same.
fn deaf(bench: &Bench, appends: usize, taken: bool) {
    bench.log.unanswered_lost.store(!taken, Ordering::Release);
    bench.log.unanswered.store(appends, Ordering::Release);
}

fn live(bench: &Bench) -> usize {
    bench.published.load().fold.live(TargetKind::Session)
}

async fn made(bench: &Bench) -> usize {
    let (made, _) = bench.log.revocations(Position::MAX, 1_000).await.unwrap();
    made.len()
}

#[tokio::test]
async fn what_is_offered_again_stands_once() {
    for taken in [true, false] {
        let bench = Bench::start().await;
        deaf(&bench, 2, taken);
        let done = bench.revoke(session("s1"), at(1)).await.unwrap();
        assert!(done.revocation.is_some());
        assert_eq!((live(&bench), made(&bench).await), (1, 1), "taken the first time: {taken}");
        bench.folds_agree().await;
    }
}

#[tokio::test]
async fn whoever_asked_hears_that_the_outcome_is_unknown_and_can_ask() {
    for taken in [true, false] {
        let bench = Bench::start().await;
        deaf(&bench, usize::MAX, taken);
        let Err(Refused::Unknown { key }) = bench.revoke(session("s1"), at(1)).await else { panic!("taken: {taken}") };
        assert!(taken || live(&bench) == 0, "nothing is in force that the log does not hold");
        let refused = bench.revoke(session("s2"), at(2)).await;
        assert!(matches!(refused, Err(Refused::Log(_))), "nothing is planned meanwhile: {refused:?}");
        deaf(&bench, 0, true);
        bench.writer.ask(Command::Tick, at(3)).await.unwrap();
        assert_eq!((live(&bench), made(&bench).await), (1, 1), "it came to stand, once");
        assert!(bench.log.find(&key).await.unwrap().is_some(), "and so says the log under its key");
        bench.folds_agree().await;
    }
}

#[tokio::test]
async fn where_others_were_first_it_is_planned_anew_under_another_name() {
    let bench = Bench::start().await;
    let rival = Bench::over(Arc::clone(&bench.log), policy()).await;
    deaf(&bench, usize::MAX, false);
    let Err(Refused::Unknown { key }) = bench.revoke(session("s1"), at(1)).await else { panic!() };
    deaf(&bench, 0, true);
    rival.revoke(session("s2"), at(2)).await.unwrap();
    let again = bench.revoke(session("s1"), at(3)).await.unwrap();
    assert_eq!(bench.log.find(&key).await.unwrap(), None, "the first attempt stands nowhere");
    assert_ne!(again.revocation.unwrap().to_string(), key);
    assert_eq!((live(&bench), made(&bench).await), (2, 2));
    bench.folds_agree().await;
}

#[tokio::test]
async fn others_may_stand_behind_what_went_unanswered() {
    let bench = Bench::start().await;
    let rival = Bench::over(Arc::clone(&bench.log), policy()).await;
    deaf(&bench, usize::MAX, true);
    let Err(Refused::Unknown { key }) = bench.revoke(session("s1"), at(1)).await else { panic!() };
    deaf(&bench, 0, true);
    rival.revoke(session("s2"), at(2)).await.unwrap();
    bench.revoke(session("s3"), at(3)).await.unwrap();
    assert!(bench.log.find(&key).await.unwrap().is_some());
    assert_eq!((live(&bench), made(&bench).await), (3, 3), "each once");
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_listing_in_steps_goes_on_where_a_step_went_unanswered() {
    for taken in [true, false] {
        let bench = Bench::start().await;
        let people: Vec<Person> = (0..2_500).map(|number| person(&format!("p{number}"), Status::Active)).collect();
        let all: Vec<Person> =
            [person("alice", Status::Active), person("bob", Status::Active)].into_iter().chain(people).collect();
        deaf(&bench, 2, taken);
        bench.list(&all, at(5)).await.unwrap();
        assert_eq!(bench.published.load().fold.people.len(), 2_502);
        bench.folds_agree().await;
    }
}

/// Law 5: a copy of the log may lag behind what it is a copy of.
#[tokio::test]
async fn nothing_is_acknowledged_before_it_was_read_back() {
    let bench = Bench::start().await;
    deaf(&bench, 1, true);
    bench.log.lags.store(true, Ordering::Release);
    let asked = bench.revoke(session("s1"), at(1)).await;
    assert_eq!(live(&bench), 0, "it is not in force");
    let Err(Refused::Unknown { key }) = asked else { panic!("{asked:?}") };
    bench.log.lags.store(false, Ordering::Release);
    bench.writer.ask(Command::Tick, at(2)).await.unwrap();
    assert_eq!((live(&bench), made(&bench).await), (1, 1));
    assert!(bench.log.find(&key).await.unwrap().is_some());
}

/// It stands in the log: nobody may hear that nothing was changed.
#[tokio::test]
async fn what_was_appended_and_cannot_be_read_has_no_known_outcome() {
    let bench = Bench::start().await;
    bench.log.leaves_out.store(true, Ordering::Release);
    let asked = bench.revoke(session("s1"), at(2)).await;
    let Err(Refused::Unknown { key }) = asked else { panic!("{asked:?}") };
    let refused = bench.writer.ask(Command::Tick, at(3)).await;
    assert!(matches!(refused, Err(Refused::Log(_))), "nothing goes on behind what was not read: {refused:?}");
    bench.log.leaves_out.store(false, Ordering::Release);
    bench.writer.ask(Command::Tick, at(4)).await.unwrap();
    assert!(bench.log.find(&key).await.unwrap().is_some());
    assert_eq!((live(&bench), made(&bench).await), (1, 1), "in force without anything new");
    bench.folds_agree().await;
}

/// Law 11's exception: whoever has to go must not stay because an earlier outcome is unknown too.
#[tokio::test]
async fn whoever_leaves_is_out_also_where_the_store_goes_meanwhile() {
    for taken in [true, false] {
        let bench = Bench::start().await;
        deaf(&bench, usize::MAX, taken);
        let Err(Refused::Unknown { .. }) = bench.revoke(session("s9"), at(1)).await else { panic!() };
        bench.log.moved.store(true, Ordering::Release);
        let leaves = Observation::Change { person: person("alice", Status::Departed), at: None, event_id: None };
        let done = bench.writer.ask(Command::Observe(leaves), at(2)).await;
        assert_eq!(bench.ask("alice", at(1), at(3)), Reason::RevokedPerson, "{done:?}");
        assert!(done.unwrap().volatile);
        deaf(&bench, 0, true);
        bench.log.moved.store(false, Ordering::Release);
        bench.writer.ask(Command::Tick, at(4)).await.unwrap();
        assert_eq!((live(&bench), made(&bench).await), (1, 2), "both stand, once");
        assert_eq!(bench.ask("alice", at(1), at(5)), Reason::RevokedPerson);
        bench.folds_agree().await;
    }
}
