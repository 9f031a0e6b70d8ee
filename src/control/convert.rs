//! From the domain to the messages of the control API.

use std::sync::Arc;

use prost::Message as _;
use tonic::Status;
use tonic::metadata::MetadataValue;

use crate::domain::call::Stood;
use crate::domain::command::Refused;
use crate::domain::event::{EndCause, Epoch, Exemption};
use crate::domain::revocation::Shape;
use crate::domain::time::Timestamp;

use super::proto;
use super::views::{
    ComparisonView, CredentialView, CutOffView, Explanation, IssuerView, ObservedView, PersonView, PreviewView,
    ProblemView, RevocationView, SeenView, StatusView, StepView, UnusableKeyView,
};

/// Response metadata of a call with an unknown outcome: the key for `GetOutcome`.
pub const OUTCOME_KEY: &str = "offboard-outcome-key";

/// Response metadata of an error about an ambiguous REF: [`proto::Ambiguous`].
pub const AMBIGUOUS: &str = "offboard-ambiguous-bin";
/// Most candidates there: metadata is limited to some kilobytes.
const CANDIDATES: usize = 50;

/// A refusal as a status, with its text and the matching code.
#[must_use]
pub fn refused(refused: &Refused) -> Status {
    let text = refused.to_string();
    match refused {
        Refused::NotFound(_)
        | Refused::Nobody(_)
        | Refused::NothingHeld(_)
        | Refused::NothingLeft(_)
        | Refused::NotExempted(_) => Status::not_found(text),
        Refused::NotYours { .. }
        | Refused::Merged(_)
        | Refused::Denied { .. }
        | Refused::Guarded { .. }
        | Refused::Void { .. }
        | Refused::KeyReused => Status::failed_precondition(text),
        Refused::Ambiguous { reference, candidates } => {
            let candidates = candidates.iter().take(CANDIDATES).map(ToString::to_string).collect();
            let detail = proto::Ambiguous { reference: reference.clone(), candidates };
            let mut status = Status::failed_precondition(text);
            status.metadata_mut().insert_bin(AMBIGUOUS, MetadataValue::from_bytes(&detail.encode_to_vec()));
            status
        }
        Refused::Unknown { key } => {
            let mut status = Status::unknown(text);
            if let Ok(key) = key.parse() {
                status.metadata_mut().insert(OUTCOME_KEY, key);
            }
            status
        }
        Refused::Invalid(_) => Status::invalid_argument(text),
        Refused::Log(_) | Refused::Gone(_) | Refused::Stopped => Status::unavailable(text),
    }
}

/// An epoch.
#[must_use]
pub fn epoch(epoch: Epoch) -> proto::Epoch {
    proto::Epoch { generation: epoch.generation, position: epoch.position }
}

/// A revocation that stood already.
#[must_use]
pub fn standing(stood: &Stood) -> proto::Standing {
    let Stood { id, since, actor } = stood;
    proto::Standing { id: id.to_string(), since: since.to_string(), actor: actor.clone() }
}

/// Whom a REF may mean, if the error is that it is ambiguous.
#[must_use]
pub fn ambiguous(status: &Status) -> Option<proto::Ambiguous> {
    let detail = status.metadata().get_bin(AMBIGUOUS)?.to_bytes().ok()?;
    proto::Ambiguous::decode(detail).ok()
}

/// What a revocation affects.
#[must_use]
pub fn preview(view: PreviewView) -> proto::Preview {
    let affected = |view: PersonView| proto::Affected {
        person: view.person.id.to_string(),
        status: view.person.status.word().to_owned(),
        roles: view.roles,
        last_allowed: view.last_allows.iter().map(|(_, time)| *time).max().map(|time| time.to_string()),
    };
    proto::Preview {
        people: view.people.into_iter().map(affected).collect(),
        keys: view.keys,
        open_streams: view.open_streams,
        warnings: view.warnings,
        dies: Some(seen(view.dies)),
        stays: Some(seen(view.stays)),
    }
}

fn seen(view: SeenView) -> proto::SeenCredentials {
    let credential = |CredentialView { verified, uses }: CredentialView| {
        let last = |(service, time): (Arc<str>, Timestamp)| proto::LastUse {
            service: service.to_string(),
            time: time.to_string(),
        };
        proto::SeenCredential {
            issuer: verified.issuer.to_string(),
            subject: verified.subject.clone(),
            session: verified.session.clone(),
            token: verified.token_id.clone(),
            client: verified.client.clone(),
            issued: verified.issued.map(|time| time.to_string()),
            expires: verified.expires.map(|time| time.to_string()),
            uses: uses.into_iter().map(last).collect(),
        }
    };
    let last = view.last.into_iter().map(credential).collect();
    proto::SeenCredentials { count: view.count, sessions: view.sessions, last }
}

/// The word for a shape; of a cut-off also the last time of issue that is denied.
#[must_use]
pub fn shape(shape: Shape) -> (&'static str, Option<String>) {
    match shape {
        Shape::Block => ("block", None),
        Shape::CutOff { at } => ("cut_off", Some(at.to_string())),
    }
}

/// One revocation.
#[must_use]
pub fn revocation(view: RevocationView) -> proto::Revocation {
    let RevocationView { id, revocation, ended, left } = view;
    let (shape, issued_before) = shape(revocation.shape);
    proto::Revocation {
        id,
        kind: revocation.target.kind().word().to_owned(),
        target: revocation.target.to_string(),
        shape: shape.to_owned(),
        issued_before,
        reason: revocation.reason,
        owner: revocation.owner.to_string(),
        actor: revocation.actor,
        effective: revocation.effective.to_string(),
        expires: revocation.expires.map(|time| time.to_string()),
        people: revocation.persons.iter().map(ToString::to_string).collect(),
        // Only what has ended leaves a cut-off, which begins then.
        ended: ended.map(|(time, _)| time).or(left).map(|time| time.to_string()),
        ended_by: ended.map(|(_, cause)| cause_word(cause).to_owned()),
        left_cut_off: left.map(|time| time.to_string()),
    }
}

fn cut_off(view: CutOffView) -> proto::CutOff {
    proto::CutOff {
        issued_before: view.at.to_string(),
        left_by: view.by.id,
        owner: view.by.revocation.owner.to_string(),
        reason: view.by.revocation.reason,
    }
}

/// The word for why something ended.
#[must_use]
pub fn cause_word(cause: EndCause) -> &'static str {
    match cause {
        EndCause::Restored => "restored",
        EndCause::Expired => "expired",
        EndCause::ActiveAgain => "active_again",
        EndCause::TakenOut => "taken_out",
        EndCause::Undone => "undone",
        EndCause::Replaced => "replaced",
    }
}

/// One person.
#[must_use]
pub fn person(view: PersonView) -> proto::Person {
    let last = |(service, time): (String, Timestamp)| proto::LastAllow { service, time: time.to_string() };
    proto::Person {
        id: view.person.id.to_string(),
        source: view.person.id.source,
        status: view.person.status.word().to_owned(),
        email: view.person.email,
        username: view.person.username,
        attributes: view.person.attributes.into_iter().collect(),
        more: view
            .person
            .more
            .into_iter()
            .map(|(attribute, values)| proto::FurtherValues { attribute, values })
            .collect(),
        groups: view.person.groups,
        roles: view.roles,
        keys: view.keys,
        revocations: view.revocations.into_iter().map(revocation).collect(),
        cut_offs: view.cut_offs.into_iter().map(cut_off).collect(),
        last_allows: view.last_allows.into_iter().map(last).collect(),
        open_streams: view.open_streams,
        exempted_until: view.exempted_until.map(|time| time.to_string()),
    }
}

/// The state of a replica.
#[must_use]
pub fn status(view: StatusView) -> proto::GetStatusResponse {
    let key = |UnusableKeyView { number, kid, reason }| proto::LeftOutKey { number, kid, reason };
    let issuer = |view: IssuerView| proto::IssuerStatus {
        name: view.name,
        keys: view.keys,
        last_fetched: view.last_fetched.map(|time| time.to_string()),
        left_out: view.left_out.into_iter().map(key).collect(),
        trouble: view.trouble,
    };
    proto::GetStatusResponse {
        replica: view.replica,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        problems: view.problems.into_iter().map(problem).collect(),
        ready: view.waiting_for.is_empty(),
        waiting_for: view.waiting_for,
        epoch: Some(epoch(view.epoch)),
        configuration: view.configuration,
        enforcement: view.enforcement.to_owned(),
        services: view.services.into_iter().map(service).collect(),
        revocations_kept: view.revocations_kept,
        store: view.store,
        sources: view.sources.into_iter().map(super::sources::status).collect(),
        issuers: view.issuers.into_iter().map(issuer).collect(),
        revocations: view.revocations.into_iter().map(|(kind, count)| (kind.word().to_owned(), count)).collect(),
        audit_lost: view.audit_lost,
        exemptions: view.exemptions.iter().map(|exemption| exempted(exemption)).collect(),
        passes: view.passes.into_iter().map(|(service, keys)| passing(&service, &keys)).collect(),
    }
}

fn problem(ProblemView { area, text, details, chosen }: ProblemView) -> proto::Problem {
    proto::Problem { area, text, details, chosen }
}

fn service((name, enforcement): (Arc<str>, &str)) -> proto::ServiceStatus {
    proto::ServiceStatus { name: name.to_string(), enforcement: enforcement.to_owned() }
}

fn passing(service: &str, keys: &[&str]) -> proto::PassStatus {
    proto::PassStatus { service: service.to_owned(), settings: keys.iter().map(|&key| key.to_owned()).collect() }
}

fn exempted(exemption: &Exemption) -> proto::ExemptionStatus {
    proto::ExemptionStatus {
        person: exemption.reference.clone(),
        people: exemption.persons.iter().map(ToString::to_string).collect(),
        expires: exemption.expires.to_string(),
        actor: exemption.actor.clone(),
        reason: exemption.reason.clone(),
    }
}

/// A decision, step by step.
#[must_use]
pub fn explanation(view: Explanation) -> proto::ExplainResponse {
    proto::ExplainResponse {
        allowed: view.allowed,
        reason: view.reason,
        steps: view
            .steps
            .into_iter()
            .map(|StepView { question, answer, cause, compared }| proto::Step {
                question,
                answer,
                cause,
                compared: compared.into_iter().map(comparison).collect(),
            })
            .collect(),
        service: view.service,
        person: view.person.map(|person| person.to_string()).unwrap_or_default(),
        epoch: Some(epoch(view.epoch)),
        decision_id: view.decision_id.unwrap_or_default(),
        now: view.now.to_string(),
    }
}

/// What would have been refused, and since when that is counted.
#[must_use]
pub fn observed((since, views): (Timestamp, Vec<ObservedView>)) -> proto::ListObservedResponse {
    let observed = views.into_iter().map(refused_alike).collect();
    proto::ListObservedResponse { counted_since: since.to_string(), observed }
}

fn refused_alike(view: ObservedView) -> proto::Observed {
    let [method, host, path, decision_id] = view.example;
    proto::Observed {
        service: view.service,
        reason: view.reason,
        detail: view.detail,
        issuer: view.issuer,
        audiences: view.audiences,
        client: view.client,
        key_id: view.key_id,
        claimed: view.claimed,
        segment: view.segment,
        several: view.several,
        count: view.count,
        first: view.first.to_string(),
        last: view.last.to_string(),
        example: Some(proto::Example { method, host, path, decision_id }),
        advice: view.advice,
    }
}

fn comparison(ComparisonView { what, expected, found, fits, claimed }: ComparisonView) -> proto::Comparison {
    proto::Comparison { what: what.to_owned(), expected, found, fits, claimed }
}
