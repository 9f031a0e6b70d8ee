//! `decide` alone: with 0, 10 thousand, 1 million and 10 million revocations, and 10 thousand bindings.
//!
//! Yardstick, in the same run: one look-up in `std::collections::HashMap` of the same size.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops where it cannot go on")]

#[expect(dead_code, reason = "a bench needs a part of it")]
#[path = "../tests/fixture/corp.rs"]
mod corp;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

use offboard::decide::decide;
use offboard::domain::binding::{Binding, Permission, Role};
use offboard::domain::credential::{CredentialKind, CredentialOutcome, Identity, LinkKeys, Principal, Verified};
use offboard::domain::few::Few;
use offboard::domain::id::RevocationId;
use offboard::domain::key::{Key, KeyKind, Keyer, LinkKey, NameKey};
use offboard::domain::name::Compare;
use offboard::domain::path::PathPattern;
use offboard::domain::policy::{Authorization, Policy, Service};
use offboard::domain::reason::Reason;
use offboard::domain::revocation::TargetKind;
use offboard::domain::time::{Now, Timestamp};
use offboard::request::{Path, Request};
use offboard::state::State;
use offboard::state::fold::Fold;
use offboard::state::revocations::{Entry, EntryKind, OwnerKind, Revocations};
use offboard::state::rules::Rules;

use corp::ISSUER;

fn policy(bindings: u32) -> Policy {
    let roles = (0..bindings.div_ceil(10)).map(|index| Role {
        name: format!("role-{index}").into(),
        permissions: vec![Permission {
            services: Some(vec![0]),
            methods: Some(vec!["GET".into()]),
            paths: Some(vec![PathPattern::parse("/v1/orders/**").expect("a pattern")]),
        }],
        rights: vec![],
    });
    let bindings = (0..bindings).map(|index| Binding {
        role: u16::try_from(index / 10).expect("few roles"),
        issuer: Some(0),
        groups: vec![format!("group-{index}")],
        people: vec![],
        clients: vec![],
        everyone: false,
        expires: None,
        place: format!("offboard.yaml:{index}"),
    });
    Policy {
        services: vec![Service { authorization: Authorization::Roles, ..corp::service("default") }],
        sources: vec![],
        roles: roles.collect(),
        bindings: bindings.collect(),
        ..corp::policy()
    }
}

/// A cheap generator of uniform numbers: the same in every run.
fn numbers() -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    })
}

fn keys(count: usize) -> Vec<Key> {
    let mut numbers = numbers();
    let mut next = || numbers.next().expect("it never ends");
    (0..count).map(|_| Key { high: next(), low: next() }).collect()
}

fn state(revocations: usize) -> State {
    let keyer = Keyer::new([3; 16]);
    let mut fold = Fold::empty(keyer.clone(), 1);
    let entries = keys(revocations).into_iter().zip(1..).map(|(key, id)| Entry {
        key,
        id: RevocationId::from_number(id),
        at: Timestamp::MAX,
        effective: Timestamp::MIN,
        kind: TargetKind::Token,
        effect: EntryKind::Block,
        owner: OwnerKind::Operator,
        owner_hash: 0,
        rules: 0,
    });
    fold.revocations = Revocations::build(entries.collect());
    let rules = Rules::new(Arc::new(policy(10_000)), 1, &keyer);
    State { fold, rules: Arc::new(rules) }
}

/// Many different callers, so that no look-up finds its lines in the cache for the reason that it was the last.
fn credentials(keyer: &Keyer, count: usize) -> Vec<[CredentialOutcome; 1]> {
    (0..count).map(|index| [CredentialOutcome::Verified(Arc::new(credential(keyer, index)))]).collect()
}

fn credential(keyer: &Keyer, index: usize) -> Verified {
    let subject = format!("user-{index}");
    let look_up = |kind, key_kind, text: &str| (kind, keyer.key(key_kind, &[ISSUER, text]));
    let owner = Principal {
        look_ups: vec![
            look_up(TargetKind::Subject, KeyKind::Subject, &subject),
            look_up(TargetKind::Session, KeyKind::Session, &format!("session-{index}")),
            look_up(TargetKind::Token, KeyKind::Token, &format!("token-{index}")),
            look_up(TargetKind::Client, KeyKind::Client, "web"),
            (TargetKind::Issuer, keyer.key(KeyKind::Issuer, &[ISSUER])),
        ],
        names: [
            (Compare::Exact, format!("{ISSUER}|{subject}")),
            (Compare::Exact, subject.clone()),
            (Compare::IgnoreCase, format!("{subject}@example.com")),
        ]
        .iter()
        .flat_map(|(rule, name)| NameKey::of(keyer, *rule, name))
        .collect(),
        links: vec![LinkKeys {
            source: 0,
            person: LinkKey::of(keyer, "hr", "id", (Compare::Exact, &subject)),
            claim: [keyer.key(KeyKind::LinkClaim, &[ISSUER, "sub", &subject]); 2],
            link: 0,
            value: subject.as_str().into(),
        }],
        retired: vec![],
    };
    let groups = (0..5).map(|group| keyer.key(KeyKind::Group, &["corp", &format!("group-{}", index % 9_990 + group)]));
    Verified::attest(Identity {
        kind: CredentialKind::Bearer,
        digest: [0; 32],
        issuer_index: 0,
        issuer: ISSUER.into(),
        subject: Some(subject),
        session: None,
        token_id: None,
        client: Some("web".into()),
        client_key: Some(keyer.key(KeyKind::Client, &[ISSUER, "web"])),
        audiences: vec!["mesh".into()],
        key_id: None,
        beside_audiences: None,
        required_audiences: Some(Arc::from(vec!["mesh".to_owned()])),
        issued: Some(Timestamp::from_secs(1_700_000_000)),
        not_before: None,
        expires: Some(Timestamp::from_secs(1_700_003_600)),
        leeway: Duration::from_secs(30),
        machine: false,
        groups: groups.collect(),
        flaw: None,
        detail: None,
        owner,
        actors: vec![],
    })
}

fn bench(criterion: &mut Criterion) {
    let now = Now::at(Timestamp::from_secs(1_700_000_100));
    let request =
        Request { method: "GET".into(), path: Path::Forms(Few::One("/v1/orders/7".into())), ..Request::default() };
    let mut group = criterion.benchmark_group("decide");
    for count in [0, 10_000, 1_000_000, 10_000_000] {
        let state = state(count);
        let callers = credentials(&state.fold.keyer, 10_000);
        assert_eq!(decide(&state, &request, callers.first().unwrap(), now).reason, Reason::Allowed);
        let mut turn = callers.iter().cycle();
        group.bench_function(BenchmarkId::new("revocations", count), |bencher| {
            bencher.iter(|| decide(&state, &request, black_box(turn.next().unwrap()), now));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("yardstick");
    for count in [10_000, 1_000_000] {
        let map: HashMap<(u64, u64), u64> =
            keys(count).into_iter().zip(1..).map(|(key, id)| ((key.high, key.low), id)).collect();
        let asked = keys(count * 2).split_off(count);
        let mut turn = asked.iter().cycle();
        group.bench_function(BenchmarkId::new("std_hash_map_miss", count), |bencher| {
            bencher.iter(|| turn.next().and_then(|key| map.get(&(key.high, key.low))).copied());
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
