//! Compares bound groups with the people known, from people files at hand or a running server.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::sources::groups_in_file;
use crate::cli::Failure;
use crate::cli::client::Server;
use crate::config::sources::SourceSettings;
use crate::control::proto;
use crate::domain::policy::Policy;
use crate::domain::source::SourceRules;

/// What is known about the groups of an issuer's sources.
enum Known {
    /// All of them.
    All(BTreeSet<String>),
    /// Not enough to tell that one is missing; with the reason, if worth mentioning.
    TooLittle(Option<String>),
}

/// Bound groups without members, if all sources of their issuer are files that can be read here.
pub(super) fn by_files(policy: &Policy, settings: &[SourceSettings]) -> Result<Vec<String>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Unreachable(format!("start: {error}")))?;
    compare(policy, |_, sources| {
        let mut all = BTreeSet::new();
        for source in sources {
            let settings = settings.iter().find(|settings| settings.name == source.name);
            let groups = settings.and_then(|settings| runtime.block_on(groups_in_file(settings)));
            let Some(groups) = groups else { return Ok(Known::TooLittle(None)) };
            all.extend(groups);
        }
        Ok(Known::All(all))
    })
}

/// Bound groups without members on a running server.
pub(super) fn by_server(policy: &Policy, server: &Server) -> Result<Vec<String>, Failure> {
    let request = proto::ListSourcesRequest { name: String::new() };
    let known = server.ask(|mut client| async move { client.list_sources(request).await })?.into_inner().sources;
    let synced = |name: &str| known.iter().any(|source| source.name == name && source.last_sync.is_some());
    compare(policy, |issuer, sources| {
        let names = sources.iter().map(|source| source.name.as_str());
        let unknown: Vec<&str> = names.filter(|name| !synced(name)).collect();
        if !unknown.is_empty() {
            let unknown = unknown.join("`, `");
            let what = format!("groups of `{issuer}` were not compared; the server has not listed `{unknown}` yet");
            return Ok(Known::TooLittle(Some(what)));
        }
        let mut all = BTreeSet::new();
        for source in sources {
            all.extend(listed(&source.name, server)?);
        }
        Ok(Known::All(all))
    })
}

fn compare(
    policy: &Policy,
    mut known: impl FnMut(&str, &[&SourceRules]) -> Result<Known, Failure>,
) -> Result<Vec<String>, Failure> {
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
        match known(&issuer.name, &sources)? {
            Known::TooLittle(why) => warnings.extend(why),
            Known::All(groups) => {
                for directory in sources.iter().map(|source| source.directory).collect::<BTreeSet<_>>() {
                    let spelt = |group: &str| directory.compares_group(group).fold(group).text.into_owned();
                    let groups: BTreeSet<String> = groups.iter().map(|group| spelt(group)).collect();
                    bound.retain(|group, _| !groups.contains(&spelt(group)));
                }
                let issuer = &issuer.name;
                warnings.extend(bound.iter().map(|(group, place)| {
                    format!("{place}: bindings: group `{group}` has no members in any source of `{issuer}`; check its spelling")
                }));
            }
        }
    }
    Ok(warnings)
}

/// All groups with members in a source, as the server lists them.
fn listed(source: &str, server: &Server) -> Result<BTreeSet<String>, Failure> {
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
