//! `Revoke`: what it would do, whom its REF means, and that it is done.

use tonic::{Code, Status};

use super::{Operator, convert, input};
use crate::control::guard::Caller;
use crate::control::proto;
use crate::control::views::Unresolved;
use crate::domain::call::Call;
use crate::domain::command::{Command, Refused, RevokeRequest, WhenUnknown};
use crate::domain::revocation::Target;

/// Revocations that are made at once.
const AT_ONCE: usize = 1_000;
/// Targets that the record of their call names; each has a record of its own besides.
const NAMED: usize = 20;

/// What the record of the call says of the target: never a credential.
pub(super) fn described(request: &proto::RevokeRequest) -> Option<String> {
    let dry = if request.dry_run { " (dry run)" } else { "" };
    let what = match input::credential(request) {
        Some(_) => "a credential as found".to_owned(),
        None => input::target(request.target.as_ref()).ok()?.to_string(),
    };
    Some(what + dry)
}

/// The same of several targets, the first of them by name.
pub(super) fn described_all(request: &proto::RevokeManyRequest) -> Option<String> {
    let named: Vec<String> = request.revocations.iter().take(NAMED).filter_map(described).collect();
    let dry = if request.dry_run { " (dry run)" } else { "" };
    Some(format!("{} targets: {}{dry}", request.revocations.len(), named.join(", ")))
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
        call: Option<Call>,
    ) -> Result<proto::RevokeResponse, Status> {
        let found = self.views.preview(&asked.target, asked.shape).await;
        let mut warnings: Vec<String> = found.unseen.clone().into_iter().collect();
        if found.people.is_empty() {
            warnings.extend(self.weigh(&mut asked).await);
        }
        let preview = Some(convert::preview(found));
        let done = match dry_run {
            true => self.ask(Command::CheckRevoke(asked), None).await?,
            false => self.ask(Command::Revoke(asked), call).await?,
        };
        let id = done.revocation.map(|id| id.to_string()).unwrap_or_default();
        let standing = done.stood.first().map(convert::standing);
        Ok(proto::RevokeResponse { id, epoch: Some(convert::epoch(done.epoch)), preview, warnings, standing })
    }

    /// Accepts a REF that resolves to nobody if a token has shown it, or if nobody can know; with a warning about it.
    async fn weigh(&self, asked: &mut RevokeRequest) -> Option<String> {
        let reference = asked.target.reference()?;
        let found = self.views.unresolved(reference).await;
        let warning = unresolved(reference, &found);
        if !matches!(found, Unresolved::Unknown(_)) {
            asked.when_unknown = WhenUnknown::DenyName;
        }
        Some(warning)
    }

    /// Makes several revocations, or none.
    pub(super) async fn revoked_all(
        &self,
        request: &proto::RevokeManyRequest,
        caller: &Caller,
        call: Option<Call>,
    ) -> Result<proto::RevokeManyResponse, Status> {
        check_number(request)?;
        let mut all = Vec::with_capacity(request.revocations.len());
        for one in &request.revocations {
            let mut asked = input::revoke(one, self.target(one).await?, &caller.actor)?;
            if let Some(reference) = asked.target.reference()
                && self.views.person(reference).await.is_empty()
            {
                self.weigh(&mut asked).await;
            }
            all.push(asked);
        }
        let done = self.ask(Command::RevokeAll(all), call).await?;
        Ok(proto::RevokeManyResponse {
            ids: done.revocations.iter().map(ToString::to_string).collect(),
            epoch: Some(convert::epoch(done.epoch)),
            standing: done.stood.iter().map(convert::standing).collect(),
            judged: Vec::new(),
        })
    }

    /// Judges several revocations, each by itself.
    pub(super) async fn judged_all(
        &self,
        request: &proto::RevokeManyRequest,
        caller: &Caller,
    ) -> Result<proto::RevokeManyResponse, Status> {
        check_number(request)?;
        let mut judged = Vec::with_capacity(request.revocations.len());
        for one in &request.revocations {
            judged.push(match self.judged(one, caller).await {
                Ok(found) => proto::Judged {
                    preview: found.preview,
                    warnings: found.warnings,
                    standing: found.standing,
                    ..proto::Judged::default()
                },
                // The others would fare no better, and nothing is known of this one.
                Err(status) if !is_refusal(&status) => return Err(status),
                Err(status) => proto::Judged {
                    refused: status.message().to_owned(),
                    ambiguous: convert::ambiguous(&status),
                    ..proto::Judged::default()
                },
            });
        }
        Ok(proto::RevokeManyResponse { judged, ..proto::RevokeManyResponse::default() })
    }

    async fn judged(&self, one: &proto::RevokeRequest, caller: &Caller) -> Result<proto::RevokeResponse, Status> {
        let asked = input::revoke(one, self.target(one).await?, &caller.actor)?;
        self.carry_out(asked, true, None).await
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

fn check_number(request: &proto::RevokeManyRequest) -> Result<(), Status> {
    let fits = (1..=AT_ONCE).contains(&request.revocations.len());
    let wrong = || Status::invalid_argument(format!("between 1 and {AT_ONCE} revocations are made at once"));
    fits.then_some(()).ok_or_else(wrong)
}

/// Whether a status is about the revocation that was asked for.
fn is_refusal(status: &Status) -> bool {
    matches!(status.code(), Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition)
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
