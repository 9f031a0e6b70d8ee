//! `services`, with inherited values filled in, and where they are less strict than the top level.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::issuer::IssuerRules;
use crate::domain::policy::{Authorization, Enforcement, NotOurs, Service};
use crate::domain::source::{SourceRules, WhenStale};

use super::fields::Fields;
use super::problem::quoted;
use super::sources::when_stale;
use super::text;

/// `enforcement` of the top level or of a service.
#[must_use]
pub fn enforcement(fields: &Fields<'_>) -> Option<Enforcement> {
    fields.text("enforcement").map(|word| match word {
        "observe" => Enforcement::Observe,
        _ => Enforcement::Enforce,
    })
}

/// `authorization` of the top level or of a service.
#[must_use]
pub fn authorization(fields: &Fields<'_>) -> Option<Authorization> {
    fields.text("authorization").map(|word| match word {
        "none" => Authorization::None,
        _ => Authorization::Roles,
    })
}

/// `no_credentials`, `foreign_credentials` or `preflight` of the top level or of a service.
fn not_ours(fields: &Fields<'_>, key: &'static str) -> Option<NotOurs> {
    fields.text(key).map(|word| if word == "pass" { NotOurs::Pass } else { NotOurs::Deny })
}

/// The services: `default` first, then those configured, in the order written.
#[must_use]
pub fn services(
    root: &Fields<'_>,
    sections: &[Fields<'_>],
    issuers: &[Arc<IssuerRules>],
    sources: &[SourceRules],
) -> Vec<Service> {
    let default = Service {
        name: "default".into(),
        hosts: vec![],
        principals: vec![],
        enforcement: enforcement(root).unwrap_or(Enforcement::Enforce),
        authorization: authorization(root).unwrap_or(Authorization::Roles),
        audiences: None,
        max_staleness: None,
        when_stale: None,
        no_credentials: not_ours(root, "no_credentials").unwrap_or(NotOurs::Deny),
        foreign_credentials: not_ours(root, "foreign_credentials").unwrap_or(NotOurs::Deny),
        preflight: not_ours(root, "preflight").unwrap_or(NotOurs::Pass),
    };
    let mut patterns = BTreeMap::new();
    let configured: Vec<_> = sections
        .iter()
        .map(|fields| {
            let service = service(fields, &default, &mut patterns);
            warn(fields, &service, &softer(&service, &default, issuers, sources));
            service
        })
        .collect();
    if default.enforcement == Enforcement::Observe {
        let enforcing = configured.iter().filter(|service| service.enforcement == Enforcement::Enforce);
        let names: Vec<String> = enforcing.map(|service| quoted(&service.name)).collect();
        root.warn(
            "enforcement",
            match names.as_slice() {
                [] => "observe: requests are never denied".to_owned(),
                names => format!("observe: requests are never denied, except to {}, which enforce", names.join(", ")),
            },
        );
    }
    let services: Vec<Service> = std::iter::once(default).chain(configured).collect();
    // The top level counts for `default` and for each service that does not override it.
    let inherits = |key| {
        let silent = sections.iter().map(move |fields| fields.text(key).is_none());
        services
            .iter()
            .zip(std::iter::once(true).chain(silent))
            .filter_map(|(service, silent)| silent.then_some(service))
    };
    for key in ["no_credentials", "foreign_credentials"] {
        warn_of_passing(root, key, inherits(key));
    }
    services
}

/// One service. Even one without a name is read, to keep indices and find all errors.
fn service(fields: &Fields<'_>, default: &Service, patterns: &mut BTreeMap<String, String>) -> Service {
    let name = fields.text("name").unwrap_or_default();
    match name {
        "offboard" => fields.wrong("name", "`offboard` is reserved for the control API; choose another name"),
        "default" => {
            fields.wrong("name", "`default` is reserved for requests that match no service; choose another name")
        }
        _ => {}
    }
    Service {
        name: name.into(),
        hosts: listed(fields, "hosts", patterns, |text| text::host(text).unwrap_or_default()),
        principals: listed(fields, "principals", patterns, str::to_owned),
        enforcement: enforcement(fields).unwrap_or(default.enforcement),
        authorization: authorization(fields).unwrap_or(default.authorization),
        audiences: fields.texts("audiences").map(Into::into),
        max_staleness: fields.read("max_staleness", text::duration),
        when_stale: fields.text("when_stale").map(when_stale),
        no_credentials: not_ours(fields, "no_credentials").unwrap_or(default.no_credentials),
        foreign_credentials: not_ours(fields, "foreign_credentials").unwrap_or(default.foreign_credentials),
        preflight: not_ours(fields, "preflight").unwrap_or(default.preflight),
    }
}

/// Patterns; each may appear only once.
fn listed(
    fields: &Fields<'_>,
    key: &'static str,
    seen: &mut BTreeMap<String, String>,
    read: impl Fn(&str) -> String,
) -> Vec<String> {
    let items = fields.items(key).unwrap_or_default();
    let pattern = |item| {
        let super::fields::Item { text, location, .. } = &item;
        let pattern = read(text);
        if let Some(first) = seen.insert(pattern.clone(), location.to_string()) {
            fields.wrong_item(&item, format!("{} is a duplicate, first at {first}", quoted(&pattern)));
        }
        pattern
    };
    items.into_iter().map(pattern).collect()
}

fn warn(fields: &Fields<'_>, service: &Service, softer: &[&str]) {
    if softer.contains(&"enforcement") {
        fields.warn("enforcement", "observe: requests to this service are never denied");
    }
    for key in ["no_credentials", "foreign_credentials"] {
        warn_of_passing(fields, key, std::iter::once(service));
    }
    if !service.hosts.is_empty() && !softer.is_empty() {
        let what = format!(
            "without a principal from the proxy, the host alone selects this service, and it is less strict than the top \
             level ({}): anyone who can send that host gets its rules, unless the proxy routes by host, mTLS is \
             STRICT or context_extensions name the service",
            softer.join(", ")
        );
        fields.warn("hosts", what);
    }
}

/// Warns at the setting, naming each service that it applies to and that enforces.
fn warn_of_passing<'a>(fields: &Fields<'_>, key: &'static str, services: impl Iterator<Item = &'a Service>) {
    if fields.text(key) != Some("pass") {
        return;
    }
    let requests = if key == "no_credentials" { "without credentials" } else { "with a foreign credential" };
    let enforcing = services.filter(|service| service.passes().contains(&key));
    let names: Vec<String> = enforcing.map(|service| quoted(&service.name)).collect();
    let what = match names.as_slice() {
        [] => format!("pass: requests {requests} reach the service"),
        names => format!("pass: requests {requests} reach {}, even when enforced", names.join(", ")),
    };
    fields.warn(key, what);
}

/// In what a service is less strict than the top level.
fn softer(
    service: &Service,
    default: &Service,
    issuers: &[Arc<IssuerRules>],
    sources: &[SourceRules],
) -> Vec<&'static str> {
    // It accepts a token that the issuer's own rule would reject.
    let wider = service.audiences.as_ref().is_some_and(|taken| {
        let ruled = issuers.iter().filter_map(|issuer| issuer.audiences.as_ref());
        ruled.into_iter().any(|rule| taken.iter().any(|audience| !rule.contains(audience)))
    });
    let stale = service.when_stale == Some(WhenStale::Allow)
        && sources.iter().any(|source| source.when_stale == WhenStale::Deny);
    let older = service.max_staleness.is_some_and(|span| sources.iter().any(|source| source.max_staleness < span));
    let passes = |here: NotOurs, there: NotOurs| here == NotOurs::Pass && there == NotOurs::Deny;
    let found = [
        ("enforcement", service.enforcement == Enforcement::Observe && default.enforcement == Enforcement::Enforce),
        (
            "authorization",
            service.authorization == Authorization::None && default.authorization == Authorization::Roles,
        ),
        ("audiences", wider),
        ("max_staleness", older),
        ("when_stale", stale),
        ("no_credentials", passes(service.no_credentials, default.no_credentials)),
        ("foreign_credentials", passes(service.foreign_credentials, default.foreign_credentials)),
    ];
    found.into_iter().filter_map(|(name, softer)| softer.then_some(name)).collect()
}
