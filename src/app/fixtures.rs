//! What tests of several files here use.

use std::time::Duration;

use crate::corp::ISSUER;
use crate::domain::credential::{CredentialKind, Identity, Principal};

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
