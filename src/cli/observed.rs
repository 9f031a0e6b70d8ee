//! `offboard observed`: what services that observe would have refused.

use clap::Args;
use serde_json::{Value, json};

use super::client::{Server, time};
use super::output::{Format, Output, Row, optional, print, shown, text, texts};
use super::{Answer, Failure};
use crate::control::proto;

/// Show what would be refused if services that observe enforced, and what to add if it is meant to pass.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  offboard observed\n  offboard observed --service payments --since 1h -o json\n\n\
    Requests are told apart by service, reason, issuer, audience, client and the first segment of their path; each kind has\n\
    its number, one example, and what to add to the configuration. What a token says that did not verify is marked as\n\
    claimed, at most 50 kinds of it, and nothing is advised on its word. Counted in the memory of the server that answers,\n\
    since its start.")]
pub(super) struct Observed {
    /// Only this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only what was seen since then: a timestamp (RFC 3339), or a duration back from now such as 15m
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Observed {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let since = self.since.as_deref().map(|since| time(since, false)).transpose()?;
        let since = since.map(|since| since.to_string());
        let request = proto::ListObservedRequest { service: self.service, since };
        let found = self.server.ask(|mut client| async move { client.list_observed(request).await })?.into_inner();
        match self.output.format() {
            Format::Json => self.output.rows(found.observed.into_iter().map(row).collect())?,
            Format::Table => print(&told(&found))?,
        }
        Ok(Answer::Yes)
    }
}

fn row(one: proto::Observed) -> Row {
    let proto::Example { method, host, path, decision_id } = one.example.unwrap_or_default();
    let example = json!({ "method": method, "host": host, "path": path, "decision_id": decision_id });
    vec![
        ("service", text(one.service)),
        ("reason", text(one.reason)),
        ("detail", optional(one.detail)),
        ("count", json!(one.count)),
        ("first", text(one.first)),
        ("last", text(one.last)),
        ("issuer", optional(one.issuer)),
        ("audiences", texts(one.audiences)),
        ("client", optional(one.client)),
        ("key_id", optional(one.key_id)),
        ("claimed", Value::Bool(one.claimed)),
        ("several", Value::Bool(one.several)),
        ("path", optional(one.segment)),
        ("example", example),
        ("add", text(one.advice)),
    ]
}

/// All of it for people: three lines or four for each kind.
fn told(found: &proto::ListObservedResponse) -> String {
    if found.observed.is_empty() {
        return format!("nothing would have been refused since {}\n", found.counted_since);
    }
    let kinds: String = found.observed.iter().map(kind).collect();
    format!("{kinds}counted since {}\n", found.counted_since)
}

fn kind(one: &proto::Observed) -> String {
    let detail = one.detail.as_ref().map_or(String::new(), |detail| format!("      {}\n", shown(detail)));
    let example = one.example.clone().unwrap_or_default();
    let proto::Example { method, host, path, decision_id } = example;
    let times = if one.count == 1 { "once".to_owned() } else { format!("{} times", one.count) };
    format!(
        "{} {}: {times}, last {}\n      {}\n{detail}      such as {}\n      add: {}\n",
        one.service,
        one.reason,
        one.last,
        shown(&about(one)),
        shown(&format!("{method} {host}{path}, decision {decision_id}")),
        shown(&one.advice),
    )
}

/// What the callers showed, and where they wanted to go.
fn about(one: &proto::Observed) -> String {
    let under = one.segment.as_ref().map_or("different paths".to_owned(), |segment| format!("path {segment}"));
    if one.several {
        return format!("different kinds; {under}");
    }
    let audience = (!one.audiences.is_empty()).then(|| one.audiences.join(", "));
    let parts = [("issuer", &one.issuer), ("audience", &audience), ("client", &one.client), ("key id", &one.key_id)];
    let named = parts.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
    let named = named.collect::<Vec<_>>().join("; ");
    match (one.claimed, named.is_empty()) {
        (true, true) => format!("claimed: nothing that can be read; {under}"),
        (true, false) => format!("claimed: {named}; {under}"),
        (false, true) => format!("nothing of ours shown; {under}"),
        (false, false) => format!("{named}; {under}"),
    }
}
