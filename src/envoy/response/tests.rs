use envoy_types::pb::envoy::service::auth::v3::OkHttpResponse;
use envoy_types::pb::google::protobuf::value::Kind;
use prost::Message as _;
use serde_json::{Value, json};

use super::*;
use crate::domain::policy::HeaderValue as Holds;
use crate::envoy::fixtures::{decision, of_alice, policy};

const ID: &str = "d-1";

/// As Envoy reads it.
fn answer(decision: &Decision, rules: &ResponseRules, request: Option<&Request>, decision_id: &str) -> CheckResponse {
    let policy = policy(rules.clone());
    let decision = Decision { policy, ..decision.clone() };
    CheckResponse::decode(super::answer(&decision, request, decision_id).message_bytes()).unwrap()
}

fn rules() -> ResponseRules {
    ResponseRules {
        headers: vec![
            ("x-offboard-person".into(), Holds::Person),
            ("x-offboard-roles".into(), Holds::Roles),
            ("x-session".into(), Holds::Session),
        ],
        remove_headers: vec!["x-api-key".into()],
        reveal_reason: false,
    }
}

fn request(headers: &[(&'static str, &'static str)]) -> Request {
    Request::synthetic("GET", "h", "/", headers.iter().map(|(name, value)| (*name, value.as_bytes())))
}

fn ok_of(response: &CheckResponse) -> &OkHttpResponse {
    assert_eq!(response.status.as_ref().unwrap().code, 0);
    match response.http_response.as_ref().unwrap() {
        HttpResponse::OkResponse(ok) => ok,
        other => panic!("{other:?}"),
    }
}

fn denied_of(response: &CheckResponse) -> &DeniedHttpResponse {
    assert_ne!(response.status.as_ref().unwrap().code, 0);
    match response.http_response.as_ref().unwrap() {
        HttpResponse::DeniedResponse(denied) => denied,
        other => panic!("{other:?}"),
    }
}

#[expect(deprecated, reason = "it is set on purpose")]
fn pairs(headers: &[HeaderValueOption]) -> Vec<(&str, &str)> {
    headers
        .iter()
        .map(|option| {
            assert_eq!(option.append, Some(BoolValue { value: false }));
            assert_eq!(option.append_action, HeaderAppendAction::OverwriteIfExistsOrAdd as i32);
            let header = option.header.as_ref().unwrap();
            (header.key.as_str(), header.value.as_str())
        })
        .collect()
}

fn metadata(response: &CheckResponse) -> Value {
    fn plain(value: &envoy_types::pb::google::protobuf::Value) -> Value {
        match value.kind.as_ref().unwrap() {
            Kind::StringValue(text) => json!(text),
            Kind::ListValue(list) => list.values.iter().map(plain).collect(),
            Kind::StructValue(inner) => inner.fields.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
            other => panic!("{other:?}"),
        }
    }
    plain(&envoy_types::pb::google::protobuf::Value {
        kind: Some(Kind::StructValue(response.dynamic_metadata.clone().unwrap())),
    })
}

#[test]
fn an_allow_says_who_asks() {
    let response = answer(&of_alice(Reason::Allowed), &rules(), Some(&request(&[])), ID);
    let ok = ok_of(&response);
    assert_eq!(pairs(&ok.headers), [("x-offboard-person", "okta/00u1"), ("x-offboard-roles", "reader,writer")]);
    assert_eq!(ok.headers_to_remove, ["x-session", "x-api-key"], "what is not set is removed, seen or not");
    assert_eq!(
        metadata(&response),
        json!({"offboard": {
            "decision_id": "d-1", "person": "okta/00u1", "issuer": "https://idp.example.com", "subject": "alice",
            "token_id": "jti-1", "client": "web", "roles": ["reader", "writer"], "service": "payments",
            "epoch": "1.7", "configuration": "01234567",
        }})
    );
}

#[test]
fn what_pretends_to_be_ours_is_removed_or_overwritten_and_never_both() {
    let request = request(&[
        ("X-Offboard-Person", "mallory"),
        ("x_offboard_person", "mallory"),
        ("x-offboard-anything", "x"),
        ("x_offboard-roles", "admin"),
        ("x-offboardx", "theirs"),
        ("X_API_KEY", "k"),
        ("x_session", "s"),
        ("host", "h"),
        ("accept", "*/*"),
    ]);
    let response = answer(&of_alice(Reason::Allowed), &rules(), Some(&request), ID);
    let ok = ok_of(&response);
    let mut removed = ok.headers_to_remove.clone();
    removed.sort();
    assert_eq!(
        removed,
        [
            "x-api-key",
            "x-offboard-anything",
            "x-session",
            "x_api_key",
            "x_offboard-roles",
            "x_offboard_person",
            "x_session"
        ]
    );
    assert!(pairs(&ok.headers).iter().all(|(name, _)| !removed.contains(&(*name).to_owned())));
}

#[test]
fn an_allow_of_nobody_leaves_no_forged_identity() {
    for reason in
        [Reason::Public, Reason::Preflight, Reason::PassedWithoutCredentials, Reason::PassedForeignCredentials]
    {
        let request = request(&[("x-offboard-person", "mallory")]);
        let response = answer(&decision(reason), &rules(), Some(&request), ID);
        let ok = ok_of(&response);
        assert!(ok.headers.is_empty());
        assert_eq!(ok.headers_to_remove, ["x-offboard-person", "x-offboard-roles", "x-session", "x-api-key"]);
        assert_eq!(
            metadata(&response),
            json!({"offboard": {
                "decision_id": "d-1", "service": "payments", "epoch": "1.7", "configuration": "01234567",
            }})
        );
    }
}

#[test]
fn a_header_that_is_set_is_not_removed_though_configured_so() {
    let rules = ResponseRules { remove_headers: vec!["x-offboard-person".into(), "host".into()], ..rules() };
    let response = answer(&of_alice(Reason::Allowed), &rules, None, ID);
    assert_eq!(ok_of(&response).headers_to_remove, ["x-session"]);
}

#[test]
fn observing_changes_nothing_but_what_pretends_to_be_ours() {
    for reason in Reason::ALL {
        let decision = Decision { enforcement: Enforcement::Observe, ..of_alice(reason) };
        let request = request(&[("x_offboard_roles", "admin"), ("x-api-key", "k"), ("x-session", "s")]);
        let response = answer(&decision, &rules(), Some(&request), ID);
        let ok = ok_of(&response);
        assert!(ok.headers.is_empty());
        assert_eq!(ok.headers_to_remove, ["x-offboard-person", "x-offboard-roles", "x_offboard_roles"]);
        assert_eq!(
            metadata(&response),
            json!({"offboard": {
                "decision_id": "d-1", "service": "payments", "epoch": "1.7", "configuration": "01234567",
                "observed_reason": reason.code(),
            }})
        );
    }
}

#[test]
fn every_denial_has_its_status_and_tells_no_more_than_that() {
    for reason in Reason::ALL.into_iter().filter(|reason| !reason.allows()) {
        let response = answer(&decision(reason), &rules(), Some(&request(&[])), ID);
        let denied = denied_of(&response);
        let code = reason.code();
        assert_eq!(denied.status.as_ref().unwrap().code, i32::from(reason.status()), "{code}");
        let known = json!({"offboard": {"decision_id": ID, "service": "payments", "epoch": "1.7",
            "configuration": "01234567", "reason": code}});
        assert_eq!(metadata(&response), known, "the proxy's access log may say why");
        let headers = pairs(&denied.headers);
        for header in
            [("cache-control", "no-store"), ("x-offboard-decision", ID), ("content-type", "application/problem+json")]
        {
            assert!(headers.contains(&header), "{code}: {headers:?}");
        }
        let challenged = headers.iter().any(|(name, _)| *name == "www-authenticate");
        assert_eq!(challenged, reason.status() == 401, "{code}");
        let body: Value = serde_json::from_str(&denied.body).unwrap();
        let mut keys: Vec<&String> = body.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["decision_id", "detail", "status", "title", "type"]);
        assert_eq!((&body["status"], &body["decision_id"]), (&json!(reason.status()), &json!(ID)));
        assert!(!denied.body.contains(code));
    }
}

#[test]
fn a_revoked_person_hears_what_a_stranger_hears() {
    let body = |decision| denied_of(&answer(&decision, &rules(), None, ID)).clone();
    assert_eq!(body(of_alice(Reason::RevokedPerson)), body(decision(Reason::NoPermission)));
    assert_eq!(body(of_alice(Reason::IssuedBeforeCutoff)), body(decision(Reason::BadSignature)));
}

#[test]
fn the_reason_is_told_where_the_configuration_says_so() {
    let rules = ResponseRules { reveal_reason: true, ..rules() };
    let response = answer(&decision(Reason::Expired), &rules, None, ID);
    let body: Value = serde_json::from_str(&denied_of(&response).body).unwrap();
    assert_eq!(body["reason"], "expired");
}

#[test]
fn a_grpc_caller_gets_no_body() {
    let request = request(&[("content-type", "application/grpc+proto")]);
    let response = answer(&decision(Reason::NoPermission), &rules(), Some(&request), ID);
    let denied = denied_of(&response);
    assert_eq!(denied.body, "");
    assert_eq!(pairs(&denied.headers), [("cache-control", "no-store"), ("x-offboard-decision", ID)]);
}

#[test]
fn only_who_showed_a_token_hears_that_it_is_no_good() {
    let challenge = |decision: Decision, headers: &[(&'static str, &'static str)]| {
        let response = answer(&decision, &rules(), Some(&request(headers)), ID);
        let headers = pairs(&denied_of(&response).headers)
            .iter()
            .find_map(|(name, value)| (*name == "www-authenticate").then(|| (*value).to_owned()));
        headers.unwrap()
    };
    let bare = "Bearer realm=\"offboard\"";
    let invalid = "Bearer realm=\"offboard\", error=\"invalid_token\"";
    assert_eq!(challenge(decision(Reason::NoCredentials), &[]), bare);
    assert_eq!(challenge(decision(Reason::UnknownApiKey), &[("x-api-key", "k")]), bare);
    assert_eq!(challenge(decision(Reason::BadPassword), &[]), bare);
    assert_eq!(challenge(decision(Reason::Expired), &[]), invalid);
    assert_eq!(challenge(of_alice(Reason::IssuedBeforeCutoff), &[]), invalid);
    assert_eq!(challenge(decision(Reason::MalformedCredentials), &[("authorization", "bearer x,y")]), invalid);
    assert_eq!(challenge(decision(Reason::MalformedCredentials), &[("authorization", "Basic")]), bare);
}

#[test]
fn the_last_resort_is_a_denial() {
    let response = CheckResponse::decode(last_resort().message_bytes()).unwrap();
    assert_eq!(denied_of(&response).status.as_ref().unwrap().code, 503);
}
