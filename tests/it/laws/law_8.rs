//! Law 8: a mover loses at once what the old role gave.

use offboard::domain::binding::{Binding, Permission, Role};
use offboard::domain::person::Person;
use offboard::domain::policy::{Authorization, Policy, Service};
use offboard::domain::reason::Reason;
use serde_json::json;

use super::same;
use super::world::{Store, World, person};
use crate::corp::{self, at};

fn binding(groups: &[&str], people: &[&str]) -> Binding {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Binding {
        role: 0,
        issuer: Some(0),
        groups: owned(groups),
        people: owned(people),
        clients: vec![],
        everyone: false,
        expires: None,
        place: "offboard.yaml:1".into(),
    }
}

fn policy(bindings: Vec<Binding>) -> Policy {
    Policy {
        services: vec![Service { authorization: Authorization::Roles, ..corp::service("default") }],
        roles: vec![Role {
            name: "reader".into(),
            permissions: vec![Permission { services: None, methods: None, paths: None }],
            rights: vec![],
        }],
        bindings,
        ..corp::policy()
    }
}

fn of(key: &str, group: &str) -> Person {
    Person { groups: vec![group.into()], ..person(key) }
}

/// She leaves the group at the source. The token that was good, and that still names the group, is refused.
pub async fn law_8_a_mover_loses_at_once_what_the_old_role_gave<S: Store>(store: S) {
    let mut world = World::empty(store, policy(vec![binding(&["eng"], &[])])).await;
    world.list(&[of("alice", "eng"), of("bob", "eng")], at(0)).await.unwrap();
    let issued = at(0).wall.as_millis() / 1000;
    let token = world.token_of(&json!({ "sub": "alice", "iat": issued, "groups": ["eng"] }));
    assert_eq!(world.check(&token, at(1)).await.reason, Reason::Allowed);
    world.list(&[of("alice", "sales"), of("bob", "eng")], at(2)).await.unwrap();
    same(&world.check(&token, at(2)).await.reason, &Reason::NoPermission, "she moved");
    same(&world.ask("bob", at(0), at(2)).await, &Reason::Allowed, "he did not");

    // By name: her address passes to somebody else, but nothing goes with it.
    world.configure(policy(vec![binding(&[], &["alice@example.com"])]), at(3)).await.unwrap();
    assert_eq!(world.check(&token, at(3)).await.reason, Reason::Allowed);
    let renamed = Person { email: Some("a@example.com".into()), ..person("alice") };
    let heir = Person { email: Some("alice@example.com".into()), ..of("bob", "sales") };
    world.list(&[renamed, heir], at(4)).await.unwrap();
    same(&world.ask("bob", at(5), at(5)).await, &Reason::NoPermission, "the heir of a name has not its roles");
    world.configure(policy(vec![binding(&["none"], &[])]), at(6)).await.unwrap();
    same(&world.check(&token, at(6)).await.reason, &Reason::NoPermission, "the binding was taken out");
}
