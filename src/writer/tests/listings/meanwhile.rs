//! What happens while a listing is on its way, and what is no news by then.

use super::*;

#[tokio::test]
async fn who_was_missing_once_comes_back_with_the_record_that_never_changed() {
    let old = |number: usize| Person { changed: Some(at(1).wall), ..person(&format!("p{number:03}"), Status::Active) };
    let all: Vec<Person> = (0..40).map(old).collect();
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    bench.list(&all, at(100)).await.unwrap();
    bench.list(&all[1..], at(200)).await.unwrap();
    assert_eq!(bench.status("p000"), Some(Status::Departed));
    bench.list(&all, at(300)).await.unwrap();
    assert_eq!(bench.status("p000"), Some(Status::Active));
    bench.list(&all[..20], at(400)).await.unwrap_err();
    bench.judge(Verdict::Confirm, at(401)).await.unwrap();
    assert_eq!(bench.published.load().fold.people.counts()["hr"], [20, 0, 20]);
    bench.list(&all, at(500)).await.unwrap();
    assert_eq!(bench.published.load().fold.people.counts()["hr"], [40, 0, 0], "it was confirmed wrongly");
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_new_cursor_alone_makes_nothing_older() {
    let bench = Bench::start().await;
    let heard = |at, cursor: &str| Observation::Heartbeat { source: "hr".into(), at, cursor: Some(cursor.into()) };
    bench.observe(heard(at(1_000).wall, "a"), at(1_000)).await.unwrap();
    bench.observe(heard(crate::domain::time::Timestamp::MIN, "b"), at(999)).await.unwrap();
    let state = bench.published.snapshot();
    assert_eq!(state.fold.sources["hr"].last_heard, at(1_000).wall, "the clock stepped back a second");
    assert_eq!(state.fold.feeds["hr"].cursor.as_deref(), Some("b"));
}

#[tokio::test]
async fn who_is_deleted_during_a_listing_is_no_row_of_it() {
    let bench = Bench::start().await;
    bench.page(1, &[], at(1)).await.unwrap();
    bench.observe(Observation::Deleted { person: id("bob"), at: None }, at(2)).await.unwrap();
    bench.page(1, &[person("alice", Status::Active)], at(3)).await.unwrap();
    assert!(!bench.swept(1, Some(1), true, at(4)).await.unwrap().more);
    assert_eq!((bench.status("alice"), bench.status("bob")), (Some(Status::Active), Some(Status::Departed)));
}

#[tokio::test]
async fn a_piece_of_an_older_listing_does_not_begin_the_newer_anew() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    bench.list(&many(60), at(0)).await.unwrap();
    bench.page(8, &many(60)[..9], at(1)).await.unwrap();
    assert!(matches!(bench.page(7, &many(60)[..1], at(2)).await, Err(Refused::Void { .. })));
    bench.page(8, &many(60)[9..], at(3)).await.unwrap();
    bench.swept(8, Some(60), false, at(4)).await.unwrap();
    assert_eq!(bench.published.load().fold.people.counts()["hr"], [60, 0, 0]);
}

#[tokio::test]
async fn who_is_seen_while_a_listing_comes_into_force_does_not_depart_by_it() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(2_500);
    bench.list(&all, at(0)).await.unwrap();
    let moved = |person: &Person| Person { email: Some(format!("{}@new.example", person.id.key)), ..person.clone() };
    let next: Vec<Person> = all.iter().skip(1).map(moved).collect();
    bench.page(2, &next, at(10)).await.unwrap();
    assert!(bench.swept(2, None, false, at(10)).await.unwrap().more);
    let seen = Observation::Change { person: all[0].clone(), at: Some(at(11).wall), event_id: None };
    bench.observe(seen, at(11)).await.unwrap();
    while bench.swept(2, None, false, at(12)).await.unwrap().more {}
    assert_eq!(bench.status("p000"), Some(Status::Active));
}

#[tokio::test]
async fn the_first_listing_gives_nothing_back_that_an_event_took() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    bench.page(1, &[], at(1)).await.unwrap();
    let told = Observation::Change { person: person("alice", Status::Suspended), at: None, event_id: None };
    bench.observe(told, at(2)).await.unwrap();
    bench.page(1, &[person("alice", Status::Active), person("bob", Status::Active)], at(3)).await.unwrap();
    bench.swept(1, Some(2), true, at(4)).await.unwrap();
    assert_eq!(bench.status("alice"), Some(Status::Suspended), "the page is from before");
}

#[tokio::test]
async fn whom_another_list_leaves_out_the_guard_judges() {
    let out = |people: Vec<Person>| people.into_iter().map(|person| Person { status: Status::Suspended, ..person });
    let doubted = |listing, people| Observation::ListingPage {
        source: "hr".into(),
        listing,
        people: vec![],
        doubted: people,
        unread: vec![],
    };
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    bench.page(1, &many(30)[1..], at(0)).await.unwrap();
    bench.observe(doubted(1, out(many(1)).collect()), at(0)).await.unwrap();
    bench.swept(1, None, true, at(0)).await.unwrap();
    assert_eq!(bench.status("p000"), Some(Status::Suspended), "nobody knew them: nothing is taken from them");
    // All at once, and then one.
    bench.observe(doubted(2, out(many(30)).collect()), at(1)).await.unwrap();
    assert!(matches!(bench.swept(2, None, true, at(1)).await, Err(Refused::Guarded { missing: 29, .. })));
    assert_eq!(bench.published.load().fold.people.counts()["hr"], [29, 1, 0], "nothing is believed of that");
    bench.page(3, &many(30)[2..], at(2)).await.unwrap();
    bench.observe(doubted(3, out(many(2)).collect()), at(2)).await.unwrap();
    assert_eq!(
        bench.swept(3, None, true, at(2)).await.unwrap().persons,
        [id("p001")],
        "who is out anyway is not asked"
    );
    bench.page(3, &out(many(2)).collect::<Vec<_>>()[1..], at(2)).await.unwrap();
    bench.swept(3, None, false, at(2)).await.unwrap();
    assert_eq!(bench.published.load().fold.people.counts()["hr"], [28, 2, 0]);
    bench.folds_agree().await;
}
