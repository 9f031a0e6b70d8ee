//! How a source is asked: events, look-ups and listings take turns; and what the log did not take is told again, before
//! anything newer.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use offboard::app::clock::Clock;
use offboard::domain::command::Observation;
use offboard::domain::person::{Person, Status};
use offboard::domain::reason::Reason;
use offboard::domain::time::Now;
use offboard::source::directory::{Changes, Directory, Finding, ListingOutcome};
use offboard::source::error::SourceError;
use offboard::source::http::Http;
use offboard::source::outbox::Outbox;
use offboard::source::page::{Page, PageToken};
use serde_json::json;
use tokio::time::timeout;

use crate::corp::{self, at};
use crate::laws::world::{InMemory, Store as _, World};
use crate::support::okta::{Okta, epoch_ms};
use crate::support::polled::Polled;
use crate::support::troubled::Troubled;
use crate::support::{Scratch, directories, until};

/// A provider that says once what happened.
#[derive(Default)]
struct Once {
    /// Events do not end before somebody was looked up and everybody was listed.
    restless: bool,
    asked: Arc<Mutex<Vec<&'static str>>>,
    /// What happened, to be told once.
    happened: Arc<Mutex<Vec<Person>>>,
    /// Only a listing tells what happened, to be said once.
    resync: Arc<AtomicBool>,
    /// Nobody can be listed.
    blind: Arc<AtomicBool>,
    outbox: Outbox,
}

impl Once {
    fn note(&self, what: &'static str) -> Vec<&'static str> {
        let mut asked = self.asked.lock().unwrap();
        asked.push(what);
        asked.clone()
    }
}

#[async_trait::async_trait]
impl Directory for Once {
    fn open(&mut self, _: Option<String>) {}

    async fn changes(&mut self) -> Result<Changes, SourceError> {
        if let Some(again) = self.outbox.again() {
            return Ok(again);
        }
        let asked = self.note("events");
        let happened = self.happened.lock().unwrap().drain(..).collect::<Vec<_>>();
        let change = |person| Observation::Change { person, at: None, event_id: None };
        let pieces = asked.iter().filter(|asked| **asked == "piece").count();
        let more = self.restless && (pieces < 3 || !asked.contains(&"somebody"));
        let resync = self.resync.swap(false, Ordering::Relaxed);
        let observations = happened.into_iter().map(change).collect();
        Ok(self.outbox.give(Changes { observations, more, resync, ..Changes::default() }))
    }

    fn acknowledged(&mut self) {
        self.outbox.acknowledged();
    }

    async fn page(&mut self, token: Option<PageToken>) -> Result<Page, SourceError> {
        self.note("piece");
        if self.blind.load(Ordering::Relaxed) {
            return Err(SourceError::NotFound { step: "list people" });
        }
        let place = token.map_or(Ok(0), |token| token.read())?;
        let people = vec![corp::person(&format!("p{place}"), Status::Active)];
        Ok(Page::of(people, (place < 2).then_some(place + 1)))
    }

    fn listing_over(&mut self, _: ListingOutcome) {}

    async fn look_up(&mut self, _: &str, value: &str) -> Result<Option<Person>, SourceError> {
        self.note("somebody");
        Ok(Some(corp::person(value, Status::Active)))
    }

    async fn examine(&mut self) -> Vec<Finding> {
        vec![]
    }
}

#[tokio::test]
async fn events_without_end_keep_neither_a_look_up_nor_a_listing_waiting() {
    let world = World::empty(InMemory::new(), corp::policy()).await;
    let restless = Once { restless: true, ..Once::default() };
    let asked = Arc::clone(&restless.asked);
    let source = Polled::start("hr", restless, &world.writer, Arc::new(|| at(0)));
    let all = async { tokio::join!(source.sync(false), source.look_up("id", "p2"), source.sync(true)) };
    let done = timeout(Duration::from_secs(20), all).await.unwrap();
    assert_eq!(done, (Ok(()), Some(true), Ok(())));
    assert_eq!(world.ask("p2", at(1), at(1)).await, Reason::Allowed);
    let asked = asked.lock().unwrap().clone();
    let turns: Vec<&str> = asked.iter().filter(|asked| **asked != "somebody").copied().collect();
    assert_eq!(turns[0], "events", "they come first");
    let pieces: Vec<usize> = (0..turns.len()).filter(|turn| turns[*turn] == "piece").collect();
    assert!(pieces.windows(2).take(2).all(|two| two[1] > two[0] + 1), "and between the pieces: {turns:?}");
}

/// Where only a listing tells what happened, everything is known once there was one, and not before.
#[tokio::test]
async fn what_only_a_listing_tells_is_not_known_before_it() {
    let world = World::empty(InMemory::new(), corp::policy()).await;
    let (once, clock) = (Once::default(), Arc::new(AtomicI64::new(0)));
    let (resync, blind) = (Arc::clone(&once.resync), Arc::clone(&once.blind));
    let time = Arc::clone(&clock);
    let source = Polled::start("hr", once, &world.writer, Arc::new(move || at(time.load(Ordering::Relaxed))));
    let heard = || world.published.load().fold.sources["hr"].last_heard;
    source.sync(true).await.unwrap();
    clock.store(1_000, Ordering::Relaxed);
    source.sync(false).await.unwrap();
    assert_eq!(heard(), at(1_000).wall, "by events alone");
    resync.store(true, Ordering::Relaxed);
    blind.store(true, Ordering::Relaxed);
    for second in [2_000, 3_000] {
        clock.store(second, Ordering::Relaxed);
        source.sync(false).await.unwrap();
        assert_eq!(heard(), at(1_000).wall);
    }
    blind.store(false, Ordering::Relaxed);
    source.sync(true).await.unwrap();
    assert_eq!(heard(), at(3_000).wall);
    clock.store(4_000, Ordering::Relaxed);
    source.sync(false).await.unwrap();
    assert_eq!(heard(), at(4_000).wall, "by events again");
}

#[tokio::test]
async fn what_the_log_refuses_is_told_again_before_anything_newer() {
    let world = World::empty(InMemory::new(), corp::policy()).await;
    let once = Once::default();
    let (asked, happened) = (Arc::clone(&once.asked), Arc::clone(&once.happened));
    let source = Polled::start("hr", once, &world.writer, Arc::new(|| at(0)));
    assert_eq!(source.look_up("id", "p0").await, Some(true));
    source.sync(true).await.unwrap();
    source.sync(false).await.unwrap();
    for (trial, way) in ["events", "listing", "look-up"].into_iter().enumerate() {
        let who = format!("p{trial}");
        assert_eq!(world.ask(&who, at(1), at(1)).await, Reason::Allowed);
        happened.lock().unwrap().push(corp::person(&who, Status::Suspended));
        world.log.refuses.store(true, Ordering::Release);
        let error = source.sync(false).await.unwrap_err();
        assert!(error.contains("log append failed"), "{error}");
        let before = asked.lock().unwrap().len();
        source.sync(false).await.unwrap_err();
        assert_eq!(source.look_up("id", "late").await, None);
        assert_eq!(asked.lock().unwrap().len(), before, "nothing is asked that could not be told");
        assert_eq!(world.ask(&who, at(1), at(1)).await, Reason::Allowed);
        world.log.refuses.store(false, Ordering::Release);
        match way {
            "events" => source.sync(false).await.unwrap(),
            // What is newer says that they are back, and comes behind it.
            "listing" => source.sync(true).await.unwrap(),
            _ => assert_eq!(source.look_up("id", &who).await, Some(true)),
        }
        let told = if way == "events" { Reason::RevokedPerson } else { Reason::IssuedBeforeCutoff };
        assert_eq!(world.ask(&who, at(-10), at(1)).await, told, "{way}");
    }
}

/// A token of today.
fn token(world: &World<InMemory>, who: &str, now: Now) -> String {
    let second = now.wall.as_millis() / 1000;
    world.token_of(&json!({ "sub": who, "sid": "s1", "iat": second, "exp": second + 3600 }))
}

#[tokio::test]
async fn an_event_of_okta_is_not_lost_where_the_log_refuses_it() {
    let (okta, scratch) = (Okta::start(), Scratch::new());
    for name in ["alice", "bob"] {
        okta.org().add_user(name);
    }
    let world = World::empty(InMemory::new(), corp::policy()).await;
    let clock = Clock::start(None);
    let now = move || clock.now();
    let directory = directories::okta(&okta.url, scratch.path());
    let source = Polled::start("hr", directory, &world.writer, Arc::new(now.clone()));
    source.sync(true).await.unwrap();
    source.sync(false).await.unwrap();
    let (alice, bob) = (token(&world, "00ualice", now()), token(&world, "00ubob", now()));
    assert_eq!(world.check(&alice, now()).await.reason, Reason::Allowed);
    // One of them is back before anybody looks: of that nothing but the event tells.
    okta.org().lifecycle("alice", "suspend");
    okta.org().lifecycle("bob", "suspend");
    okta.org().lifecycle("bob", "unsuspend");
    world.log.refuses.store(true, Ordering::Release);
    for _ in 0..2 {
        source.sync(false).await.unwrap_err();
    }
    world.log.refuses.store(false, Ordering::Release);
    source.sync(false).await.unwrap();
    assert_eq!(world.check(&alice, now()).await.reason, Reason::RevokedPerson);
    assert_eq!(world.check(&bob, now()).await.reason, Reason::IssuedBeforeCutoff);
    assert_eq!(okta.org().complaints, Vec::<String>::new());
}

#[tokio::test]
async fn an_event_of_keycloak_is_not_lost_where_the_log_refuses_it() {
    let (provider, scratch) = (Troubled::start(20).await, Scratch::new());
    let world = World::empty(InMemory::new(), corp::policy()).await;
    let clock = Clock::start(None);
    let now = move || clock.now();
    let directory = directories::keycloak(&provider.url, scratch.path(), Http::new(Duration::from_secs(5), None));
    let source = Polled::start("hr", directory, &world.writer, Arc::new(now.clone()));
    source.sync(true).await.unwrap();
    source.sync(false).await.unwrap();
    let (left, back) = (token(&world, "u1", now()), token(&world, "u2", now()));
    let switched = |id: &str, user: &str, enabled: bool| {
        provider.happens(json!({ "id": id, "time": epoch_ms(), "operationType": "UPDATE", "resourceType": "USER",
            "resourcePath": format!("users/{user}"), "representation": json!({ "enabled": enabled }).to_string() }));
    };
    assert_eq!(world.check(&left, now()).await.reason, Reason::Allowed);
    provider.enable(1, false);
    switched("1", "u1", false);
    switched("2", "u2", false);
    switched("3", "u2", true);
    world.log.refuses.store(true, Ordering::Release);
    for _ in 0..2 {
        source.sync(false).await.unwrap_err();
    }
    world.log.refuses.store(false, Ordering::Release);
    source.sync(false).await.unwrap();
    assert_eq!(world.check(&left, now()).await.reason, Reason::RevokedPerson);
    assert_eq!(world.check(&back, now()).await.reason, Reason::IssuedBeforeCutoff);
}

/// A provider that looks people up slowly, or refuses to.
struct Strangers {
    /// How often it was asked for events, and for somebody.
    asked: Arc<[AtomicUsize; 2]>,
    busy: bool,
}

#[async_trait::async_trait]
impl Directory for Strangers {
    fn open(&mut self, _: Option<String>) {}

    async fn changes(&mut self) -> Result<Changes, SourceError> {
        self.asked[0].fetch_add(1, Ordering::Relaxed);
        Ok(Changes::default())
    }

    fn acknowledged(&mut self) {}

    async fn page(&mut self, _: Option<PageToken>) -> Result<Page, SourceError> {
        Ok(Page::last(vec![corp::person("alice", Status::Active)]))
    }

    fn listing_over(&mut self, _: ListingOutcome) {}

    async fn look_up(&mut self, _: &str, _: &str) -> Result<Option<Person>, SourceError> {
        self.asked[1].fetch_add(1, Ordering::Relaxed);
        if self.busy {
            return Err(SourceError::RateLimited { step: "look up a person", wait: Duration::from_secs(600) });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(None)
    }

    async fn examine(&mut self) -> Vec<Finding> {
        vec![]
    }
}

#[tokio::test]
async fn strangers_who_are_looked_up_delay_nobodys_departure() {
    let world = World::empty(InMemory::new(), corp::policy()).await;
    let asked = Arc::<[AtomicUsize; 2]>::default();
    let strangers = Strangers { asked: Arc::clone(&asked), busy: false };
    let poll = Duration::from_millis(50);
    let source = Polled::every(poll, "hr", strangers, &world.writer, Arc::new(|| at(0)));
    // Always somebody waits: two others are asked for while one is looked up.
    let stream = async || loop {
        source.look_up("id", "x").await;
    };
    let flood = async { tokio::join!(stream(), stream(), stream()) };
    let polled = until("events are read all the same", async || (asked[0].load(Ordering::Relaxed) > 5).then_some(()));
    tokio::select! { () = polled => {}, _ = flood => {} }
    assert!(asked[1].load(Ordering::Relaxed) > 5, "and strangers are looked up");
}

#[tokio::test]
async fn a_provider_that_wants_us_to_wait_is_not_asked_for_strangers() {
    let world = World::empty(InMemory::new(), corp::policy()).await;
    let asked = Arc::<[AtomicUsize; 2]>::default();
    let strangers = Strangers { asked: Arc::clone(&asked), busy: true };
    let source = Polled::every(Duration::from_millis(50), "hr", strangers, &world.writer, Arc::new(|| at(0)));
    source.sync(false).await.unwrap();
    for _ in 0..20 {
        assert_eq!(source.look_up("id", "x").await, None);
    }
    assert_eq!(asked[1].load(Ordering::Relaxed), 1);
    // Who left does not wait for that.
    let polled = asked[0].load(Ordering::Relaxed);
    let more = || asked[0].load(Ordering::Relaxed) > polled + 5;
    until("events are read all the same", async || more().then_some(())).await;
}
