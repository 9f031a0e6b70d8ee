//! `offboard explain`: explains a decision step by step.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::client::NamedServer;
use super::output::{Report, print, shown};
use super::{Answer, Failure, when};
use crate::app::explain::offline::{Asked, by_configuration};
use crate::control::convert::explanation;
use crate::control::proto::{Comparison, ExplainRequest, ExplainResponse, Header, Step};
use crate::domain::time::Timestamp;

/// The largest file of headers, in bytes: what a proxy accepts is far below.
const LARGEST: u64 = 1 << 20;
/// What reads standard input.
const STANDARD_INPUT: &str = "-";

/// Explain the decision on one request, step by step.
#[derive(Debug, Args)]
#[command(
    override_usage = "offboard explain --config <PATH>... --method <M> --host <H> --path <P> [-H <NAME: VALUE>]...\n       \
        offboard explain [--server <URL>] --method <M> --host <H> --path <P> [-H <NAME: VALUE>]...\n       \
        offboard explain [--server <URL>] --decision <ID>",
    after_help = "Examples:\n  \
        offboard explain --config . --method GET --host payments --path /v1/orders --header-file request.txt\n  \
        offboard explain --method GET --host shop.example.com --path /v1/orders --service payments --header-file -\n  \
        offboard explain --decision ce0131fa88f25cdc0000000000000000 -o json\n\n\
        Without --config, the command asks a running server, which knows who has left. With --config, it decides from the\n\
        files alone and knows of nobody who has left: the best verdict is \"would be allowed by configuration only\".\n\
        For each token it shows what was expected and found: issuer, key id, audience, times. No credential is printed; in\n\
        a file or on standard input, credentials stay out of the list of processes and of the shell's history too.\n\
        Exit codes: 0 allowed · 1 anything else"
)]
pub(super) struct Explain {
    /// Decide from these files alone; fetches the issuers' keys
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with = "decision")]
    config: Vec<PathBuf>,
    /// HTTP method, such as GET
    #[arg(long, required_unless_present = "decision")]
    method: Option<String>,
    /// Host of the request
    #[arg(long, required_unless_present = "decision")]
    host: Option<String>,
    /// Path, with query
    #[arg(long, required_unless_present = "decision")]
    path: Option<String>,
    /// The service that the route names (`context_extensions`) [default: the host decides]
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// A header, such as the one with the credential; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Headers from a file (`-`: standard input), one `NAME: VALUE` a line
    #[arg(long, value_name = "FILE")]
    header_file: Option<PathBuf>,
    /// A recent decision of the server, by its id from `x-offboard-decision` or the audit trail
    #[arg(long, value_name = "ID", conflicts_with_all = ["method", "host", "path", "service", "headers", "header_file"])]
    decision: Option<String>,
    #[command(flatten)]
    output: Report,
    #[command(flatten)]
    server: NamedServer,
}

/// What is printed, from either side.
struct Told {
    explanation: ExplainResponse,
    /// What could not be found out.
    notes: Vec<String>,
    /// How far the deciding clock is ahead of this machine's, in milliseconds; `None` if it is the same.
    ahead: Option<i64>,
}

impl Explain {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let (offline, output) = (!self.config.is_empty(), self.output);
        if offline && self.server.by_flag {
            return Err(Failure::Usage("--config decides here, --server asks there: give one of them".to_owned()));
        }
        let headers = self.headers()?;
        let told = if offline { self.offline(headers)? } else { self.ask(headers)? };
        let allowed = told.explanation.allowed;
        print(&if output.is_json() { told.as_json(offline).to_string() + "\n" } else { told.as_text() })?;
        Ok(if allowed && !offline { Answer::Yes } else { Answer::No })
    }

    /// The headers of the command line, then those of the file.
    fn headers(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut headers = Vec::new();
        for (header, number) in self.headers.iter().zip(1..) {
            headers.push(header_in(header, || format!("header {number}"))?);
        }
        let Some(path) = &self.header_file else { return Ok(headers) };
        for (line, number) in read(path)?.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            headers.push(header_in(line, || format!("line {number} of `{}`", path.display()))?);
        }
        Ok(headers)
    }

    fn ask(self, headers: Vec<(String, String)>) -> Result<Told, Failure> {
        let request = ExplainRequest {
            decision_id: self.decision.unwrap_or_default(),
            method: self.method.unwrap_or_default(),
            host: self.host.unwrap_or_default(),
            path: self.path.unwrap_or_default(),
            service: self.service,
            headers: headers.into_iter().map(|(name, value)| Header { name, value }).collect(),
        };
        let found = self.server.server.ask(|mut client| async move { client.explain(request).await })?.into_inner();
        let there: Option<Timestamp> = found.now.parse().ok();
        let ahead = there.map(|there| there.as_millis().saturating_sub(when::now().as_millis()));
        Ok(Told { explanation: found, notes: Vec::new(), ahead })
    }

    fn offline(self, headers: Vec<(String, String)>) -> Result<Told, Failure> {
        let (_, configuration) = crate::config::load(&self.config, &std::env::vars().collect())
            .map_err(|invalid| Failure::No(invalid.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Unreachable(format!("start: {error}")))?;
        let text = |text: Option<String>| text.unwrap_or_default();
        let (method, host, path, service) = (text(self.method), text(self.host), text(self.path), self.service);
        let asked = Asked { method, host, path, service, headers };
        let told = runtime.block_on(by_configuration(configuration.policy, &asked));
        let (told, notes) = told.map_err(Failure::No)?;
        Ok(Told { explanation: explanation(told), notes, ahead: None })
    }
}

/// A header of the command line or of a file. What is none may be a credential: it is not quoted.
fn header_in(text: &str, place: impl Fn() -> String) -> Result<(String, String), Failure> {
    let split = text.split_once(':').filter(|(name, _)| !name.trim().is_empty());
    let (name, value) = split.ok_or_else(|| Failure::Usage(format!("{} is not `NAME: VALUE`", place())))?;
    Ok((name.trim().to_lowercase(), value.trim().to_owned()))
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::Unreachable(format!("read `{}`: {error}", path.display()));
    let mut text = String::new();
    if path == Path::new(STANDARD_INPUT) {
        std::io::stdin().take(LARGEST).read_to_string(&mut text).map_err(failed)?;
    } else {
        std::fs::File::open(path).map_err(failed)?.take(LARGEST).read_to_string(&mut text).map_err(failed)?;
    }
    Ok(text)
}

impl Told {
    fn as_text(&self) -> String {
        let steps = &self.explanation.steps;
        let width = steps.iter().map(|step| step.question.len()).max().unwrap_or(0);
        let mut text: String = self.notes.iter().map(|note| format!("note: {}\n", shown(note))).collect();
        for (step, left) in steps.iter().zip((0..steps.len()).rev()) {
            if let Some(ahead) = self.ahead.filter(|_| left == 0) {
                text +=
                    &format!("{:width$}  {}\n", "how far apart are the clocks?", clocks(&self.explanation.now, ahead));
            }
            text += &line(step, width);
        }
        text
    }

    /// Every key is always there.
    fn as_json(&self, offline: bool) -> Value {
        let found = &self.explanation;
        let given = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
        let epoch = found.epoch.as_ref().filter(|_| !offline);
        let steps: Vec<Value> = found.steps.iter().map(step_in_json).collect();
        json!({
            "allowed": found.allowed,
            "by_configuration_only": offline,
            "reason": found.reason,
            "service": found.service,
            "person": given(&found.person),
            "decision_id": given(&found.decision_id),
            "epoch": epoch.map(|epoch| format!("{}.{}", epoch.generation, epoch.position)),
            "now": found.now,
            "clock_ahead_ms": self.ahead,
            "steps": steps,
            "notes": self.notes,
        })
    }
}

fn line(step: &Step, width: usize) -> String {
    let cause = if step.cause.is_empty() { String::new() } else { format!(" ({})", step.cause) };
    let first = format!("{:width$}  {}\n", step.question, shown(&format!("{}{cause}", step.answer)));
    std::iter::once(first).chain(step.compared.iter().map(comparison)).collect()
}

fn comparison(one: &Comparison) -> String {
    let verdict = if one.fits { "" } else { "  <- does not fit" };
    let claimed = if one.claimed { " (claimed)" } else { "" };
    let text = format!("{}: found {}{claimed}; expected {}{verdict}", one.what, one.found, one.expected);
    format!("    {}\n", shown(&text))
}

fn step_in_json(step: &Step) -> Value {
    let comparison = |one: &Comparison| json!({ "what": one.what, "expected": one.expected, "found": one.found, "fits": one.fits, "claimed": one.claimed });
    let compared: Vec<Value> = step.compared.iter().map(comparison).collect();
    json!({ "question": step.question, "answer": step.answer, "cause": step.cause, "compared": compared })
}

/// What time it is there, and how far that is from here.
fn clocks(there: &str, ahead: i64) -> String {
    let apart = std::time::Duration::from_secs(ahead.unsigned_abs() / 1_000);
    let apart = humantime::format_duration(apart);
    match ahead {
        -999..1_000 => format!("less than a second; there it is {there}"),
        1_000.. => format!("{apart}: the server is ahead of this machine; there it is {there}"),
        _ => format!("{apart}: the server is behind this machine; there it is {there}"),
    }
}
