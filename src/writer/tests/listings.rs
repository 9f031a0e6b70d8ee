//! Listings in pieces, the guard, and what is late.

mod meanwhile;

use super::*;
use crate::domain::command::{Answer, Verdict};
use crate::domain::event::Event;
use crate::domain::person::PersonId;

pub(super) fn id(key: &str) -> PersonId {
    PersonId { source: "hr".into(), key: key.into() }
}

pub(super) fn many(count: usize) -> Vec<Person> {
    (0..count).map(|number| person(&format!("p{number:03}"), Status::Active)).collect()
}

pub(super) fn in_group(key: &str, group: &str) -> Person {
    Person { groups: vec![group.into()], ..person(key, Status::Active) }
}

impl Bench {
    pub(super) async fn observe(&self, observation: Observation, now: Now) -> Result<Done, Refused> {
        self.writer.ask(Command::Observe(observation), now).await
    }

    /// Asks behind what was asked before, without waiting: the writer takes both in at once.
    pub(super) async fn put(&self, command: Command, now: Now) -> Answer {
        self.writer.put(command, now).await.unwrap()
    }

    pub(super) async fn page(&self, listing: u64, people: &[Person], now: Now) -> Result<Done, Refused> {
        self.observe(
            Observation::ListingPage {
                source: "hr".into(),
                listing,
                people: people.iter().cloned().map(Arc::new).collect(),
                doubted: vec![],
                unread: vec![],
            },
            now,
        )
        .await
    }

    pub(super) async fn swept(
        &self,
        listing: u64,
        count: Option<usize>,
        verify: bool,
        now: Now,
    ) -> Result<Done, Refused> {
        self.observe(Observation::ListingEnd { source: "hr".into(), listing, at: now.wall, count, verify }, now).await
    }

    pub(super) async fn judge(&self, verdict: Verdict, now: Now) -> Result<Done, Refused> {
        self.writer.ask(Command::Judge { source: "hr".into(), listing: None, verdict, actor: "ops".into() }, now).await
    }

    pub(super) fn status(&self, key: &str) -> Option<Status> {
        let state = self.published.snapshot();
        state.fold.people.find(&self.keyer, &id(key)).map(|known| known.person.status)
    }

    fn held(&self) -> Option<usize> {
        let state = self.published.snapshot();
        state.fold.feeds.get("hr").and_then(|feed| feed.held.as_ref().map(|held| held.missing.len()))
    }
}

#[tokio::test]
async fn an_empty_listing_is_held_back_even_the_first() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    assert!(matches!(bench.list(&[], at(0)).await, Err(Refused::Guarded { missing: 0, known: 0, .. })));
    assert!(!bench.published.load().fold.sources.contains_key("hr"), "it is no sync");

    let bench = Bench::start().await;
    assert!(matches!(bench.list(&[], at(5)).await, Err(Refused::Guarded { missing: 2, known: 2, .. })));
    assert_eq!(bench.ask("alice", at(1), at(6)), Reason::Allowed);
    assert!(bench.list(&[person("carol", Status::Suspended)], at(7)).await.is_err());
    let shown = bench.published.snapshot();
    assert!(shown.fold.sources.get("hr").is_some_and(|source| source.last_synced == at(0).wall), "and is no sync");
    bench.folds_agree().await;
}

#[tokio::test]
async fn what_is_not_whole_yet_says_only_who_is_out() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let ann = Person { email: Some("ann@example.com".into()), ..in_group("ann", "ops") };
    let away = person("bea", Status::Suspended);
    bench.list(&[ann.clone(), away.clone(), person("cy", Status::Active)], at(0)).await.unwrap();
    let epoch = || bench.published.load().fold.epoch;
    let out = |key: &str, status| Observation::PartialDisable { person: id(key), status };
    let before = epoch();
    for (key, status) in [("stranger", Status::Departed), ("bea", Status::Departed), ("cy", Status::Active)] {
        bench.observe(out(key, status), at(1)).await.unwrap();
    }
    bench.observe(out("bea", Status::Active), at(1)).await.unwrap();
    assert_eq!(epoch(), before, "nobody comes, and no block ends");
    bench.observe(out("ann", Status::Departed), at(2)).await.unwrap();
    assert_eq!(bench.ask("ann", at(1), at(2)), Reason::RevokedPerson);
    let state = bench.published.snapshot();
    let known = Person::clone(&state.fold.people.find(&bench.keyer, &id("ann")).unwrap().person);
    assert_eq!(known, Person { status: Status::Departed, ..ann }, "no group and no identifier goes");
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_listing_in_pieces_comes_into_force_step_by_step() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(2_500);
    for piece in all.chunks(600) {
        bench.page(1, piece, at(0)).await.unwrap();
    }
    assert!(!bench.swept(1, Some(2_500), true, at(0)).await.unwrap().more);
    assert_eq!(bench.published.load().fold.people.counts()["hr"], [2_500, 0, 0]);

    // Half a year later everybody has another address, and one has left.
    let moved = |person: &Person| Person { email: Some(format!("{}@new.example", person.id.key)), ..person.clone() };
    let next: Vec<Person> = all.iter().skip(1).map(moved).collect();
    for piece in next.chunks(600) {
        bench.page(2, piece, at(10)).await.unwrap();
    }
    let first = bench.swept(2, None, true, at(10)).await.unwrap();
    assert_eq!(first.persons, [id("p000")], "who is missing is looked up first");
    assert_eq!(bench.status("p000"), Some(Status::Active));
    assert!(bench.swept(2, None, false, at(10)).await.unwrap().more, "2,500 records in steps of 1,000");
    let moved = |bench: &Bench| {
        let state = bench.published.snapshot();
        state.fold.people.iter().filter(|known| known.person.email.as_ref().unwrap().contains("new")).count()
    };
    assert!((1_000..2_499).contains(&moved(&bench)), "others get their turn: {}", moved(&bench));
    while bench.swept(2, None, false, at(10)).await.unwrap().more {}
    assert_eq!(moved(&bench), 2_499);
    let events = bench.log.read(0, 20_000).await.unwrap();
    let place = |is_it: &dyn Fn(&Event) -> bool| events.iter().rposition(|recorded| is_it(&recorded.new.event));
    let accepted = place(&|event| matches!(event, Event::ListingAccepted { left_out, .. } if left_out.people == 1));
    let gone = place(&|event| matches!(event, Event::Person(person) if person.status == Status::Departed));
    let synced = place(&|event| matches!(event, Event::Synced { left_out, .. } if left_out.is_nothing()));
    assert!(accepted < gone && gone < synced, "{accepted:?} {gone:?} {synced:?}");
    assert_eq!(bench.published.snapshot().fold.feeds["hr"].left_out_for_good().unwrap().1.people, 1, "counted once");
    assert_eq!(bench.status("p000"), Some(Status::Departed));
    assert!(bench.published.load().fold.people.iter().all(|known| {
        known.person.status == Status::Departed || known.person.email.as_ref().unwrap().ends_with("@new.example")
    }));
    assert!(!bench.swept(2, None, false, at(11)).await.unwrap().more, "whoever asks once more hears that it is over");
    let late = bench.page(2, &next[..1], at(12)).await;
    assert!(matches!(late, Err(Refused::Void { .. })), "and nothing comes behind it: {late:?}");
    bench.folds_agree().await;
}

#[tokio::test]
async fn rows_that_do_not_match_the_count_are_no_listing() {
    let bench = Bench::start().await;
    bench.page(1, &[person("alice", Status::Active), person("alice", Status::Active)], at(5)).await.unwrap();
    let refused = bench.swept(1, Some(2), false, at(5)).await.unwrap_err();
    assert_eq!(refused.to_string(), "listing of source `hr` is void: it has 1 people but the provider counts 2");
    assert_eq!(bench.status("bob"), Some(Status::Active));
    assert!(matches!(bench.swept(1, None, false, at(6)).await, Err(Refused::Void { .. })), "nothing of it is left");
}

#[tokio::test]
async fn a_listing_of_some_is_newer_than_the_pieces_before_it() {
    let bench = Bench::start().await;
    let renamed = Person { email: Some("a@example.com".into()), ..person("alice", Status::Active) };
    bench.page(1, &[renamed, person("bob", Status::Active)], at(5)).await.unwrap();
    let people = vec![person("alice", Status::Suspended)];
    let disabled = Observation::Listing { source: "hr".into(), people, complete: false, at: at(6).wall };
    bench.observe(disabled, at(6)).await.unwrap();
    bench.swept(1, None, false, at(7)).await.unwrap();
    assert_eq!(bench.status("alice"), Some(Status::Suspended), "the piece was read before");
    bench.folds_agree().await;
}

#[tokio::test]
async fn what_became_known_meanwhile_is_newer_than_the_listing() {
    let bench = Bench::start().await;
    let renamed = Person { email: Some("a@example.com".into()), ..person("alice", Status::Active) };
    bench.page(1, &[renamed, in_group("bob", "x")], at(5)).await.unwrap();
    let event = |person| Observation::Change { person, at: None, event_id: None };
    bench.observe(event(person("alice", Status::Suspended)), at(6)).await.unwrap();
    bench.observe(Observation::Deleted { person: id("bob"), at: None }, at(6)).await.unwrap();
    bench.observe(event(person("carol", Status::Active)), at(6)).await.unwrap();
    assert!(!bench.swept(1, None, false, at(7)).await.unwrap().more);
    let found = ["alice", "bob", "carol"].map(|key| bench.status(key));
    assert_eq!(found, [Some(Status::Suspended), Some(Status::Departed), Some(Status::Active)]);
}

#[tokio::test]
async fn an_operator_confirms_discards_or_announces() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let all = many(60);
    bench.list(&all, at(0)).await.unwrap();
    let (stay, left) = all.split_at(40);
    let disabled = Person { status: Status::Suspended, ..stay[0].clone() };
    let listing = [&[disabled], &stay[1..]].concat();
    let refused = bench.list(&listing, at(5)).await.unwrap_err();
    assert!(matches!(refused, Refused::Guarded { missing: 20, known: 60, .. }), "{refused}");
    assert_eq!(bench.status("p000"), Some(Status::Suspended), "an explicit word counts");
    assert_eq!((bench.status(&left[0].id.key), bench.held()), (Some(Status::Active), Some(20)));
    let epoch = bench.published.load().fold.epoch;
    bench.list(&listing, at(6)).await.unwrap_err();
    assert_eq!(bench.published.load().fold.epoch, epoch, "held back once is written once");

    bench.judge(Verdict::Discard, at(7)).await.unwrap();
    assert_eq!((bench.held(), bench.status(&left[0].id.key)), (None, Some(Status::Active)));
    assert_eq!(bench.judge(Verdict::Confirm, at(8)).await, Err(Refused::NothingHeld("hr".into())));

    bench.list(&listing, at(9)).await.unwrap_err();
    let done = bench.judge(Verdict::Confirm, at(10)).await.unwrap();
    assert_eq!((done.persons.len(), bench.held()), (20, None));
    assert_eq!(bench.status(&left[0].id.key), Some(Status::Departed));
    bench.list(&listing, at(11)).await.unwrap();

    let expect =
        |share, until: Now| Command::Expect { source: "hr".into(), share, until: until.wall, actor: "ops".into() };
    assert!(bench.writer.ask(expect(5_000, at(11)), at(12)).await.is_err(), "it is over");
    bench.writer.ask(expect(5_000, at(20)), at(12)).await.unwrap();
    bench.list(&stay[..15], at(21)).await.unwrap_err();
    bench.writer.ask(expect(7_000, at(40)), at(22)).await.unwrap();
    bench.list(&stay[..15], at(23)).await.unwrap();
    assert_eq!((bench.status("p030"), bench.held()), (Some(Status::Departed), None), "and nothing is held any more");
    bench.list(&[], at(24)).await.unwrap_err();
    bench.folds_agree().await;
}

#[tokio::test]
async fn the_guard_judges_lost_memberships_too() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let with = |groups: &[&str]| -> Vec<Person> {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        many(20).into_iter().map(|person| Person { groups: groups.clone(), ..person }).collect()
    };
    bench.list(&with(&["a", "b", "c", "d"]), at(0)).await.unwrap();
    let refused = bench.list(&with(&["a", "b"]), at(1)).await.unwrap_err();
    assert!(matches!(refused, Refused::Guarded { missing: 0, memberships: 40, .. }), "{refused}");
    bench.list(&with(&[]), at(2)).await.unwrap_err();
    bench.list(&with(&["a", "b", "c", "d", "e"]), at(3)).await.unwrap();
    let mut fewer = with(&["a", "b", "c", "d"]);
    fewer[0].groups.push("e".into());
    bench.list(&fewer, at(4)).await.unwrap();
    bench.list(&with(&["a"]), at(5)).await.unwrap_err();
    bench.judge(Verdict::Confirm, at(6)).await.unwrap();
    bench.list(&with(&["a"]), at(7)).await.unwrap();
    // Two people in all the groups that there are: none is left, which is no company either.
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    bench.list(&[in_group("alice", "x"), in_group("bob", "x")], at(0)).await.unwrap();
    bench.list(&[person("alice", Status::Active), person("bob", Status::Active)], at(1)).await.unwrap_err();
    bench.list(&[person("alice", Status::Active), in_group("bob", "x")], at(2)).await.unwrap();
}

#[tokio::test]
async fn a_record_that_is_late_gives_nothing_back() {
    let bench = Bench::start().await;
    let told = |status, changed: i64, now: i64| {
        let person = Person { changed: Some(at(changed).wall), ..person("alice", status) };
        bench.observe(Observation::Change { person, at: Some(at(changed).wall), event_id: None }, at(now))
    };
    told(Status::Suspended, 20, 21).await.unwrap();
    told(Status::Active, 15, 22).await.unwrap();
    assert_eq!(bench.ask("alice", at(1), at(23)), Reason::RevokedPerson, "what is older does not lift it");
    told(Status::Active, 30, 31).await.unwrap();
    told(Status::Suspended, 25, 32).await.unwrap();
    assert_eq!(bench.ask("alice", at(31), at(33)), Reason::Allowed, "nor does it block again");
    assert_eq!(bench.ask("alice", at(30), at(33)), Reason::IssuedBeforeCutoff);

    // Nobody had told of the time that bob was out: it leaves its cut-off all the same (law 7).
    let told = |status, changed: i64, now: i64| {
        let person = Person { changed: Some(at(changed).wall), ..person("bob", status) };
        bench.observe(Observation::Change { person, at: None, event_id: None }, at(now))
    };
    told(Status::Active, 40, 41).await.unwrap();
    told(Status::Suspended, 35, 42).await.unwrap();
    assert_eq!(bench.ask("bob", at(40), at(43)), Reason::IssuedBeforeCutoff);
    assert_eq!(bench.ask("bob", at(41), at(43)), Reason::Allowed);

    bench.observe(Observation::Deleted { person: id("bob"), at: Some(at(50).wall) }, at(51)).await.unwrap();
    told(Status::Active, 45, 52).await.unwrap();
    assert_eq!(bench.ask("bob", at(49), at(53)), Reason::RevokedPerson, "an event from before the deletion");
    bench.folds_agree().await;
}

#[tokio::test]
async fn cut_offs_sessions_and_clients_of_a_source() {
    let bench = Bench::start().await;
    let person = || Target::DirectoryPerson { person: id("alice") };
    let cut = |target, time: i64| {
        let reason = "logged out by an admin".to_owned();
        Observation::CutOff { source: "hr".into(), target, at: at(time).wall, reason }
    };
    bench.observe(cut(person(), 20), at(21)).await.unwrap();
    let entries = || bench.published.load().fold.revocations.len();
    let one = entries();
    bench.observe(cut(person(), 15), at(22)).await.unwrap();
    bench.observe(cut(person(), 30), at(31)).await.unwrap();
    assert_eq!(entries(), one, "the latest is enough");
    assert_eq!(bench.ask("alice", at(30), at(32)), Reason::IssuedBeforeCutoff);
    assert_eq!(bench.ask("alice", at(31), at(32)), Reason::Allowed);

    let block = |target, stands, expires: Option<i64>| Observation::Block {
        source: "hr".into(),
        target,
        stands,
        at: None,
        expires: expires.map(|seconds| at(seconds).wall),
        reason: "ended".into(),
    };
    let session = || Target::Session { issuer: ISSUER.into(), session: "s1".into() };
    bench.observe(block(session(), true, Some(100)), at(40)).await.unwrap();
    bench.observe(block(session(), true, Some(100)), at(41)).await.unwrap();
    assert_eq!(bench.ask("bob", at(39), at(42)), Reason::RevokedSession);
    bench.writer.ask(Command::Tick, at(101)).await.unwrap();
    assert_eq!(bench.ask("bob", at(39), at(102)), Reason::Allowed, "forgotten when nothing of it can be left");
    let subject = || Target::Subject { issuer: ISSUER.into(), subject: "bob".into() };
    bench.observe(block(subject(), true, None), at(110)).await.unwrap();
    assert_eq!(bench.ask("bob", at(109), at(111)), Reason::RevokedSubject);
    bench.observe(block(subject(), false, None), at(120)).await.unwrap();
    assert_eq!(bench.ask("bob", at(109), at(121)), Reason::IssuedBeforeCutoff);
    assert_eq!(bench.ask("bob", at(121), at(121)), Reason::Allowed);
    bench.folds_agree().await;
}

#[tokio::test]
async fn signs_of_life_are_written_as_often_as_somebody_asks() {
    let mut hasty = policy();
    hasty.services[0].max_staleness = Some(std::time::Duration::from_secs(30));
    let bench = Bench::over(Arc::new(Memory::default()), hasty).await;
    let heard = |time: i64, cursor: Option<&str>| {
        let cursor = cursor.map(str::to_owned);
        bench.observe(Observation::Heartbeat { source: "hr".into(), at: at(time).wall, cursor }, at(time))
    };
    heard(0, None).await.unwrap();
    assert_eq!(bench.published.load().fold.epoch.position, 0, "who never listed anybody is not heard");
    bench.list(&[person("alice", Status::Active)], at(0)).await.unwrap();
    let before = bench.published.load().fold.epoch.position;
    for second in 1..=60 {
        heard(second, Some("c1")).await.unwrap();
    }
    let state = bench.published.snapshot();
    assert_eq!(state.fold.epoch.position - before, 6, "every ten seconds, with the new cursor");
    assert_eq!(state.fold.feeds["hr"].cursor.as_deref(), Some("c1"));
    assert!(!state.fold.sources["hr"].is_stale(std::time::Duration::from_secs(30), at(81)));
    assert!(state.fold.sources["hr"].is_stale(std::time::Duration::from_secs(30), at(82)));

    // A clock that was a day ahead and was set right.
    heard(86_400, None).await.unwrap();
    heard(100, None).await.unwrap();
    assert!(bench.published.load().fold.sources["hr"].is_stale(std::time::Duration::from_secs(30), at(131)));
    bench.folds_agree().await;
}

#[tokio::test]
async fn an_identifier_that_passes_on_leaves_who_is_gone() {
    let mut by_email = policy();
    by_email.sources[0].link = vec![Link { claim: "email".into(), attribute: "email".into() }];
    let bench = Bench::over(Arc::new(Memory::default()), by_email).await;
    bench.list(&[person("alice", Status::Active), person("bob", Status::Active)], at(0)).await.unwrap();
    bench.list(&[person("bob", Status::Active)], at(10)).await.unwrap();
    let heir = Person { email: Some("alice@example.com".into()), ..person("alice2", Status::Active) };
    bench.list(&[person("bob", Status::Active), heir.clone()], at(20)).await.unwrap();
    let link = LinkKey::of(&bench.keyer, "hr", "email", (Compare::IgnoreCase, "alice@example.com"));
    let holders = || -> Vec<String> {
        let state = bench.published.load();
        state.fold.people.linked(&link).map(|(known, _)| known.person.id.key.clone()).collect()
    };
    assert_eq!(holders(), ["alice2"], "new tokens are hers alone");
    let departed = Person { status: Status::Departed, ..person("alice", Status::Active) };
    bench.list(&[person("bob", Status::Active), heir, departed], at(30)).await.unwrap();
    assert_eq!(holders(), ["alice2"], "whatever a directory still says of who is gone");
    bench.folds_agree().await;
}

#[tokio::test]
async fn lost_groups_that_were_confirmed_let_no_people_go() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    let with: Vec<Person> = (0..30).map(|number| in_group(&format!("p{number:03}"), "eng")).collect();
    bench.list(&with, at(0)).await.unwrap();
    let announced =
        Command::Expect { source: "hr".into(), share: 3_000, until: at(1_000_000).wall, actor: "ops".into() };
    bench.writer.ask(announced, at(0)).await.unwrap();
    bench.list(&many(30), at(1)).await.unwrap_err();
    bench.judge(Verdict::Confirm, at(2)).await.unwrap();
    let expected = bench.published.snapshot().fold.feeds["hr"].expected;
    assert_eq!(expected, Some((3_000, at(1_000_000).wall)), "what was announced stands");
    bench.list(&[], at(60)).await.unwrap_err();
    bench.list(&many(12), at(61)).await.unwrap_err();
    assert_eq!(bench.published.load().fold.people.counts()["hr"], [30, 0, 0]);
    bench.list(&many(30), at(62)).await.unwrap();
    bench.folds_agree().await;
}
