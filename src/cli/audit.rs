//! `offboard audit`: reads and proves the trail.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tokio_stream::StreamExt as _;

use super::client::Server;
use super::output::print;
use super::{Answer, Failure};
use crate::audit::verify::verify;
use crate::control::proto::TailAuditRequest;
use crate::telemetry::logging::chain;

/// Read and prove the audit trail.
#[derive(Debug, Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Prove that no record was changed, removed or put in between.
    Verify(Verify),
    /// Print records as they are written.
    Tail(Tail),
}

/// Prove that no record was changed, removed or put in between.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  offboard audit verify --path /var/lib/offboard/audit")]
struct Verify {
    /// Directory of the trail (`audit.path`)
    #[arg(long, value_name = "DIR", default_value = "/var/lib/offboard/audit")]
    path: PathBuf,
}

/// Print records as they are written.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  offboard audit tail --kind decision")]
struct Tail {
    /// Only those of this person, as `source/key`
    #[arg(long, value_name = "PERSON")]
    person: Option<String>,
    /// Only those of this kind
    #[arg(long)]
    kind: Option<String>,
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
        print(&format!("{verdict}\n"))?;
        Ok(if verdict.holds() { Answer::Yes } else { Answer::No })
    }
}

impl Tail {
    fn run(self) -> Result<Answer, Failure> {
        let request = TailAuditRequest { person: self.person.unwrap_or_default(), kind: self.kind.unwrap_or_default() };
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
