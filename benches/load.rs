//! The load of `benches/envoy.sh`: requests over HTTP/1.1 from one thread, with each token in turn.
//!
//! Without `--rate` each connection sends its next request when the last is answered (closed loop). With it, requests
//! are due at even intervals (open loop), and a latency counts from when its request was due, not from when a connection
//! was free for it: a server that stalls is charged for everyone who waits. Prints one JSON object: the answers, and how
//! many of them took how long.

#![expect(clippy::print_stdout, reason = "envoy.py reads the figures from here")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use serde_json::json;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// Requests that are due and wait for a connection. More than this means that the rate is far too high.
const WAITING: usize = 1 << 16;
/// Each bucket of the latencies is 1 % wider than the one before it.
const STEP: f64 = 1.01;
/// An answer that takes longer ends the run.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Parser)]
struct Arguments {
    /// Where Envoy listens.
    address: SocketAddr,
    /// What is asked for.
    path: String,
    /// A file with a token on each line.
    tokens: PathBuf,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Requests per second, over all connections.
    #[arg(long)]
    rate: Option<f64>,
}

/// The requests, and what became of them.
struct Load {
    requests: Vec<Vec<u8>>,
    next: AtomicUsize,
    /// Bucket → answers.
    took: std::sync::Mutex<BTreeMap<i32, u64>>,
}

impl Load {
    fn new(arguments: &Arguments) -> Result<Self> {
        let tokens = std::fs::read_to_string(&arguments.tokens).context("read the tokens")?;
        let request = |token: &str| {
            format!(
                "GET {} HTTP/1.1\r\nhost: orders.example.com\r\nuser-agent: bench/1.0\r\naccept: */*\r\n\
                 authorization: Bearer {token}\r\n\r\n",
                arguments.path
            )
            .into_bytes()
        };
        let requests: Vec<_> = tokens.lines().map(request).collect();
        anyhow::ensure!(!requests.is_empty(), "no tokens");
        Ok(Self { requests, next: AtomicUsize::new(0), took: std::sync::Mutex::default() })
    }

    fn request(&self) -> &[u8] {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % self.requests.len();
        self.requests.get(number).map_or(&[], Vec::as_slice)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a latency is small")]
    fn note(&self, took: Duration) {
        let bucket = (took.as_secs_f64() * 1e6).max(1.0).log(STEP).round() as i32;
        *self.took.lock().unwrap_or_else(PoisonError::into_inner).entry(bucket).or_default() += 1;
    }
}

/// A connection to Envoy, kept open.
struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(16 * 1024) })
    }

    /// # Errors
    /// If the answer is not 200.
    async fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        self.read.clear();
        loop {
            anyhow::ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the connection was closed");
            let Some(head) = self.read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let text = String::from_utf8_lossy(self.read.get(..head).unwrap_or_default());
            if !text.starts_with("HTTP/1.1 200 ") {
                bail!("not let through: {text}");
            }
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            if self.read.len() >= head + 4 + length {
                return Ok(());
            }
        }
    }
}

/// Asks again as soon as it is answered, until the time is over.
async fn closed(load: Arc<Load>, mut connection: Connection, until: Instant) -> Result<()> {
    let mut sent = Instant::now();
    while sent < until {
        connection.ask(load.request()).await?;
        let now = Instant::now();
        load.note(now - sent);
        sent = now;
    }
    Ok(())
}

/// When the next request is due. The connection that has waited longest takes it.
type Due = Arc<Mutex<mpsc::Receiver<Instant>>>;

async fn open(load: Arc<Load>, mut connection: Connection, due: Due) -> Result<()> {
    loop {
        let next = due.lock().await.recv().await;
        let Some(due) = next else { return Ok(()) };
        connection.ask(load.request()).await?;
        load.note(due.elapsed());
    }
}

/// Says when requests are due. The runtime's own timers count milliseconds, which is too coarse.
async fn pace(rate: f64, seconds: f64, due: mpsc::Sender<Instant>) -> Result<()> {
    let interval = Duration::from_secs_f64(1.0 / rate);
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let every = Timespec::try_from(interval)?;
    let mut next = Instant::now() + interval;
    let until = next + Duration::from_secs_f64(seconds);
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: every, it_value: every })?;
    #[expect(deprecated, reason = "its successor is unsafe, for types that lend their descriptor; this one owns it")]
    let timer = AsyncFd::new(timer)?;
    while next < until {
        let mut count = [0; 8];
        let read = timer.readable().await?.try_io(|timer| Ok(rustix::io::read(timer, &mut count)?));
        let Ok(read) = read else { continue };
        read?;
        for _ in 0..u64::from_ne_bytes(count) {
            due.try_send(next).context("this rate is beyond what is answered")?;
            next += interval;
        }
    }
    Ok(())
}

async fn run(arguments: &Arguments, load: &Arc<Load>) -> Result<Duration> {
    let mut connections = Vec::new();
    for _ in 0..arguments.connections {
        connections.push(Connection::open(arguments.address).await?);
    }
    let (sender, receiver) = mpsc::channel(WAITING);
    let due = Arc::new(Mutex::new(receiver));
    let (mut tasks, started) = (JoinSet::new(), Instant::now());
    let until = started + Duration::from_secs_f64(arguments.seconds);
    for connection in connections {
        match arguments.rate {
            None => tasks.spawn(closed(Arc::clone(load), connection, until)),
            Some(_) => tasks.spawn(open(Arc::clone(load), connection, Arc::clone(&due))),
        };
    }
    if let Some(rate) = arguments.rate {
        tasks.spawn(pace(rate, arguments.seconds, sender));
    }
    let limit = tokio::time::sleep(Duration::from_secs_f64(arguments.seconds) + PATIENCE);
    tokio::pin!(limit);
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                None => return Ok(started.elapsed()),
                Some(ended) => ended??,
            },
            () = &mut limit => bail!("no answer for {PATIENCE:?}"),
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let load = Arc::new(Load::new(&arguments)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ran = runtime.block_on(run(&arguments, &load))?;
    let took = load.took.lock().unwrap_or_else(PoisonError::into_inner);
    let latencies: Vec<_> = took.iter().map(|(bucket, many)| (STEP.powi(*bucket), many)).collect();
    let answers: u64 = took.values().sum();
    println!("{}", json!({ "answers": answers, "seconds": ran.as_secs_f64(), "microseconds": latencies }));
    Ok(())
}
