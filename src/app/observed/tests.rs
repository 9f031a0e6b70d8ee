use super::*;
use crate::app::fixtures::identity;
use crate::corp;
use crate::domain::binding::{Permission, Role};
use crate::domain::decision::steps::{CredentialStep, Steps};
use crate::domain::detail::Detail;
use crate::domain::event::Epoch;
use crate::domain::few::Few;
use crate::domain::key::Keyer;
use crate::domain::policy::{Policy, Service};
use crate::state::State;
use crate::state::fold::Fold;
use crate::state::rules::Rules;

fn service(name: &str) -> Service {
    Service { enforcement: Enforcement::Observe, ..corp::service(name) }
}

fn decided(reason: Reason, outcome: Option<CredentialOutcome>) -> Decision {
    let verified = matches!(outcome, Some(CredentialOutcome::Verified(_)));
    let credentials: Few<CredentialStep> = outcome.into_iter().map(CredentialStep::from).collect();
    let steps = Steps { credentials, ..Steps::default() };
    let decision = Decision::new(reason, Arc::new(corp::policy()), &service("payments"), Epoch::default(), steps);
    Decision { credential: verified.then_some(0), ..decision }
}

fn verified(client: Option<&str>, machine: bool) -> Option<CredentialOutcome> {
    let client = client.map(str::to_owned);
    let identity = crate::domain::credential::Identity { client, machine, audiences: vec!["api".into()], ..identity() };
    Some(CredentialOutcome::Verified(Arc::new(Verified::attest(identity))))
}

fn rejected(reason: Reason, issuer: &str) -> Option<CredentialOutcome> {
    let claimed = Claimed { issuer: Some(Claimed::text(issuer)), ..Claimed::default() };
    Some(CredentialOutcome::Rejected {
        kind: crate::domain::credential::CredentialKind::Bearer,
        reason,
        digest: [0; 32],
        detail: None,
        claimed: Some(Arc::new(claimed)),
    })
}

fn saw(observed: &Observed, decision: &Decision, path: &str, second: i64) {
    let id = format!("{second:032x}").parse().unwrap();
    let facts = Facts { id, time: corp::at(second).wall, method: "GET", path, address: None };
    let request = Request::synthetic("GET", "payments.example.com", path, []);
    observed.saw(decision, Some(&request), &facts);
}

fn observed() -> Observed {
    Observed::since(corp::at(0).wall)
}

#[test]
fn like_requests_are_one_group_with_a_recent_example() {
    let observed = observed();
    let refused = decided(Reason::NoCredentials, None);
    for (path, second) in [("/v1/orders?token=secret", 1), ("/v1/orders/7", 2), ("/v1/\u{1b}x", 20), ("/v2", 21)] {
        saw(&observed, &refused, path, second);
    }
    let groups = observed.groups(None, None);
    assert_eq!(groups.len(), 2);
    let (group, times) = (&groups[0], |second| corp::at(second).wall);
    assert_eq!((group.segment.as_deref(), group.count), (Some("/v1"), 3));
    assert_eq!((group.first, group.last), (times(1), times(20)));
    assert_eq!((group.example.path.as_str(), group.example.at), (r"/v1/\u{1b}x", times(20)));
    assert_eq!(group.example.id.to_string(), format!("{:032x}", 20));
    assert_eq!(groups[1].segment.as_deref(), Some("/v2"));
    assert_eq!(observed.groups(Some("orders"), None), []);
    assert_eq!(observed.groups(Some("payments"), Some(times(21))).len(), 1, "only what was seen since");
}

#[test]
fn what_is_allowed_or_enforced_is_not_counted() {
    let observed = observed();
    saw(&observed, &decided(Reason::Allowed, verified(None, false)), "/", 1);
    let enforced = Decision { enforcement: Enforcement::Enforce, ..decided(Reason::NoCredentials, None) };
    saw(&observed, &enforced, "/", 1);
    assert_eq!(observed.groups(None, None), []);
}

#[test]
fn strange_requests_fill_their_own_reason_and_no_memory() {
    let observed = observed();
    let nothing = decided(Reason::NoCredentials, None);
    for number in 0..5_000 {
        saw(&observed, &nothing, &format!("/p{number}"), number);
        let forged = decided(Reason::UnknownSigningKey, rejected(Reason::UnknownSigningKey, &format!("i{number}")));
        saw(&observed, &forged, "/v1", number);
    }
    saw(&observed, &decided(Reason::NoPermission, verified(Some("ci"), true)), "/v1", 9);
    let groups = observed.groups(None, None);
    let of = |reason: Reason| groups.iter().filter(move |group| group.reason == reason);
    let counted = |reason: Reason| of(reason).map(|group| group.count).sum::<u64>();
    assert_eq!(
        (of(Reason::NoCredentials).count(), counted(Reason::NoCredentials)),
        (EACH + 1, 5_000),
        "each is counted"
    );
    assert!(of(Reason::NoCredentials).any(|group| group.segment.is_none() && group.shows == Shows::Several));
    let claims = of(Reason::UnknownSigningKey).filter(|group| matches!(group.shows, Shows::Claimed(_))).count();
    assert_eq!((claims, counted(Reason::UnknownSigningKey)), (CLAIMS, 5_000));
    assert_eq!(counted(Reason::NoPermission), 1, "there is room for what is not like them");
}

/// What is advised on a group, with these roles.
fn advised(group: &Group, roles: Vec<Role>) -> String {
    let services = vec![service("default"), service("payments")];
    let policy = Policy { services, roles, control_audiences: Some(Arc::from(["ops".to_owned()])), ..corp::policy() };
    let keyer = Keyer::new([1; 16]);
    let rules = Arc::new(Rules::new(Arc::new(policy), 1, &keyer));
    advice::of(&State { fold: Fold::empty(keyer, 1), rules }, group)
}

fn one(decision: &Decision, path: &str) -> Group {
    let observed = observed();
    saw(&observed, decision, path, 1);
    observed.groups(None, None).remove(0)
}

#[test]
fn each_group_says_what_to_add() {
    let reader = |paths| Role {
        name: "reader".into(),
        permissions: vec![Permission { services: Some(vec![1]), methods: Some(vec!["GET".into()]), paths }],
        rights: vec![],
    };
    let machine = decided(Reason::NoPermission, verified(Some("ci-bot"), true));
    let person = decided(Reason::NoPermission, verified(Some("spa"), false));
    let bind = |holder: &str| format!("`bindings: [{{ role: reader, issuer: corp, {holder} }}]`");
    assert_eq!(advised(&one(&machine, "/v1/orders"), vec![reader(None)]), bind("clients: [ci-bot]"));
    assert_eq!(advised(&one(&person, "/v1/orders"), vec![reader(None)]), bind("groups: […]"));
    let none = advised(&one(&machine, "/v1/orders"), vec![reader(Some(vec![]))]);
    let role = "a role with `permissions: [{ services: [payments], methods: [GET], paths: [\"/v1/**\"] }]`";
    assert!(none.starts_with(role) && none.ends_with("clients: [ci-bot] }]`"), "{none}");

    let add = |decision: &Decision, path: &str| advised(&one(decision, path), vec![]);
    let public = "`public: [{ services: [payments], methods: [GET], paths: [\"/healthz\"] }]`, or `no_credentials: pass` in \
                  service `payments`";
    assert_eq!(add(&decided(Reason::NoCredentials, None), "/healthz"), public);
    let at_the_top = Decision { service: "default".into(), ..decided(Reason::NoCredentials, None) };
    let public = "`public: [{ methods: [GET] }]`, or `no_credentials: pass` at the top level";
    assert_eq!(add(&at_the_top, "/"), public);
    let other = CredentialOutcome::Foreign { what: Foreign::Other, claimed: None };
    let told = add(&decided(Reason::NoCredentials, Some(other)), "/v1");
    assert!(told.starts_with("`foreign_credentials: pass` in service `payments`"), "{told}");
    let audience = decided(Reason::WrongAudience, verified(None, false));
    assert_eq!(add(&audience, "/v1"), "one of `api` to `audiences` of issuer `corp`");
    let unknown = add(&decided(Reason::UnknownPerson, verified(Some("ci-bot"), true)), "/v1");
    assert!(unknown.contains("clients: [ci-bot]") && unknown.contains("`clients: { unknown: allow }`"), "{unknown}");
    let unknown = add(&decided(Reason::UnknownPerson, verified(Some("spa"), false)), "/v1");
    assert!(
        unknown.contains("`people: { unknown: allow }`") && unknown.contains("if client `spa` is a machine"),
        "{unknown}"
    );
}

#[test]
fn nothing_is_advised_that_lets_in_what_is_unproven_revoked_or_an_operators() {
    let foreign = CredentialOutcome::Foreign { what: Foreign::Jwt, claimed: Some(Arc::default()) };
    let mut of_operator = identity();
    of_operator.audiences = vec!["ops".into()];
    let of_operator = Some(CredentialOutcome::Verified(Arc::new(Verified::attest(of_operator))));
    let refused = [
        decided(Reason::UnknownIssuer, Some(foreign)),
        decided(Reason::BadSignature, rejected(Reason::BadSignature, "i")),
        decided(Reason::UnknownSigningKey, rejected(Reason::UnknownSigningKey, "i")),
        decided(Reason::MalformedCredentials, rejected(Reason::MalformedCredentials, "i")),
        decided(Reason::RevokedPerson, verified(None, false)),
        decided(Reason::RevokedToken, verified(None, false)),
        decided(Reason::IssuedBeforeCutoff, verified(None, false)),
        decided(Reason::MalformedRequest, None),
        decided(Reason::WrongAudience, of_operator),
    ];
    for decision in &refused {
        let advice = advised(&one(decision, "/v1"), vec![]);
        assert!(advice.starts_with("nothing: "), "{}: {advice}", decision.reason.code());
    }
    assert!(
        Reason::ALL
            .into_iter()
            .filter(|reason| !reason.allows())
            .all(|reason| { !advised(&one(&decided(reason, verified(None, false)), "/v1"), vec![]).is_empty() })
    );
}

#[test]
fn a_credential_that_was_not_verified_is_told_from_one_beside_it_that_was() {
    let mut decision = decided(Reason::BadSignature, verified(Some("ci"), true));
    let claimed = rejected(Reason::BadSignature, "https://claimed\u{1b}").unwrap();
    decision.steps.credentials.push(CredentialStep::from(claimed));
    decision.detail = Some(Arc::new(Detail::new("the signature is not valid")));
    let group = one(&decision, "/v1");
    let Shows::Claimed(claimed) = &group.shows else { panic!("{group:?}") };
    assert_eq!(claimed.issuer.as_deref(), Some(r"https://claimed\u{1b}"));
    assert_eq!(group.detail.as_deref(), Some("the signature is not valid"));
}
