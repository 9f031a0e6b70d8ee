//! What tests of several files here use.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::open::{Options, open};
use crate::audit::sink::Recorder;
use crate::corp::{self, ISSUER, at};
use crate::domain::command::WriterHandle;
use crate::domain::credential::{CredentialKind, Identity, Principal};
use crate::domain::key::Keyer;
use crate::domain::settings::audit::{Decisions, TrailSettings};
use crate::log::Log;
use crate::state::Published;
use crate::writer::{Ids, Writer, WriterIdentity, replay};

/// A token of nobody in particular, which never expires.
pub(super) fn identity() -> Identity {
    Identity {
        kind: CredentialKind::Bearer,
        digest: [0; 32],
        issuer_index: 0,
        issuer: ISSUER.into(),
        subject: None,
        session: None,
        token_id: None,
        client: None,
        client_key: None,
        audiences: vec![],
        key_id: None,
        beside_audiences: None,
        required_audiences: None,
        issued: None,
        not_before: None,
        expires: None,
        leeway: Duration::ZERO,
        machine: false,
        groups: vec![],
        flaw: None,
        detail: None,
        owner: Principal::default(),
        actors: vec![],
    }
}

/// The look-up keys of these tests.
pub(super) fn keyer() -> Keyer {
    Keyer::new([1; 16])
}

/// A writer at work on a log, and what it publishes.
pub(super) async fn writer_over<L: Log>(log: &Arc<L>) -> (WriterHandle, Arc<Published>) {
    let replayed = replay(log.as_ref(), keyer()).await.unwrap();
    let (ids, policy) = (Ids::from_system().unwrap(), Arc::new(corp::policy()));
    let (writer_loop, published) =
        Writer::new(Arc::clone(log), replayed, policy, vec![], WriterIdentity::alone("test", ids));
    let (writer, envelopes) = WriterHandle::new();
    #[expect(clippy::disallowed_methods, reason = "a test owns its tasks")]
    tokio::spawn(writer_loop.run(envelopes, std::future::pending()));
    (writer, published)
}

/// A trail that works until its recorder is gone.
pub(super) fn trail(dir: &Path) -> Recorder {
    let (path, retention) = (dir.to_owned(), Duration::from_secs(86_400));
    let settings = TrailSettings { path, decisions: Decisions::Denied, retention };
    let (recorder, trail) = open(Options { settings, replica: "r-0".into(), salt: [7; 32] }, at(0)).unwrap();
    std::thread::spawn(move || trail.run());
    recorder
}
