//! `revocations`.

use std::sync::Arc;

use crate::domain::issuer::IssuerRules;
use crate::domain::policy::ConfiguredRevocation;
use crate::domain::revocation::{Shape, Target};

use super::fields::Fields;
use super::problem::quoted;
use super::text;

/// What the configuration denies; `None` if it does not say, which keeps what was in force.
#[must_use]
pub fn revocations(root: &Fields<'_>, issuers: &[Arc<IssuerRules>]) -> Option<Vec<ConfiguredRevocation>> {
    let Some(sections) = root.sections("revocations") else {
        if !root.has("revocations") {
            root.warn("revocations", "is not set; revocations that it listed before stay in force (taking the last entry out needs `revocations: []`)");
        }
        return None;
    };
    Some(sections.iter().filter_map(|fields| revocation(fields, issuers)).collect())
}

fn revocation(fields: &Fields<'_>, issuers: &[Arc<IssuerRules>]) -> Option<ConfiguredRevocation> {
    let target = target(fields, issuers);
    let effective = fields.read("effective", text::time);
    let shape = fields.read("issued_before", text::time).map_or(Shape::Block, |at| Shape::CutOff { at });
    let reason = fields.owned("reason");
    Some(ConfiguredRevocation { target: target?, shape, reason: reason?, effective, place: fields.stands_at() })
}

const AT_AN_ISSUER: [&str; 4] = ["subject", "session", "token", "client"];

fn target(fields: &Fields<'_>, issuers: &[Arc<IssuerRules>]) -> Option<Target> {
    let alone: Vec<&str> = ["person", "key", "certificate"].into_iter().filter(|key| fields.has(key)).collect();
    let there: Vec<&str> = AT_AN_ISSUER.into_iter().filter(|key| fields.has(key)).collect();
    for (key, what) in [("key", "API keys"), ("certificate", "client certificates")] {
        if fields.has(key) {
            fields.warn(key, format!("no scheme of this version reads {what}; this denies nothing yet"));
        }
    }
    match (alone.as_slice(), fields.has("issuer"), there.as_slice()) {
        (["person"], false, []) => Some(Target::Person { reference: fields.owned("person")? }),
        (["key"], false, []) => Some(Target::Key { id: fields.owned("key")? }),
        (["certificate"], false, []) => {
            Some(Target::Certificate { sha256: fields.read("certificate", text::certificate)? })
        }
        ([], true, []) => Some(Target::Issuer { issuer: issuer(fields, issuers)? }),
        ([], true, [key]) => {
            let issuer = issuer(fields, issuers);
            let value = AT_AN_ISSUER.into_iter().find(|known| known == key).and_then(|key| fields.owned(key));
            let (issuer, value) = (issuer?, value?);
            Some(match *key {
                "subject" => Target::Subject { issuer, subject: value },
                "session" => Target::Session { issuer, session: value },
                "token" => Target::Token { issuer, token: value },
                _ => Target::Client { issuer, client: value },
            })
        }
        ([], false, [key]) => {
            fields.wrong(key, "needs `issuer` as well");
            None
        }
        _ => {
            fields.wrong(
                "",
                "needs exactly one target: `person`, `key`, `certificate`, or `issuer`, alone or with one of \
                 `subject`, `session`, `token`, `client`",
            );
            None
        }
    }
}

/// The `iss` meant by the text: that of a configured issuer of this name, or the text itself.
fn issuer(fields: &Fields<'_>, issuers: &[Arc<IssuerRules>]) -> Option<String> {
    let given = fields.text("issuer")?;
    if let Some(known) = issuers.iter().find(|known| known.name == given || &*known.issuer == given) {
        return Some(known.issuer.to_string());
    }
    if given.contains(':') {
        fields.warn("issuer", format!("no issuer {} is configured; this denies nothing yet", quoted(given)));
        return Some(given.to_owned());
    }
    fields.wrong("issuer", format!("unknown issuer {}", quoted(given)));
    None
}
