//! What the tests of this module share.

use std::sync::Arc;
use std::time::Duration;

use crate::corp;
use crate::domain::binding::Role;
use crate::domain::credential::{CredentialKind, CredentialOutcome, Identity, Principal, Verified};
use crate::domain::decision::steps::Steps;
use crate::domain::decision::{Decision, HeldRole};
use crate::domain::event::Epoch;
use crate::domain::few::Few;
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::policy::{Policy, ResponseRules};
use crate::domain::reason::Reason;

pub(super) fn decision(reason: Reason) -> Decision {
    let epoch = Epoch { generation: 1, position: 7 };
    Decision::new(reason, policy(ResponseRules::default()), &corp::service("payments"), epoch, Steps::default())
}

pub(crate) fn of_alice(reason: Reason) -> Decision {
    let alice = CredentialOutcome::Verified(Arc::new(Verified::attest(identity())));
    Decision {
        credential: Some(0),
        steps: Steps { credentials: Few::One(alice.into()), ..Steps::default() },
        person: Some(Arc::new(Person::new(PersonId { source: "okta".into(), key: "00u1".into() }, Status::Active))),
        roles: vec![HeldRole { role: 0, binding: 0 }, HeldRole { role: 1, binding: 1 }],
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
        key_id: None,
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
    let role = |name: &str| Role { name: name.into(), permissions: vec![], rights: vec![] };
    let roles = vec![role("reader"), role("writer")];
    Arc::new(Policy { hash: "0123456789abcdef".into(), response, roles, ..corp::policy() })
}
