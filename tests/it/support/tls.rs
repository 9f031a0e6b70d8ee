//! A certificate authority of one test, and what it signs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "the authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names (DNS, address or URI), and its key, both PEM.
    pub fn issue(&self, names: Vec<rcgen::SanType>) -> (String, String) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        // Not the authority's name: a subject that equals its issuer counts as self-signed.
        params.distinguished_name.push(DnType::CommonName, "a leaf");
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// The same, written as `NAME.crt` and `NAME.key`.
    pub fn issue_to(&self, dir: &Path, name: &str, names: Vec<rcgen::SanType>) {
        let (certificate, key) = self.issue(names);
        std::fs::write(dir.join(format!("{name}.crt")), certificate).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key).unwrap();
    }
}

/// TLS in front of a peer that has none, on a port of its own.
pub struct Front {
    pub address: SocketAddr,
    _task: JoinSet<()>,
}

impl Front {
    /// With a certificate and its key, both PEM.
    pub async fn start(peer: SocketAddr, (certificate, key): &(String, String)) -> Self {
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                open.spawn(async move {
                    // Whoever does not trust the certificate hangs up.
                    let Ok(mut caller) = acceptor.accept(stream).await else { return };
                    let Ok(mut there) = TcpStream::connect(peer).await else { return };
                    let _ = copy_bidirectional(&mut caller, &mut there).await;
                });
            }
        });
        Self { address, _task: task }
    }
}

/// Everything that `envoy-mtls.yaml` names under /etc/envoy/tls, `offboard.*` for the other side, and `caller.*` for a
/// caller of this name.
pub fn certificates(dir: &Path, caller: &str) -> String {
    let (callers, mesh) = (Authority::new(), Authority::new());
    callers.issue_to(dir, "caller", vec![uri(caller)]);
    mesh.issue_to(dir, "server", vec![dns("localhost")]);
    mesh.issue_to(dir, "client", vec![dns("envoy")]);
    mesh.issue_to(dir, "offboard", vec![dns("offboard")]);
    std::fs::write(dir.join("callers-ca.crt"), callers.pem()).unwrap();
    std::fs::write(dir.join("offboard-ca.crt"), mesh.pem()).unwrap();
    dir.to_str().unwrap().to_owned()
}

pub fn dns(name: &str) -> rcgen::SanType {
    rcgen::SanType::DnsName(name.try_into().unwrap())
}

pub fn address(address: &str) -> rcgen::SanType {
    rcgen::SanType::IpAddress(address.parse().unwrap())
}

pub fn uri(name: &str) -> rcgen::SanType {
    rcgen::SanType::URI(name.try_into().unwrap())
}
