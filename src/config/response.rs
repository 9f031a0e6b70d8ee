//! `response`, `credentials`, and the rules for all people and clients.

use std::collections::BTreeMap;

use crate::domain::policy::{HeaderValue, ResponseRules, Unknown};

use super::fields::Fields;
use super::problem::quoted;
use super::text;

/// The header with tokens, lower case.
#[must_use]
pub fn bearer_header(root: &Fields<'_>) -> String {
    let bearer = root.section("credentials").section("bearer");
    let header = bearer.read("header", text::header).unwrap_or_else(|| "authorization".to_owned());
    if ours(&header) {
        bearer.wrong("header", "`x-offboard-*` is what Offboard sets itself");
    }
    header
}

/// The size limit of tokens.
#[must_use]
pub fn bearer_largest(root: &Fields<'_>) -> usize {
    let bearer = root.section("credentials").section("bearer");
    bearer.read("largest", text::token_size).unwrap_or(16 * 1024)
}

/// Envoy and upstreams may fold `_` into `-`.
fn folded(header: &str) -> String {
    header.replace('_', "-")
}

fn ours(header: &str) -> bool {
    folded(header).starts_with("x-offboard-")
}

/// `response`.
#[must_use]
pub fn response(root: &Fields<'_>, bearer_header: &str) -> ResponseRules {
    let fields = root.section("response");
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut headers = vec![];
    for (name, item) in fields.names("headers") {
        let Ok(header) = text::header(name) else { continue };
        if let Some(first) = seen.insert(folded(&header), item.location.to_string()) {
            fields.wrong_item(&item, format!("{} is a duplicate, first at {first}", quoted(&header)));
        }
        if folded(&header) == folded(bearer_header) {
            fields.wrong_item(&item, "carries the token; setting it here would replace the token");
        }
        headers.extend(value(item.text).map(|value| (header, value)));
    }
    let mut remove_headers = vec![];
    for item in fields.items("remove_headers").unwrap_or_default() {
        let Ok(header) = text::header(item.text) else { continue };
        if let Some(first) = seen.insert(folded(&header), item.location.to_string()) {
            // Envoy removes after it sets: a header in both lists would be lost.
            fields.wrong_item(&item, format!("{} is a duplicate, first at {first}", quoted(&header)));
        }
        remove_headers.push(header);
    }
    ResponseRules { headers, remove_headers, reveal_reason: fields.flag("reveal_reason").unwrap_or(false) }
}

fn value(word: &str) -> Option<HeaderValue> {
    Some(match word {
        "person" => HeaderValue::Person,
        "issuer" => HeaderValue::Issuer,
        "subject" => HeaderValue::Subject,
        "session" => HeaderValue::Session,
        "token_id" => HeaderValue::TokenId,
        "client" => HeaderValue::Client,
        "roles" => HeaderValue::Roles,
        "service" => HeaderValue::Service,
        "epoch" => HeaderValue::Epoch,
        "decision_id" => HeaderValue::DecisionId,
        _ => return None,
    })
}

/// The decision for unknown people, and for unknown clients.
#[must_use]
pub fn unknown(root: &Fields<'_>) -> (Unknown, Unknown) {
    let read = |fields: &Fields<'_>| {
        fields.text("unknown").map(|word| if word == "allow" { Unknown::Allow } else { Unknown::Deny })
    };
    let (people, clients) = (root.section("people"), root.section("clients"));
    let unknown = (read(&people).unwrap_or(Unknown::Deny), read(&clients).unwrap_or(Unknown::Allow));
    if unknown.0 == Unknown::Allow {
        people.warn("unknown", "allow: people whom no source knows, perhaps deleted long ago, are allowed");
    }
    unknown
}
