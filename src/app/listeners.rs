//! Sockets, and their TLS.

mod open;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::{Stream, StreamExt};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::preface_timeout::PrefaceTimeout;
use crate::config::settings::{Listener, TlsFiles};
use crate::telemetry::logging::Lasting;

/// Interval between reloads of certificate files. The kubelet needs about a minute to update them.
const RELOAD: Duration = Duration::from_secs(10);
/// A longer handshake is aborted.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Limit on concurrent handshakes.
const HANDSHAKES: usize = 256;

/// Why a listener could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be bound.
    #[error("bind `{name}` to {address}")]
    Bind {
        /// Which listener.
        name: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// Its certificates cannot be used.
    #[error("load TLS files of `{name}`: {what}")]
    Tls {
        /// Which listener.
        name: &'static str,
        /// What is wrong, and with which file.
        what: String,
    },
}

/// A listening socket and its address.
#[derive(Debug)]
pub struct Socket {
    listener: TcpListener,
    /// The bound address.
    pub address: SocketAddr,
    tls: Option<Arc<Tls>>,
}

/// The certificates of a listener, replaced when their files change.
#[derive(Debug)]
pub struct Tls {
    name: &'static str,
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
}

/// Binds a listener.
///
/// # Errors
/// [`ListenError`].
pub fn bind(name: &'static str, listen: &Listener) -> Result<Socket, ListenError> {
    let tls = match &listen.tls {
        Some(files) => Some(Arc::new(Tls {
            name,
            files: files.clone(),
            current: ArcSwap::from_pointee(server_config(files).map_err(|what| ListenError::Tls { name, what })?),
        })),
        None => None,
    };
    let failed = |source| ListenError::Bind { name, address: listen.listen, source };
    let listener = open::open(name, listen.listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Socket { listener, address, tls })
}

fn server_config(files: &TlsFiles) -> Result<ServerConfig, String> {
    let named = |path: &Path, what: String| format!("`{}`: {what}", path.display());
    let certificates = certificates(&files.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&files.key_file)
        .map_err(|error| named(&files.key_file, format!("no private key: {error}")))?;
    let builder = ServerConfig::builder();
    let builder = match &files.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in self::certificates(path)? {
                roots.add(certificate).map_err(|error| named(path, error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| named(path, error.to_string()))?)
        }
    };
    let mut config =
        builder.with_single_cert(certificates, key).map_err(|error| named(&files.cert_file, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(format!("`{}`: no certificate in it", path.display())),
        Err(error) => Err(format!("`{}`: {error}", path.display())),
    }
}

impl Tls {
    /// Reloads the files periodically; unusable files change nothing.
    pub async fn reload_forever(self: Arc<Self>) {
        let mut trouble = Lasting::default();
        loop {
            tokio::time::sleep(RELOAD).await;
            match server_config(&self.files) {
                Ok(config) => {
                    self.current.store(Arc::new(config));
                    if trouble.ended() {
                        tracing::info!(listener.name = self.name, "the certificates are usable again, and reloaded");
                    }
                }
                Err(what) if trouble.is_new(&what) => {
                    tracing::error!(
                        listener.name = self.name,
                        error.message = what,
                        "cannot reload certificates; keeping the old ones"
                    );
                }
                Err(_) => {}
            }
        }
    }
}

impl Socket {
    /// The certificates, to be reloaded.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// The certificates and the bare socket.
    #[must_use]
    pub fn into_parts(self) -> (Option<Arc<Tls>>, TcpListener) {
        (self.tls, self.listener)
    }
}

/// Accepted connections after their handshakes, which run concurrently. A failed handshake is not our error.
pub fn handshakes(
    stream: impl Stream<Item = std::io::Result<PrefaceTimeout>>,
    tls: Arc<Tls>,
) -> impl Stream<Item = std::io::Result<TlsStream<PrefaceTimeout>>> {
    let accept = move |accepted: std::io::Result<PrefaceTimeout>| {
        let acceptor = TlsAcceptor::from(tls.current.load_full());
        async move {
            let stream = accepted.ok()?;
            tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await.ok()?.ok().map(Ok)
        }
    };
    stream.map(accept).buffer_unordered(HANDSHAKES).filter_map(std::future::ready)
}
