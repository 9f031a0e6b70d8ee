//! What a reload changes in what is enforced, for the audit trail.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::domain::binding::{Binding, Permission, Role};
use crate::domain::policy::{Authorization, ConfiguredRevocation, NotOurs, Policy, Service, Unknown};
use crate::domain::revocation::Shape;
use crate::domain::source::WhenStale;

/// Things that a record lists of each kind; of more, how many there are.
const LISTED: usize = 200;

/// What differs between two configurations, as it was and as it is; `None`: nothing that is enforced.
///
/// Services, roles and the like are told by name, and bindings, public paths and revocations as a whole: those that are only
/// in one of the two. Where something is configured does not count.
pub(super) fn between(before: &Policy, after: &Policy) -> Option<(Value, Value)> {
    let (mut was, mut is) = (Map::new(), Map::new());
    let mut put = |name: &str, old: Value, new: Value| {
        if old != new {
            was.insert(name.to_owned(), old);
            is.insert(name.to_owned(), new);
        }
    };
    for ((name, old), (_, new)) in settings(before).into_iter().zip(settings(after)) {
        put(name, old, new);
    }
    for ((name, old), (_, new)) in named(before).into_iter().zip(named(after)) {
        put(name, apart(&old, &new), apart(&new, &old));
    }
    for ((name, old), (_, new)) in listed(before).into_iter().zip(listed(after)) {
        put(name, beside(&old, &new), beside(&new, &old));
    }
    (!was.is_empty() || !is.is_empty()).then_some((Value::Object(was), Value::Object(is)))
}

/// The settings of the top level.
fn settings(policy: &Policy) -> Vec<(&'static str, Value)> {
    let default = policy.services.first();
    vec![
        ("enforcement", json!(default.map(|service| service.enforcement.word()))),
        ("authorization", json!(default.map(|service| authorization(service.authorization)))),
        ("unknown_people", json!(unknown(policy.unknown_people))),
        ("unknown_clients", json!(unknown(policy.unknown_clients))),
        ("control_audiences", json!(policy.control_audiences.as_deref())),
        ("revocations_kept", json!(policy.revocations.is_none())),
    ]
}

type Named = BTreeMap<String, Value>;

fn named(policy: &Policy) -> Vec<(&'static str, Named)> {
    let services = policy.services.iter().map(|one| (one.name.to_string(), service(one)));
    let roles = policy.roles.iter().map(|one| (one.name.to_string(), role(policy, one)));
    let issuers = policy
        .issuers
        .iter()
        .map(|one| (one.name.clone(), json!({ "issuer": &*one.issuer, "audiences": one.audiences.as_deref() })));
    let sources = policy.sources.iter().map(|one| {
        let link: Vec<String> = one.link.iter().map(|link| format!("{}={}", link.claim, link.attribute)).collect();
        (one.name.clone(), json!({ "link": link, "when_stale": when_stale(one.when_stale) }))
    });
    vec![
        ("services", services.collect()),
        ("roles", roles.collect()),
        ("issuers", issuers.collect()),
        ("sources", sources.collect()),
    ]
}

fn listed(policy: &Policy) -> Vec<(&'static str, Vec<Value>)> {
    vec![
        ("bindings", policy.bindings.iter().map(|one| binding(policy, one)).collect()),
        ("public", policy.public.iter().map(|one| permission(policy, one)).collect()),
        ("revocations", policy.revocations.iter().flatten().map(revocation).collect()),
    ]
}

/// What the first of two sets of named things does not share with the second.
fn apart(one: &Named, other: &Named) -> Value {
    let differs = |(name, value): &(&String, &Value)| other.get(*name) != Some(*value);
    let differing: Vec<_> = one.iter().filter(differs).collect();
    let mut members: Map<String, Value> =
        differing.iter().take(LISTED).map(|(name, value)| ((*name).clone(), (*value).clone())).collect();
    if differing.len() > LISTED {
        members.insert("further".to_owned(), json!(differing.len() - LISTED));
    }
    Value::Object(members)
}

/// What the first of two lists does not share with the second.
fn beside(one: &[Value], other: &[Value]) -> Value {
    let differing: Vec<&Value> = one.iter().filter(|value| !other.contains(value)).collect();
    let mut values: Vec<Value> = differing.iter().take(LISTED).map(|value| (*value).clone()).collect();
    if differing.len() > LISTED {
        values.push(json!({ "further": differing.len() - LISTED }));
    }
    Value::Array(values)
}

fn authorization(authorization: Authorization) -> &'static str {
    match authorization {
        Authorization::Roles => "roles",
        Authorization::None => "none",
    }
}

fn unknown(unknown: Unknown) -> &'static str {
    match unknown {
        Unknown::Allow => "allow",
        Unknown::Deny => "deny",
    }
}

fn not_ours(what: NotOurs) -> &'static str {
    match what {
        NotOurs::Pass => "pass",
        NotOurs::Deny => "deny",
    }
}

fn when_stale(when_stale: WhenStale) -> &'static str {
    match when_stale {
        WhenStale::Allow => "allow",
        WhenStale::Deny => "deny",
    }
}

fn service(service: &Service) -> Value {
    json!({
        "enforcement": service.enforcement.word(),
        "authorization": authorization(service.authorization),
        "hosts": service.hosts,
        "principals": service.principals,
        "audiences": service.audiences.as_deref(),
        "max_staleness": service.max_staleness.map(|span| humantime::format_duration(span).to_string()),
        "when_stale": service.when_stale.map(when_stale),
        "no_credentials": not_ours(service.no_credentials),
        "foreign_credentials": not_ours(service.foreign_credentials),
        "preflight": not_ours(service.preflight),
    })
}

fn permission(policy: &Policy, permission: &Permission) -> Value {
    let name = |index: &u16| policy.services.get(usize::from(*index)).map(|service| service.name.to_string());
    let services: Option<Vec<String>> =
        permission.services.as_ref().map(|services| services.iter().filter_map(name).collect());
    let paths: Option<Vec<String>> =
        permission.paths.as_ref().map(|paths| paths.iter().map(ToString::to_string).collect());
    json!({ "services": services, "methods": permission.methods, "paths": paths })
}

fn role(policy: &Policy, role: &Role) -> Value {
    let permissions: Vec<Value> = role.permissions.iter().map(|one| permission(policy, one)).collect();
    let rights: Vec<&str> = role.rights.iter().map(|right| right.word()).collect();
    json!({ "permissions": permissions, "rights": rights })
}

fn binding(policy: &Policy, binding: &Binding) -> Value {
    let issuer = binding.issuer.and_then(|index| policy.issuers.get(usize::from(index)));
    json!({
        "role": policy.role_name(binding.role),
        "issuer": issuer.map(|issuer| &issuer.name),
        "groups": binding.groups,
        "people": binding.people,
        "clients": binding.clients,
        "everyone": binding.everyone,
        "expires": binding.expires.map(|expires| expires.to_string()),
    })
}

fn revocation(entry: &ConfiguredRevocation) -> Value {
    let issued_before = match entry.shape {
        Shape::Block => None,
        Shape::CutOff { at } => Some(at.to_string()),
    };
    json!({
        "target": entry.target.to_string(),
        "issued_before": issued_before,
        "effective": entry.effective.map(|effective| effective.to_string()),
        "reason": entry.reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corp::{configured, policy, service};
    use crate::domain::path::PathPattern;
    use crate::domain::policy::Enforcement;
    use crate::domain::revocation::Target;

    #[test]
    fn what_is_enforced_is_told_as_it_was_and_as_it_is() {
        let before = Policy { services: vec![service("default"), service("payments")], ..policy() };
        let mut after = before.clone();
        after.hash = "other".into();
        assert_eq!(between(&before, &after), None, "nothing that is enforced");
        after.services[1].enforcement = Enforcement::Observe;
        after.revocations = Some(vec![configured(Target::Person { reference: "mallory@example.com".into() })]);
        let (was, is) = between(&before, &after).unwrap();
        assert_eq!(was["services"]["payments"]["enforcement"], "enforce");
        assert_eq!(is["services"]["payments"]["enforcement"], "observe");
        assert!(was["services"].get("default").is_none() && was.get("roles").is_none(), "{was}");
        assert_eq!((&was["revocations"], &was["revocations_kept"]), (&json!([]), &json!(true)));
        assert_eq!(is["revocations"][0]["target"], "person mallory@example.com");
        assert_eq!(is["revocations_kept"], json!(false));
    }

    #[test]
    fn roles_and_bindings_are_told_by_what_they_say() {
        let before = policy();
        let paths = Some(vec![PathPattern::parse("/v1/**").unwrap()]);
        let permissions = vec![Permission { paths, ..Permission::default() }];
        let reader = Role { name: "reader".into(), permissions, rights: vec![] };
        let (groups, place) = (vec!["devs".to_owned()], "offboard.yaml:7".to_owned());
        let (people, clients) = (vec![], vec![]);
        let binding =
            Binding { role: 0, issuer: Some(0), groups, people, clients, everyone: false, expires: None, place };
        let after = Policy { roles: vec![reader], bindings: vec![binding], ..policy() };
        let (was, is) = between(&before, &after).unwrap();
        assert_eq!((&was["roles"], &was["bindings"]), (&json!({}), &json!([])));
        assert_eq!(is["roles"]["reader"]["permissions"][0]["paths"], json!(["/v1/**"]));
        assert_eq!((&is["bindings"][0]["role"], &is["bindings"][0]["groups"]), (&json!("reader"), &json!(["devs"])));
        let mut moved = after.clone();
        moved.bindings[0].place = "elsewhere.yaml:9".into();
        assert_eq!(between(&after, &moved), None, "where it is configured does not count");
    }

    #[test]
    fn a_record_is_bounded() {
        let many = |from: usize| (from..from + 300).map(|number| json!(number)).collect::<Vec<_>>();
        let Value::Array(told) = beside(&many(0), &many(1_000)) else { panic!() };
        assert_eq!((told.len(), &told[LISTED]), (LISTED + 1, &json!({ "further": 100 })));
        let named: Named = (0..300).map(|number| (format!("{number:03}"), json!(number))).collect();
        assert_eq!(apart(&named, &Named::new())["further"], 100);
    }
}
