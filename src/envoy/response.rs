//! Turns a decision into the answer to Envoy (contract section 4).
//!
//! Reading order: [`answer`] → `allow` and [`remove`] (what goes upstream) → [`metadata`] → `deny`.

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::BoolValue;
use envoy_types::pb::google::rpc::Status;
use serde::Serialize;

use super::wire::Wire;
use crate::domain::credential::CredentialKind;
use crate::domain::decision::Decision;
use crate::domain::policy::{Enforcement, ResponseRules};
use crate::domain::reason::Reason;
use crate::request::Request;
use header::Value;
use text::Told;

mod header;
mod metadata;
mod remove;
mod text;

/// `CheckResponse.ok_response`.
const OK_RESPONSE: u32 = 3;

/// Turns a decision into a `CheckResponse`.
///
/// `request` is absent if it could not be read. It determines which headers are removed, and whether a denial has a body.
#[must_use]
pub fn answer(decision: &Decision, request: Option<&Request>, decision_id: &str) -> Wire {
    let rules = &decision.policy.response;
    let told = Told::of(decision, decision_id);
    if decision.enforcement == Enforcement::Observe {
        return observe(&told, rules, request);
    }
    if decision.reason.allows() {
        return allow(&told, rules, request);
    }
    let denial = Denial {
        reveal: rules.reveal_reason,
        bodiless: request.is_some_and(Request::is_grpc),
        token_shown: token_shown(decision, request),
    };
    let mut wire = Wire::encoded(&deny(decision.reason, decision_id, &denial));
    metadata::denied(&mut wire, &told);
    wire
}

/// The denial to send if even building an answer panicked. There is no decision, so it has no id.
#[must_use]
pub fn last_resort() -> Wire {
    Wire::encoded(&deny(Reason::Internal, "", &Denial { reveal: false, bodiless: true, token_shown: false }))
}

/// Lets the request through and tells the upstream who asks.
fn allow(told: &Told<'_>, rules: &ResponseRules, request: Option<&Request>) -> Wire {
    let mut headers: Vec<(&str, Value<'_>)> = Vec::with_capacity(rules.headers.len());
    for (name, holds) in &rules.headers {
        if let Some(value) = header::value(*holds, told) {
            headers.push((name, value));
        }
    }
    let remove = remove::on_allow(rules, request, |name| headers.iter().any(|(set, _)| *set == name));
    let mut wire = ok(&headers, &remove);
    metadata::full(&mut wire, told);
    wire
}

/// Lets the request through unchanged, except that forged headers of ours are removed.
fn observe(told: &Told<'_>, rules: &ResponseRules, request: Option<&Request>) -> Wire {
    let mut wire = ok(&[], &remove::on_observe(rules, request));
    metadata::observed(&mut wire, told);
    wire
}

/// A `CheckResponse` that lets the request through. Each header replaces any of its name, expressed in both ways that
/// versions of Envoy read: `append` if it is set (all versions), else `append_action`.
fn ok(headers: &[(&str, Value<'_>)], remove: &[&str]) -> Wire {
    let mut wire = Wire::new();
    // `status` with code 0, OK: without it Envoy allows nothing.
    wire.message(1, |_| {});
    wire.message(OK_RESPONSE, |response| {
        for (name, value) in headers {
            response.message(2, |option| {
                option.message(1, |header| {
                    header.text(1, name);
                    value.write(header, 2);
                });
                // `append`: a `BoolValue` that is false.
                option.message(2, |_| {});
                option.number(3, HeaderAppendAction::OverwriteIfExistsOrAdd as usize);
            });
        }
        for name in remove {
            response.text(5, name);
        }
    });
    wire
}

/// How to write a denial.
struct Denial {
    /// The body contains the reason.
    reveal: bool,
    /// There is no body, because the caller reads none.
    bodiless: bool,
    /// A token was shown, so the caller may be told that it is invalid (RFC 6750 section 3.1).
    token_shown: bool,
}

/// The body of a denial (RFC 9457).
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
    decision_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

fn deny(reason: Reason, decision_id: &str, denial: &Denial) -> CheckResponse {
    let status = reason.status();
    let words = words(status);
    let mut headers = vec![option("cache-control", "no-store")];
    if !decision_id.is_empty() {
        headers.push(option("x-offboard-decision", header::encode(decision_id, "")));
    }
    if status == 401 {
        let challenge = match denial.token_shown {
            true => "Bearer realm=\"offboard\", error=\"invalid_token\"",
            false => "Bearer realm=\"offboard\"",
        };
        headers.push(option("www-authenticate", challenge));
    }
    let mut body = String::new();
    if !denial.bodiless {
        headers.push(option("content-type", "application/problem+json"));
        let reason = denial.reveal.then(|| reason.code());
        let problem =
            Problem { r#type: "about:blank", title: words.title, status, detail: words.detail, decision_id, reason };
        // Strings and a number cannot fail. If they did, a denial without a body is still a denial.
        body = serde_json::to_string(&problem).unwrap_or_default();
    }
    CheckResponse {
        status: Some(Status { code: words.code as i32, ..Status::default() }),
        dynamic_metadata: None,
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code: i32::from(status) }),
            headers,
            body,
        })),
    }
}

/// What a status tells the caller.
struct Words {
    /// The phrase of the status, as RFC 9457 section 4.2.1 requires for `about:blank`.
    title: &'static str,
    /// The same for every reason of a status: it must not tell a leaver that they have left.
    detail: &'static str,
    /// Envoy denies on any code other than OK; this one is for logs.
    code: tonic::Code,
}

fn words(status: u16) -> Words {
    let (title, detail, code) = match status {
        400 => ("Bad Request", "this request cannot be evaluated as sent", tonic::Code::InvalidArgument),
        401 => {
            ("Unauthorized", "valid credentials are needed; signing in again may help", tonic::Code::Unauthenticated)
        }
        403 => ("Forbidden", "access denied", tonic::Code::PermissionDenied),
        _ => ("Service Unavailable", "no decision can be made now; try again later", tonic::Code::Unavailable),
    };
    Words { title, detail, code }
}

/// Whether a bearer token was shown.
fn token_shown(decision: &Decision, request: Option<&Request>) -> bool {
    if let Some(credential) = decision.verified() {
        return credential.kind == CredentialKind::Bearer;
    }
    match decision.reason {
        Reason::UnknownIssuer
        | Reason::UnknownSigningKey
        | Reason::BadSignature
        | Reason::BadClaims
        | Reason::WrongAudience
        | Reason::Expired
        | Reason::NotYetValid
        | Reason::InactiveToken
        | Reason::RevokedSession
        | Reason::RevokedToken => true,
        // A credential of any scheme can be malformed; a token in a custom header gets no hint.
        Reason::MalformedCredentials => request
            .and_then(|request| request.headers.get("authorization"))
            .and_then(|value| value.get(..6))
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer")),
        _ => false,
    }
}

/// A header that replaces any of its name, as in [`ok`].
fn option(key: &str, value: impl Into<String>) -> HeaderValueOption {
    let header = HeaderValue { key: key.to_owned(), value: value.into(), ..HeaderValue::default() };
    #[expect(deprecated, reason = "Envoy reads it first, and old ones read nothing else")]
    HeaderValueOption {
        header: Some(header),
        append: Some(BoolValue { value: false }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd as i32,
        ..HeaderValueOption::default()
    }
}

#[cfg(test)]
mod tests;
