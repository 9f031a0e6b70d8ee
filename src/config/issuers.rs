//! `issuers`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::issuer::{Algorithm, ClaimNames, IssuerRules, KeySource, MachineRule, TokenType};

use super::fields::Fields;
use super::problem::quoted;
use super::text;

/// A longer leeway hides wrong clocks and lengthens the life of every token.
const GENEROUS_LEEWAY: Duration = Duration::from_secs(300);

/// The issuers, in the order written. `keycloaks` names those that have a source of kind `keycloak`.
#[must_use]
pub fn issuers(sections: &[Fields<'_>], keycloaks: &[&str]) -> Vec<Arc<IssuerRules>> {
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    let mut issuers = vec![];
    for fields in sections {
        if let Some(iss) = fields.text("issuer")
            && let Some(first) = seen.insert(iss, fields.stands_at())
        {
            fields.wrong("issuer", format!("{} is a duplicate, first at {first}", quoted(iss)));
        }
        // Read everything, even without a name, to find all errors.
        issuers.extend(issuer(fields, keycloaks).map(Arc::new));
    }
    issuers
}

fn issuer(fields: &Fields<'_>, keycloaks: &[&str]) -> Option<IssuerRules> {
    let keycloak = fields.text("name").is_some_and(|name| keycloaks.contains(&name));
    let (keys, ca_file) = (keys(fields), ca_file(fields));
    let any = fields.text("audiences").is_some();
    if any {
        fields.warn("audiences", "any: tokens that this issuer made for other audiences are accepted");
    }
    let audiences = fields.texts("audiences").map(Arc::from);
    let algorithms =
        fields.items("algorithms").map(|items| items.iter().filter_map(|item| Algorithm::named(item.text)).collect());
    let leeway = fields.read("leeway", text::duration).unwrap_or(Duration::from_secs(30));
    if leeway > GENEROUS_LEEWAY {
        fields.warn("leeway", "is longer than 5m; expired tokens stay valid that long");
    }
    let token_types = token_types(fields);
    let accepts_id_tokens = fields.text("id_tokens") == Some("accept");
    if accepts_id_tokens {
        fields.warn(
            "id_tokens",
            "accept: an ID token from an application's login passes as an access token if its audience matches",
        );
    }
    let (claims, machines) = (claims(&fields.section("claims")), machines(&fields.section("machines"), keycloak));
    Some(IssuerRules {
        name: fields.owned("name")?,
        issuer: fields.text("issuer")?.into(),
        audiences,
        keys: keys?,
        ca_file,
        algorithms: algorithms.unwrap_or_else(|| Algorithm::ALL.to_vec()),
        token_types,
        accepts_id_tokens,
        leeway,
        claims,
        machines,
    })
}

fn keys(fields: &Fields<'_>) -> Option<KeySource> {
    let jwks = fields.section("jwks");
    jwks.location()?;
    let given = (jwks.has("discovery"), jwks.has("uri"), jwks.has("file"));
    let source = match given {
        (true, false, false) => {
            if jwks.flag("discovery") == Some(false) {
                jwks.wrong("discovery", "is false; set `uri` or `file` instead");
            }
            if let Some(iss) = fields.text("issuer")
                && text::Format::Url.check(iss).is_err()
            {
                jwks.wrong("discovery", "needs an `issuer` that is an https:// URL");
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
        jwks.warn("", "keys are fetched over http://; anyone on the network path can forge tokens");
    }
    Some(source)
}

/// The CAs that are trusted when keys are fetched.
fn ca_file(fields: &Fields<'_>) -> Option<PathBuf> {
    let jwks = fields.section("jwks");
    let path = PathBuf::from(jwks.text("ca_file")?);
    if jwks.has("file") {
        jwks.wrong("ca_file", "applies to `discovery` or `uri` only; a file is not fetched");
    }
    Some(path)
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
        groups: fields.claim("groups").unwrap_or(default.groups),
        email: fields.claim("email").unwrap_or(default.email),
        username: fields.claim("username").unwrap_or(default.username),
        session: fields.claim("session").unwrap_or(default.session),
        client: fields.claim("client"),
        token: fields.claim("token"),
        audience: fields.claim("audience"),
    }
}

fn machines(fields: &Fields<'_>, keycloak: bool) -> MachineRule {
    let given = (fields.has("when"), fields.has("username_prefix"), fields.has("claim"), fields.has("equals"));
    match given {
        (false, false, false, false) if keycloak && fields.location().is_none() => {
            return MachineRule::UsernamePrefix("service-account-".to_owned());
        }
        (_, false, false, false) if given.0 || fields.location().is_none() => {}
        (false, true, false, false) => {
            return MachineRule::UsernamePrefix(fields.owned("username_prefix").unwrap_or_default());
        }
        (false, false, true, true) => {
            // Errors in either were reported by the check.
            if let (Some(claim), Some(equals)) = (fields.claim("claim"), fields.owned("equals")) {
                return MachineRule::Claim { claim, equals };
            }
        }
        _ => fields.wrong("", "needs exactly one of `when`, `username_prefix`, `claim` with `equals`"),
    }
    MachineRule::ClientIsSubject
}
