//! `issuers` and `sources`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::issuer::{Algorithm, ClaimNames, IssuerRules, KeySource, MachineRule, TokenType};
use crate::domain::source::{Link, MaxChange, SourceRules, Supplies, WhenStale};

use super::fields::Fields;
use super::problem::quoted;
use super::settings::FileSourceSettings;
use super::text;

/// More than this hides clocks that are wrong and lengthens every token.
const GENEROUS_LEEWAY: Duration = Duration::from_secs(300);

/// The issuers, in the order written.
#[must_use]
pub fn issuers(sections: &[Fields<'_>]) -> Vec<Arc<IssuerRules>> {
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    let mut issuers = vec![];
    for fields in sections {
        if let Some(iss) = fields.text("issuer")
            && let Some(first) = seen.insert(iss, fields.stands_at())
        {
            fields.wrong("issuer", format!("{} is given twice, first at {first}", quoted(iss)));
        }
        // Read all of it, so that all of its errors are found, even where it has no name.
        issuers.extend(issuer(fields).map(Arc::new));
    }
    issuers
}

fn issuer(fields: &Fields<'_>) -> Option<IssuerRules> {
    let keys = keys(fields);
    let any = fields.text("audiences").is_some();
    if any {
        fields.warn("audiences", "any: a token that this issuer made for anybody else is accepted");
    }
    let audiences = fields.texts("audiences").map(Arc::from);
    let algorithms =
        fields.items("algorithms").map(|items| items.iter().filter_map(|item| Algorithm::named(item.text)).collect());
    let leeway = fields.read("leeway", text::duration).unwrap_or(Duration::from_secs(30));
    if leeway > GENEROUS_LEEWAY {
        fields.warn("leeway", "is longer than 5m: expired tokens live on that long");
    }
    let token_types = token_types(fields);
    let (claims, machines) = (claims(&fields.section("claims")), machines(&fields.section("machines")));
    Some(IssuerRules {
        name: fields.owned("name")?,
        issuer: fields.text("issuer")?.into(),
        audiences,
        keys: keys?,
        algorithms: algorithms.unwrap_or_else(|| Algorithm::ALL.to_vec()),
        token_types,
        leeway,
        claims,
        machines,
    })
}

fn keys(fields: &Fields<'_>) -> Option<KeySource> {
    let jwks = fields.section("jwks");
    jwks.place()?;
    let given = (jwks.has("discovery"), jwks.has("uri"), jwks.has("file"));
    let source = match given {
        (true, false, false) => {
            if jwks.flag("discovery") == Some(false) {
                jwks.wrong("discovery", "is false: name a `uri` or a `file` instead");
            }
            if let Some(iss) = fields.text("issuer")
                && text::Format::Url.check(iss).is_err()
            {
                jwks.wrong("discovery", "needs an `issuer` that is an https:// address");
            }
            KeySource::Discovery
        }
        (false, true, false) => KeySource::Uri(jwks.owned("uri")?),
        (false, false, true) => KeySource::File(jwks.text("file")?.into()),
        _ => {
            jwks.wrong("", "needs exactly one of `discovery: true`, `uri`, `file`");
            return None;
        }
    };
    let insecure = |address: Option<&str>| address.is_some_and(|address| address.starts_with("http://"));
    let uri = match source {
        KeySource::Discovery => fields.text("issuer"),
        _ => jwks.text("uri"),
    };
    if insecure(uri) {
        jwks.warn("", "keys come over http://: whoever is on the way can sign tokens");
    }
    Some(source)
}

fn token_types(fields: &Fields<'_>) -> Vec<TokenType> {
    let named = |item: &str| match item {
        "at+jwt" => TokenType::AtJwt,
        "JWT" => TokenType::Jwt,
        _ => TokenType::Absent,
    };
    let items = fields.items("token_types").map(|items| items.iter().map(|item| named(item.text)).collect());
    items.unwrap_or_else(|| vec![TokenType::AtJwt, TokenType::Jwt, TokenType::Absent])
}

fn claims(fields: &Fields<'_>) -> ClaimNames {
    let default = ClaimNames::default();
    ClaimNames {
        groups: fields.owned("groups").unwrap_or(default.groups),
        email: fields.owned("email").unwrap_or(default.email),
        username: fields.owned("username").unwrap_or(default.username),
        session: fields.owned("session").unwrap_or(default.session),
        client: fields.owned("client").unwrap_or(default.client),
    }
}

fn machines(fields: &Fields<'_>) -> MachineRule {
    let given = (fields.has("when"), fields.has("username_prefix"), fields.has("claim"), fields.has("equals"));
    match given {
        (_, false, false, false) if given.0 || fields.place().is_none() => {}
        (false, true, false, false) => {
            return MachineRule::UsernamePrefix(fields.owned("username_prefix").unwrap_or_default());
        }
        (false, false, true, true) => {
            let (claim, equals) = (fields.owned("claim"), fields.owned("equals"));
            return MachineRule::Claim { claim: claim.unwrap_or_default(), equals: equals.unwrap_or_default() };
        }
        _ => fields.wrong("", "needs exactly one of `when`, `username_prefix`, `claim` with `equals`"),
    }
    MachineRule::ClientIsSubject
}

/// The sources, in the order written, and what wiring needs of them.
#[must_use]
pub fn sources(sections: &[Fields<'_>], issuers: &BTreeMap<&str, u16>) -> (Vec<SourceRules>, Vec<FileSourceSettings>) {
    sections.iter().filter_map(|fields| source(fields, issuers)).unzip()
}

fn source(fields: &Fields<'_>, issuers: &BTreeMap<&str, u16>) -> Option<(SourceRules, FileSourceSettings)> {
    let kind = fields.text("kind");
    let issuer = fields.text("issuer").and_then(|name| {
        let index = issuers.get(name).copied();
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
    let link = fields.sections("link").map(|links| links.iter().filter_map(link).collect());
    let required = fields.flag("required").unwrap_or(false);
    let max_staleness = fields.read("max_staleness", text::duration).unwrap_or(Duration::from_secs(900));
    let (name, path) = (fields.owned("name"), fields.text("path"));
    kind?;
    let rules = SourceRules {
        name: name.clone()?,
        issuer: issuer?,
        supplies: Supplies { people: true, groups: true },
        required,
        max_staleness,
        when_stale,
        link: link.unwrap_or_else(|| vec![Link { claim: "sub".to_owned(), attribute: "id".to_owned() }]),
        max_change,
    };
    Some((rules, FileSourceSettings { name: name?, path: path?.into() }))
}

fn link(fields: &Fields<'_>) -> Option<Link> {
    let (claim, attribute) = (fields.owned("claim"), fields.owned("attribute"));
    Some(Link { claim: claim?, attribute: attribute? })
}

/// The word `allow` or `deny`.
#[must_use]
pub fn when_stale(word: &str) -> WhenStale {
    if word == "deny" { WhenStale::Deny } else { WhenStale::Allow }
}
