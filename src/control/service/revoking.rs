//! `Revoke`: what it would do, whom its REF means, and that it is done.

use tonic::Status;

use super::{Operator, convert, input};
use crate::control::proto;
use crate::control::views::Unresolved;
use crate::domain::command::{Command, Refused, RevokeRequest, WhenUnknown};
use crate::domain::revocation::Target;

/// What the record of the call says of the target: never a credential.
pub(super) fn described(request: &proto::RevokeRequest) -> Option<String> {
    let dry = if request.dry_run { " (dry run)" } else { "" };
    let what = match input::credential(request) {
        Some(_) => "a credential as found".to_owned(),
        None => input::target(request.target.as_ref()).ok()?.to_string(),
    };
    Some(what + dry)
}

impl Operator {
    /// The target of a request; a credential is verified first.
    pub(super) async fn target(&self, request: &proto::RevokeRequest) -> Result<Target, Status> {
        let Some(credential) = input::credential(request) else { return input::target(request.target.as_ref()) };
        self.views.credential(credential).await.map_err(|why| {
            Status::failed_precondition(format!(
                "{why}; nothing was revoked. If its session or its id is known from elsewhere, `--session ISS SID` or \
                 `--token ISS JTI` denies it"
            ))
        })
    }

    /// Previews a revocation, then checks it (`dry_run`) or makes it.
    pub(super) async fn carry_out(
        &self,
        mut asked: RevokeRequest,
        dry_run: bool,
    ) -> Result<proto::RevokeResponse, Status> {
        let found = self.views.preview(&asked.target, asked.shape).await;
        let mut warnings: Vec<String> = found.unseen.clone().into_iter().collect();
        if let Some(reference) = asked.target.reference().filter(|_| found.people.is_empty()) {
            let found = self.views.unresolved(reference).await;
            if !matches!(found, Unresolved::Unknown(_)) {
                asked.when_unknown = WhenUnknown::DenyName;
            }
            warnings.push(unresolved(reference, &found));
        }
        let preview = Some(convert::preview(found));
        let command = if dry_run { Command::CheckRevoke(asked) } else { Command::Revoke(asked) };
        let done = self.ask(command).await?;
        let id = done.revocation.map(|id| id.to_string()).unwrap_or_default();
        Ok(proto::RevokeResponse { id, epoch: Some(convert::epoch(done.epoch)), preview, warnings })
    }

    /// The error about a REF that means nobody, with what may have been meant.
    pub(super) async fn nobody(&self, reference: &str) -> Status {
        let near = match self.views.unresolved(reference).await {
            Unresolved::Unknown(near) if !near.is_empty() => format!("; near it: {}", near.join(", ")),
            Unresolved::NeverListed => "; no source has completed a listing".to_owned(),
            _ => String::new(),
        };
        Status::not_found(Refused::Nobody(reference.to_owned()).to_string() + &near)
    }
}

/// What to know before a name is denied that nobody in a source has.
fn unresolved(reference: &str, found: &Unresolved) -> String {
    match found {
        Unresolved::Seen => format!(
            "`{reference}` matches nobody in any source, but verified tokens have shown this name: they are denied"
        ),
        Unresolved::NeverListed => format!(
            "no source has completed a listing, so nobody knows whether `{reference}` is anybody; only the name itself is \
             denied, whoever has it"
        ),
        Unresolved::Unknown(_) => {
            format!("`{reference}` matches nobody in any source; only the name itself is denied, whoever has it later")
        }
    }
}
