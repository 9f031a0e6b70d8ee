//! Outgoing HTTP: keys of issuers, and the requests of sources.
//!
//! All of it uses one kind of client: with timeouts, without redirects, through the proxy in the environment. The control
//! client, LDAP and our own listeners do not use it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;

pub mod proxy;

use proxy::{NoProxyThere, Proxies, Way};

/// Why no client could be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file of authorities is unusable.
    #[error("read `{path}`: {cause}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// TLS cannot be set up, for example without any trusted root.
    #[error("create the HTTP client: {0}")]
    Tls(String),
    /// The process is stopping.
    #[error("create the HTTP client: the process is stopping")]
    Stopped,
    /// The address of the proxy is unusable.
    #[error(transparent)]
    Proxy(#[from] NoProxyThere),
}

/// A client, and its way to the address that it was requested for.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The client.
    pub client: reqwest::Client,
    /// The way.
    pub way: Way,
}

impl Reach {
    /// What an error in an answer says about the proxy, as the end of a sentence; empty without a proxy.
    #[must_use]
    pub fn through(&self) -> String {
        if matches!(self.way, Way::Proxy(_)) { self.way.to_string() } else { String::new() }
    }

    /// The same if there is no answer: after a failed connection it also says why no proxy was used.
    #[must_use]
    pub fn because(&self, error: &reqwest::Error) -> String {
        if error.is_connect() { self.way.to_string() } else { self.through() }
    }
}

/// The current client, and the authorities that it trusts.
type Made = Option<(Vec<u8>, reqwest::Client)>;

/// Creates clients when they are first needed (reading the roots of the system takes longer than the whole start), and again
/// when the file of authorities changes. Clones share them.
#[derive(Clone, Debug)]
pub struct Client {
    total: Duration,
    connect: Duration,
    ca_file: Option<PathBuf>,
    proxies: Arc<Proxies>,
    made: Arc<Mutex<Made>>,
}

impl Client {
    /// Clients whose requests take at most `total`, of which `connect` for the connection, through the proxies in the
    /// environment.
    #[must_use]
    pub fn new(total: Duration, connect: Duration) -> Self {
        Self::through(Proxies::of_environment(), total, connect)
    }

    /// The same, through these proxies.
    #[must_use]
    pub fn through(proxies: Proxies, total: Duration, connect: Duration) -> Self {
        Self { total, connect, ca_file: None, proxies: Arc::new(proxies), made: Arc::default() }
    }

    /// The same, trusting the authorities in this file besides the roots of the system.
    #[must_use]
    pub fn trusting(&self, ca_file: PathBuf) -> Self {
        Self { ca_file: Some(ca_file), made: Arc::default(), ..self.clone() }
    }

    /// The way to an address.
    ///
    /// # Errors
    /// [`NoProxyThere`]
    pub fn way(&self, url: &Url) -> Result<Way, NoProxyThere> {
        self.proxies.way(url)
    }

    /// A client for this address.
    ///
    /// # Errors
    /// [`ClientError`], also if the file of authorities can no longer be read: an authority may have been removed for a
    /// reason.
    pub async fn get(&self, url: &Url) -> Result<Reach, ClientError> {
        let way = self.way(url)?;
        let authorities = match &self.ca_file {
            None => Vec::new(),
            Some(path) => tokio::fs::read(path)
                .await
                .map_err(|cause| ClientError::CaFile { path: path.clone(), cause: cause.to_string() })?,
        };
        let known = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((trusted, client)) = known().as_ref()
            && *trusted == authorities
        {
            return Ok(Reach { client: client.clone(), way });
        }
        let maker = self.clone();
        let made = tokio::task::spawn_blocking(move || {
            let client = maker.make(&authorities)?;
            Ok::<_, ClientError>((authorities, client))
        });
        let (authorities, client) = made.await.map_err(|_| ClientError::Stopped)??;
        *known() = Some((authorities, client.clone()));
        Ok(Reach { client, way })
    }

    fn make(&self, authorities: &[u8]) -> Result<reqwest::Client, ClientError> {
        let tls = |error: reqwest::Error| ClientError::Tls(chain(&error.without_url()));
        let proxies = Arc::clone(&self.proxies);
        let through = reqwest::Proxy::custom(move |url| match proxies.way(url) {
            Ok(Way::Proxy(proxy)) => Some(proxy.url().clone()),
            // An error was already returned by `way`.
            _ => None,
        });
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("offboard/", env!("CARGO_PKG_VERSION")))
            .timeout(self.total)
            .connect_timeout(self.connect)
            .redirect(reqwest::redirect::Policy::none())
            .proxy(through);
        if let Some(path) = &self.ca_file {
            let wrong = |cause: String| ClientError::CaFile { path: path.clone(), cause };
            let found = reqwest::Certificate::from_pem_bundle(authorities);
            let found = found.map_err(|error| wrong(chain(&error.without_url())))?;
            if found.is_empty() {
                return Err(wrong("it contains no PEM certificate".to_owned()));
            }
            for certificate in found {
                builder = builder.add_root_certificate(certificate);
            }
        }
        builder.build().map_err(tls)
    }
}

/// An error with its causes, on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
