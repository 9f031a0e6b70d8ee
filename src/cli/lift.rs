//! `offboard restore` and `exempt`: what lifts a denial.

use clap::Args;
use serde_json::Value;

use super::client::{Server, time};
use super::output::{Report, optional, text, texts};
use super::{Answer, Failure, when};
use crate::control::proto::{ExemptRequest, ListRevocationsRequest, RestoreRequest, Revocation, UndoRequest};

/// End one revocation.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  offboard restore r8f14e45fceea167a --reason \"back from leave\"\n  \
    offboard restore r8f14e45fceea167a --undo --reason \"wrong person\"\n\n\
    When a block on a person, subject, client or issuer ends, credentials issued before stay denied, and new ones work.\n\
    --undo is for a mistake: it takes that cut-off away too, also of a revocation that was restored already.")]
pub(super) struct Restore {
    /// Id of the revocation, as `offboard revocations` prints it
    #[arg(value_name = "ID", required_unless_present = "person")]
    id: Option<String>,
    /// End every revocation that an operator made of this person
    #[arg(long, value_name = "REF", conflicts_with_all = ["id", "undo"])]
    person: Option<String>,
    /// Take it back as a mistake, with the cut-off that it left; only an operator's, and with the right `admin`
    #[arg(long)]
    undo: bool,
    /// Reason, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    output: Report,
    #[command(flatten)]
    server: Server,
}

fn noted(warnings: &[String]) -> String {
    warnings.iter().map(|warning| format!("note: {warning}\n")).collect()
}

impl Restore {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let id = self.id.clone().unwrap_or_default();
        match &self.person {
            Some(person) => self.of_person(person)?,
            None if self.undo => self.undone(id)?,
            None => self.restored(id)?,
        }
        Ok(Answer::Yes)
    }

    /// Ends what operators made of this person.
    fn of_person(&self, person: &str) -> Result<(), Failure> {
        let request = ListRevocationsRequest { person: person.to_owned(), ..ListRevocationsRequest::default() };
        let found = self.server.ask(|mut client| async move { client.list_revocations(request).await })?.into_inner();
        let own = |one: &Revocation| one.owner == "operator" && one.kind == "person" && one.left_cut_off.is_none();
        let ids: Vec<String> = found.revocations.into_iter().filter(own).map(|one| one.id).collect();
        if ids.is_empty() {
            return Err(Failure::No(format!("no revocation that an operator made of `{person}` is in effect")));
        }
        ids.into_iter().try_for_each(|id| self.restored(id))
    }

    fn undone(&self, id: String) -> Result<(), Failure> {
        let request = UndoRequest { id: id.clone(), reason: self.reason.clone() };
        let done = self.server.change(request, |mut client, request| async move { client.undo(request).await })?;
        let told = noted(&done.warnings) + &format!("undone: {id}; nothing of it denies anybody any more\n");
        self.told(&told, (id, true), (None, done.warnings))
    }

    fn told(
        &self,
        sentences: &str,
        (id, undone): (String, bool),
        (cut_off, notes): (Option<String>, Vec<String>),
    ) -> Result<(), Failure> {
        let row = vec![
            ("id", text(id)),
            ("undone", Value::Bool(undone)),
            ("cut_off", optional(cut_off)),
            ("notes", texts(notes)),
        ];
        self.output.told(sentences, row)
    }

    fn restored(&self, id: String) -> Result<(), Failure> {
        let request = RestoreRequest { id: id.clone(), reason: self.reason.clone() };
        let done = self.server.change(request, |mut client, request| async move { client.restore(request).await })?;
        let mut told = noted(&done.warnings) + &format!("restored: {id}\n");
        if let Some(at) = &done.cut_off {
            let at = at.parse().map_or_else(|_| at.clone(), when::zoned);
            told += &format!(
                "what was issued at or before {at} stays denied: whoever is concerned signs in again (if the revocation was a \
                 mistake: `offboard restore {id} --undo`)\n"
            );
        }
        self.told(&told, (id, false), (done.cut_off, done.warnings))
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
    output: Report,
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
        let done = self.server.change(request, |mut client, request| async move { client.exempt(request).await })?;
        let people = done.people.join(", ");
        let told = match expires {
            Some(expires) => format!("exempted until {}: {people}\n", when::zoned(expires)),
            None => format!("exempted no longer: {people}\n"),
        };
        let told = told + &noted(&done.warnings);
        let expires = optional(expires.map(|expires| expires.to_string()));
        let row = vec![("people", texts(done.people)), ("expires", expires), ("notes", texts(done.warnings))];
        self.output.told(&told, row)?;
        Ok(Answer::Yes)
    }
}
