//! One connection to the server. Every answer is limited in time, and an answer on which the decoder panics is an
//! error.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use ldap3::asn1::StructureTag;
use ldap3::controls::{PagedResults, RawControl};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Scope, SearchOptions, SearchStream};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::entry::Entry;
use super::failure::{BIND, broken, checked, garbled};
use crate::domain::settings::ldap::Server;
use crate::source::error::SourceError;
use crate::source::http::secret;

/// The control of RFC 2696.
const PAGED: &str = "1.2.840.113556.1.4.319";

/// A search.
#[derive(Clone, Debug)]
pub(super) struct Search {
    pub(super) base: String,
    pub(super) scope: Scope,
    pub(super) filter: String,
    pub(super) attributes: Vec<String>,
    pub(super) controls: Vec<RawControl>,
    /// The most entries to return; 0: all.
    pub(super) limit: i32,
}

/// The entries that a search found, and its result, whatever it is.
pub(super) struct Found {
    pub(super) entries: Vec<Entry>,
    pub(super) result: LdapResult,
}

impl Found {
    /// The value of a control in the result.
    pub(super) fn control(&self, oid: &str) -> Option<&[u8]> {
        let control = self.result.ctrls.iter().find(|control| control.1.ctype == oid)?;
        control.1.val.as_deref()
    }
}

/// A search that lasts as long as the connection.
pub(super) type Stream = SearchStream<'static, String, Vec<String>>;

/// A connection after its bind.
pub(super) struct Link {
    ldap: Ldap,
    timeout: Duration,
    /// Reads and writes; it ends with the link.
    driver: JoinSet<Result<(), LdapError>>,
}

impl Link {
    /// Connects, with TLS if configured, and binds.
    pub(super) async fn open(server: &Server) -> Result<Self, SourceError> {
        let password = secret(&server.bind_password_file).await?;
        // A server may treat a name without a password as an anonymous bind, and report success.
        if server.bind_dn.trim().is_empty() {
            return Err(SourceError::Misconfigured { step: BIND, what: "`bind_dn` is empty".to_owned() });
        }
        let mut link = Self::connect(server).await?;
        let (mut ldap, dn) = (link.ldap.clone(), server.bind_dn.clone());
        let result = link.within(BIND, async move { ldap.simple_bind(&dn, &password).await }).await?;
        checked(BIND, &result)?;
        Ok(link)
    }

    /// Connects without a bind.
    pub(super) async fn connect(server: &Server) -> Result<Self, SourceError> {
        let mut settings = LdapConnSettings::new().set_conn_timeout(server.timeout).set_starttls(server.start_tls);
        if let Some(path) = &server.ca_file {
            settings = settings.set_config(trusting(path).await?);
        }
        let step = if server.start_tls || server.url.starts_with("ldaps:") { "connect with TLS" } else { "connect" };
        let opening = AssertUnwindSafe(LdapConnAsync::with_settings(settings, &server.url)).catch_unwind();
        let (connection, ldap) = match timeout(server.timeout, opening).await {
            Err(_) => return Err(SourceError::Unreachable { step, cause: "no answer in time".to_owned() }),
            Ok(Err(_)) => return Err(garbled(step)),
            Ok(Ok(opened)) => opened.map_err(|error| broken(step, &error))?,
        };
        let mut driver = JoinSet::new();
        driver.spawn(connection.drive());
        Ok(Self { ldap, timeout: server.timeout, driver })
    }

    /// Waits for an answer.
    async fn within<T, F>(&mut self, step: &'static str, work: F) -> Result<T, SourceError>
    where
        F: Future<Output = Result<T, LdapError>> + Send,
    {
        match timeout(self.timeout, AssertUnwindSafe(work).catch_unwind()).await {
            Err(_) => Err(SourceError::Unreachable { step, cause: "no answer in time".to_owned() }),
            Ok(Err(_)) => Err(garbled(step)),
            Ok(Ok(Ok(done))) => Ok(done),
            Ok(Ok(Err(error))) => Err(self.cause(step, &error).await),
        }
    }

    /// Why an operation failed. A connection that ended reports the reason only to its reader.
    pub(super) async fn cause(&mut self, step: &'static str, error: &LdapError) -> SourceError {
        let lost = matches!(
            error,
            LdapError::EndOfStream
                | LdapError::ResultRecv { .. }
                | LdapError::OpSend { .. }
                | LdapError::IdScrubSend { .. }
        );
        let ended =
            if lost { timeout(Duration::from_secs(1), self.driver.join_next()).await.ok().flatten() } else { None };
        match ended {
            Some(Err(failed)) if failed.is_panic() => garbled(step),
            Some(Ok(Err(inner))) => broken(step, &inner),
            _ => broken(step, error),
        }
    }

    /// Searches, and returns everything that is found. Referrals are not entries.
    pub(super) async fn search(&mut self, step: &'static str, search: Search) -> Result<Found, SourceError> {
        let mut ldap = self.ldap.clone();
        let (tags, result) = self
            .within(step, async move {
                ldap.with_controls(search.controls);
                ldap.with_search_options(SearchOptions::new().sizelimit(search.limit));
                let Search { base, scope, filter, attributes, .. } = search;
                let mut stream = ldap.streaming_search(&base, scope, &filter, attributes).await?;
                let mut tags: Vec<StructureTag> = Vec::new();
                while let Some(next) = stream.next().await? {
                    if !next.is_ref() && !next.is_intermediate() {
                        tags.push(next.0);
                    }
                }
                Ok((tags, stream.finish().await))
            })
            .await?;
        let entries = tags.into_iter().map(Entry::read).collect::<Option<Vec<_>>>().ok_or_else(|| garbled(step))?;
        Ok(Found { entries, result })
    }

    /// Searches, and requires success.
    pub(super) async fn list(&mut self, step: &'static str, search: Search) -> Result<Vec<Entry>, SourceError> {
        let found = self.search(step, search).await?;
        checked(step, &found.result)?;
        Ok(found.entries)
    }

    /// Up to `rows` entries, and where to continue; `None` after the last page.
    pub(super) async fn page(
        &mut self,
        step: &'static str,
        mut search: Search,
        (rows, cookie): (i32, Vec<u8>),
    ) -> Result<(Vec<Entry>, Option<Vec<u8>>), SourceError> {
        search.controls.push(PagedResults { size: rows, cookie }.into());
        let found = self.search(step, search).await?;
        checked(step, &found.result)?;
        let next = match found.control(PAGED) {
            // A server that does not know the control sends everything.
            None => None,
            Some(value) => Some(super::ber::page_cookie(value).ok_or_else(|| garbled(step))?),
        };
        Ok((found.entries, next.filter(|cookie| !cookie.is_empty())))
    }

    /// Starts a search that does not end.
    pub(super) async fn stream(&mut self, step: &'static str, search: Search) -> Result<Stream, SourceError> {
        let mut ldap = self.ldap.clone();
        self.within(step, async move {
            ldap.with_controls(search.controls);
            ldap.streaming_search(&search.base, search.scope, &search.filter, search.attributes).await
        })
        .await
    }
}

/// TLS that trusts only the certificate authorities in this file.
async fn trusting(path: &PathBuf) -> Result<Arc<rustls::ClientConfig>, SourceError> {
    let unread = |cause: String| SourceError::Secret { path: path.clone(), cause };
    let pem = tokio::fs::read(path).await.map_err(|error| unread(error.to_string()))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unread(error.to_string()))?;
        roots.add(certificate).map_err(|error| unread(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unread("it holds no certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config =
        builder.map_err(|error| unread(error.to_string()))?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}
