//! The service under test, as users run it: the binary, a directory of files, its listening line.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::process::Process;

pub struct Offboard {
    pub authz: SocketAddr,
    pub control: SocketAddr,
    pub ops: SocketAddr,
    pub process: Process,
}

impl Offboard {
    /// `offboard serve --config CONFIG ARGS…`, its output in `dir`; returns when it has said where it listens.
    pub async fn start(dir: &Path, config: &Path, args: &[&str]) -> Self {
        let mut command = Self::command();
        command.arg("serve").arg("--config").arg(config).args(args);
        Self::started(dir, &mut command).await
    }

    /// The same by a command of the test's own.
    pub async fn started(dir: &Path, command: &mut Command) -> Self {
        let mut process = Process::start("offboard", dir, command);
        let line = process.announced("listening").await;
        let address = |name: &str| line[name].as_str().and_then(|text| text.parse().ok());
        let required = |name: &str| address(name).unwrap_or_else(|| panic!("no {name} in {line}"));
        Self { authz: required("authz"), control: required("control"), ops: required("ops"), process }
    }

    pub fn command() -> Command {
        Command::new(env!("CARGO_BIN_EXE_offboard"))
    }

    /// A page of the ops listener.
    pub async fn ops(&self, path: &str) -> reqwest::Response {
        reqwest::get(format!("http://127.0.0.1:{}{path}", self.ops.port())).await.unwrap()
    }

    /// The sum of the samples of `/metrics` of this name that have these labels: `name` or `name{label="value",…}`.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.ops("/metrics").await.text().await.unwrap();
        let wanted = labels(series);
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (of, value) = line.rsplit_once(' ')?;
            let (name, labels) = labels(of);
            (name == wanted.0 && wanted.1.is_subset(&labels)).then(|| value.parse::<f64>().unwrap())
        });
        samples.reduce(|sum, value| sum + value)
    }

    /// What this source said was measured until it was enforced, from these on.
    pub async fn measures(&self, source: &str, from: &[&str]) {
        for from in from {
            let count = format!("offboard_revocation_propagation_seconds_count{{from=\"{from}\",source=\"{source}\"}}");
            super::until(&count, async || (self.metric(&count).await > Some(0.0)).then_some(())).await;
        }
    }

    /// A client command against it, with the token in `token_file`: exit code, standard output, standard error.
    pub fn run(&self, token_file: &Path, args: &[&str]) -> (i32, String, String) {
        let mut command = Self::command();
        command.args(args).arg("--server").arg(format!("http://{}", self.control)).arg("--token-file").arg(token_file);
        let done = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.code().unwrap_or(-1), text(&done.stdout), text(&done.stderr))
    }
}

/// Name and labels of a series. No value of ours holds a comma between quotes.
fn labels(series: &str) -> (&str, BTreeSet<&str>) {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    (name, labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).collect())
}
