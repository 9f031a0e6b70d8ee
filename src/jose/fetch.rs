//! Gets a key set from the configured place: by discovery, from an address, or from a file.
//!
//! A provider is trusted for its keys and nothing else: redirects are not followed, at most 1 MiB is read, a call takes at
//! most 5 s, and a discovery document cannot direct us to an address that the issuer itself could not have. Requests go
//! through the proxy in the environment ([`crate::http::proxy`]).

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;

use super::json;
use super::jwks::{MAX_DOCUMENT, without_mark};
use crate::domain::issuer::KeySource;
use crate::http::{Client, ClientError, chain};

/// The time limit of a call. A slower provider counts as down.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);
/// The part of it for the connection and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a key set could not be fetched. It names the step, and never contains the answer, nor an address that may contain
/// secrets.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No client could be created: the file of authorities or the address of the proxy is unusable.
    #[error("get the {what}: {source}")]
    Client {
        /// Key set or discovery document.
        what: &'static str,
        /// What is wrong with it.
        source: ClientError,
    },
    /// No connection, no answer in time, or a broken answer.
    #[error("get the {what}: {}{way}", chain(source))]
    Http {
        /// Key set or discovery document.
        what: &'static str,
        /// The failure, without the address.
        source: reqwest::Error,
        /// The way of the request, as the end of a sentence.
        way: String,
    },
    /// A status other than 200. Redirects are not followed.
    #[error("get the {what}: answered {status}{way}")]
    Status {
        /// Key set or discovery document.
        what: &'static str,
        /// The status of the answer.
        status: StatusCode,
        /// The way of the request, as the end of a sentence; empty without a proxy.
        way: String,
    },
    /// The body is over 1 MiB.
    #[error("get the {0}: longer than 1 MiB")]
    TooLarge(&'static str),
    /// The body is not a JSON object: an HTML page of a proxy, for example.
    #[error("get the {0}: not a JSON object")]
    NotJson(&'static str),
    /// The address is invalid, or must not be used.
    #[error("address of the {0} is not usable: {1}")]
    Address(&'static str, &'static str),
    /// The discovery document is of another issuer (OpenID Connect Discovery 1.0 section 4.3).
    #[error("discovery document names another issuer: {}, where `issuer` is `{configured}`{}", shown(.named), remedy(.named))]
    OtherIssuer {
        /// The issuer in it, if there is one.
        named: Option<String>,
        /// The configured issuer.
        configured: String,
    },
    /// The file could not be read.
    #[error("read the key set file: {0}")]
    File(std::io::Error),
}

/// The longest name of an issuer that is shown, in characters.
const SHOWN: usize = 200;

/// An issuer as shown in an error: escaped and truncated, because it comes from an answer.
fn shown(named: &Option<String>) -> String {
    let Some(named) = named else { return "none".to_owned() };
    let text: String = named.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    let more = if named.chars().nth(SHOWN).is_some() { "…" } else { "" };
    format!("`{text}{more}`")
}

/// What to do about another issuer. One with a placeholder, such as Entra's for all tenants, issues no tokens.
fn remedy(named: &Option<String>) -> &'static str {
    match named {
        Some(named) if named.contains('{') => "; it is a pattern for many tenants: configure the issuer of your tenant",
        Some(_) => "; `issuer` must be exactly the `iss` of its tokens",
        None => "",
    }
}

/// A document as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The JWKS, at most [`MAX_DOCUMENT`] bytes.
    pub document: Vec<u8>,
    /// How long the provider says it is valid (RFC 9111 section 5.2.2.1), if it does.
    pub max_age: Option<Duration>,
}

const KEYS: &str = "key set";
const DISCOVERY: &str = "discovery document";

/// Gets key sets. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client,
}

impl Default for Fetcher {
    fn default() -> Self {
        Self::new()
    }
}

impl Fetcher {
    /// A fetcher with the limits above and the roots of the system.
    #[must_use]
    pub fn new() -> Self {
        Self::within(TOTAL_TIMEOUT)
    }

    /// The same, with another time limit for a call.
    fn within(total: Duration) -> Self {
        Self { client: Client::new(total, CONNECT_TIMEOUT.min(total)) }
    }

    /// The same, also trusting the authorities in this file, if there is one.
    #[must_use]
    pub fn trusting(&self, ca_file: Option<PathBuf>) -> Self {
        match ca_file {
            Some(path) => Self { client: self.client.trusting(path) },
            None => self.clone(),
        }
    }

    /// Gets the key set of `issuer` from `source`.
    ///
    /// # Errors
    /// [`FetchError`], naming the step.
    pub async fn fetch(&self, issuer: &str, source: &KeySource) -> Result<Fetched, FetchError> {
        match source {
            KeySource::File(path) => read(path).await,
            KeySource::Uri(address) => self.get(KEYS, address_of(KEYS, address)?).await,
            KeySource::Discovery => {
                let address = self.discover(issuer).await?;
                self.get(KEYS, address).await
            }
        }
    }

    /// Gets the address of the keys by discovery.
    async fn discover(&self, issuer: &str) -> Result<Url, FetchError> {
        let home = address_of(DISCOVERY, issuer)?;
        let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let answer = self.get(DISCOVERY, address_of(DISCOVERY, &place)?).await?;
        keys_address(issuer, &home, &answer.document)
    }

    async fn get(&self, what: &'static str, address: Url) -> Result<Fetched, FetchError> {
        let reach = self.client.get(&address).await.map_err(|source| FetchError::Client { what, source })?;
        let broken = |error: reqwest::Error| {
            let way = reach.because(&error);
            FetchError::Http { what, source: error.without_url(), way }
        };
        let request = reach.client.get(address).header("accept", "application/json, application/jwk-set+json");
        let mut answer = request.send().await.map_err(broken)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status { what, status: answer.status(), way: reach.through() });
        }
        if answer.content_length().is_some_and(|length| length > MAX_DOCUMENT as u64) {
            return Err(FetchError::TooLarge(what));
        }
        let max_age = answer.headers().get("cache-control").and_then(|value| value.to_str().ok()).and_then(max_age);
        let mut document = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            if document.len().saturating_add(chunk.len()) > MAX_DOCUMENT {
                return Err(FetchError::TooLarge(what));
            }
            document.extend_from_slice(&chunk);
        }
        // The content type is ignored: providers send keys as text, and proxies send pages as JSON.
        if without_mark(&document).iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(FetchError::NotJson(what));
        }
        Ok(Fetched { document, max_age })
    }
}

/// The address of the keys in a discovery document of `issuer`, whose own address is `home`, if it is acceptable.
fn keys_address(issuer: &str, home: &Url, document: &[u8]) -> Result<Url, FetchError> {
    let members = json::object(without_mark(document)).map_err(|_| FetchError::NotJson(DISCOVERY))?;
    let named = members.get("issuer").and_then(Value::as_str);
    if named != Some(issuer) {
        return Err(FetchError::OtherIssuer { named: named.map(str::to_owned), configured: issuer.to_owned() });
    }
    let named = members.get("jwks_uri").and_then(Value::as_str);
    let address = address_of(KEYS, named.ok_or(FetchError::Address(KEYS, "the discovery document has none"))?)?;
    if home.scheme() == "https" && address.scheme() != "https" {
        return Err(FetchError::Address(KEYS, "plain HTTP, although the issuer uses HTTPS"));
    }
    if is_an_ip(&address) && address.host_str() != home.host_str() {
        return Err(FetchError::Address(KEYS, "an IP address other than the issuer's"));
    }
    Ok(address)
}

async fn read(path: &Path) -> Result<Fetched, FetchError> {
    let file = tokio::fs::File::open(path).await.map_err(FetchError::File)?;
    let mut document = Vec::new();
    file.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut document).await.map_err(FetchError::File)?;
    if document.len() > MAX_DOCUMENT {
        return Err(FetchError::TooLarge(KEYS));
    }
    Ok(Fetched { document, max_age: None })
}

/// Parses an address, and checks that it may be used.
fn address_of(what: &'static str, text: &str) -> Result<Url, FetchError> {
    let url = Url::parse(text).map_err(|_| FetchError::Address(what, "not a URL"))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
        return Err(FetchError::Address(what, "neither https nor http"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(FetchError::Address(what, "it contains a user or password"));
    }
    Ok(url)
}

fn is_an_ip(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok()
}

/// The `max-age` of a `cache-control` header; zero if it forbids caching.
fn max_age(value: &str) -> Option<Duration> {
    let mut age = None;
    for directive in value.split(',').map(str::trim) {
        let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
        match name.to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Some(Duration::ZERO),
            "max-age" => age = argument.trim_matches('"').parse().ok().map(Duration::from_secs),
            _ => {}
        }
    }
    age
}

#[cfg(test)]
mod tests;
