//! `sources`: the rules for decisions, and the settings of each source. Each kind has a file of its own.

mod editable;
mod entra;
mod file;
mod freshness;
mod keycloak;
mod kind;
mod kinds;
mod ldap;
mod okta;

pub use freshness::warn_of_gaps;
pub use kind::SourceKind;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kind::{Common, Kind};

use crate::domain::issuer::IssuerRules;
use crate::domain::settings::Schedule;
use crate::domain::source::{Link, MaxChange, SourceRules, Supplies, WhenStale};

use super::fields::Fields;
use super::problem::quoted;
use super::text;

/// Settings of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSettings {
    /// Its name.
    pub name: String,
    /// How often it is asked.
    pub schedule: Schedule,
    /// Timeout of a request.
    pub timeout: Duration,
    /// File with CAs, trusted in addition to the system's; with LDAP instead of them.
    pub ca_file: Option<PathBuf>,
    /// Its kind, with the settings of that kind.
    pub kind: SourceKind,
}

/// Default interval between full listings.
const RECONCILE: Duration = Duration::from_secs(900);
const TIMEOUT: Duration = Duration::from_secs(30);

/// Names of the issuers that have a source of kind `keycloak`.
#[must_use]
pub fn keycloaks<'a>(sections: &[Fields<'a>]) -> Vec<&'a str> {
    let keycloak = |fields: &&Fields<'a>| fields.text("kind") == Some("keycloak");
    sections.iter().filter(keycloak).filter_map(|fields| fields.text("issuer")).collect()
}

/// The sources, in the order written: their rules and their settings.
#[must_use]
pub fn sources(
    sections: &[Fields<'_>],
    indices: &BTreeMap<&str, u16>,
    issuers: &[Arc<IssuerRules>],
) -> (Vec<SourceRules>, Vec<SourceSettings>) {
    sections.iter().filter_map(|fields| source(fields, indices, issuers)).unzip()
}

fn source(
    fields: &Fields<'_>,
    indices: &BTreeMap<&str, u16>,
    issuers: &[Arc<IssuerRules>],
) -> Option<(SourceRules, SourceSettings)> {
    let kind = fields.text("kind").and_then(kinds::named);
    let issuer = issuer_index(fields, indices);
    let (max_change, when_stale) = (max_change(fields), reaction(fields));
    let required = fields.flag("required").unwrap_or(false);
    let max_staleness = fields.read("max_staleness", text::duration).unwrap_or(Duration::from_secs(900));
    let (poll, reconcile) = (fields.read("poll", text::duration), fields.read("reconcile", text::duration));
    let timeout = fields.read("timeout", text::duration).unwrap_or(TIMEOUT);
    let ca_file = fields.text("ca_file").map(PathBuf::from);
    let name = fields.owned("name");
    editable::warn(fields);
    let kind = kind?;
    let link = links(fields, kind);
    let schedule = Schedule { poll: poll.unwrap_or(kind.poll), reconcile: reconcile.unwrap_or(RECONCILE) };
    if max_staleness < schedule.poll * 2 {
        fields.wrong("max_staleness", "must be at least 2× `poll`; otherwise the source goes stale between polls");
    }
    let attributes = link.iter().map(|link| link.attribute.clone()).filter(|name| !OWN.contains(&name.as_str()));
    let iss = issuer.and_then(|index| issuers.get(usize::from(index))).map(|rules| rules.issuer.to_string());
    let common = Common {
        name: name.clone().unwrap_or_default(),
        issuer: iss.unwrap_or_default(),
        attributes: attributes.collect(),
        poll: schedule.poll,
        timeout,
        ca_file: ca_file.clone(),
    };
    let asked = kinds::settings(kind, fields, &common);
    let supplies = Supplies { people: true, groups: true };
    let (name, issuer, directory) = (name?, issuer?, kind.directory);
    let settings = SourceSettings { name: name.clone(), schedule, timeout, ca_file, kind: asked? };
    let rules =
        SourceRules { name, issuer, directory, supplies, required, max_staleness, when_stale, link, max_change };
    Some((rules, settings))
}

fn issuer_index(fields: &Fields<'_>, indices: &BTreeMap<&str, u16>) -> Option<u16> {
    let name = fields.text("issuer")?;
    let index = indices.get(name).copied();
    if index.is_none() {
        fields.wrong("issuer", format!("unknown issuer {}", quoted(name)));
    }
    index
}

fn max_change(fields: &Fields<'_>) -> MaxChange {
    let fields = fields.section("max_change");
    MaxChange {
        share: fields.read("share", text::share).unwrap_or(0.2),
        from: fields.text("from").and_then(|from| from.parse().ok()).unwrap_or(10),
    }
}

fn reaction(fields: &Fields<'_>) -> WhenStale {
    let when_stale = fields.text("when_stale").map_or(WhenStale::Allow, when_stale);
    if when_stale == WhenStale::Deny {
        fields.warn("when_stale", "deny: while this source is unreachable, its issuer's people are denied everywhere");
    }
    when_stale
}

/// Its links: as written, or the default of its kind.
fn links(fields: &Fields<'_>, kind: &Kind) -> Vec<Link> {
    let written = fields.sections("link").map(|links| links.iter().filter_map(link).collect::<Vec<_>>());
    for link in written.iter().flatten().filter(|link| !kind.any_attribute && !OWN.contains(&link.attribute.as_str())) {
        fields.wrong("link", format!("{} is not one of id, email, username", quoted(&link.attribute)));
    }
    let default = || kind.link.iter().map(|(claim, attribute)| named(claim, attribute)).collect();
    written.unwrap_or_else(default)
}

/// Attributes that every person has.
const OWN: [&str; 3] = ["id", "email", "username"];

fn named(claim: &str, attribute: &str) -> Link {
    Link { claim: claim.to_owned(), attribute: attribute.to_owned() }
}

fn link(fields: &Fields<'_>) -> Option<Link> {
    let (claim, attribute) = (fields.claim("claim"), fields.owned("attribute"));
    Some(Link { claim: claim?.as_str().to_owned(), attribute: attribute? })
}

/// The word `allow` or `deny`.
#[must_use]
pub fn when_stale(word: &str) -> WhenStale {
    if word == "deny" { WhenStale::Deny } else { WhenStale::Allow }
}
