//! `Restore`, `Undo` and `Exempt`: what lifts a denial, and what stays denied all the same.

use tonic::Status;

use super::{Operator, PAGE, convert, input};
use crate::control::guard::Caller;
use crate::control::proto;
use crate::control::views::RevocationFilter;
use crate::domain::call::Call;
use crate::domain::command::Command;
use crate::domain::person::{self, PersonId};

impl Operator {
    pub(super) async fn restored(
        &self,
        request: &proto::RestoreRequest,
        caller: &Caller,
        call: Option<Call>,
    ) -> Result<proto::RestoreResponse, Status> {
        let id = input::revocation_id(&request.id)?;
        let reason = input::reason(&request.reason)?;
        let done = self.ask(Command::Restore { id, reason, actor: caller.actor.to_string() }, call).await?;
        Ok(proto::RestoreResponse {
            epoch: Some(convert::epoch(done.epoch)),
            warnings: self.still_denied(&done.persons).await,
            cut_off: self.views.cut_off_left(id).await.map(|time| time.to_string()),
        })
    }

    pub(super) async fn undone(
        &self,
        request: &proto::UndoRequest,
        caller: &Caller,
        call: Option<Call>,
    ) -> Result<proto::UndoResponse, Status> {
        let id = input::revocation_id(&request.id)?;
        let reason = input::reason(&request.reason)?;
        let done = self.ask(Command::Undo { id, reason, actor: caller.actor.to_string() }, call).await?;
        tracing::warn!(call.actor = %caller.actor, log.epoch = %done.epoch, "revocation {id} undone, with its cut-off");
        let warnings = self.still_denied(&done.persons).await;
        Ok(proto::UndoResponse { epoch: Some(convert::epoch(done.epoch)), warnings })
    }

    /// What else denies these persons.
    async fn still_denied(&self, persons: &[PersonId]) -> Vec<String> {
        let mut warnings = Vec::new();
        for person in persons {
            let filter =
                RevocationFilter { reference: Some(person.to_string()), ended: false, before: None, limit: PAGE };
            match self.views.revocations(&filter).await {
                Ok(found) => warnings.extend(found.iter().map(|view| match view.left {
                    None => format!("{} is still in force: {}", view.id, view.revocation.target),
                    Some(at) => format!(
                        "{} has ended, and what was issued at or before {at} stays denied: {}",
                        view.id, view.revocation.target
                    ),
                })),
                Err(error) => warnings.push(format!("cannot read what else is in force for {person}: {error}")),
            }
        }
        warnings.sort_unstable();
        warnings.dedup();
        warnings
    }

    pub(super) async fn exempted(
        &self,
        request: &proto::ExemptRequest,
        caller: &Caller,
        call: Option<Call>,
    ) -> Result<proto::ExemptResponse, Status> {
        let reference = input::reference(&request.person)?;
        let (reason, actor) = (input::reason(&request.reason)?, caller.actor.to_string());
        let (command, what) = if request.end {
            (Command::EndExemption { reference, reason, actor }, "break glass ended: person is exempted no longer")
        } else {
            let expires = input::time("expires", Some(&request.expires))?;
            let expires = expires.ok_or_else(|| Status::invalid_argument("expires is missing"))?;
            (Command::Exempt { reference, expires, reason, actor }, "break glass: person exempted")
        };
        let done = self.ask(command, call).await?;
        tracing::warn!(call.actor = %caller.actor, log.epoch = %done.epoch, "{what}");
        let mut warnings = Vec::new();
        for person in done.persons.iter().filter(|_| !request.end) {
            let known = self.views.person(&person.to_string()).await;
            if known.iter().any(|view| view.person.id == *person && view.person.status == person::Status::Active) {
                warnings.push(format!(
                    "{person} is active in their source, so there is nothing to override now; if they leave before it \
                     ends, they still get in"
                ));
            }
        }
        Ok(proto::ExemptResponse {
            id: done.exemption.map(|id| id.to_string()).unwrap_or_default(),
            epoch: Some(convert::epoch(done.epoch)),
            people: done.persons.iter().map(ToString::to_string).collect(),
            warnings,
        })
    }
}
