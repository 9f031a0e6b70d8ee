//! A certificate authority of one test, and what it signs.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

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

pub fn uri(name: &str) -> rcgen::SanType {
    rcgen::SanType::URI(name.try_into().unwrap())
}
