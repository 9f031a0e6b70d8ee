//! Real peers: each starts on a free loopback port, is ready when its constructor returns, and is stopped when dropped.

pub mod ad;
pub mod authz;
pub mod directories;
pub mod entra;
pub mod envoy;
pub mod forward;
pub mod installation;
pub mod issuer;
pub mod keycloak;
pub mod offboard;
pub mod oidc;
pub mod okta;
pub mod polled;
pub mod ports;
pub mod process;
pub mod prometheus;
#[path = "../../src/jose/provider.rs"]
pub mod provider;
pub mod proxy;
pub mod samba;
pub mod scenario;
pub mod slapd;
pub mod tls;
pub mod troubled;
pub mod upstream;
pub mod wire;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long something that should happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An installed peer, by its path under `$OFFBOARD_PEERS`. Missing it fails in CI; elsewhere the test is skipped, loudly.
pub fn peer(path: &str) -> Option<PathBuf> {
    let peers = std::env::var_os("OFFBOARD_PEERS").map_or_else(|| root().join("target/peers"), PathBuf::from);
    let found = root().join(peers).join(path);
    if found.exists() {
        return Some(found);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing: tests/peers/install.sh puts it there", found.display());
    eprintln!("\nskipped: {} is missing; run tests/peers/install.sh\n", found.display());
    None
}

/// Holds a text against `tests/golden/NAME`. With `UPDATE_GOLDEN=1` it is written there instead, for `git diff` to show.
pub fn golden(name: &str, found: &str) {
    let path = root().join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    assert!(expected == found, "{} is not what is found (UPDATE_GOLDEN=1 writes it): {differs:?}", path.display());
}

/// Polls until `condition` gives something; panics with `what` when it takes too long.
pub async fn until<T>(what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, condition).await
}

pub async fn until_within<T>(limit: Duration, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < deadline, "after {limit:?} still not: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A scratch directory under target/, removed unless the test fails.
pub struct Scratch(Option<tempfile::TempDir>);

impl Scratch {
    pub fn new() -> Self {
        Self(Some(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()))
    }

    pub fn path(&self) -> &Path {
        self.0.as_ref().unwrap().path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(dir) = self.0.take()
            && std::thread::panicking()
        {
            eprintln!("kept for reading: {}", dir.keep().display());
        }
    }
}
