//! What the tests of this module share.

use std::sync::Arc;
use std::time::Duration;

use crate::corp;
use crate::domain::credential::{CredentialKind, Identity, Principal, Verified};
use crate::domain::decision::{Decision, Determining};
use crate::domain::event::Epoch;
use crate::domain::person::PersonId;
use crate::domain::policy::{Enforcement, Policy, ResponseRules};
use crate::domain::reason::Reason;

pub(super) fn decision(reason: Reason) -> Decision {
    Decision {
        reason,
        detail: None,
        determining: Determining::None,
        service: "payments".into(),
        enforcement: Enforcement::Enforce,
        credential: None,
        person: None,
        roles: Vec::new(),
        notable: false,
        epoch: Epoch { generation: 1, position: 7 },
        configuration: "0123456789abcdef".into(),
    }
}

pub(super) fn of_alice(reason: Reason) -> Decision {
    Decision {
        credential: Some(Arc::new(Verified::attest(identity()))),
        person: Some(PersonId { source: "okta".into(), key: "00u1".into() }),
        roles: vec!["reader".into(), "writer".into()],
        ..decision(reason)
    }
}

fn identity() -> Identity {
    Identity {
        kind: CredentialKind::Bearer,
        digest: [0; 32],
        issuer_index: 0,
        issuer: "https://idp.example.com".into(),
        subject: Some("alice".into()),
        session: None,
        token_id: Some("jti-1".into()),
        client: Some("web".into()),
        client_key: None,
        audiences: Vec::new(),
        beside_audiences: None,
        required_audiences: None,
        issued: None,
        not_before: None,
        expires: None,
        leeway: Duration::ZERO,
        machine: false,
        groups: Vec::new(),
        flaw: None,
        detail: None,
        owner: Principal::default(),
        actors: Vec::new(),
    }
}

pub(super) fn policy(response: ResponseRules) -> Arc<Policy> {
    Arc::new(Policy { response, ..corp::policy() })
}
