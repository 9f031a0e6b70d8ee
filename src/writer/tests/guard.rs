//! The guard over several listings, groups that become empty, and what operators say to it.

use super::listings::{id, in_group, many};
use super::*;
use crate::domain::command::Verdict;
use crate::domain::event::Event;
use crate::domain::guard::HeldListingUpdate;
use crate::log::Log as _;

const DAY: i64 = 86_400;

/// `count` people, the first ones in a group each.
fn grouped(count: usize, of: &[(&str, usize)]) -> Vec<Person> {
    let mut people = many(count);
    let mut each = people.iter_mut();
    for (group, members) in of {
        for person in each.by_ref().take(*members) {
            person.groups = vec![(*group).to_owned()];
        }
    }
    people
}

impl Bench {
    fn people(&self) -> [usize; 3] {
        self.published.load().fold.people.counts()["hr"]
    }

    fn members(&self, group: &str) -> usize {
        let state = self.published.snapshot();
        state.fold.people.iter().filter(|known| known.person.groups.iter().any(|name| name == group)).count()
    }
}

#[tokio::test]
async fn a_few_less_with_every_listing_are_many_in_the_end() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(100);
    bench.list(&all, at(0)).await.unwrap();
    bench.list(&all[9..], at(900)).await.unwrap();
    bench.list(&all[18..], at(1_800)).await.unwrap();
    let held = bench.list(&all[27..], at(2_700)).await.unwrap_err();
    let text = "listing of source `hr` is held back: 9 of 82 known people and 0 memberships are missing from it, beside 18 people \
                and 0 memberships that listings left out since ";
    assert!(held.to_string().starts_with(text), "{held}");
    assert_eq!(bench.people(), [82, 0, 18]);
    bench.list(&all[18..], at(3_600)).await.unwrap();
    bench.folds_agree().await;
    // A day after the first of them it is a new count.
    bench.list(&all[27..], at(2 * DAY)).await.unwrap();
    bench.list(&all[36..], at(2 * DAY + 900)).await.unwrap_err();
    // Somebody looked at it, and it is right.
    bench.judge(Verdict::Confirm, at(2 * DAY + 1_000)).await.unwrap();
    assert_eq!(bench.people(), [64, 0, 36]);
    bench.list(&all[45..], at(2 * DAY + 1_800)).await.unwrap();
    bench.folds_agree().await;
}

#[tokio::test]
async fn what_was_announced_does_not_count_afterwards() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(100);
    bench.list(&all, at(0)).await.unwrap();
    let announced = Command::Expect { source: "hr".into(), share: 5_000, until: at(1_000).wall, actor: "ops".into() };
    bench.writer.ask(announced, at(1)).await.unwrap();
    bench.list(&all[40..], at(900)).await.unwrap();
    bench.list(&all[45..], at(1_800)).await.unwrap();
    assert_eq!(bench.people(), [55, 0, 45]);
}

#[tokio::test]
async fn memberships_are_added_up_too() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    bench.list(&grouped(100, &[("eng", 60)]), at(0)).await.unwrap();
    bench.list(&grouped(100, &[("eng", 51)]), at(900)).await.unwrap();
    bench.list(&grouped(100, &[("eng", 42)]), at(1_800)).await.unwrap_err();
    assert_eq!(bench.members("eng"), 51);
}

#[tokio::test]
async fn a_group_that_becomes_empty_is_looked_at() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    bench.list(&grouped(60, &[("eng", 50), ("admins", 3), ("one", 1)]), at(0)).await.unwrap();
    let without = grouped(60, &[("eng", 50)]);
    bench.page(1, &without, at(1)).await.unwrap();
    let asked = bench.swept(1, None, true, at(1)).await.unwrap().persons;
    assert_eq!(asked, [id("p050"), id("p051"), id("p052")], "who was in it is looked up; one alone may have moved");
    assert_eq!(bench.members("admins"), 3);
    // The page had not all of it.
    bench.page(1, &[in_group("p051", "admins")], at(1)).await.unwrap();
    bench.swept(1, None, false, at(1)).await.unwrap();
    assert_eq!((bench.members("admins"), bench.members("one")), (1, 0));
    // And it really has nobody left.
    bench.list(&grouped(60, &[("eng", 50), ("admins", 3)]), at(2)).await.unwrap();
    bench.page(2, &without, at(3)).await.unwrap();
    bench.swept(2, None, true, at(3)).await.unwrap();
    bench.page(2, &without[50..53], at(3)).await.unwrap();
    bench.swept(2, None, false, at(3)).await.unwrap();
    assert_eq!(bench.members("admins"), 0);
}

#[tokio::test]
async fn a_group_of_many_that_becomes_empty_is_held_back_however_large_the_company() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    bench.list(&grouped(200, &[("eng", 150), ("admins", 12)]), at(0)).await.unwrap();
    let without = grouped(200, &[("eng", 150)]);
    let held = bench.list(&without, at(1)).await.unwrap_err();
    assert!(matches!(held, Refused::Guarded { missing: 0, memberships: 12, .. }), "{held}");
    assert!(
        held.to_string().contains("missing from it, group `admins` would be empty; `offboard source show hr`"),
        "{held}"
    );
    let emptied = bench.published.snapshot().fold.feeds["hr"].held.as_ref().unwrap().emptied.clone();
    assert_eq!(emptied, ["admins"]);
    bench.judge(Verdict::Confirm, at(2)).await.unwrap();
    bench.list(&without, at(3)).await.unwrap();
    assert_eq!(bench.members("admins"), 0);
    // That group was meant, and no other.
    bench.list(&grouped(200, &[("eng", 150), ("ops", 12)]), at(4)).await.unwrap();
    bench.list(&without, at(5)).await.unwrap_err();
    // With one left it is none that became empty.
    bench.list(&grouped(200, &[("eng", 150), ("ops", 12), ("dev", 12)]), at(6)).await.unwrap();
    bench.list(&grouped(200, &[("eng", 150), ("ops", 12), ("dev", 1)]), at(7)).await.unwrap();
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_group_that_is_called_otherwise_has_lost_nobody() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    bench.list(&grouped(100, &[("eng", 60), ("ops", 12)]), at(0)).await.unwrap();
    bench.list(&grouped(100, &[("engineering", 60), ("ops", 12)]), at(1)).await.unwrap();
    assert_eq!((bench.members("eng"), bench.members("engineering")), (0, 60));
    // Into one that there was is no new name.
    let held = bench.list(&grouped(100, &[("engineering", 72)]), at(2)).await.unwrap_err();
    assert!(matches!(held, Refused::Guarded { missing: 0, memberships: 12, .. }), "{held}");
    // Nor is one that only some of them came into.
    let mut some = grouped(100, &[("engineering", 60), ("operations", 12)]);
    some[71].groups.clear();
    bench.list(&some, at(3)).await.unwrap_err();
    bench.list(&grouped(100, &[("engineering", 60), ("operations", 12)]), at(4)).await.unwrap();
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_verdict_comes_into_force_in_steps_and_means_one_listing() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(4_000);
    bench.list(&all, at(0)).await.unwrap();
    bench.list(&all[2_500..], at(100)).await.unwrap_err();
    let confirm = |listing: Option<Now>| Command::Judge {
        source: "hr".into(),
        listing: listing.map(|listing| listing.wall),
        verdict: Verdict::Confirm,
        actor: "ops".into(),
    };
    assert!(matches!(bench.writer.ask(confirm(Some(at(99))), at(101)).await, Err(Refused::Invalid(_))), "another one");
    let answer = bench.put(confirm(Some(at(100))), at(101)).await;
    // One that comes between two steps is another, and changes nothing in what was judged.
    bench.list(&all[3_900..], at(101)).await.unwrap_err();
    let left = bench.people()[2];
    assert!((1_000..2_500).contains(&left), "others wait no longer than a step takes: {left}");
    let done = answer.await.unwrap().unwrap();
    assert_eq!((done.persons.len(), done.more), (2_500, false), "the operator hears once all of them are out");
    assert_eq!(bench.people(), [1_500, 0, 2_500]);
    assert!(matches!(bench.writer.ask(confirm(None), at(102)).await, Err(Refused::NothingHeld(_))));
    bench.folds_agree().await;
}

#[tokio::test]
async fn what_is_held_back_is_written_down_once() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(100);
    bench.list(&all, at(0)).await.unwrap();
    bench.list(&all[50..], at(100)).await.unwrap_err();
    bench.list(&all[50..], at(200)).await.unwrap_err();
    bench.list(&[&all[51..], &all[..1]].concat(), at(300)).await.unwrap_err();
    let events = bench.log.read(0, 1_000).await.unwrap();
    let held = events.iter().filter(|recorded| matches!(recorded.new.event, Event::ListingHeld(_))).count();
    assert_eq!(held, 1);
    let on: Vec<&HeldListingUpdate> = events
        .iter()
        .filter_map(|recorded| if let Event::ListingHeldUpdated(on) = &recorded.new.event { Some(on) } else { None })
        .collect();
    assert_eq!(on.len(), 1, "the second was the same");
    assert_eq!((&on[0].more, &on[0].back, on[0].missing), (&vec!["p050".into()], &vec!["p000".into()], 50));
    let missing = bench.published.snapshot().fold.feeds["hr"].held.as_ref().unwrap().missing.clone();
    assert_eq!((missing.len(), missing[0].as_str(), missing[49].as_str()), (50, "p001", "p050"));
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_group_that_an_event_says_is_no_more_has_nobody_at_once() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    bench.list(&grouped(2_500, &[("eng", 2_100)]), at(0)).await.unwrap();
    // A listing that is on its way is older, for whom it concerns.
    bench.page(1, &grouped(2_500, &[("eng", 2_100)])[..1_000], at(1)).await.unwrap();
    let dissolved = || Observation::GroupDeleted { source: "hr".into(), group: "eng".into() };
    let mut steps = 1;
    while bench.observe(dissolved(), at(2)).await.unwrap().more {
        steps += 1;
        assert!(bench.members("eng") == 2_100 - 1_000 * (steps - 1), "others wait no longer than that takes");
    }
    assert_eq!((steps, bench.members("eng")), (3, 0));
    bench.page(1, &grouped(2_500, &[("eng", 2_100)])[1_000..], at(3)).await.unwrap();
    bench.swept(1, Some(2_500), false, at(3)).await.unwrap();
    assert_eq!(bench.members("eng"), 0);
    bench.folds_agree().await;
}

#[tokio::test]
async fn what_was_confirmed_counts_once_and_for_nothing_else() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = grouped(100, &[("eng", 50), ("ops", 50)]);
    bench.list(&all, at(0)).await.unwrap();
    // People and memberships at once, and one more membership by the time that it was confirmed.
    let mut fewer = grouped(100, &[("eng", 50), ("ops", 10)]);
    fewer.truncate(75);
    bench.list(&fewer, at(10)).await.unwrap_err();
    bench.judge(Verdict::Confirm, at(11)).await.unwrap();
    fewer[59].groups.clear();
    bench.list(&fewer, at(20)).await.unwrap();
    assert_eq!((bench.people(), bench.members("ops")), ([75, 0, 25], 9));
    // It was used up by that, and counts no more.
    fewer[58].groups.clear();
    bench.list(&fewer, at(30)).await.unwrap();
    fewer[..40].iter_mut().for_each(|person| person.groups.clear());
    bench.list(&fewer, at(40)).await.unwrap_err();
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_clock_that_was_ahead_ends_the_day_too() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(100);
    bench.list(&all, at(0)).await.unwrap();
    bench.list(&all[15..], at(365 * DAY)).await.unwrap();
    bench.list(&all[25..], at(900)).await.unwrap();
    assert_eq!(bench.people(), [75, 0, 25]);
}

#[tokio::test]
async fn departures_that_were_announced_leave_no_group_empty() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    bench.list(&grouped(200, &[("eng", 150), ("admins", 12)]), at(0)).await.unwrap();
    let announced =
        Command::Expect { source: "hr".into(), share: 3_000, until: at(1_000_000).wall, actor: "ops".into() };
    bench.writer.ask(announced, at(0)).await.unwrap();
    bench.list(&grouped(200, &[("eng", 150)]), at(1)).await.unwrap_err();
    assert_eq!(bench.members("admins"), 12);
}

#[tokio::test]
async fn whoever_confirms_does_not_mean_somebody_who_was_seen_since() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(100);
    bench.list(&all, at(0)).await.unwrap();
    bench.list(&all[50..], at(100)).await.unwrap_err();
    let seen = Observation::Change { person: all[7].clone(), at: None, event_id: None };
    bench.observe(seen, at(200)).await.unwrap();
    assert_eq!(bench.judge(Verdict::Confirm, at(300)).await.unwrap().persons.len(), 49);
    assert_eq!((bench.people(), bench.status("p007")), ([51, 0, 49], Some(Status::Active)));
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_verdict_that_was_broken_off_means_nobody_later() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(4_000);
    bench.list(&all, at(0)).await.unwrap();
    bench.list(&all[2_500..], at(100)).await.unwrap_err();
    let confirm = || Command::Judge {
        source: "hr".into(),
        listing: Some(at(100).wall),
        verdict: Verdict::Confirm,
        actor: "ops".into(),
    };
    let answer = bench.put(confirm(), at(101)).await;
    // Somebody of them is seen; then a listing is in order, and nobody is to be judged any more.
    let seen = Observation::Change { person: all[2_400].clone(), at: None, event_id: None };
    let seen = bench.put(Command::Observe(seen), at(102)).await;
    bench.list(&all, at(200)).await.unwrap();
    seen.await.unwrap().unwrap();
    assert!(matches!(answer.await.unwrap(), Err(Refused::NothingHeld(_))));
    assert!(matches!(bench.writer.ask(confirm(), at(300)).await, Err(Refused::NothingHeld(_))));
    assert_eq!(bench.people(), [4_000, 0, 0]);
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_verdict_does_not_mean_whom_an_event_names_while_it_comes_into_force() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(4_000);
    bench.list(&all, at(0)).await.unwrap();
    bench.list(&all[2_500..], at(100)).await.unwrap_err();
    let confirm = Command::Judge { source: "hr".into(), listing: None, verdict: Verdict::Confirm, actor: "ops".into() };
    let answer = bench.put(confirm, at(101)).await;
    let seen = Observation::Change { person: all[2_400].clone(), at: None, event_id: None };
    bench.observe(seen, at(102)).await.unwrap();
    assert_eq!(answer.await.unwrap().unwrap().persons.len(), 2_499);
    assert_eq!((bench.status("p2400"), bench.people()), (Some(Status::Active), [1_501, 0, 2_499]));
    bench.folds_agree().await;
}

#[tokio::test]
async fn one_new_group_for_everybody_is_no_new_name_of_each() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    bench.list(&grouped(500, &[("eng", 200), ("ops", 100), ("admins", 20), ("sales", 180)]), at(0)).await.unwrap();
    bench.list(&grouped(500, &[("all-staff", 500)]), at(1)).await.unwrap_err();
    assert_eq!((bench.members("eng"), bench.members("admins")), (200, 20));
}

#[tokio::test]
async fn a_listing_of_many_who_cannot_be_read_is_none() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(100);
    bench.list(&all, at(0)).await.unwrap();
    let unread = |listing, count: usize| Observation::ListingPage {
        source: "hr".into(),
        listing,
        people: all[count..].iter().cloned().map(Arc::new).collect(),
        doubted: vec![],
        unread: all[..count].iter().map(|person| person.id.clone()).collect(),
    };
    bench.observe(unread(1, 40), at(10)).await.unwrap();
    let void = bench.swept(1, Some(100), true, at(10)).await.unwrap_err();
    let text = "listing of source `hr` is void: 40 of 100 people cannot be read; grant offboard the missing permission";
    assert_eq!(void.to_string(), text);
    bench.observe(unread(2, 5), at(20)).await.unwrap();
    bench.swept(2, Some(100), true, at(20)).await.unwrap();
    assert_eq!(bench.people(), [100, 0, 0], "some stay as they are known");
}
