//! What a million revocations cost: memory, a start with and without a snapshot, a burst, and the way from a command to
//! enforced. Prints a line per figure; `benches/README.md` has the table.
//!
//! usage: cargo bench --bench store            (about two minutes; 1 GB under the temporary directory)

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops where it cannot go on, and prints")]

#[expect(dead_code, reason = "a bench needs a part of it")]
#[path = "../tests/fixture/corp.rs"]
mod corp;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use futures_util::future::join_all;
use offboard::decide::decide;
use offboard::domain::command::{Command, RevokeRequest, WhenAmbiguous, WhenUnknown, WriterHandle};
use offboard::domain::event::{Event, NewEvent, Recorded};
use offboard::domain::key::{Key, Keyer};
use offboard::domain::revocation::{Owner, Revocation, Shape, Target};
use offboard::log::embedded::Embedded;
use offboard::log::{Log, Snapshot};
use offboard::request::Request;
use offboard::state::fold::Fold;
use offboard::state::{Published, snapshot};
use offboard::writer::{Around, EventObserver, Ids, Writer, WriterIdentity, replay};

const MANY: u64 = 1_000_000;
const BURST: usize = 100_000;
const BATCH: u64 = 1000;

struct Silent;

impl EventObserver for Silent {
    fn enforced(&self, _: &Recorded, _: &[Key], _: Around<'_>) {}

    fn store_failed(&self, _: &str) {}
}

fn keyer() -> Keyer {
    Keyer::new([3; 16])
}

fn target(number: u64) -> Target {
    Target::Session { issuer: corp::ISSUER.into(), session: format!("7d1c-{number:016x}") }
}

fn event(number: u64) -> NewEvent {
    let revocation = Revocation {
        id: None,
        target: target(number),
        shape: Shape::Block,
        reason: "left".into(),
        owner: Owner::Operator,
        actor: "bootstrap".into(),
        effective: corp::at(0).wall,
        expires: None,
        persons: vec![],
        by_rule: true,
    };
    NewEvent { time: corp::at(0).wall, happened: None, id: None, event: Event::Revoked(revocation) }
}

/// A figure of `/proc/PID/status`, in bytes.
fn memory(pid: u32, what: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.split_whitespace().next().unwrap().parse::<f64>().unwrap() * 1024.0
}

fn say(figure: &str, value: f64, unit: &str, wanted: &str) {
    println!("{figure:58} {value:>10.2} {unit:12} (wanted: {wanted})");
}

/// The highest and the settled memory of a million revocations, less what the process had before.
fn memory_of_a_million() {
    let own = std::process::id();
    let before = memory(own, "VmRSS:");
    let mut fold = Fold::empty(keyer(), 1);
    for position in 1..=MANY {
        fold.apply(&Recorded { position, new: event(position) });
    }
    #[expect(clippy::cast_precision_loss, reason = "a million")]
    let each = |bytes: f64| (bytes - before) / MANY as f64;
    say("memory per revocation, a million", each(memory(own, "VmRSS:")), "bytes", "64");
    say("… at its peak, event by event", each(memory(own, "VmHWM:")), "bytes", "stated");
    assert_eq!(fold.revocations.len() as u64, MANY);
}

async fn fill(dir: &Path) {
    let log = Embedded::open(dir).unwrap();
    let mut head = log.head().await.unwrap();
    let started = Instant::now();
    for first in (1..=MANY).step_by(usize::try_from(BATCH).unwrap()) {
        head = log.append(head, (first..first + BATCH).map(event).collect()).await.unwrap();
    }
    #[expect(clippy::cast_precision_loss, reason = "a million")]
    say("events appended per second, 1,000 a flush", MANY as f64 / started.elapsed().as_secs_f64(), "1/s", "stated");
}

async fn replays(dir: &Path) {
    let log = Embedded::open(dir).unwrap();
    let started = Instant::now();
    let fold = replay(&log, keyer()).await.unwrap().fold;
    say("a million replayed without a snapshot", started.elapsed().as_secs_f64(), "s", "2");
    let bytes = snapshot::write(&fold).unwrap();
    log.keep_snapshot(Snapshot { epoch: fold.epoch, bytes }).await.unwrap();
    drop((log, fold));
    let started = Instant::now();
    let log = Embedded::open(dir).unwrap();
    let fold = replay(&log, keyer()).await.unwrap().fold;
    say("… with one, the store opened too", started.elapsed().as_secs_f64(), "s", "2");
    assert_eq!(fold.revocations.len() as u64, MANY);
}

fn request(number: u64) -> Command {
    let (shape, reason, actor) = (Shape::Block, "left".into(), "ops".into());
    let (target, effective, expires) = (target(number), None, None);
    let (when_unknown, when_ambiguous) = (WhenUnknown::DenyName, WhenAmbiguous::Refuse);
    Command::Revoke(RevokeRequest { target, shape, reason, actor, effective, expires, when_unknown, when_ambiguous })
}

/// The 99th of a hundred, in microseconds.
fn p99(mut took: Vec<Duration>) -> f64 {
    took.sort_unstable();
    took.get(took.len() * 99 / 100).map_or(0.0, |took| took.as_secs_f64() * 1e6)
}

/// Decides without a pause, on a thread of its own, until told to stop.
fn decisions(published: Arc<Published>, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<Vec<Duration>> {
    std::thread::spawn(move || {
        let request = Request::synthetic("GET", "a", "/", [("accept", &b"*/*"[..])]);
        let mut took = Vec::new();
        while !stop.load(Ordering::Acquire) {
            let started = Instant::now();
            let decision = decide(&published.load(), &request, &[], corp::at(1));
            took.push(started.elapsed());
            assert!(!decision.reason.allows());
        }
        took
    })
}

async fn commands(dir: &Path) {
    let log = Arc::new(Embedded::open(dir).unwrap());
    let fold = replay(log.as_ref(), keyer()).await.unwrap();
    let (writer_loop, published) = Writer::new(
        log,
        fold,
        Arc::new(corp::policy()),
        vec![Box::new(Silent)],
        WriterIdentity::alone("test", Ids::from_system().unwrap()),
    );
    let (writer, envelopes) = WriterHandle::new();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(writer_loop.run(envelopes, std::future::pending()));
    let mut took = Vec::new();
    for number in 0..500 {
        let started = Instant::now();
        writer.ask(request(2 * MANY + number), corp::at(1)).await.unwrap();
        took.push(started.elapsed());
    }
    say("a command until it is durable and enforced, p99", p99(took) / 1000.0, "ms", "20");

    let quiet = Arc::new(AtomicBool::new(false));
    let before = decisions(Arc::clone(&published), Arc::clone(&quiet));
    tokio::time::sleep(Duration::from_secs(2)).await;
    quiet.store(true, Ordering::Release);
    let before = p99(before.join().unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let during = decisions(published, Arc::clone(&stop));
    let started = Instant::now();
    let asked = (0..BURST as u64).map(|number| writer.ask(request(3 * MANY + number), corp::at(1)));
    assert!(join_all(asked).await.into_iter().all(|done| done.is_ok()));
    say("a burst of 100,000, on top of a million", started.elapsed().as_secs_f64(), "s", "2");
    stop.store(true, Ordering::Release);
    say("p99 of decide meanwhile, beside none", p99(during.join().unwrap()) / before, "times", "2");
}

/// Starts the service on nothing, and asks it until it answers.
async fn from_start_to_first_check(dir: &Path) {
    let at = |name: &str| dir.join(name).display().to_string();
    let config = format!(
        "server: {{ authz: {{ listen: 127.0.0.1:0 }}, control: {{ listen: 127.0.0.1:0 }}, ops: {{ listen: 127.0.0.1:0 }} }}\n\
         store: {{ path: {} }}\naudit: {{ path: {} }}\n",
        at("store"),
        at("audit")
    );
    std::fs::write(dir.join("offboard.yaml"), config).unwrap();
    let (mut took, mut memories) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let started = Instant::now();
        let mut service = Process::new(env!("CARGO_BIN_EXE_offboard"))
            .args(["serve", "--config", &at("offboard.yaml")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(service.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        let authz = format!("http://{}", said.get("authz").and_then(|text| text.as_str()).unwrap());
        let mut proxy = AuthorizationClient::connect(authz).await.unwrap();
        proxy.check(CheckRequest::default()).await.unwrap();
        took.push(started.elapsed());
        memories.push(memory(service.id(), "VmRSS:"));
        service.kill().unwrap();
        service.wait().unwrap();
    }
    took.sort_unstable();
    memories.sort_unstable_by(f64::total_cmp);
    say("from start to the first check, median of 20", took.get(10).unwrap().as_secs_f64() * 1000.0, "ms", "30");
    say("memory when empty, median of 20", memories.get(10).unwrap() / 1_048_576.0, "MiB", "20");
}

fn main() {
    memory_of_a_million();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (log, service) = (dir.path().join("log"), dir.path().join("service"));
    std::fs::create_dir_all(&service).unwrap();
    runtime.block_on(async {
        from_start_to_first_check(&service).await;
        fill(&log).await;
        replays(&log).await;
        commands(&log).await;
    });
}
