//! A token issuer for trying things out: anyone who asks gets a token for anyone. Loopback only, keys are new at each start.
//!
//! ```text
//! cargo run --example dev_issuer [PORT] [ES256|RS256]                            # the algorithm of its key, ES256 by default
//! curl 'http://127.0.0.1:PORT/token?sub=alice&groups=payments-eng,on-call'      # a signed JWT, valid for 15 minutes
//! ```
//!
//! Every parameter becomes a claim: `groups` a list, `aud` too if there are several, `iat`, `nbf` and `exp` numbers, all
//! others text. `ttl` (seconds) sets `exp` instead, `typ` goes into the header. It is an example so that nothing which mints
//! tokens is in `offboard`.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};

const DEFAULT_TTL: i64 = 900;

/// The issuer: its URL and the one key it signs with.
struct Issuer {
    url: String,
    kid: String,
    algorithm: Algorithm,
    key: EncodingKey,
    jwk: Jwk,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let usage = "usage: dev_issuer [PORT] [ES256|RS256]";
    let port: u16 = std::env::args().nth(1).map_or(Ok(0), |p| p.parse()).context(usage)?;
    let algorithm = std::env::args().nth(2).map_or(Ok(Algorithm::ES256), |name| name.parse()).context(usage)?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let issuer = Issuer::new(format!("http://{}", listener.local_addr()?), algorithm)?;
    #[expect(clippy::print_stdout, reason = "the caller reads the address from here")]
    {
        println!("{}", json!({ "message": "listening", "issuer": issuer.url }));
    }
    let app = Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(jwks))
        .route("/token", get(token))
        .with_state(Arc::new(issuer));
    Ok(axum::serve(listener, app).await?)
}

async fn discovery(State(issuer): State<Arc<Issuer>>) -> Response {
    json_answer(&json!({ "issuer": issuer.url, "jwks_uri": format!("{}/jwks", issuer.url),
        "id_token_signing_alg_values_supported": [issuer.algorithm] }))
}

async fn jwks(State(issuer): State<Arc<Issuer>>) -> Response {
    json_answer(&json!({ "keys": [issuer.jwk] }))
}

async fn token(State(issuer): State<Arc<Issuer>>, uri: Uri) -> Response {
    match issuer.mint(uri.query().unwrap_or_default()) {
        Ok(token) => token.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}\n")).into_response(),
    }
}

fn json_answer(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

impl Issuer {
    fn new(url: String, algorithm: Algorithm) -> Result<Self> {
        let key = signing_key(algorithm)?;
        let kid = format!("dev-{}", jiff::Timestamp::now().as_second());
        let mut jwk = Jwk::from_encoding_key(&key, algorithm)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { url, kid, algorithm, key, jwk })
    }

    fn mint(&self, query: &str) -> Result<String> {
        let now = jiff::Timestamp::now().as_second();
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.clone());
        header.typ = Some("at+jwt".to_owned());
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), json!(self.url));
        claims.insert("aud".to_owned(), json!("mesh"));
        claims.insert("iat".to_owned(), json!(now));
        claims.insert("exp".to_owned(), json!(now + DEFAULT_TTL));
        for (name, value) in reqwest::Url::parse(&format!("{}/?{query}", self.url))?.query_pairs() {
            match name.as_ref() {
                "typ" => header.typ = Some(value.into_owned()),
                "ttl" => drop(claims.insert("exp".to_owned(), json!(now + value.parse::<i64>().context("ttl")?))),
                _ => drop(claims.insert(name.to_string(), claim(&name, &value)?)),
            }
        }
        anyhow::ensure!(claims.contains_key("sub"), "who is it for? say ?sub=NAME");
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?)
    }
}

fn signing_key(algorithm: Algorithm) -> Result<EncodingKey> {
    let failed = |_| anyhow!("no key could be generated");
    match algorithm {
        Algorithm::ES256 => {
            let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
            Ok(EncodingKey::from_ec_der(pair.map_err(failed)?.as_ref()))
        }
        Algorithm::RS256 => {
            let pair: Pkcs8V1Der =
                RsaKeyPair::generate(KeySize::Rsa2048).and_then(|pair| pair.as_der()).map_err(failed)?;
            // PKCS #8 wraps the key itself (RFC 8017), for RSA of 2,048 bits in 26 bytes.
            Ok(EncodingKey::from_rsa_der(pair.as_ref().get(26..).context("PKCS #8 of this length")?))
        }
        other => anyhow::bail!("{other:?} is not offered: say ES256 or RS256"),
    }
}

fn claim(name: &str, value: &str) -> Result<Value> {
    Ok(match name {
        "groups" => value.split(',').filter(|group| !group.is_empty()).collect(),
        "aud" if value.contains(',') => value.split(',').collect(),
        "iat" | "nbf" | "exp" => json!(value.parse::<i64>().with_context(|| name.to_owned())?),
        _ => json!(value),
    })
}
