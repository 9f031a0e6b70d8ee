//! Dynamic metadata: what later filters and access logs learn of a decision, under the key `offboard`.

use std::collections::HashMap;

use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};

use super::{roles, text};
use crate::domain::decision::Decision;
use crate::domain::policy::HeaderValue as Holds;

/// The one key. Envoy files it under the name of its filter.
const KEY: &str = "offboard";

/// Hex digits of the configuration's hash that tell two configurations apart in a log.
const HASH_DIGITS: usize = 8;

/// All that is known of an allowed request; what is not known is left out.
pub(super) fn full(decision: &Decision, decision_id: &str) -> Struct {
    let mut fields = common(decision, decision_id);
    for (key, holds) in [
        ("person", Holds::Person),
        ("issuer", Holds::Issuer),
        ("subject", Holds::Subject),
        ("session", Holds::Session),
        ("token_id", Holds::TokenId),
        ("client", Holds::Client),
    ] {
        if let Some(value) = text(holds, decision, decision_id) {
            fields.insert(key.to_owned(), string(value));
        }
    }
    if !decision.roles.is_empty() {
        let values = roles(decision).map(string).collect();
        fields.insert("roles".to_owned(), Value { kind: Some(Kind::ListValue(ListValue { values })) });
    }
    file(fields)
}

/// Nothing about the caller.
pub(super) fn bare(decision: &Decision, decision_id: &str) -> Struct {
    file(common(decision, decision_id))
}

/// Nothing about the caller, and why: for the proxy's access log, which the caller does not see.
pub(super) fn denied(decision: &Decision, decision_id: &str) -> Struct {
    let mut fields = common(decision, decision_id);
    fields.insert("reason".to_owned(), string(decision.reason.code()));
    file(fields)
}

fn common(decision: &Decision, decision_id: &str) -> HashMap<String, Value> {
    let configuration = decision.configuration.get(..HASH_DIGITS).unwrap_or(&decision.configuration);
    HashMap::from([
        ("decision_id".to_owned(), string(decision_id)),
        ("service".to_owned(), string(&*decision.service)),
        ("epoch".to_owned(), string(decision.epoch.to_string())),
        ("configuration".to_owned(), string(configuration)),
    ])
}

fn string(text: impl Into<String>) -> Value {
    Value { kind: Some(Kind::StringValue(text.into())) }
}

fn file(fields: HashMap<String, Value>) -> Struct {
    let inner = Value { kind: Some(Kind::StructValue(Struct { fields })) };
    Struct { fields: HashMap::from([(KEY.to_owned(), inner)]) }
}
