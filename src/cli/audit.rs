//! `offboard audit`: reads and verifies the trail.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;

use super::client::{Server, time};
use super::output::{Report, Row, optional, print, text};
use super::{Answer, Failure};
use crate::audit::record::Kind;
use crate::audit::verify::{Verdict, verify};
use crate::control::proto::TailAuditRequest;
use crate::telemetry::logging::chain;

/// Read and verify the audit trail.
#[derive(Debug, Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Verify that no record was changed, removed or inserted.
    Verify(Verify),
    /// Print records as they are written.
    Tail(Tail),
}

/// Verify that no record was changed, removed or inserted.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  offboard audit verify --path /var/lib/offboard/audit\n\n\
    Prints the directory, how many records, of which time, and the last hash. Reads only the files; the service may keep\n\
    running. Exit codes: 0 proven · 1 not proven: the chain is broken, its end was cut off, or there is none · 3 unreadable")]
struct Verify {
    /// Directory of the trail (`audit.path` in the configuration)
    #[arg(long, value_name = "DIR", default_value = "/var/lib/offboard/audit")]
    path: PathBuf,
    #[command(flatten)]
    output: Report,
}

/// Print records as they are written.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  offboard audit tail --kind decision --person hr/alice\n  \
    offboard audit tail --person mallory@example.com --since 24h\n\n\
    Prints one JSON object per line until interrupted: with --since first what the trail of that replica has since then,\n\
    else from now on. A slow reader misses nothing.")]
struct Tail {
    /// Only records about this person: SOURCE/KEY, e-mail, user name, IdP id, or ISS|SUB
    #[arg(long, value_name = "REF")]
    person: Option<String>,
    /// Only records of this kind
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::word)))]
    kind: Option<String>,
    /// Print older records first, from this time on: a timestamp, or a duration such as 24h ago
    #[arg(long, value_name = "T")]
    since: Option<String>,
    #[command(flatten)]
    server: Server,
}

impl Audit {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.command {
            AuditCommand::Verify(command) => command.run(),
            AuditCommand::Tail(command) => command.run(),
        }
    }
}

impl Verify {
    fn run(self) -> Result<Answer, Failure> {
        let verdict = verify(&self.path).map_err(|error| Failure::Unreachable(chain(&error)))?;
        self.output.told(&format!("{verdict}\n"), row(&verdict))?;
        Ok(if verdict.holds() { Answer::Yes } else { Answer::No })
    }
}

fn row(verdict: &Verdict) -> Row {
    let (from, until) = verdict.period.unzip();
    vec![
        ("proven", Value::Bool(verdict.holds())),
        ("dir", text(verdict.dir.display().to_string())),
        ("records", json!(verdict.records)),
        ("first", json!(verdict.first)),
        ("last", json!(verdict.last)),
        ("from", optional(from.map(|time| time.to_string()))),
        ("until", optional(until.map(|time| time.to_string()))),
        ("last_hash", text(verdict.last_hash.clone())),
        ("lost", json!(verdict.lost)),
        ("unfinished", json!(verdict.unfinished)),
        ("broken", optional(verdict.broken.as_ref().map(ToString::to_string))),
    ]
}

impl Tail {
    fn run(self) -> Result<Answer, Failure> {
        let since = self.since.map(|text| time(&text, false).map(|time| time.to_string())).transpose()?;
        let (person, kind) = (self.person.unwrap_or_default(), self.kind.unwrap_or_default());
        let request = TailAuditRequest { person, kind, since };
        self.server.ask(|mut client| async move {
            let mut records = client.tail_audit(request).await?.into_inner();
            while let Some(record) = records.next().await {
                let _ = print(&(record?.json + "\n"));
            }
            Ok(())
        })?;
        Ok(Answer::Yes)
    }
}
