//! A child process in a group of its own, with its output in a file; the group ends with the value.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

const LOG_TAIL: usize = 40;

pub struct Process {
    name: String,
    child: Child,
    group: Pid,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; standard output and error go to `DIR/NAME.log`.
    pub fn start(name: &str, dir: &Path, command: &mut Command) -> Self {
        let log = dir.join(format!("{name}.log"));
        let out = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {command:?}: {error}"));
        let group = Pid::from_child(&child);
        Self { name: name.to_owned(), child, group, log }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// Panics, with the end of its output, if it has ended (a script that leaves a server behind ends with 0).
    pub fn check(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap().filter(|status| !status.success()) {
            panic!("{} ended: {status}\n{}", self.name, self.tail());
        }
    }

    /// The first JSON object on its output with this `message`.
    pub async fn announced(&mut self, message: &str) -> serde_json::Value {
        super::until(&format!("{} says {message:?}", self.name.clone()), async || {
            self.check();
            let lines = self.output();
            let values = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            values.into_iter().find(|value| value["message"] == message)
        })
        .await
    }

    pub fn signal(&self, signal: Signal) {
        // Gone already is what was wanted.
        let _ = kill_process_group(self.group, signal);
    }

    /// Waits for the process itself, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// TERM to the group, KILL to what is left after `limit`.
    pub fn stop(&mut self, limit: Duration) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + limit;
        while self.alive() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::KILL);
        self.wait(Duration::from_secs(5));
    }

    fn alive(&mut self) -> bool {
        let ended = self.child.try_wait().is_ok_and(|status| status.is_some());
        !ended || test_kill_process_group(self.group).is_ok()
    }

    fn tail(&self) -> String {
        // Read while a test fails: a second panic would hide the first.
        let output = String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = output.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop(Duration::from_secs(10));
        if std::thread::panicking() {
            eprintln!("── the end of what {} said ──\n{}", self.name, self.tail());
        }
    }
}
