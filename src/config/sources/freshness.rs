//! Whether a source can be stale although nothing is wrong with it.

use std::time::Duration;

use super::{SourceKind, SourceSettings};
use crate::config::fields::Fields;
use crate::domain::policy::Service;
use crate::domain::source::{SourceRules, WhenStale};
use crate::source::context::Schedule;
use crate::source::ldap::{Flavor, Sync};

/// Where nothing but a full listing tells everything. (With Active Directory and Keycloak that depends on rights and
/// settings there: `source check` says it.)
fn is_only_listed(kind: &SourceKind) -> bool {
    matches!(kind, SourceKind::Ldap(own) if own.sync == Sync::Poll && own.flavor == Flavor::OpenLdap)
}

/// What is known is older than `reconcile` before the next listing is over: that one comes up to a tenth later, takes
/// its time, and counts from its beginning.
fn is_comfortable(span: Duration, settings: &SourceSettings) -> bool {
    span >= settings.schedule.reconcile * 3 / 2
}

/// Warns of each source that is stale between two listings, and of each service that denies people for that.
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
        "{span} is too short for a `reconcile` of {reconcile}: only a full listing tells everything of `{name}` (`sync: \
         poll`), and the next one may come a tenth later and takes its time, so it can be stale until that is over{denied}; \
         make `max_staleness` {twice}, or `reconcile` shorter"
    )
}
