//! `sources`: what decisions need of them, and what asking them needs. What only one kind has is in a file of its own.

mod editable;
mod entra;
mod file;
mod freshness;
mod keycloak;
mod kind;
mod ldap;
mod okta;

pub use entra::EntraSettings;
pub use file::FileSettings;
pub use freshness::warn_of_gaps;
pub use keycloak::KeycloakSettings;
pub use kind::SourceKind;
pub use ldap::{LdapSettings, LdapSync};
pub use okta::{OktaCredential, OktaSettings};

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::issuer::IssuerRules;
use crate::domain::source::{Link, MaxChange, SourceRules, Supplies, WhenStale};

use super::fields::Fields;
use super::problem::quoted;
use super::text;

/// What asking a source needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSettings {
    /// Its name.
    pub name: String,
    /// `iss` of its people's tokens.
    pub issuer: String,
    /// Attributes that `link` names beside id, e-mail and user name.
    pub attributes: BTreeSet<String>,
    /// How often it is asked what changed.
    pub poll: Duration,
    /// How often everybody is listed.
    pub reconcile: Duration,
    /// For one answer.
    pub timeout: Duration,
    /// Trusted beside the system's roots; by LDAP instead of them.
    pub ca_file: Option<PathBuf>,
    /// What speaks there.
    pub kind: SourceKind,
}

/// Everybody is listed at least this often.
const RECONCILE: Duration = Duration::from_secs(900);
const TIMEOUT: Duration = Duration::from_secs(30);

/// Names of the issuers that have a source of kind `keycloak`.
#[must_use]
pub fn keycloaks<'a>(sections: &[Fields<'a>]) -> Vec<&'a str> {
    let keycloak = |fields: &&Fields<'a>| fields.text("kind") == Some("keycloak");
    sections.iter().filter(keycloak).filter_map(|fields| fields.text("issuer")).collect()
}

/// The sources, in the order written, and what asking them needs.
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
    let kind = fields.text("kind").and_then(kind::named);
    let issuer = fields.text("issuer").and_then(|name| {
        let index = indices.get(name).copied();
        if index.is_none() {
            fields.wrong("issuer", format!("unknown issuer {}", quoted(name)));
        }
        index
    });
    let max_change = fields.section("max_change");
    let max_change = MaxChange {
        share: max_change.read("share", text::share).unwrap_or(0.2),
        from: max_change.text("from").and_then(|from| from.parse().ok()).unwrap_or(10),
    };
    let when_stale = fields.text("when_stale").map_or(WhenStale::Allow, when_stale);
    if when_stale == WhenStale::Deny {
        fields
            .warn("when_stale", "deny: while this source cannot be reached, its issuer's people are denied everywhere");
    }
    editable::warn(fields);
    let links = fields.sections("link").map(|links| links.iter().filter_map(link).collect::<Vec<_>>());
    let required = fields.flag("required").unwrap_or(false);
    let max_staleness = fields.read("max_staleness", text::duration).unwrap_or(Duration::from_secs(900));
    let (poll, reconcile) = (fields.read("poll", text::duration), fields.read("reconcile", text::duration));
    let timeout = fields.read("timeout", text::duration).unwrap_or(TIMEOUT);
    let ca_file = fields.text("ca_file").map(PathBuf::from);
    let name = fields.owned("name");
    let asked = kind.and_then(|kind| kind.settings(fields));
    let kind = kind?;
    let poll = poll.unwrap_or(kind.poll);
    if max_staleness < poll * 2 {
        fields.wrong("max_staleness", "is shorter than two polls: it would be stale between them");
    }
    for unknown in links.iter().flatten().filter(|link| !kind.any_attribute && !OWN.contains(&link.attribute.as_str()))
    {
        fields.wrong("link", format!("{} is none of id, email, username", quoted(&unknown.attribute)));
    }
    let links = links.unwrap_or_else(|| kind.link.iter().map(|(claim, attribute)| named(claim, attribute)).collect());
    let rules = SourceRules {
        name: name.clone()?,
        issuer: issuer?,
        directory: kind.directory,
        supplies: Supplies { people: true, groups: true },
        required,
        max_staleness,
        when_stale,
        link: links.clone(),
        max_change,
    };
    let settings = SourceSettings {
        name: name?,
        issuer: issuers.get(usize::from(issuer?)).map(|rules| rules.issuer.to_string()).unwrap_or_default(),
        attributes: links.into_iter().map(|link| link.attribute).filter(|name| !OWN.contains(&name.as_str())).collect(),
        poll,
        reconcile: reconcile.unwrap_or(RECONCILE),
        timeout,
        ca_file,
        kind: asked?,
    };
    Some((rules, settings))
}

/// Attributes that every person has a place for.
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
