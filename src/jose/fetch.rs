//! Gets a key set from where the configuration says: discovery, an address, or a file.
//!
//! A provider is trusted for its keys and for nothing else: no redirect is followed, no proxy of the
//! environment is used, no more than 1 MiB is read, no call lasts longer than 5 s, and a discovery document
//! cannot send us to an address that the issuer itself could not have.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::sync::OnceCell;

use super::json;
use super::jwks::MAX_DOCUMENT;
use crate::domain::issuer::KeySource;

/// A provider that needs longer is down, as far as we are concerned.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Part of it for the connection and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a key set could not be had. Names the step; never holds what was answered, nor an address with
/// what may be secret in it.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The HTTP client could not be made.
    #[error("make the HTTP client: {}", chain(.0))]
    Client(reqwest::Error),
    /// The process is stopping.
    #[error("make the HTTP client: the process is stopping")]
    Stopped,
    /// No connection, no answer in time, or a broken one.
    #[error("get the {what}: {}", chain(source))]
    Http {
        /// Key set or discovery document.
        what: &'static str,
        /// How it failed, without the address.
        source: reqwest::Error,
    },
    /// Anything but 200. Redirects are not followed.
    #[error("get the {what}: answered {status}")]
    Status {
        /// Key set or discovery document.
        what: &'static str,
        /// The answer.
        status: StatusCode,
    },
    /// The body is over 1 MiB.
    #[error("get the {0}: longer than 1 MiB")]
    TooLarge(&'static str),
    /// The body is no JSON object: an HTML page of a proxy, say.
    #[error("get the {0}: not a JSON object")]
    NotJson(&'static str),
    /// The address is none, or none that may be asked.
    #[error("address of the {0} is not usable: {1}")]
    Address(&'static str, &'static str),
    /// The discovery document is somebody else's (OpenID Connect Discovery 1.0 section 4.3).
    #[error("discovery document names another issuer")]
    OtherIssuer,
    /// The file could not be read.
    #[error("read the key set file: {0}")]
    File(std::io::Error),
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// A document as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The JWKS, at most [`MAX_DOCUMENT`] bytes.
    pub document: Vec<u8>,
    /// How long the provider says it stays good (RFC 9111 section 5.2.2.1), if it says so.
    pub max_age: Option<Duration>,
}

const KEYS: &str = "key set";
const DISCOVERY: &str = "discovery document";

/// Gets key sets. Cheap to clone; one for the process.
#[derive(Clone, Debug)]
pub struct Fetcher {
    /// Made when it is first needed: reading the system's trusted roots takes longer than a whole start.
    client: Arc<OnceCell<reqwest::Client>>,
    total: Duration,
}

impl Default for Fetcher {
    fn default() -> Self {
        Self::new()
    }
}

impl Fetcher {
    /// A fetcher with the limits above.
    #[must_use]
    pub fn new() -> Self {
        Self::within(TOTAL_TIMEOUT)
    }

    /// The same with another limit on the time of a call.
    fn within(total: Duration) -> Self {
        Self { client: Arc::default(), total }
    }

    /// Fails with [`FetchError::Client`] if TLS cannot be set up, for instance without any trusted root.
    async fn client(&self) -> Result<&reqwest::Client, FetchError> {
        let total = self.total;
        let make = move || {
            reqwest::Client::builder()
                .user_agent(concat!("offboard/", env!("CARGO_PKG_VERSION")))
                .timeout(total)
                .connect_timeout(CONNECT_TIMEOUT.min(total))
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .build()
        };
        let made = || async move {
            let made = tokio::task::spawn_blocking(make).await.map_err(|_| FetchError::Stopped)?;
            made.map_err(FetchError::Client)
        };
        self.client.get_or_try_init(made).await
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

    /// Asks the issuer where its keys are.
    async fn discover(&self, issuer: &str) -> Result<Url, FetchError> {
        let home = address_of(DISCOVERY, issuer)?;
        let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let answer = self.get(DISCOVERY, address_of(DISCOVERY, &place)?).await?;
        keys_address(issuer, &home, &answer.document)
    }

    async fn get(&self, what: &'static str, address: Url) -> Result<Fetched, FetchError> {
        let broken = |error: reqwest::Error| FetchError::Http { what, source: error.without_url() };
        let request = self.client().await?.get(address).header("accept", "application/json, application/jwk-set+json");
        let mut answer = request.send().await.map_err(broken)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status { what, status: answer.status() });
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
        // The content type is not believed either way: providers send keys as text, proxies send pages as JSON.
        if document.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(FetchError::NotJson(what));
        }
        Ok(Fetched { document, max_age })
    }
}

/// Where a discovery document says that the keys are, if `issuer`, whose address is `home`, may say so.
fn keys_address(issuer: &str, home: &Url, document: &[u8]) -> Result<Url, FetchError> {
    let members = json::object(document).map_err(|_| FetchError::NotJson(DISCOVERY))?;
    if members.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(FetchError::OtherIssuer);
    }
    let named = members.get("jwks_uri").and_then(Value::as_str);
    let address = address_of(KEYS, named.ok_or(FetchError::Address(KEYS, "discovery names none"))?)?;
    if home.scheme() == "https" && address.scheme() != "https" {
        return Err(FetchError::Address(KEYS, "plain HTTP, though the issuer has HTTPS"));
    }
    if is_an_ip(&address) && address.host_str() != home.host_str() {
        return Err(FetchError::Address(KEYS, "an IP address that is not the issuer's"));
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

/// An address that may be asked at all.
fn address_of(what: &'static str, text: &str) -> Result<Url, FetchError> {
    let url = Url::parse(text).map_err(|_| FetchError::Address(what, "not a URL"))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
        return Err(FetchError::Address(what, "neither https nor http"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(FetchError::Address(what, "user or password in it"));
    }
    Ok(url)
}

fn is_an_ip(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok()
}

/// `max-age` of a `cache-control` header, unless it forbids keeping the answer.
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
