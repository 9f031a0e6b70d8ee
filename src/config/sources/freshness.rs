//! Detects sources that go stale although nothing is wrong.

use std::time::Duration;

use super::{SourceKind, SourceSettings};
use crate::config::fields::Fields;
use crate::domain::policy::Service;
use crate::domain::settings::Schedule;
use crate::domain::settings::ldap::{Flavor, Sync};
use crate::domain::source::{SourceRules, WhenStale};

/// Whether only a full listing tells everything. (For Active Directory and Keycloak that depends on permissions and
/// settings there; `source check` reports it.)
fn is_only_listed(kind: &SourceKind) -> bool {
    matches!(kind, SourceKind::Ldap(own) if own.sync == Sync::Poll && own.flavor == Flavor::OpenLdap)
}

/// Data gets older than `reconcile` before the next listing is complete: a listing may start a tenth later, takes time,
/// and counts from its start.
fn is_comfortable(span: Duration, settings: &SourceSettings) -> bool {
    span >= settings.schedule.reconcile * 3 / 2
}

/// Warns about each source that goes stale between two listings, and about each service that then denies people.
pub fn warn_of_gaps(
    (sections, sources, asked): (&[Fields<'_>], &[SourceRules], &[SourceSettings]),
    services: &[(&Fields<'_>, &Service)],
) {
    for settings in asked.iter().filter(|settings| is_only_listed(&settings.kind)) {
        let Some(rules) = sources.iter().find(|rules| rules.name == settings.name) else { continue };
        let section = sections.iter().find(|fields| fields.text("name") == Some(settings.name.as_str()));
        if let Some(fields) = section.filter(|_| !is_comfortable(rules.max_staleness, settings)) {
            fields.warn("max_staleness", gap(rules.max_staleness, settings, rules.when_stale));
        }
        for (fields, service) in services {
            let key = match (service.max_staleness, service.when_stale) {
                (Some(_), _) => "max_staleness",
                (None, Some(_)) => "when_stale",
                (None, None) => continue,
            };
            let span = service.max_staleness.unwrap_or(rules.max_staleness);
            let when_stale = service.when_stale.unwrap_or(rules.when_stale);
            if when_stale == WhenStale::Deny && !is_comfortable(span, settings) {
                fields.warn(key, gap(span, settings, when_stale));
            }
        }
    }
}

fn gap(span: Duration, settings: &SourceSettings, when_stale: WhenStale) -> String {
    let SourceSettings { name, schedule: Schedule { reconcile, .. }, .. } = settings;
    let [span, reconcile, twice] =
        [span, *reconcile, *reconcile * 2].map(|span| humantime::format_duration(span).to_string());
    let denied = if when_stale == WhenStale::Deny { ", and its people are denied until then" } else { "" };
    format!(
        "{span} is too short for a `reconcile` of {reconcile}: with `sync: poll`, only a full listing refreshes `{name}`, so \
         it can go stale before the next one completes{denied}; set `max_staleness` to at least 2× `reconcile` ({twice}) or \
         shorten `reconcile`"
    )
}
