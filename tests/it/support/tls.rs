//! A certificate authority of one test, and what it signs.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
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

pub fn dns(name: &str) -> rcgen::SanType {
    rcgen::SanType::DnsName(name.try_into().unwrap())
}

pub fn uri(name: &str) -> rcgen::SanType {
    rcgen::SanType::URI(name.try_into().unwrap())
}
