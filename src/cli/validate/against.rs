//! A configuration against what a running server knows of people.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::Failure;
use crate::cli::client::Server;
use crate::control::proto;
use crate::domain::policy::Policy;

/// What of a configuration does not fit the people whom the server knows.
pub(super) fn warnings(policy: &Policy, server: &Server) -> Result<Vec<String>, Failure> {
    let request = proto::ListSourcesRequest { name: String::new() };
    let known = server.ask(|mut client| async move { client.list_sources(request).await })?.into_inner().sources;
    let synced = |name: &str| known.iter().any(|source| source.name == name && source.last_sync.is_some());
    let mut warnings = Vec::new();
    for (index, issuer) in (0_u16..).zip(&policy.issuers) {
        let mut bound: BTreeMap<&str, &str> = BTreeMap::new();
        for binding in policy.bindings.iter().filter(|binding| binding.issuer == Some(index)) {
            for group in &binding.groups {
                bound.entry(group).or_insert(&binding.place);
            }
        }
        let sources: Vec<_> = policy.sources.iter().filter(|source| source.issuer == index).collect();
        if bound.is_empty() || sources.is_empty() || !sources.iter().all(|source| source.supplies.groups) {
            continue;
        }
        let unknown: Vec<&str> =
            sources.iter().map(|source| source.name.as_str()).filter(|name| !synced(name)).collect();
        if !unknown.is_empty() {
            let unknown = unknown.join("`, `");
            warnings.push(format!(
                "groups of `{}` were not compared: the server has not listed `{unknown}` yet",
                issuer.name
            ));
            continue;
        }
        for source in sources {
            for group in groups(&source.name, server)? {
                bound.remove(group.as_str());
            }
        }
        warnings.extend(bound.into_iter().map(|(group, place)| {
            let issuer = &issuer.name;
            format!("{place}: bindings: group `{group}` exists in no source of `{issuer}`: nobody is in it, check its spelling")
        }));
    }
    Ok(warnings)
}

/// Every group that somebody of a source is in.
fn groups(source: &str, server: &Server) -> Result<BTreeSet<String>, Failure> {
    let (mut groups, mut page_token) = (BTreeSet::new(), String::new());
    loop {
        let request = proto::ListPeopleRequest { source: source.to_owned(), page_token, ..Default::default() };
        let page = server.ask(|mut client| async move { client.list_people(request).await })?.into_inner();
        let here = page.people.into_iter().filter(|person| person.status != "departed");
        groups.extend(here.flat_map(|person| person.groups));
        if page.next_page_token.is_empty() {
            return Ok(groups);
        }
        page_token = page.next_page_token;
    }
}
