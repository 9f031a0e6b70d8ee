//! Views of sources.

use std::collections::BTreeMap;

use crate::app::sources::Sources;
use crate::control::views::{SourceHealth, SourceView};
use crate::domain::guard::is_lately;
use crate::domain::person::Status;
use crate::domain::time::Now;
use crate::source::health::Health;
use crate::state::State;

/// Limit on shared names shown.
const SHOWN: usize = 100;

/// Every configured source, with its state and health.
pub(super) fn views(state: &State, at_work: &Sources, now: Now) -> Vec<SourceView> {
    let of = |source: &crate::domain::source::SourceRules| {
        let synced = state.fold.sources.get(&source.name);
        let counts = state.fold.people.counts().get(&source.name).copied().unwrap_or_default();
        SourceView {
            name: source.name.clone(),
            last_sync: synced.map(|state| state.last_synced),
            last_heard: synced.map(|state| state.last_heard),
            stale: synced.is_none_or(|state| state.is_stale(source.max_staleness, now)),
            held: state.fold.feeds.get(&source.name).and_then(|feed| feed.held.clone()),
            left_out: state
                .fold
                .feeds
                .get(&source.name)
                .and_then(|feed| feed.left_out)
                .filter(|(since, _)| is_lately(*since, now.wall)),
            expected: state.fold.feeds.get(&source.name).and_then(|feed| feed.expected),
            health: at_work.health(&source.name).map(shown),
            people: Status::ALL.into_iter().zip(counts.map(|count| count as u64)).collect(),
        }
    };
    state.rules.policy.sources.iter().map(of).collect()
}

fn shown(health: Health) -> SourceHealth {
    SourceHealth {
        last_poll: health.last_poll,
        listing: health.listing.map(|listing| (listing.since, listing.people as u64)),
        failures: health.trouble().map_or(0, |trouble| u64::from(trouble.times)),
        trouble: health.trouble().map(|trouble| (trouble.at, trouble.text.clone())),
    }
}

/// Names shared by several people of a source, with their keys.
pub(super) fn shared_names(state: &State, source: &str) -> Vec<String> {
    let mut holders: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for known in state.fold.people.of_source(source).filter(|known| known.person.status != Status::Departed) {
        let name = |(attribute, value): (&str, &str)| {
            state.fold.people.name_rule(source, attribute).fold(value.trim()).text.into_owned()
        };
        let mut names: Vec<String> = known.person.attributes().map(name).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            holders.entry(name).or_default().push(&known.person.id.key);
        }
    }
    holders.retain(|_, keys| keys.len() > 1);
    let line = |(name, mut keys): (String, Vec<&str>)| {
        keys.sort_unstable();
        format!("{name}: {}", keys.join(", "))
    };
    holders.into_iter().take(SHOWN).map(line).collect()
}
