//! `offboard restore` and `exempt`: what lifts a denial.

use clap::Args;

use super::client::{Server, time};
use super::output::print;
use super::{Answer, Failure, when};
use crate::control::proto::{ExemptRequest, RestoreRequest, UndoRequest};

/// End one revocation.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  offboard restore r8f14e45fceea167a --reason \"back from leave\"\n  \
    offboard restore r8f14e45fceea167a --undo --reason \"wrong person\"\n\n\
    When a block on a person, subject, client or issuer ends, credentials issued before stay denied, and new ones work.\n\
    --undo is for a mistake: it takes that cut-off away too, also of a revocation that was restored already.")]
pub(super) struct Restore {
    /// Id of the revocation, as `offboard revocations` prints it
    #[arg(value_name = "ID")]
    id: String,
    /// Take it back as a mistake, with the cut-off that it left; only an operator's, and with the right `admin`
    #[arg(long)]
    undo: bool,
    /// Reason, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    server: Server,
}

fn noted(warnings: &[String]) -> Result<(), Failure> {
    warnings.iter().try_for_each(|warning| print(&format!("note: {warning}\n")))
}

impl Restore {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let (id, reason) = (self.id.clone(), self.reason);
        if self.undo {
            let request = UndoRequest { id, reason };
            let done = self.server.ask(|mut client| async move { client.undo(request).await })?.into_inner();
            noted(&done.warnings)?;
            print(&format!("undone: {}; nothing of it denies anybody any more\n", self.id))?;
            return Ok(Answer::Yes);
        }
        let request = RestoreRequest { id, reason };
        let done = self.server.ask(|mut client| async move { client.restore(request).await })?.into_inner();
        noted(&done.warnings)?;
        print(&format!("restored: {}\n", self.id))?;
        if let Some(at) = done.cut_off {
            let at = at.parse().map_or(at, when::zoned);
            print(&format!(
                "what was issued at or before {at} stays denied: whoever is concerned signs in again (if the revocation was a \
                 mistake: `offboard restore {} --undo`)\n",
                self.id
            ))?;
        }
        Ok(Answer::Yes)
    }
}

/// Break glass: override what a source says about a person, for a limited time.
#[derive(Debug, Args)]
#[command(
    override_usage = "offboard exempt <REF> <--expires <T>|--end> --reason <TEXT>",
    after_help = "Examples:\n  offboard exempt alice@example.com --expires 2h --reason \"directory is wrong\"\n  \
    offboard exempt alice@example.com --end --reason \"directory is right again\"\n\n\
    It never overrides a revocation of an operator or of the configuration, and is refused where one stands. A new one\n\
    replaces the old. Each use raises an alarm and is recorded."
)]
pub(super) struct Exempt {
    /// SOURCE/KEY, e-mail, user name, IdP id, or ISS|SUB
    #[arg(value_name = "REF")]
    person: String,
    /// When it ends: a timestamp, or a duration from now such as 2h; at most `exemptions.max` (default 8h)
    #[arg(long, value_name = "T", required_unless_present = "end", conflicts_with = "end")]
    expires: Option<String>,
    /// End the exemption now
    #[arg(long)]
    end: bool,
    /// Reason, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    server: Server,
}

impl Exempt {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let expires = self.expires.as_ref().map(|text| time(text, true)).transpose()?;
        let request = ExemptRequest {
            person: self.person,
            expires: expires.map(|time| time.to_string()).unwrap_or_default(),
            reason: self.reason,
            end: self.end,
        };
        let done = self.server.ask(|mut client| async move { client.exempt(request).await })?.into_inner();
        let people = done.people.join(", ");
        print(&match expires {
            Some(expires) => format!("exempted until {}: {people}\n", when::zoned(expires)),
            None => format!("exempted no longer: {people}\n"),
        })?;
        Ok(Answer::Yes)
    }
}
