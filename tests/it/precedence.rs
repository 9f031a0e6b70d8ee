//! Contract section 4: the order of the reasons is their precedence. Every pair of them, brought about together.
//!
//! `tests/golden/precedence.txt` has a line per pair; pairs that exclude each other (nobody and a bad token, say) are
//! listed at its end.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use offboard::decide::decide;
use offboard::domain::binding::{Binding, Permission, Role};
use offboard::domain::credential::{
    CredentialKind, CredentialOutcome, Foreign, Identity, LinkKeys, Principal, Verified,
};
use offboard::domain::event::{Event, Exemption, NewEvent, Recorded};
use offboard::domain::guard::Removals;
use offboard::domain::key::{KeyKind, Keyer, LinkKey, NameKey};
use offboard::domain::name::Compare;
use offboard::domain::path::PathPattern;
use offboard::domain::person::{PersonId, Status};
use offboard::domain::policy::{Authorization, NotOurs, Policy, Service};
use offboard::domain::reason::Reason;
use offboard::domain::revocation::{Owner, Revocation, Shape, Target, TargetKind};
use offboard::domain::source::WhenStale;
use offboard::domain::time::Timestamp;
use offboard::request::Request;
use offboard::state::State;
use offboard::state::fold::Fold;
use offboard::state::rules::Rules;

use crate::corp::{self, ISSUER, at};
use crate::support::golden;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// Alice, with a good token.
    Alice,
    /// Nobody.
    Nobody,
    /// Somebody with a token of an issuer that is not configured.
    Stranger,
}

/// One request in its world. Alice is known and may do it, until something is brought about.
struct Scene {
    policy: Policy,
    events: Vec<Event>,
    request: Request,
    alice: Identity,
    /// What is shown beside her token.
    beside: Vec<CredentialOutcome>,
    caller: Caller,
}

fn keyer() -> Keyer {
    Keyer::new([1; 16])
}

/// A good token, of somebody whose id is `subject`.
fn token(subject: &str) -> Identity {
    let key = |kind, parts: &[&str]| keyer().key(kind, parts);
    Identity {
        kind: CredentialKind::Bearer,
        digest: [0; 32],
        issuer_index: 0,
        issuer: ISSUER.into(),
        subject: Some(subject.into()),
        session: Some("s1".into()),
        token_id: Some("t1".into()),
        client: Some("web".into()),
        client_key: None,
        audiences: vec!["mesh".into()],
        key_id: None,
        beside_audiences: None,
        required_audiences: Some(Arc::from(["mesh".to_owned()])),
        issued: Some(at(0).wall),
        not_before: None,
        expires: Some(at(1000).wall),
        leeway: Duration::from_secs(30),
        machine: false,
        groups: vec![],
        flaw: None,
        detail: None,
        owner: Principal {
            look_ups: vec![
                (TargetKind::Subject, key(KeyKind::Subject, &[ISSUER, subject])),
                (TargetKind::Client, key(KeyKind::Client, &[ISSUER, "web"])),
                (TargetKind::Issuer, key(KeyKind::Issuer, &[ISSUER])),
                (TargetKind::Session, key(KeyKind::Session, &[ISSUER, "s1"])),
                (TargetKind::Token, key(KeyKind::Token, &[ISSUER, "t1"])),
                (TargetKind::Key, key(KeyKind::ApiKey, &["k1"])),
                (TargetKind::Certificate, key(KeyKind::Certificate, &["c1"])),
            ],
            names: NameKey::of(&keyer(), Compare::Exact, &format!("{ISSUER}|{subject}")).collect(),
            links: vec![LinkKeys {
                source: 0,
                person: LinkKey::of(&keyer(), "hr", "id", (Compare::Exact, subject)),
                claim: [key(KeyKind::LinkClaim, &[ISSUER, "sub", subject]); 2],
                link: 0,
                value: subject.into(),
            }],
            retired: vec![],
        },
        actors: vec![],
    }
}

fn permission(path: &str) -> Permission {
    Permission { services: None, methods: None, paths: Some(vec![PathPattern::parse(path).unwrap()]) }
}

fn scene() -> Scene {
    let role = Role { name: "reader".into(), permissions: vec![permission("/v1/**")], rights: vec![] };
    let everyone = Binding {
        role: 0,
        issuer: None,
        groups: vec![],
        people: vec![],
        clients: vec![],
        everyone: true,
        expires: None,
        place: "offboard.yaml:1".into(),
    };
    let policy = Policy {
        services: vec![Service { authorization: Authorization::Roles, ..corp::service("default") }],
        roles: vec![role],
        bindings: vec![everyone],
        ..corp::policy()
    };
    let people = ["alice", "bob", "carol"].map(|key| Event::Person(Arc::new(corp::person(key, Status::Active))));
    let synced = Event::Synced { source: "hr".into(), at: at(0).wall, left_out: Removals::default() };
    Scene {
        policy,
        events: people.into_iter().chain([synced]).collect(),
        request: Request::synthetic("GET", "orders.example.com", "/v1/orders", [("accept", &b"*/*"[..])]),
        alice: token("alice"),
        beside: vec![],
        caller: Caller::Alice,
    }
}

fn rejected(reason: Reason) -> CredentialOutcome {
    CredentialOutcome::Rejected { kind: CredentialKind::Bearer, reason, digest: [0; 32], detail: None, claimed: None }
}

fn revoke(target: Target, shape: Shape, owner: Owner) -> Event {
    Event::Revoked(Revocation {
        id: None,
        target,
        shape,
        reason: "left".into(),
        owner,
        actor: "ops".into(),
        effective: Timestamp::MIN,
        expires: None,
        persons: vec![],
        by_rule: true,
    })
}

/// What is revoked, for the reasons of revocation.
fn target(reason: Reason) -> Option<Target> {
    let issuer = ISSUER.to_owned();
    Some(match reason {
        Reason::RevokedPerson => Target::Person { reference: format!("{ISSUER}|alice") },
        Reason::RevokedSubject => Target::Subject { issuer, subject: "alice".into() },
        Reason::RevokedClient => Target::Client { issuer, client: "web".into() },
        Reason::RevokedIssuer => Target::Issuer { issuer },
        Reason::RevokedKey => Target::Key { id: "k1".into() },
        Reason::RevokedCertificate => Target::Certificate { sha256: "c1".into() },
        Reason::RevokedSession => Target::Session { issuer, session: "s1".into() },
        Reason::RevokedToken => Target::Token { issuer, token: "t1".into() },
        _ => return None,
    })
}

/// Brings one reason about. `false`: it needs another caller than what stands already.
fn bring(scene: &mut Scene, reason: Reason) -> bool {
    if let Some(target) = target(reason) {
        scene.events.push(revoke(target, Shape::Block, Owner::Operator));
        return scene.caller == Caller::Alice;
    }
    match reason {
        Reason::MalformedRequest => scene.request.malformed = Some("planned"),
        Reason::AmbiguousPath => {
            scene.request.path = Request::synthetic("GET", "a", "/v1/%2e%2e/admin", [("a", &b"b"[..])]).path;
        }
        Reason::NoPermission => scene.request.destination.extension = Some("nowhere".into()),
        Reason::NotReady => {
            let mut never = corp::source("never");
            never.required = true;
            scene.policy.sources.push(never);
        }
        Reason::StaleSource => {
            scene.policy.sources[0].when_stale = WhenStale::Deny;
            scene.policy.sources[0].max_staleness = Duration::from_secs(1);
        }
        Reason::NoCredentials => return call(scene, Caller::Nobody),
        Reason::PassedWithoutCredentials => {
            scene.policy.services[0].no_credentials = NotOurs::Pass;
            return call(scene, Caller::Nobody);
        }
        Reason::Preflight => {
            let headers = [("origin", &b"https://a"[..]), ("access-control-request-method", b"GET")];
            scene.request.method = "OPTIONS".into();
            scene.request.headers = Request::synthetic("OPTIONS", "a", "/", headers).headers;
            return call(scene, Caller::Nobody);
        }
        Reason::PassedForeignCredentials => {
            scene.policy.services[0].foreign_credentials = NotOurs::Pass;
            return call(scene, Caller::Stranger);
        }
        Reason::Public => {
            scene.policy.bindings.clear();
            scene.policy.public.push(permission("/v1/**"));
        }
        Reason::Allowed => {}
        _ => return bring_on_alice(scene, reason),
    }
    scene.caller == Caller::Alice || asks_no_credential(reason)
}

/// Whether the reason can be found without a credential of ours.
fn asks_no_credential(reason: Reason) -> bool {
    matches!(reason, Reason::MalformedRequest | Reason::NoPermission | Reason::Public)
}

/// What is wrong with her token, with what is shown beside it, or with her.
fn bring_on_alice(scene: &mut Scene, reason: Reason) -> bool {
    match reason {
        Reason::IssuedBeforeCutoff => {
            let subject = Target::Subject { issuer: ISSUER.into(), subject: "alice".into() };
            scene.events.push(revoke(subject, Shape::CutOff { at: at(10).wall }, Owner::Operator));
        }
        Reason::BadClaims => scene.alice.flaw = Some(Reason::BadClaims),
        Reason::WrongAudience => scene.alice.audiences = vec!["other".into()],
        Reason::Expired => scene.alice.expires = Some(at(20).wall),
        Reason::NotYetValid => scene.alice.not_before = Some(at(2000).wall),
        Reason::UnknownPerson => {
            let (keyer, link) = (keyer(), &mut scene.alice.owner.links[0]);
            link.person = LinkKey::of(&keyer, "hr", "id", (Compare::Exact, "nobody"));
        }
        Reason::MixedIdentities => {
            let others = ["bob", "carol"].map(|who| {
                let mut other = token(who);
                other.owner.look_ups.clear();
                CredentialOutcome::Verified(Arc::new(Verified::attest(other)))
            });
            scene.beside.extend(others);
        }
        Reason::Exempted => {
            let person = PersonId { source: "hr".into(), key: "alice".into() };
            let target = Target::DirectoryPerson { person: person.clone() };
            scene.events.push(revoke(target, Shape::Block, Owner::Source("hr".into())));
            let (reference, actor, reason) = ("alice".to_owned(), "ops".to_owned(), "wrong".to_owned());
            let expires = at(1000).wall;
            scene.events.push(Event::Exempted(Exemption {
                id: None,
                reference,
                persons: vec![person],
                expires,
                actor,
                reason,
            }));
        }
        other => scene.beside.push(rejected(other)),
    }
    scene.caller == Caller::Alice
}

/// Sets who asks; two that differ cannot meet.
fn call(scene: &mut Scene, caller: Caller) -> bool {
    let fits = scene.caller == Caller::Alice || scene.caller == caller;
    scene.caller = caller;
    fits
}

/// How it ends; `None` where the reasons exclude each other.
fn end(reasons: &[Reason]) -> Option<Reason> {
    let mut scene = scene();
    if reasons.contains(&Reason::AmbiguousPath) && reasons.contains(&Reason::Public) {
        // A path is ambiguous where roles permit some of its forms; what is public here has no role.
        return None;
    }
    // Who asks is settled first.
    let mut ordered = reasons.to_vec();
    ordered.sort_by_key(|reason| {
        !matches!(
            reason,
            Reason::NoCredentials
                | Reason::PassedWithoutCredentials
                | Reason::Preflight
                | Reason::PassedForeignCredentials
        )
    });
    if !ordered.iter().all(|reason| bring(&mut scene, *reason)) {
        return None;
    }
    let mut fold = Fold::empty(keyer(), 1);
    for (position, event) in (1..).zip(scene.events) {
        let new = NewEvent { time: at(0).wall, happened: None, id: None, event };
        fold.apply(&Recorded { position, new });
    }
    let shown = match scene.caller {
        Caller::Alice => {
            let alice = CredentialOutcome::Verified(Arc::new(Verified::attest(scene.alice)));
            std::iter::once(alice).chain(scene.beside).collect()
        }
        Caller::Nobody => vec![],
        Caller::Stranger => vec![CredentialOutcome::Foreign { what: Foreign::Jwt, claimed: None }],
    };
    let rules = Arc::new(Rules::new(Arc::new(scene.policy), 1, &fold.keyer));
    Some(decide(&State { fold, rules }, &scene.request, &shown, at(100)).reason)
}

/// Whether `allow` is there to answer for exactly what would be `denial` without it (contract sections 3 and 4).
fn answers_for(allow: Reason, denial: Reason) -> bool {
    match denial {
        Reason::NoCredentials => {
            matches!(allow, Reason::Public | Reason::Preflight | Reason::PassedWithoutCredentials)
        }
        Reason::StaleSource => allow == Reason::Exempted,
        _ => false,
    }
}

#[test]
fn each_reason_occurs_by_itself() {
    for reason in Reason::ALL {
        assert_eq!(end(&[reason]), Some(reason), "{}", reason.code());
    }
}

#[test]
fn of_every_pair_of_reasons_the_stricter_wins() {
    let (mut table, mut excluded, mut wrong) = (String::new(), String::new(), BTreeSet::new());
    for (rank, one) in Reason::ALL.into_iter().enumerate() {
        for other in &Reason::ALL[rank + 1..] {
            let pair = format!("{} + {}", one.code(), other.code());
            let Some(found) = end(&[one, *other]) else {
                writeln!(excluded, "{pair}").unwrap();
                continue;
            };
            writeln!(table, "{pair} -> {} {}", found.status(), found.code()).unwrap();
            if !one.allows() && found != one && !answers_for(*other, one) {
                wrong.insert(format!("{pair} -> {}", found.code()));
            }
        }
    }
    assert!(wrong.is_empty(), "the stricter must win:\n{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
    golden("precedence.txt", &format!("{table}\n# these exclude each other\n{excluded}"));
}
