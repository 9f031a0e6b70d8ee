//! Operators' queries and commands about sources.

use tonic::Status;

use super::views::{FindingView, SourceView};
use super::{input, proto};
use crate::domain::command::{Command, Verdict};
use crate::domain::time::Timestamp;

/// Limit on people named in a held listing.
const NAMED: usize = 1_000;

/// The state of one source.
#[must_use]
pub fn status(view: SourceView) -> proto::SourceStatus {
    let text = |time: Timestamp| time.to_string();
    let health = view.health.unwrap_or_default();
    let held = view.held.map(|held| proto::HeldListing {
        at: held.at.to_string(),
        missing: held.missing.iter().take(NAMED).cloned().collect(),
        missing_count: held.missing.len() as u64,
        known: held.known as u64,
        memberships: held.memberships as u64,
        emptied: held.emptied.clone(),
        because: held.because.clone(),
        unlisted: held.unlisted,
    });
    proto::SourceStatus {
        name: view.name,
        last_sync: view.last_sync.map(text),
        stale: view.stale,
        guarded: held.is_some(),
        people: view.people.into_iter().map(|(status, count)| (status.word().to_owned(), count)).collect(),
        last_heard: view.last_heard.map(text),
        last_poll: health.last_poll.map(text),
        sweep_since: health.listing.map(|(since, _)| since.to_string()),
        sweep_people: health.listing.map_or(0, |(_, people)| people),
        trouble: health.trouble.as_ref().map(|(_, text)| text.clone()),
        trouble_at: health.trouble.map(|(at, _)| at.to_string()),
        failures: health.failures,
        held,
        expected_share: view.expected.map_or(0, |(share, _)| share),
        shared_names: Vec::new(),
        left_out_since: view.left_out.map(|(since, _)| text(since)),
        left_out_people: view.left_out.map_or(0, |(_, left_out)| left_out.people as u64),
        left_out_memberships: view.left_out.map_or(0, |(_, left_out)| left_out.memberships as u64),
        expected_until: view.expected.map(|(_, until)| until.to_string()),
    }
}

/// One finding.
#[must_use]
pub fn finding(view: FindingView) -> proto::Finding {
    proto::Finding { grade: view.grade.to_owned(), what: view.what, text: view.text }
}

/// The source of this name.
///
/// # Errors
/// `NOT_FOUND`, listing the configured sources.
pub fn named(sources: Vec<SourceView>, name: &str) -> Result<SourceView, Status> {
    let names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
    let found = sources.into_iter().find(|source| source.name == name);
    found.ok_or_else(|| Status::not_found(format!("unknown source `{name}`; configured are: {}", names.join(", "))))
}

/// The command for a verdict on a held listing.
#[must_use]
pub fn verdict_on_listing(request: &proto::JudgeSourceRequest, listing: Option<Timestamp>, actor: &str) -> Command {
    let verdict = if request.confirm { Verdict::Confirm } else { Verdict::Discard };
    Command::Judge { source: request.name.clone(), listing, verdict, actor: actor.to_owned() }
}

/// The command that raises the removal limit.
///
/// # Errors
/// `INVALID_ARGUMENT`.
pub fn expect(request: &proto::ExpectSourceRequest, actor: &str) -> Result<Command, Status> {
    let until = input::time("until", Some(&request.until))?;
    let until = until.ok_or_else(|| Status::invalid_argument("until is missing"))?;
    Ok(Command::Expect { source: request.name.clone(), share: request.share, until, actor: actor.to_owned() })
}
