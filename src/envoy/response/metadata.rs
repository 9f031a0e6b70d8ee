//! Dynamic metadata: what later filters and access logs learn of a decision, under the key `offboard`.

use super::text::Told;
use crate::domain::policy::HeaderValue as Holds;
use crate::envoy::wire::Wire;

/// `CheckResponse.dynamic_metadata`.
const DYNAMIC_METADATA: u32 = 4;

/// The only key. Envoy stores it under the name of its filter.
const KEY: &str = "offboard";

/// How many hex digits of the hash of the configuration are enough to tell two apart in a log.
const HASH_DIGITS: usize = 8;

// Fields of google.protobuf.Value.
const STRING_VALUE: u32 = 3;
const STRUCT_VALUE: u32 = 5;
const LIST_VALUE: u32 = 6;

/// Everything known about an allowed request; what is unknown is omitted.
pub(super) fn full(wire: &mut Wire, told: &Told<'_>) {
    file(wire, |fields| {
        common(fields, told);
        for (key, holds) in [
            ("person", Holds::Person),
            ("issuer", Holds::Issuer),
            ("subject", Holds::Subject),
            ("session", Holds::Session),
            ("token_id", Holds::TokenId),
            ("client", Holds::Client),
        ] {
            if let Some(value) = told.text(holds) {
                entry(fields, key, |field| field.pieces(STRING_VALUE, &value));
            }
        }
        if !told.decision.roles.is_empty() {
            entry(fields, "roles", |value| {
                value.message(LIST_VALUE, |list| {
                    for role in told.decision.role_names() {
                        list.message(1, |value| value.text(STRING_VALUE, role));
                    }
                });
            });
        }
    });
}

/// What the decision would have been, without anything about the caller: for the access log of the proxy.
pub(super) fn observed(wire: &mut Wire, told: &Told<'_>) {
    file(wire, |fields| {
        common(fields, told);
        string(fields, "observed_reason", told.decision.reason.code());
    });
}

/// The reason, without anything about the caller: for the access log of the proxy, which the caller does not see.
pub(super) fn denied(wire: &mut Wire, told: &Told<'_>) {
    file(wire, |fields| {
        common(fields, told);
        string(fields, "reason", told.decision.reason.code());
    });
}

fn common(fields: &mut Wire, told: &Told<'_>) {
    let hash = &told.decision.policy.hash;
    let configuration = hash.get(..HASH_DIGITS).unwrap_or(hash);
    string(fields, "decision_id", told.id);
    string(fields, "service", &told.decision.service);
    string(fields, "epoch", told.epoch());
    string(fields, "configuration", configuration);
}

fn string(fields: &mut Wire, key: &str, text: &str) {
    entry(fields, key, |value| value.text(STRING_VALUE, text));
}

/// One entry of a `Struct`, which is a map from strings to `Value`s.
fn entry(fields: &mut Wire, key: &str, write: impl FnOnce(&mut Wire)) {
    fields.message(1, |entry| {
        entry.text(1, key);
        entry.message(2, write);
    });
}

/// The metadata: a `Struct` with one entry, itself a `Struct`.
fn file(wire: &mut Wire, write: impl FnOnce(&mut Wire)) {
    wire.message(DYNAMIC_METADATA, |all| entry(all, KEY, |value| value.message(STRUCT_VALUE, write)));
}
