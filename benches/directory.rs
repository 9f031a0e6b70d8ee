//! What a directory costs: memory per person, the first listing of everybody, one that changes nothing, one in which a
//! tenth moved, and what checks feel of it. Prints a line per figure; `benches/README.md` has the table.
//!
//! usage: cargo bench --bench directory -- 1000000       (people; 100,000 where nothing is said; 2 GB of temporary files)

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops where it cannot go on, and prints")]

#[expect(dead_code, reason = "a bench needs a part of it")]
#[path = "../tests/fixture/corp.rs"]
mod corp;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use offboard::decide::decide;
use offboard::domain::command::WriterHandle;
use offboard::domain::event::Recorded;
use offboard::domain::key::{Key, Keyer};
use offboard::domain::person::{Person, Status};
use offboard::domain::settings::Schedule;
use offboard::log::embedded::Embedded;
use offboard::request::Request;
use offboard::source::context::{SourceContext, SourceRequest};
use offboard::source::directory::{Changes, Directory, Finding, ListingOutcome};
use offboard::source::error::SourceError;
use offboard::source::health::Health;
use offboard::source::page::{Page, PageToken};
use offboard::source::poller::Poller;
use offboard::state::Published;
use offboard::writer::{Around, EventObserver, Ids, Writer, WriterIdentity, replay};
use tokio::sync::{mpsc, oneshot, watch};

/// People on a page.
const PAGE: usize = 1_000;

struct Silent;

impl EventObserver for Silent {
    fn enforced(&self, _: &Recorded, _: &[Key], _: Around<'_>) {}

    fn store_failed(&self, _: &str) {}
}

/// A company of so many, that answers at once.
struct Company {
    people: usize,
    /// Raised by one, a tenth of them are in another group.
    year: Arc<AtomicUsize>,
}

impl Company {
    fn person(&self, number: usize) -> Person {
        let year = self.year.load(Ordering::Relaxed);
        let moved = if number.is_multiple_of(10) { year } else { 0 };
        let groups = [number % 50, number % 400 + moved, number % 3_000];
        Person {
            username: Some(format!("user{number}")),
            email: Some(format!("user{number}@example.com")),
            groups: groups.map(|group| format!("team-{group}")).to_vec(),
            ..corp::person(&format!("0ff60a2d-7c1e-4b2a-9d3f-{number:012x}"), Status::Active)
        }
    }
}

#[async_trait::async_trait]
impl Directory for Company {
    fn open(&mut self, _: Option<String>) {}

    async fn changes(&mut self) -> Result<Changes, SourceError> {
        Ok(Changes::default())
    }

    fn acknowledged(&mut self) {}

    async fn page(&mut self, token: Option<PageToken>) -> Result<Page, SourceError> {
        let first = token.map_or(Ok(0), |token| token.read())?;
        let last = (first + PAGE).min(self.people);
        let people = (first..last).map(|number| self.person(number)).collect();
        let next = (last < self.people).then_some(last);
        Ok(Page { count: next.is_none().then_some(self.people), ..Page::of(people, next) })
    }

    fn listing_over(&mut self, _: ListingOutcome) {}

    async fn look_up(&mut self, _: &str, _: &str) -> Result<Option<Person>, SourceError> {
        Ok(None)
    }

    async fn examine(&mut self) -> Vec<Finding> {
        vec![]
    }
}

/// A figure of `/proc/self/status`, in bytes.
fn memory(what: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.split_whitespace().next().unwrap().parse::<f64>().unwrap() * 1024.0
}

fn say(figure: &str, value: f64, unit: &str) {
    println!("{figure:58} {value:>10.2} {unit}");
}

/// Decides for a second, or until told to stop; the 99th of a hundred, in microseconds.
fn decisions(published: Arc<Published>, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<f64> {
    std::thread::spawn(move || {
        let request = Request::synthetic("GET", "a", "/", [("accept", &b"*/*"[..])]);
        let mut took = Vec::new();
        while !stop.load(Ordering::Acquire) {
            let started = Instant::now();
            let decision = decide(&published.load(), &request, &[], corp::at(1));
            took.push(started.elapsed());
            assert!(!decision.reason.allows());
            // The rate of a busy mesh, not of a loop.
            std::thread::sleep(Duration::from_micros(50));
        }
        took.sort_unstable();
        took.get(took.len() * 99 / 100).map_or(0.0, |took| took.as_secs_f64() * 1e6)
    })
}

async fn listing(requests: &mpsc::Sender<SourceRequest>, what: &str) {
    let (reply, answer) = oneshot::channel();
    let started = Instant::now();
    requests.send(SourceRequest::Sync { full: true, reply }).await.unwrap();
    answer.await.unwrap().unwrap();
    say(what, started.elapsed().as_secs_f64(), "s");
}

async fn measure(dir: &Path, people: usize) {
    let log = Arc::new(Embedded::open(dir).unwrap());
    let replayed = replay(log.as_ref(), Keyer::new([3; 16])).await.unwrap();
    let (writer_loop, published) = Writer::new(
        log,
        replayed,
        Arc::new(corp::policy()),
        vec![Box::new(Silent)],
        WriterIdentity::alone("test", Ids::from_system().unwrap()),
    );
    let (writer, envelopes) = WriterHandle::new();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(writer_loop.run(envelopes, std::future::pending()));
    let (requests, received) = mpsc::channel(1);
    let year = Arc::<AtomicUsize>::default();
    let around = SourceContext {
        writer,
        time: Arc::new(|| corp::at(1)),
        reports: Arc::new(|_, _| {}),
        health: watch::channel(Health::default()).0,
        requests: received,
    };
    let day = Duration::from_secs(86_400);
    let directory = Company { people, year: Arc::clone(&year) };
    let rhythm = Schedule { poll: day, reconcile: day };

    let stop = Arc::new(AtomicBool::new(false));
    let quiet = decisions(Arc::clone(&published), Arc::clone(&stop));
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.store(true, Ordering::Release);
    let quiet = quiet.join().unwrap();

    let before = memory("VmRSS:");
    let stop = Arc::new(AtomicBool::new(false));
    let during = decisions(Arc::clone(&published), Arc::clone(&stop));
    tasks.spawn(Poller::new("hr".into(), Box::new(directory), rhythm, None, around).run());
    listing(&requests, "the first listing of everybody").await;
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    let each = |bytes: f64| (bytes - before) / people as f64;
    say("memory per person afterwards", each(memory("VmRSS:")), "bytes");
    listing(&requests, "a listing in which nothing changed").await;
    year.store(1, Ordering::Relaxed);
    listing(&requests, "a listing in which a tenth moved to another team").await;
    say("memory per person at the peak of these listings", each(memory("VmHWM:")), "bytes");
    stop.store(true, Ordering::Release);
    say("p99 of decide meanwhile, beside none", during.join().unwrap() / quiet, "times");
    assert_eq!(published.load().fold.people.counts().get("hr").unwrap()[0], people);
}

fn main() {
    let people = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(100_000);
    println!("{people} people, each with three groups");
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(dir.path(), people));
}
