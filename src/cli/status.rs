//! `offboard status`: what is wrong now, then the state of everything.

use clap::Args;
use serde_json::{Value, json};

use super::client::Server;
use super::output::{Format, Output, Row, optional, print, shown, text, texts};
use super::{Answer, Failure};
use crate::control::proto;

fn issuer(one: proto::IssuerStatus) -> Value {
    let key = |key: proto::LeftOutKey| json!({ "number": key.number, "kid": key.kid, "reason": key.reason });
    let left_out: Vec<Value> = one.left_out.into_iter().map(key).collect();
    json!({ "name": one.name, "keys": one.keys, "last_fetched": one.last_fetched, "trouble": one.trouble, "left_out": left_out })
}

/// What is wrong, and what somebody chose: one line each, and what is to be said of it below.
fn told(problems: &[proto::Problem]) -> String {
    let (chosen, wrong): (Vec<_>, Vec<_>) = problems.iter().partition(|problem| problem.chosen);
    let listed = |problems: &[&proto::Problem]| -> String {
        let lines = problems.iter().flat_map(|problem| {
            let details = problem.details.iter().map(|detail| format!("      {}\n", shown(detail)));
            std::iter::once(format!("  {}: {}\n", problem.area, shown(&problem.text))).chain(details)
        });
        lines.collect()
    };
    let wrong = match &*wrong {
        [] => "nothing is wrong\n".to_owned(),
        wrong => format!("wrong now:\n{}", listed(wrong)),
    };
    let chosen = if chosen.is_empty() { String::new() } else { format!("by choice:\n{}", listed(&chosen)) };
    format!("{wrong}{chosen}\n")
}

fn problem(one: &proto::Problem) -> Value {
    json!({ "area": one.area, "text": one.text, "details": one.details })
}

/// Show what is wrong now, and the state of a server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  offboard status\n  offboard status -o json\n\n\
    The first lines say what is wrong now, and what somebody chose that lets more through than usual: exemptions, what\n\
    passes without credentials, what only observes. `/readyz?verbose` of the ops listener says the same, without people\n\
    and without the errors' own words.")]
pub(super) struct Status {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

/// The state in full.
fn state(found: proto::GetStatusResponse) -> Row {
    let epoch = found.epoch.map(|epoch| format!("{}.{}", epoch.generation, epoch.position));
    let sources = found.sources.into_iter().map(|source| {
        let people = |status: &str| source.people.get(status).copied().unwrap_or(0);
        json!({
            "name": source.name, "last_sync": source.last_sync, "last_heard": source.last_heard, "stale": source.stale,
            "guarded": source.guarded, "trouble": source.trouble,
            "active": people("active"), "suspended": people("suspended"), "departed": people("departed"),
        })
    });
    let exemptions = found.exemptions.into_iter().map(|one| {
        json!({ "person": one.person, "people": one.people, "expires": one.expires, "actor": one.actor,
            "reason": one.reason })
    });
    let passes = found.passes.into_iter().map(|one| json!({ "service": one.service, "settings": one.settings }));
    let services = found.services.into_iter().map(|one| json!({ "name": one.name, "enforcement": one.enforcement }));
    let kept = format!(
        "{} of an earlier configuration, which stay in force without the key; `revocations: []` ends them",
        found.revocations_kept
    );
    let standing = found.revocations.into_iter().filter(|(_, count)| *count > 0);
    vec![
        ("replica", text(found.replica)),
        ("version", text(found.version)),
        ("ready", Value::Bool(found.ready)),
        ("waiting_for", texts(found.waiting_for)),
        ("epoch", optional(epoch)),
        ("configuration", text(found.configuration)),
        ("enforcement", text(found.enforcement)),
        ("services", Value::Array(services.collect())),
        ("revocations_kept", if found.revocations_kept > 0 { text(kept) } else { Value::Null }),
        ("store", text(found.store)),
        ("sources", Value::Array(sources.collect())),
        ("issuers", Value::Array(found.issuers.into_iter().map(issuer).collect())),
        ("revocations", json!(standing.collect::<std::collections::BTreeMap<_, _>>())),
        ("audit_lost", json!(found.audit_lost)),
        ("exemptions", Value::Array(exemptions.collect())),
        ("passes", Value::Array(passes.collect())),
    ]
}

impl Status {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let request = proto::GetStatusRequest {};
        let found = self.server.ask(|mut client| async move { client.get_status(request).await })?.into_inner();
        let mut row = Vec::new();
        match self.output.format() {
            Format::Table => print(&told(&found.problems))?,
            Format::Json => {
                let of = |chosen: bool| found.problems.iter().filter(move |one| one.chosen == chosen).map(problem);
                row.push(("wrong", Value::Array(of(false).collect())));
                row.push(("by_choice", Value::Array(of(true).collect())));
            }
        }
        row.extend(state(found));
        self.output.one(row)?;
        Ok(Answer::Yes)
    }
}
