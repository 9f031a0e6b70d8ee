use std::sync::Arc;

use super::*;
use crate::corp;
use crate::domain::decision::steps::Steps;
use crate::domain::event::Epoch;
use crate::domain::few::Few;
use crate::domain::id::{ExemptionId, RevocationId};

/// The step that answers this question in a recalled decision with these steps.
fn answer(question: &str, reason: Reason, steps: Steps) -> (String, String) {
    let epoch = Epoch { generation: 1, position: 7 };
    let decision = Decision::new(reason, Arc::new(corp::policy()), &corp::service("payments"), epoch, steps);
    let (at, destination, knowledge) = (corp::at(0).wall, None, Knowledge::Live);
    let rings = &KeyRings::default();
    let told = Story { decision: &decision, at, destination, knowledge, rings }.tell();
    let step = told.steps.into_iter().find(|step| step.question == question).unwrap();
    (step.answer, step.cause)
}

#[test]
fn an_exemption_goes_by_its_own_id() {
    let outcome = CredentialOutcome::Foreign { what: Foreign::Other, claimed: None };
    let found = RevocationStep {
        reason: Reason::RevokedPerson,
        revocation: Determining::Revocation(RevocationId::of_position(12)),
        exemption: Some(ExemptionId::of_position(17)),
    };
    let credential = CredentialStep { revocation: Some(found), ..CredentialStep::from(outcome) };
    let steps = Steps { credentials: Few::One(credential), ..Steps::default() };
    let (answer, cause) = answer(REVOKED, Reason::Exempted, steps);
    assert_eq!((answer.as_str(), cause.as_str()), ("yes, but exempted", "exemption e17 lifts revocation r12"));
}

#[test]
fn a_check_that_ended_early_asked_for_no_roles() {
    let early = Steps { ended_early: Some("no decision was made in time"), ..Steps::default() };
    assert_eq!(answer(ROLES, Reason::Internal, early).0, NOT_ASKED);
    assert_eq!(answer(ROLES, Reason::NoCredentials, Steps::default()).0, "none");
}
