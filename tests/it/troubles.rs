//! What providers do at night: each trouble is said in words, changes nothing that is known, lets nobody in whom the
//! provider had taken out, and is over when it is over.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use offboard::domain::command::{Command, Observation};
use offboard::domain::person::{Person, PersonId, Status};
use offboard::domain::policy::Policy;
use offboard::domain::reason::Reason;
use offboard::domain::revocation::Target;
use offboard::domain::source::WhenStale;
use offboard::log::Log as _;
use offboard::source::directory::{Changes, Directory, Finding, ListingOutcome};
use offboard::source::error::SourceError;
use offboard::source::http::Http;
use offboard::source::keycloak::Keycloak;
use offboard::source::page::{Page, PageToken};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::corp::{self, at};
use crate::laws::world::{InMemory, Store, World};
use crate::support::polled::Polled;
use crate::support::troubled::{Trouble, Troubled};
use crate::support::{Scratch, directories, until};

/// People of the company: more than two pages, and enough that half of them are too many to miss.
const PEOPLE: usize = 1_100;

fn keycloak(url: &str, scratch: &Path, ca_file: Option<&Path>) -> Keycloak {
    directories::keycloak(url, scratch, Http::new(Duration::from_millis(700), ca_file.map(Path::to_owned)))
}

struct Bench {
    provider: Troubled,
    world: World<InMemory>,
    source: Polled,
    _scratch: Scratch,
}

impl Bench {
    /// A provider whose `u1` is disabled, and that was listed once.
    async fn start() -> Self {
        let (provider, scratch) = (Troubled::start(PEOPLE).await, Scratch::new());
        provider.enable(1, false);
        let world = World::empty(InMemory::new(), corp::policy()).await;
        let directory = keycloak(&provider.url, scratch.path(), None);
        let source = Polled::start("hr", directory, &world.writer, Arc::new(|| at(0)));
        let bench = Self { provider, world, source, _scratch: scratch };
        bench.source.sync(true).await.unwrap();
        bench.is_as_it_was().await;
        bench
    }

    async fn ask(&self, who: &str) -> Reason {
        self.world.ask(who, at(-100), at(1)).await
    }

    fn count(&self, status: Status) -> usize {
        let state = self.world.published.snapshot();
        let counts = state.fold.people.counts()["hr"];
        counts[[Status::Active, Status::Suspended, Status::Departed].iter().position(|one| *one == status).unwrap()]
    }

    #[track_caller]
    fn counts(&self) -> [usize; 3] {
        [Status::Active, Status::Suspended, Status::Departed].map(|status| self.count(status))
    }

    async fn is_as_it_was(&self) {
        assert_eq!(self.counts(), [PEOPLE - 1, 1, 0]);
        assert_eq!((self.ask("u0").await, self.ask("u1").await), (Reason::Allowed, Reason::RevokedPerson));
    }

    /// Asks for everybody; why that came to nothing.
    async fn fails(&self, trouble: Trouble) -> String {
        self.provider.set(trouble);
        let error = self.source.sync(true).await.unwrap_err();
        assert_eq!(self.source.health.borrow().trouble().map(|trouble| trouble.text.clone()), Some(error.clone()));
        self.is_as_it_was().await;
        error
    }
}

#[tokio::test]
async fn each_failure_is_named_and_changes_nothing() {
    let bench = Bench::start().await;
    for (trouble, said) in [
        (Trouble::Status(401), "list users: refused: its token is not accepted"),
        (
            Trouble::Status(403),
            "list users: refused: give the service account of `offboard-sync` the role `view-users` of `realm-management`",
        ),
        (Trouble::Status(404), "list users: not found"),
        (Trouble::Status(500), "list users: answered 500"),
        (Trouble::Busy, "list users: too many requests; retrying in 7s"),
        (Trouble::Slow, "list users: no answer in time"),
        (Trouble::Truncated, "not as expected"),
        (Trouble::Broken, "list users: "),
        (Trouble::Html, "list users: answered `text/html`, not JSON"),
        (Trouble::Other, "not as expected"),
        (Trouble::Repeating, "its rows moved on every attempt"),
        (Trouble::Blind, "the realm counts 1100: give the service account of `offboard-sync` the role `view-users`"),
        (Trouble::Empty, "is held back: "),
    ] {
        let error = bench.fails(trouble).await;
        assert!(error.contains(said), "{trouble:?}: {error}");
    }
    bench.provider.set(Trouble::Blind);
    bench.source.sync(true).await.unwrap_err();
    bench.source.sync(false).await.unwrap();
    let health = bench.source.health.borrow().clone();
    assert!(
        health.trouble().is_some_and(|trouble| trouble.times > 10),
        "events are read, nobody is listed: {health:?}"
    );
    bench.provider.set(Trouble::None);
    bench.provider.enable(2, false);
    bench.source.sync(true).await.unwrap();
    assert_eq!(bench.counts(), [PEOPLE - 2, 2, 0]);
    assert_eq!(bench.source.health.borrow().trouble(), None, "it is over");
}

#[tokio::test]
async fn half_a_listing_is_held_back_and_a_disable_in_it_is_not() {
    let bench = Bench::start().await;
    bench.provider.enable(3, false);
    bench.provider.set(Trouble::Half);
    let error = bench.source.sync(true).await.unwrap_err();
    assert!(error.contains("550 of 1100 known people"), "{error}");
    assert_eq!(bench.counts(), [PEOPLE - 2, 2, 0], "an explicit word counts");
    let state = bench.world.published.snapshot();
    assert_eq!(state.fold.feeds["hr"].held.as_ref().unwrap().missing.len(), 550);
    // In the end it was no mistake: the listing is all right, and the held one is forgotten.
    bench.provider.set(Trouble::None);
    bench.source.sync(true).await.unwrap();
    assert_eq!(bench.world.published.snapshot().fold.feeds["hr"].held, None);
}

#[tokio::test]
async fn duplicate_rows_are_one_person_each() {
    let bench = Bench::start().await;
    bench.provider.truncate(200);
    let expect = Command::Expect { source: "hr".into(), share: 9_000, until: at(100).wall, actor: "ops".into() };
    bench.world.writer.ask(expect, at(1)).await.unwrap();
    bench.source.sync(true).await.unwrap();
    assert_eq!(bench.counts(), [199, 1, PEOPLE - 200], "announced, and looked up one by one");
    bench.provider.set(Trouble::Doubled);
    let _ = bench.source.sync(true).await;
    assert_eq!(bench.counts(), [199, 1, PEOPLE - 200]);
}

/// What a connection attempt comes to.
async fn attempt(url: &str, ca_file: Option<&Path>) -> String {
    let scratch = Scratch::new();
    let world = World::empty(InMemory::new(), corp::policy()).await;
    let source = Polled::start("hr", keycloak(url, scratch.path(), ca_file), &world.writer, Arc::new(|| at(0)));
    source.sync(true).await.unwrap_err()
}

#[tokio::test]
async fn where_nobody_answers_it_says_why() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = attempt(&format!("http://{free}"), None).await;
    assert!(error.contains("refused"), "{error}");
    let error = attempt("http://nobody.invalid", None).await;
    assert!(error.contains("dns error") || error.contains("failed to lookup"), "{error}");
}

#[tokio::test]
async fn an_expired_certificate_is_none() {
    let scratch = Scratch::new();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let ca_file = scratch.path().join("ca.pem");
    std::fs::write(&ca_file, certificate.pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let mut task = JoinSet::new();
    task.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    let error = attempt(&url, Some(&ca_file)).await;
    assert!(error.to_lowercase().contains("certificate") && error.contains("xpired"), "{error}");
}

/// Many people, on pages of a thousand; after some pages nothing comes any more.
#[derive(Default)]
struct Crowd {
    people: usize,
    stops_at: Option<usize>,
    down: Arc<AtomicBool>,
}

impl Crowd {
    fn answers(&self) -> Result<(), SourceError> {
        let down = SourceError::Unreachable { step: "ask", cause: "connection refused".into() };
        if self.down.load(Ordering::Relaxed) { Err(down) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl Directory for Crowd {
    fn open(&mut self, _: Option<String>) {}

    async fn changes(&mut self) -> Result<Changes, SourceError> {
        self.answers()?;
        Ok(Changes::default())
    }

    fn acknowledged(&mut self) {}

    async fn page(&mut self, token: Option<PageToken>) -> Result<Page, SourceError> {
        self.answers()?;
        let first = token.map_or(Ok(0), |token| token.read())?;
        if self.stops_at.is_some_and(|stop| first >= stop) {
            std::future::pending::<()>().await;
        }
        let last = (first + 1_000).min(self.people);
        let people: Vec<Person> = (first..last).map(|n| corp::person(&format!("p{n}"), Status::Active)).collect();
        let next = (last < self.people).then_some(last);
        Ok(Page { count: next.is_none().then_some(self.people), ..Page::of(people, next) })
    }

    fn listing_over(&mut self, _: ListingOutcome) {}

    async fn look_up(&mut self, _: &str, value: &str) -> Result<Option<Person>, SourceError> {
        Ok((value == "late").then(|| corp::person("late", Status::Active)))
    }

    async fn examine(&mut self) -> Vec<Finding> {
        vec![]
    }
}

#[tokio::test]
async fn a_hundred_thousand_people_in_one_listing() {
    let world = World::empty(InMemory::new(), corp::policy()).await;
    let crowd = Crowd { people: 100_000, ..Crowd::default() };
    let source = Polled::start("hr", crowd, &world.writer, Arc::new(|| at(0)));
    source.sync(true).await.unwrap();
    let state = world.published.snapshot();
    assert_eq!(state.fold.people.counts()["hr"], [100_000, 0, 0]);
    assert_eq!(world.ask("p99999", at(1), at(1)).await, Reason::Allowed);
    assert_eq!(source.look_up("id", "late").await, Some(true));
    assert_eq!(source.look_up("id", "nobody").await, Some(false));
    assert_eq!(world.ask("late", at(1), at(1)).await, Reason::Allowed, "a joiner who was looked up");
}

#[tokio::test]
async fn a_day_without_the_provider_changes_no_answer_and_writes_nothing() {
    let mut strict = corp::service("strict");
    (strict.hosts, strict.when_stale) = (vec!["strict.example.com".into()], Some(WhenStale::Deny));
    let policy = Policy { services: vec![corp::service("default"), strict], ..corp::policy() };
    let world = World::empty(InMemory::new(), policy.clone()).await;
    let (seconds, down) = (Arc::new(AtomicI64::new(0)), Arc::<AtomicBool>::default());
    let clock = Arc::clone(&seconds);
    let time = Arc::new(move || at(clock.load(Ordering::Relaxed)));
    let crowd = Crowd { people: 20, down: Arc::clone(&down), ..Crowd::default() };
    let source = Polled::start("hr", crowd, &world.writer, time);
    source.sync(true).await.unwrap();
    world.revoke(Target::Person { reference: "p1@example.com".into() }, at(1)).await.unwrap();
    let (alice, left) = (world.token("p0", at(1)), world.token("p1", at(1)));
    let answers = async |world: &World<InMemory>, now| {
        let (stays, gone) = (world.check(&alice, at(now)).await.reason, world.check(&left, at(now)).await.reason);
        let bearer = format!("Bearer {alice}");
        let strict = world.decide_at("strict.example.com", &[("authorization", &bearer)], at(now)).await.reason;
        (stays, gone, strict)
    };
    assert_eq!(answers(&world, 2).await, (Reason::Allowed, Reason::RevokedPerson, Reason::Allowed));

    down.store(true, Ordering::Relaxed);
    let before = world.log.head().await.unwrap();
    for poll in 0..8_640 {
        seconds.store(poll * 10, Ordering::Relaxed);
        source.sync(poll % 90 == 0).await.unwrap_err();
    }
    assert_eq!(world.log.head().await.unwrap(), before, "a day of failures is no event");
    let day = (Reason::Allowed, Reason::RevokedPerson, Reason::StaleSource);
    assert_eq!(answers(&world, 86_400).await, day);
    source.stop().await;
    let world = world.restart(policy).await;
    assert_eq!(answers(&world, 86_400).await, day, "and ready from disk");

    let crowd = Crowd { people: 20, ..Crowd::default() };
    let source = Polled::start("hr", crowd, &world.writer, Arc::new(|| at(86_410)));
    source.sync(true).await.unwrap();
    assert_eq!(answers(&world, 86_420).await, (Reason::Allowed, Reason::RevokedPerson, Reason::Allowed));
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_listing_begins_anew() {
    let world = World::empty(InMemory::new(), corp::policy()).await;
    let whole = Crowd { people: 5_000, ..Crowd::default() };
    let source = Polled::start("hr", whole, &world.writer, Arc::new(|| at(0)));
    source.sync(true).await.unwrap();
    source.stop().await;
    // The provider has nobody behind p2999 any more, and hangs where it would say so.
    let hanging = Crowd { people: 3_000, stops_at: Some(2_000), ..Crowd::default() };
    let source = Polled::start("hr", hanging, &world.writer, Arc::new(|| at(10)));
    until("two pages were read", async || {
        source.health.borrow().listing.filter(|listing| listing.people == 2_000).map(|_| ())
    })
    .await;
    drop(source);
    let world = world.restart(corp::policy()).await;
    assert_eq!(world.published.load().fold.people.counts()["hr"], [5_000, 0, 0], "half a listing says nothing");
    let mut policy = corp::policy();
    policy.sources[0].max_change.share = 0.5;
    let world = world.restart(policy).await;
    let source = Polled::start("hr", Crowd { people: 3_000, ..Crowd::default() }, &world.writer, Arc::new(|| at(20)));
    source.sync(true).await.unwrap();
    assert_eq!(world.published.load().fold.people.counts()["hr"], [3_000, 0, 2_000]);
    assert_eq!(world.ask("p4999", at(1), at(21)).await, Reason::RevokedPerson);
}

#[tokio::test]
async fn a_source_that_is_started_anew_forgets_the_listing_of_the_one_before() {
    let mut policy = corp::policy();
    policy.sources[0].max_change.share = 0.5;
    let world = World::empty(InMemory::new(), policy).await;
    let whole = Crowd { people: 5_000, ..Crowd::default() };
    let source = Polled::start("hr", whole, &world.writer, Arc::new(|| at(0)));
    source.sync(true).await.unwrap();
    source.stop().await;
    let hanging = Crowd { people: 5_000, stops_at: Some(4_000), ..Crowd::default() };
    let source = Polled::start("hr", hanging, &world.writer, Arc::new(|| at(10)));
    until("four pages were read", async || {
        source.health.borrow().listing.filter(|listing| listing.people == 4_000).map(|_| ())
    })
    .await;
    drop(source);
    let less = Crowd { people: 3_000, ..Crowd::default() };
    let source = Polled::start("hr", less, &world.writer, Arc::new(|| at(20)));
    source.sync(true).await.unwrap();
    assert_eq!(world.published.load().fold.people.counts()["hr"], [3_000, 0, 2_000]);
}

#[tokio::test]
async fn of_two_sources_that_contradict_each_other_the_stricter_holds() {
    let sources = vec![corp::source("hr"), corp::source("idp")];
    let world = World::empty(InMemory::new(), Policy { sources, ..corp::policy() }).await;
    let told = async |source: &str, status, now| {
        let id = PersonId { source: source.into(), key: "alice".into() };
        let people = vec![Person { id, ..corp::person("alice", status) }];
        let listing = Observation::Listing { source: source.into(), people, complete: true, at: at(now).wall };
        world.writer.ask(Command::Observe(listing), at(now)).await.unwrap();
    };
    told("hr", Status::Active, 0).await;
    told("idp", Status::Active, 0).await;
    assert_eq!(world.ask("alice", at(1), at(1)).await, Reason::Allowed);
    told("idp", Status::Suspended, 10).await;
    told("hr", Status::Active, 11).await;
    assert_eq!(world.ask("alice", at(11), at(12)).await, Reason::RevokedPerson, "one says so");
    told("idp", Status::Active, 20).await;
    assert_eq!(world.ask("alice", at(19), at(21)).await, Reason::IssuedBeforeCutoff);
    assert_eq!(world.ask("alice", at(21), at(21)).await, Reason::Allowed, "none does");
}
