//! What only the wiring needs: listeners, the store, the audit trail, the sources.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::fields::Fields;
use super::sources::SourceSettings;
use super::text;
use crate::domain::settings::audit::{Decisions, TrailSettings};

/// Everything in the configuration except policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Listeners.
    pub server: ServerSettings,
    /// Where the log is kept.
    pub store: StoreSettings,
    /// The audit trail.
    pub audit: TrailSettings,
    /// Settings of the sources.
    pub sources: Vec<SourceSettings>,
}

/// Listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// For proxies.
    pub authz: Listener,
    /// For operators.
    pub control: Listener,
    /// File with the hex SHA-256 of the emergency token.
    pub bootstrap_token_sha256_file: Option<PathBuf>,
    /// For metrics and probes.
    pub ops: SocketAddr,
    /// How long shutdown may take.
    pub drain: Duration,
}

/// One gRPC listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its address; port 0 picks a free one.
    pub listen: SocketAddr,
    /// TLS files; `None` means plain text.
    pub tls: Option<TlsFiles>,
}

/// PEM files of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain.
    pub cert_file: PathBuf,
    /// The private key.
    pub key_file: PathBuf,
    /// CAs of client certificates; if set, clients must present one.
    pub client_ca_file: Option<PathBuf>,
}

/// Where the log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSettings {
    /// In this directory.
    Embedded {
        /// Locked by the process that uses it.
        path: PathBuf,
        /// File with the installation's secret; without one, the store keeps one that was drawn.
        secret_file: Option<PathBuf>,
    },
}

/// Names the settings that a reload would change although they need a restart.
#[must_use]
pub fn restart_required(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let changed = [
        ("server", old.server != new.server),
        ("store", old.store != new.store),
        ("audit.path", old.audit.path != new.audit.path),
    ];
    changed.into_iter().filter_map(|(name, changed)| changed.then_some(name)).collect()
}

impl Settings {
    /// Keeps the running values of settings that need a restart, and names those that were to change.
    pub fn keep_running(&mut self, running: &Self) -> Vec<&'static str> {
        let kept = restart_required(running, self);
        self.server = running.server.clone();
        self.store = running.store.clone();
        self.audit.path = running.audit.path.clone();
        kept
    }

    /// Reads the settings.
    #[must_use]
    pub fn from_fields(root: &Fields<'_>, sources: Vec<SourceSettings>) -> Self {
        let server = server(&root.section("server"));
        if open(&server.authz) {
            let what = "is not a loopback address and has no `tls`; credentials cross the network in plain text";
            let authz = root.section("server").section("authz");
            if authz.location().is_some() { authz.warn("listen", what) } else { root.warn("server.authz.listen", what) }
        }
        let store = root.section("store");
        let _ = store.text("kind");
        let path = store.text("path").unwrap_or("/var/lib/offboard");
        let path = PathBuf::from(path);
        let secret_file = store.text("secret_file").map(PathBuf::from);
        let audit = root.section("audit");
        let audit = TrailSettings {
            decisions: audit.read("decisions", text::decisions).unwrap_or(Decisions::Denied),
            path: audit.text("path").map_or_else(|| path.join("audit"), PathBuf::from),
            retention: audit.read("retention", text::duration).unwrap_or(Duration::from_secs(400 * 86_400)),
        };
        Self { server, store: StoreSettings::Embedded { path, secret_file }, audit, sources }
    }
}

fn server(fields: &Fields<'_>) -> ServerSettings {
    let authz = fields.section("authz");
    let control = fields.section("control");
    let ops = fields.section("ops");
    let plaintext = control.has("plaintext");
    let bootstrap = control.text("bootstrap_token_sha256_file").map(PathBuf::from);
    let settings = ServerSettings {
        authz: listener(&authz, SocketAddr::from(([0_u16; 8], 9191))),
        control: listener(&control, SocketAddr::from(([127, 0, 0, 1], 9192))),
        bootstrap_token_sha256_file: bootstrap,
        ops: ops.read("listen", text::address).unwrap_or(SocketAddr::from(([0_u16; 8], 9193))),
        drain: fields.read("drain", text::duration).unwrap_or(Duration::from_secs(20)),
    };
    if open(&settings.control) && !control.has("tls") {
        if plaintext {
            control.warn(
                "plaintext",
                "operators' tokens cross the network in plain text unless a proxy in front encrypts",
            );
        } else {
            control.wrong(
                "listen",
                "is not a loopback address; set `tls`, or `plaintext: allowed` if a proxy in front encrypts",
            );
        }
    }
    let listeners = [(&authz, settings.authz.listen), (&control, settings.control.listen), (&ops, settings.ops)];
    for (index, (_, first)) in listeners.iter().enumerate() {
        for (fields, second) in listeners.iter().skip(index + 1) {
            if first == second && first.port() != 0 {
                fields.wrong("listen", format!("{second} is used twice"));
            }
        }
    }
    settings
}

fn open(listener: &Listener) -> bool {
    listener.tls.is_none() && !listener.listen.ip().to_canonical().is_loopback()
}

fn listener(fields: &Fields<'_>, default: SocketAddr) -> Listener {
    let tls = fields.section("tls");
    let client_ca_file = tls.text("client_ca_file").map(PathBuf::from);
    let (cert_file, key_file) = (tls.text("cert_file"), tls.text("key_file"));
    Listener {
        listen: fields.read("listen", text::address).unwrap_or(default),
        tls: cert_file.zip(key_file).map(|(cert_file, key_file)| TlsFiles {
            cert_file: cert_file.into(),
            key_file: key_file.into(),
            client_ca_file,
        }),
    }
}
