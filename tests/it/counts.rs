//! What a check costs the system, in counts, which are the same on a slow machine: system calls, and waits of threads.
//!
//! Checks come one by one over one connection, so nothing is shared between them. More at a time cost less each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::proxy::Proxy;
use crate::support::until;

/// How many checks are counted.
const CHECKS: u32 = 1_000;
/// What happens beside them is this many at most: timers, health, a window that is opened anew.
const BESIDE: u32 = CHECKS / 10;

const READS: [&str; 4] = ["read", "readv", "recvfrom", "recvmsg"];
const WRITES: [&str; 5] = ["write", "writev", "send", "sendto", "sendmsg"];

/// How the allocator gets its memory: the first checks fill what is kept of them.
const MEMORY: [&str; 5] = ["brk", "madvise", "mmap", "mprotect", "munmap"];

/// Whether strace is there. Missing it fails in CI; elsewhere the test is skipped, loudly.
fn strace() -> bool {
    let found = Command::new("strace").arg("-V").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "strace is missing: tests/peers/install.sh debian");
    if !found {
        eprintln!("\nskipped: strace is missing; run tests/peers/install.sh debian\n");
    }
    found
}

/// The service, and a proxy that asks it with a token which it has seen before.
struct Stage {
    /// Goes first: the service drains for as long as a proxy is connected.
    proxy: Proxy,
    offboard: Offboard,
    token: String,
    _issuer: DevIssuer,
    files: Installation,
}

impl Stage {
    async fn start(command: impl FnOnce(&Path) -> Command) -> Self {
        let issuer = DevIssuer::start().await;
        let files =
            Installation::new(&format!("authorization: none\npeople: {{ unknown: allow }}\n{}", issuer.section()));
        let mut command = command(&files.path("calls"));
        command.arg("serve").arg("--config").arg(files.path("config"));
        let offboard = Offboard::started(&files.path("."), &mut command).await;
        offboard.has_keys("dev").await;
        let proxy = Proxy::connect(offboard.authz).await;
        let token = issuer.token("sub=alice").await;
        let mut stage = Self { proxy, offboard, token, _issuer: issuer, files };
        stage.check(100).await;
        stage
    }

    async fn check(&mut self, many: u32) {
        for _ in 0..many {
            assert_eq!(self.proxy.reason(&self.token).await, "allowed");
        }
    }

    /// The threads of the service: directory under `/proc`, and name.
    fn threads(&self) -> Vec<(PathBuf, String)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.offboard.process.id())).unwrap();
        let named =
            |task: PathBuf| Some((task.clone(), std::fs::read_to_string(task.join("comm")).ok()?.trim().to_owned()));
        tasks.filter_map(|task| named(task.unwrap().path())).collect()
    }

    /// How often threads waited, by name.
    fn waits(&self) -> BTreeMap<String, u32> {
        let mut waits = BTreeMap::new();
        for (task, name) in self.threads() {
            let Ok(status) = std::fs::read_to_string(task.join("status")) else { continue };
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            *waits.entry(name).or_default() += line.unwrap().trim().parse::<u32>().unwrap();
        }
        waits
    }

    /// System calls of the threads that answer checks, by name.
    fn calls(&self) -> BTreeMap<String, u32> {
        let mut calls = BTreeMap::new();
        for (task, _) in self.threads().into_iter().filter(|(_, name)| name == "check") {
            let id = task.file_name().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(self.files.path(&format!("calls.{id}"))).unwrap();
            for name in text.lines().filter_map(|line| Some(line.split_once('(')?.0)) {
                *calls.entry(name.to_owned()).or_default() += 1;
            }
        }
        calls
    }
}

/// How much each count has grown.
fn since(before: &BTreeMap<String, u32>, after: &BTreeMap<String, u32>) -> BTreeMap<String, u32> {
    after.iter().map(|(name, many)| (name.clone(), many - before.get(name).unwrap_or(&0))).collect()
}

fn sum(of: &BTreeMap<String, u32>, names: &[&str]) -> u32 {
    names.iter().filter_map(|name| of.get(*name)).sum()
}

#[tokio::test]
async fn a_check_wakes_one_thread() {
    let mut stage = Stage::start(|_| Offboard::command()).await;
    let before = stage.waits();
    stage.check(CHECKS).await;
    let waits = since(&before, &stage.waits());
    assert!(
        waits["check"] <= 2 * CHECKS + BESIDE,
        "the thread that answers waits for the next check, and for nothing else: {waits:?}"
    );
    let others: u32 = waits.iter().filter(|(name, _)| *name != "check").map(|(_, many)| many).sum();
    assert!(others <= CHECKS / 2, "no other thread is woken for each check: {waits:?}");
}

#[tokio::test]
async fn a_check_is_one_write_and_little_else() {
    if !strace() {
        return;
    }
    let traced = |calls: &Path| {
        let mut command = Command::new("strace");
        // As a grandchild: the service is the process that was started, and is stopped like any other.
        command.args(["-D", "-ff", "-qq", "-o"]).arg(calls).arg(Offboard::command().get_program());
        command
    };
    let mut stage = Stage::start(traced).await;
    let before = stage.calls();
    stage.check(CHECKS).await;
    let last = CHECKS - BESIDE;
    let calls = until("the last check is in the trace", async || {
        let calls = since(&before, &stage.calls());
        (sum(&calls, &WRITES) >= last).then_some(calls)
    })
    .await;
    assert!(sum(&calls, &WRITES) <= CHECKS + BESIDE, "an answer is one write: {calls:?}");
    assert!(sum(&calls, &READS) <= 2 * CHECKS + BESIDE, "a check is one read, or two: {calls:?}");
    assert!(sum(&calls, &["epoll_wait"]) <= 2 * CHECKS + BESIDE, "and one wait, or two: {calls:?}");
    let known: u32 = [&WRITES[..], &READS, &MEMORY, &["epoll_wait"]].iter().map(|names| sum(&calls, names)).sum();
    let rest = calls.values().sum::<u32>() - known;
    assert!(rest <= BESIDE, "nothing else asks the system: no file, no clock, no lock, no other thread: {calls:?}");
}
