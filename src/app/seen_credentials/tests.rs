use super::*;
use crate::app::fixtures::identity;
use crate::corp;
use crate::domain::decision::steps::{CredentialStep, Steps};
use crate::domain::event::Epoch;
use crate::domain::few::Few;
use crate::domain::reason::Reason;

fn token(number: u64) -> Arc<Verified> {
    let mut identity = identity();
    identity.digest[..8].copy_from_slice(&number.to_le_bytes());
    identity.token_id = Some(format!("t{number}"));
    Arc::new(Verified::attest(identity))
}

fn decision(verified: &Arc<Verified>, service: &str) -> Decision {
    let mut credentials = Few::default();
    credentials.push(CredentialStep::from(CredentialOutcome::Verified(Arc::clone(verified))));
    let steps = Steps { credentials, ..Steps::default() };
    let service = corp::service(service);
    Decision::new(Reason::Allowed, Arc::new(corp::policy()), &service, Epoch::default(), steps)
}

fn ids(seen: &SeenCredentials) -> Vec<String> {
    seen.those(|_| true).iter().map(|seen| seen.verified.token_id.clone().unwrap()).collect()
}

#[test]
fn the_last_used_comes_first_with_each_service() {
    let (seen, one, two) = (SeenCredentials::default(), token(1), token(2));
    let (payments, orders) = (decision(&one, "payments"), decision(&one, "orders"));
    seen.saw(&payments, corp::at(0).wall);
    seen.saw(&decision(&two, "orders"), corp::at(20).wall);
    seen.saw(&orders, corp::at(40).wall);
    assert_eq!(ids(&seen), ["t1", "t2"]);
    let uses = &seen.those(|verified| verified.digest == one.digest)[0].uses;
    let uses: Vec<(&str, Timestamp)> = uses.iter().map(|(service, at)| (&**service, *at)).collect();
    assert_eq!(uses, [("payments", corp::at(0).wall), ("orders", corp::at(40).wall)]);
    seen.saw(&decision(&two, "orders"), corp::at(60).wall);
    assert_eq!(ids(&seen), ["t2", "t1"]);
}

#[test]
fn memory_is_bounded_and_what_is_used_stays() {
    let (seen, steady) = (SeenCredentials::default(), token(0));
    let steady = decision(&steady, "orders");
    for number in 1..=5 * HALF as u64 {
        seen.saw(&decision(&token(number), "orders"), corp::at(i64::try_from(number).unwrap()).wall);
        if number % 1_000 == 0 {
            seen.saw(&steady, corp::at(i64::try_from(number).unwrap()).wall);
        }
    }
    let ids = ids(&seen);
    assert!((HALF..=2 * HALF).contains(&ids.len()), "{}", ids.len());
    assert!(ids.contains(&"t0".to_owned()));
    assert_eq!(ids[0], format!("t{}", 5 * HALF));
}
