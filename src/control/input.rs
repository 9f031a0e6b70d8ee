//! From the messages of the control API to the domain: validates what callers send.

use tonic::Status;

use super::proto;
use crate::domain::command::{RevokeRequest, WhenAmbiguous, WhenUnknown};
use crate::domain::id::RevocationId;
use crate::domain::jwt;
use crate::domain::revocation::{Shape, Target};
use crate::domain::time::Timestamp;

/// Longest text accepted from an operator, so that a page of a thousand of them fits into a message.
const LONGEST: usize = 1_024;

fn given(what: &str, value: &str) -> Result<String, Status> {
    match value.trim() {
        "" => Err(Status::invalid_argument(format!("{what} is missing"))),
        value if value.len() > LONGEST => {
            Err(Status::invalid_argument(format!("{what} is longer than {LONGEST} bytes")))
        }
        value => Ok(value.to_owned()),
    }
}

/// An identifier that a target names.
fn identifier(what: &str, value: &str) -> Result<String, Status> {
    let value = given(what, value)?;
    if let Some(refused) = refuse_token(what, &value) { Err(Status::failed_precondition(refused)) } else { Ok(value) }
}

/// Why a value is refused that has the form of a token: it would stand in every list, and deny nothing.
#[must_use]
pub fn refuse_token(what: &str, value: &str) -> Option<String> {
    jwt::has_its_form(value).then(|| {
        format!(
            "what was given as {what} is a token itself, not an identifier: put it into a file and revoke it with \
             `--credential-file FILE`, which verifies it and never keeps it"
        )
    })
}

/// Refuses a target of a kind that no scheme of this version reads.
///
/// # Errors
/// `FAILED_PRECONDITION`.
pub fn readable(target: &Target) -> Result<(), Status> {
    let (what, instead) = match target {
        Target::Key { .. } => ("API keys", "revoke its owner with `--person` or `--subject`"),
        Target::Certificate { .. } => ("client certificates", "revoke its owner with `--person` or `--subject`"),
        _ => return Ok(()),
    };
    Err(Status::failed_precondition(format!(
        "no scheme of this version reads {what}, so this would deny nothing; {instead}"
    )))
}

/// A required reason.
///
/// # Errors
/// `INVALID_ARGUMENT`.
pub fn reason(value: &str) -> Result<String, Status> {
    given("reason", value)
}

/// A required REF.
///
/// # Errors
/// `INVALID_ARGUMENT`; `FAILED_PRECONDITION` for a token.
pub fn reference(value: &str) -> Result<String, Status> {
    identifier("person", value)
}

/// An optional time.
///
/// # Errors
/// `INVALID_ARGUMENT`.
pub fn time(what: &str, value: Option<&str>) -> Result<Option<Timestamp>, Status> {
    let parse = |text: &str| text.parse().map_err(|error| Status::invalid_argument(format!("{what}: {error}")));
    value.map(parse).transpose()
}

/// The id of a revocation.
///
/// # Errors
/// `INVALID_ARGUMENT`; `FAILED_PRECONDITION` for `file:line`, which only the configuration can end.
pub fn revocation_id(value: &str) -> Result<RevocationId, Status> {
    let value = given("id", value)?;
    value.parse().map_err(|error| match value.rsplit_once(':') {
        Some((_, line)) if !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit()) => {
            Status::failed_precondition(format!("it is configured at {value}; remove it there"))
        }
        _ => Status::invalid_argument(format!("id: {error}")),
    })
}

/// The target of a request.
///
/// # Errors
/// `INVALID_ARGUMENT`.
pub fn target(target: Option<&proto::Target>) -> Result<Target, Status> {
    use proto::target::Target as Asked;

    let both = |what: &str, pair: &proto::IssuerValue| -> Result<(String, String), Status> {
        Ok((given(&format!("issuer of the {what}"), &pair.issuer)?, identifier(what, &pair.value)?))
    };
    let asked = target.and_then(|target| target.target.as_ref());
    Ok(match asked.ok_or_else(|| Status::invalid_argument("target is missing"))? {
        Asked::Person(person) => Target::Person { reference: identifier("person", person)? },
        Asked::Subject(pair) => {
            let (issuer, subject) = both("subject", pair)?;
            Target::Subject { issuer, subject }
        }
        Asked::Session(pair) => {
            let (issuer, session) = both("session", pair)?;
            Target::Session { issuer, session }
        }
        Asked::Token(pair) => {
            let (issuer, token) = both("token", pair)?;
            Target::Token { issuer, token }
        }
        Asked::Client(pair) => {
            let (issuer, client) = both("client", pair)?;
            Target::Client { issuer, client }
        }
        Asked::Issuer(issuer) => Target::Issuer { issuer: given("issuer", issuer)? },
        Asked::Key(id) => Target::Key { id: identifier("key", id)? },
        Asked::Certificate(sha256) => Target::Certificate { sha256: fingerprint(sha256)? },
        // Its service verifies it first.
        Asked::Credential(_) => return Err(Status::invalid_argument("a credential names no target by itself")),
    })
}

/// A hex SHA-256 as tools print it: colons and case are ignored.
fn fingerprint(text: &str) -> Result<String, Status> {
    let plain: String = text.trim().chars().filter(|sign| *sign != ':').collect::<String>().to_ascii_lowercase();
    if plain.len() == 64 && plain.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(plain);
    }
    Err(Status::invalid_argument("certificate is not a SHA-256 of 64 hex digits"))
}

/// The credential that a request gives as its target.
#[must_use]
pub fn credential(request: &proto::RevokeRequest) -> Option<&str> {
    match request.target.as_ref()?.target.as_ref()? {
        proto::target::Target::Credential(credential) => Some(credential),
        _ => None,
    }
}

/// The command for the writer.
///
/// # Errors
/// `INVALID_ARGUMENT`; `FAILED_PRECONDITION` for a target that nothing would read.
pub fn revoke(request: &proto::RevokeRequest, target: Target, actor: &str) -> Result<RevokeRequest, Status> {
    readable(&target)?;
    let issued_before = time("issued_before", request.issued_before.as_deref())?;
    Ok(RevokeRequest {
        target,
        shape: issued_before.map_or(Shape::Block, |at| Shape::CutOff { at }),
        reason: reason(&request.reason)?,
        actor: actor.to_owned(),
        effective: time("effective", request.effective.as_deref())?,
        expires: time("expires", request.expires.as_deref())?,
        when_unknown: if request.allow_unknown { WhenUnknown::DenyName } else { WhenUnknown::Refuse },
        when_ambiguous: if request.all_candidates { WhenAmbiguous::DenyAll } else { WhenAmbiguous::Refuse },
    })
}
