//! What comes while an accepted listing comes into force in steps is newer than it.

use super::listings::{in_group, many};
use super::*;
use crate::domain::command::Verdict;

fn page(listing: u64, people: &[Person]) -> Command {
    let (people, doubted, unread) = (people.iter().cloned().map(Arc::new).collect(), vec![], vec![]);
    Command::Observe(Observation::ListingPage { source: "hr".into(), listing, people, doubted, unread })
}

fn end(listing: u64, now: Now) -> Command {
    let (count, verify) = (None, false);
    Command::Observe(Observation::ListingEnd { source: "hr".into(), listing, at: now.wall, count, verify })
}

fn confirm() -> Command {
    judged(Verdict::Confirm)
}

fn judged(verdict: Verdict) -> Command {
    Command::Judge { source: "hr".into(), listing: None, verdict, actor: "ops".into() }
}

fn moved(people: &[Person]) -> Vec<Person> {
    let moved = |person: &Person| Person { email: Some(format!("{}@new.example", person.id.key)), ..person.clone() };
    people.iter().map(moved).collect()
}

fn counts(bench: &Bench) -> [usize; 3] {
    bench.published.load().fold.people.counts()["hr"]
}

#[tokio::test]
async fn what_a_newer_listing_says_an_older_one_does_not_undo() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(6_000);
    bench.list(&all, at(0)).await.unwrap();
    bench.page(1, &moved(&all)[5..], at(10)).await.unwrap();
    assert!(bench.swept(1, None, false, at(10)).await.unwrap().more);
    // A source that was replaced begins anew.
    let out: Vec<Person> =
        all[100..300].iter().map(|person| Person { status: Status::Suspended, ..person.clone() }).collect();
    bench.page(2, &out, at(11)).await.unwrap();
    assert_eq!(counts(&bench)[1], 200);
    while bench.swept(1, None, false, at(12)).await.is_ok_and(|done| done.more) {}
    assert_eq!(counts(&bench)[1], 200, "who left since stays out");
}

#[tokio::test]
async fn whom_an_older_listing_leaves_out_and_a_newer_one_names_is_there() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(6_000);
    bench.list(&all, at(0)).await.unwrap();
    bench.page(1, &moved(&all)[300..], at(10)).await.unwrap();
    let first = bench.put(end(1, at(10)), at(10)).await;
    let second = bench.put(page(2, &all[..300]), at(10)).await;
    assert!(first.await.unwrap().unwrap().more);
    second.await.unwrap().unwrap();
    while bench.swept(1, None, false, at(12)).await.is_ok_and(|done| done.more) {}
    bench.page(2, &all[300..], at(13)).await.unwrap();
    bench.swept(2, None, false, at(13)).await.unwrap();
    while bench.swept(2, None, false, at(13)).await.unwrap().more {}
    assert_eq!(counts(&bench), [6_000, 0, 0]);
}

#[tokio::test]
async fn an_older_listing_ends_nothing_of_the_newer_one_beside_it() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(60);
    bench.list(&all, at(0)).await.unwrap();
    bench.page(1, &all, at(1)).await.unwrap();
    let newer = bench.put(page(2, &all[..6]), at(2)).await;
    let older = bench.put(end(1, at(2)), at(2)).await;
    newer.await.unwrap().unwrap();
    assert!(matches!(older.await.unwrap(), Err(Refused::Void { .. })));
    bench.page(2, &all[6..], at(3)).await.unwrap();
    bench.swept(2, None, false, at(4)).await.unwrap();
    assert_eq!(counts(&bench), [60, 0, 0]);
    assert!(matches!(bench.page(1, &all[..6], at(5)).await, Err(Refused::Void { .. })), "nor begins behind it");
}

#[tokio::test]
async fn who_was_confirmed_to_be_missing_departs_although_their_group_is_deleted() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all: Vec<Person> = many(3_000).iter().map(|person| in_group(&person.id.key, "eng")).collect();
    bench.list(&all, at(0)).await.unwrap();
    bench.list(&all[..500], at(1)).await.unwrap_err();
    let confirmed = bench.put(confirm(), at(2)).await;
    let deleted = Observation::GroupDeleted { source: "hr".into(), group: "eng".into() };
    while bench.observe(deleted.clone(), at(2)).await.unwrap().more {}
    confirmed.await.unwrap().unwrap();
    assert_eq!(counts(&bench), [500, 0, 2_500]);
}

#[tokio::test]
async fn what_is_discarded_goes_on_no_more() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(6_000);
    bench.list(&all, at(0)).await.unwrap();
    bench.list(&all[..500], at(1)).await.unwrap_err();
    let confirmed = bench.put(confirm(), at(2)).await;
    bench.put(judged(Verdict::Discard), at(2)).await.await.unwrap().unwrap();
    assert!(matches!(confirmed.await.unwrap(), Err(Refused::NothingHeld(_))));
    for second in 3..20 {
        bench.writer.ask(Command::Tick, at(second)).await.unwrap();
    }
    assert_eq!(counts(&bench), [5_000, 0, 1_000]);
}

#[tokio::test]
async fn a_source_that_is_taken_out_has_no_more_say_in_the_middle_either() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(6_000);
    bench.list(&all, at(0)).await.unwrap();
    bench.page(1, &moved(&all), at(1)).await.unwrap();
    bench.put(end(1, at(2)), at(2)).await;
    let mut without = policy();
    without.sources.clear();
    bench.configure(without, at(2)).await.unwrap();
    let head = bench.log.head().await.unwrap();
    for second in 3..20 {
        bench.writer.ask(Command::Tick, at(second)).await.unwrap();
    }
    assert_eq!(bench.log.head().await.unwrap(), head);
}

#[tokio::test]
async fn what_was_confirmed_of_memberships_is_not_forgotten_in_the_middle() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all: Vec<Person> = many(3_000).iter().map(|person| in_group(&person.id.key, "eng")).collect();
    bench.list(&all, at(0)).await.unwrap();
    let next: Vec<Person> = all[..500].iter().cloned().chain(many(3_000).split_off(500)).collect();
    bench.list(&next, at(1)).await.unwrap_err();
    bench.writer.ask(confirm(), at(2)).await.unwrap();
    bench.page(1, &next, at(3)).await.unwrap();
    assert!(bench.swept(1, None, false, at(3)).await.unwrap().more);
    let log = Arc::clone(&bench.log);
    drop(bench);
    tokio::task::yield_now().await;
    let again = Bench::over(log, policy()).await;
    again.page(2, &next, at(4)).await.unwrap();
    again.swept(2, None, false, at(4)).await.unwrap();
    while again.swept(2, None, false, at(4)).await.unwrap().more {}
    again.folds_agree().await;
    assert_eq!(again.published.load().fold.feeds["hr"].confirmed, None, "and is used up once all of it is in force");
}

#[tokio::test]
async fn what_never_came_into_force_is_not_counted_by_a_listing_that_leaves_nothing_out() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(20_000);
    bench.list(&all, at(0)).await.unwrap();
    bench.page(1, &all[3_000..], at(1)).await.unwrap();
    assert!(bench.swept(1, None, false, at(1)).await.unwrap().more);
    let log = Arc::clone(&bench.log);
    drop(bench);
    tokio::task::yield_now().await;
    let again = Bench::over(log, policy()).await;
    let there: Vec<Person> =
        all.iter().filter(|person| again.status(&person.id.key) == Some(Status::Active)).cloned().collect();
    let gone = 20_000 - there.len();
    assert!(gone < 3_000, "{gone}");
    again.page(2, &there, at(2)).await.unwrap();
    again.swept(2, None, false, at(2)).await.unwrap();
    let left_out = again.published.load().fold.feeds["hr"].left_out_for_good().unwrap().1;
    assert_eq!(left_out.people, gone);
    again.folds_agree().await;
}
