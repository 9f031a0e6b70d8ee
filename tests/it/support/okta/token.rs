//! The token endpoint of the fake Okta: `private_key_jwt`, judged as its documentation says.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use axum::body::Bytes;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::query::parameters;
use super::serve::Reply;
use super::{Org, epoch_ms};

/// A service app.
pub struct App {
    pub client_id: String,
    /// Its public key, an uncompressed point on P-256.
    pub key: Vec<u8>,
    pub scopes: BTreeSet<&'static str>,
    pub demands_dpop: bool,
    /// How long its tokens live, in seconds.
    pub life: u64,
    /// Tokens that are taken.
    pub tokens: BTreeSet<String>,
    pub(super) issued: usize,
    seen: BTreeSet<String>,
}

impl App {
    /// With all scopes that are needed.
    pub fn new(client_id: &str, key: &[u8]) -> Self {
        let scopes = ["okta.logs.read", "okta.users.read", "okta.groups.read"].into();
        let (client_id, key, tokens, seen) = (client_id.into(), key.into(), BTreeSet::new(), BTreeSet::new());
        Self { client_id, key, scopes, demands_dpop: false, life: 3600, tokens, issued: 0, seen }
    }
}

fn refused(status: u16, error: &str) -> Reply {
    Reply::json(status, &json!({ "error": error, "error_description": "…" }))
}

pub fn issue(org: &mut Org, headers: &HeaderMap, body: &Bytes) -> Reply {
    let known = ["grant_type", "scope", "client_assertion_type", "client_assertion"];
    let form = parameters(std::str::from_utf8(body).unwrap(), &known);
    let typed = headers["content-type"] == "application/x-www-form-urlencoded";
    let Some(form) = form.ok().filter(|form| typed && form.len() == known.len()) else {
        return refused(400, "invalid_request");
    };
    let jwt_bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    if form["grant_type"] != "client_credentials" || form["client_assertion_type"] != jwt_bearer {
        return refused(400, "unsupported_grant_type");
    }
    let audience = format!("{}/oauth2/v1/token", org.url);
    let now = epoch_ms() / 1000 + org.ahead;
    let Some(app) = &mut org.app else { return refused(401, "invalid_client") };
    if proven(app, &form["client_assertion"], &audience, now).is_none() {
        return refused(401, "invalid_client");
    }
    if app.demands_dpop {
        return refused(400, "invalid_dpop_proof");
    }
    if !form["scope"].split(' ').all(|scope| app.scopes.contains(scope)) {
        return refused(400, "invalid_scope");
    }
    app.issued += 1;
    let token = format!("at-{}", app.issued);
    app.tokens.insert(token.clone());
    let body = json!({ "token_type": "Bearer", "expires_in": app.life, "access_token": token, "scope": form["scope"] });
    Reply::json(200, &body)
}

/// Whether an assertion is this app's, for here, for now, and new.
fn proven(app: &mut App, assertion: &str, audience: &str, now: i64) -> Option<()> {
    let (text, signature) = assertion.rsplit_once('.')?;
    let part = |index| -> Option<Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split('.').nth(index)?).ok()?).ok()
    };
    let (header, claims) = (part(0)?, part(1)?);
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &app.key);
    key.verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let exp = claims["exp"].as_i64()?;
    let good = header["alg"] == "ES256"
        && claims["iss"] == app.client_id
        && claims["sub"] == app.client_id
        && claims["aud"] == audience
        && exp > now
        && exp <= now + 3600
        && app.seen.insert(claims["jti"].as_str()?.to_owned());
    good.then_some(())
}
