//! A source whose task panics: what is known stays, it is started again after a while, and nothing waits for that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use offboard::app::clock::Clock;
use offboard::app::sources::{Manager, Sources};
use offboard::config;
use offboard::config::settings::Settings;
use offboard::config::sources::SourceSettings;
use offboard::domain::person::Person;
use offboard::source::context::Time;
use offboard::source::directory::{Changes, Directory, Finding, ListingOutcome};
use offboard::source::error::SourceError;
use offboard::source::page::{Page, PageToken};
use offboard::telemetry::metrics::Metrics;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::corp;
use crate::laws::world::{InMemory, Store as _, World};
use crate::support::{Scratch, until};

/// How often those were started that panic.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// A provider of nobody; one that `panics` does so as soon as it is asked.
struct Provider {
    panics: bool,
}

#[async_trait::async_trait]
impl Directory for Provider {
    fn open(&mut self, _: Option<String>) {}

    async fn changes(&mut self) -> Result<Changes, SourceError> {
        assert!(!self.panics, "planted");
        Ok(Changes::default())
    }

    fn acknowledged(&mut self) {}

    async fn page(&mut self, _: Option<PageToken>) -> Result<Page, SourceError> {
        Ok(Page::last(vec![]))
    }

    fn listing_over(&mut self, _: ListingOutcome) {}

    async fn look_up(&mut self, _: &str, _: &str) -> Result<Option<Person>, SourceError> {
        Ok(None)
    }

    async fn examine(&mut self) -> Vec<Finding> {
        vec![]
    }
}

fn build(settings: &SourceSettings, _: Time) -> Box<dyn Directory> {
    let panics = settings.name.starts_with("bad");
    STARTED.fetch_add(usize::from(panics), Ordering::Relaxed);
    Box::new(Provider { panics })
}

fn settings(scratch: &Scratch, names: &[&str]) -> Settings {
    let path = scratch.path().join("offboard.yaml");
    let source = |name: &&str| format!("  - {{ name: {name}, kind: file, issuer: corp, path: /{name}.yaml }}\n");
    let sources: String = names.iter().map(source).collect();
    let issuer = "{ name: corp, issuer: https://idp, audiences: [mesh], jwks: { discovery: true } }";
    std::fs::write(&path, format!("issuers: [{issuer}]\nauthorization: none\nsources:\n{sources}")).unwrap();
    config::load(&[path], &BTreeMap::new()).unwrap().1.settings
}

#[tokio::test]
async fn a_source_that_panics_delays_no_other() {
    let (world, scratch) = (World::empty(InMemory::new(), corp::policy()).await, Scratch::new());
    let (configured, received) = watch::channel(settings(&scratch, &["bad-1", "bad-2", "good-1"]));
    let sources = Sources::default();
    let manager = Manager {
        sources: sources.clone(),
        writer: world.writer.clone(),
        published: Arc::clone(&world.published),
        clock: Clock::start(None),
        metrics: Arc::new(Metrics::new().unwrap()),
        build,
    };
    let (mut tasks, began) = (JoinSet::new(), Instant::now());
    tasks.spawn(manager.run(received));
    let soon = Duration::from_secs(3);
    let fails = |name: &'static str| until("it has failed", async || (sources.health(name).is_none()).then_some(()));
    let started = async {
        until("they are started", async || (STARTED.load(Ordering::Relaxed) == 2).then_some(())).await;
        fails("bad-1").await;
        fails("bad-2").await;
        assert_eq!(sources.sync("good-1", false).await, Ok(()));
        // A reload meanwhile.
        configured.send_replace(settings(&scratch, &["bad-1", "bad-2", "good-1", "good-2"]));
        until("it is started", async || (sources.health("good-2").is_some()).then_some(())).await;
        assert_eq!(sources.sync("good-2", false).await, Ok(()));
    };
    timeout(soon, started).await.expect("nothing waits for those that failed");
    assert_eq!(STARTED.load(Ordering::Relaxed), 2, "they have their rest");
    until("they are started again", async || (STARTED.load(Ordering::Relaxed) == 4).then_some(())).await;
    assert!(began.elapsed() >= Duration::from_secs(5));
}
