//! Names that pass from one person to another, and REFs of people who are not there yet.

use super::names::{bench, called, departed, linked};
use super::*;
use crate::decide::roles::of_person;
use crate::domain::binding::{Binding, Permission, Role};
use crate::domain::name::Directory;
use crate::domain::person::PersonId;
use crate::domain::policy::{Authorization, Unknown};

#[tokio::test]
async fn each_claim_that_links_by_an_attribute_is_cut_off() {
    let mut policy = linked(Directory::Entra, "username");
    policy.sources[0].link.push(Link { claim: "upn".into(), attribute: "username".into() });
    let bench = bench(policy).await;
    let other = called("e3", "username", &["other"]);
    bench.list(&[called("e1", "username", &["JSmith"]), other.clone()], at(0)).await.unwrap();
    bench.list(std::slice::from_ref(&other), at(10)).await.unwrap();
    bench.list(&[called("e2", "username", &["jsmith"]), other], at(20)).await.unwrap();
    let state = bench.published.load();
    for claim in ["login", "upn"] {
        let key = bench.keyer.key(KeyKind::LinkClaim, &[ISSUER, claim, "jsmith"]);
        assert_eq!(state.fold.revocations.under(key).len(), 1, "{claim}");
    }
}

#[tokio::test]
async fn whoever_is_first_heard_of_as_gone_is_out_in_either_order() {
    let (gone, here) = (departed(&called("e1", "username", &["jsmith"])), called("e2", "username", &["JSMITH"]));
    for people in [[gone.clone(), here.clone()], [here, gone]] {
        let bench = bench(linked(Directory::File, "username")).await;
        bench.list(&people, at(10)).await.unwrap();
        assert_eq!(bench.login("jsmith", at(1), at(11)), Reason::IssuedBeforeCutoff);
        assert_eq!(bench.login("jsmith", at(20), at(21)), Reason::Allowed);
    }
}

#[tokio::test]
async fn a_ref_of_a_source_means_whoever_comes_to_be_there() {
    let mut policy = linked(Directory::File, "id");
    let entry = |reference: &str| configured(Target::Person { reference: reference.into() });
    policy.revocations = Some(vec![entry("hr/e9"), entry("e8")]);
    let bench = bench(policy).await;
    let early = bench.revoke(Target::Person { reference: "hr/e7".into() }, at(1)).await.unwrap();
    let people = ["e9", "e8", "e7", "e6", "E9"].map(|key| Person { email: None, ..person(key, Status::Active) });
    bench.list(&people, at(5)).await.unwrap();
    bench.revoke(Target::Person { reference: "hr/e6".into() }, at(6)).await.unwrap();
    for key in ["e9", "e8", "e7", "e6"] {
        assert_eq!(bench.login(key, at(7), at(8)), Reason::RevokedPerson, "{key}");
    }
    assert_eq!(bench.login("E9", at(7), at(8)), Reason::Allowed, "another id");
    let extended = bench.published.load().fold.extensions.get(&early.revocation.unwrap()).cloned();
    assert_eq!(extended, Some(vec![person("e7", Status::Active).id]), "and the log says whom it came to mean");
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_ref_of_a_subject_means_who_joins_later_by_the_rule_of_the_link() {
    let mut policy = linked(Directory::Okta, "username");
    policy.sources[0].link = vec![Link { claim: "sub".into(), attribute: "username".into() }];
    let bench = bench(policy).await;
    bench.list(&[called("e1", "username", &["one@x.example"])], at(0)).await.unwrap();
    bench.revoke(Target::Person { reference: format!("{ISSUER}|Two@X.example") }, at(1)).await.unwrap();
    bench.change(&called("e2", "username", &["two@x.example"]), at(5)).await;
    assert_eq!(bench.login("two@x.example", at(6), at(7)), Reason::RevokedPerson);
    assert_eq!(bench.login("one@x.example", at(6), at(7)), Reason::Allowed);
}

#[tokio::test]
async fn denials_compare_as_the_first_versions_did_too() {
    for (directory, attribute, value, reference) in
        [(Directory::File, "employeeNumber", "AB12", "ab12"), (Directory::Ldap, "uid", "A\u{1f600}b", "a\u{1f600}B")]
    {
        let bench = bench(linked(directory, attribute)).await;
        bench.list(&[called("e1", attribute, &[value])], at(0)).await.unwrap();
        let done = bench.revoke(Target::Person { reference: reference.into() }, at(1)).await.unwrap();
        assert_eq!(done.persons.len(), 1, "{reference}");
        assert_eq!(bench.login(value, at(2), at(3)), Reason::RevokedPerson, "{reference}");
    }
}

#[tokio::test]
async fn an_older_listing_that_is_held_back_moves_no_name() {
    let bench = bench(linked(Directory::Keycloak, "username")).await;
    let (one, other) = (called("e1", "username", &["alice"]), called("e2", "username", &["al"]));
    bench.list(&[one.clone(), other.clone()], at(0)).await.unwrap();
    // The first was renamed, and the second is `alice` by now.
    let renamed = called("e1", "username", &["alice.old"]);
    bench.list(&[renamed, called("e2", "username", &["al"])], at(10)).await.unwrap();
    bench.change(&called("e2", "username", &["alice"]), at(20)).await;
    let back = Observation::RolledBack { source: "hr".into(), because: "it was restored".into() };
    bench.writer.ask(Command::Observe(back), at(30)).await.unwrap();
    let suspended = Person { status: Status::Suspended, ..one };
    let _held = bench.list(&[suspended, other], at(31)).await;
    assert_eq!(bench.login("alice", at(26), at(32)), Reason::Allowed, "what they are called now");
    assert_eq!(bench.login("alice.old", at(26), at(32)), Reason::RevokedPerson, "out all the same");
    bench.folds_agree().await;
}

#[tokio::test]
async fn groups_compare_as_their_own_source_does_before_and_after_a_restart() {
    let mut policy = linked(Directory::File, "username");
    policy.services[0].authorization = Authorization::Roles;
    policy.roles = vec![Role { name: "admin".into(), permissions: vec![Permission::default()], rights: vec![] }];
    let bound = Binding {
        role: 0,
        issuer: Some(0),
        groups: vec!["Admins".into()],
        people: vec![],
        clients: vec![],
        everyone: false,
        expires: None,
        place: "offboard.yaml:7".into(),
    };
    policy.bindings = vec![bound];
    let mut ldap = policy.sources[0].clone();
    (ldap.name, ldap.directory) = ("ad".into(), Directory::Ldap);
    policy.sources.push(ldap);
    let bench = bench(policy).await;
    let kim = Person { groups: vec!["admins".into()], ..called("e1", "username", &["kim"]) };
    bench.list(std::slice::from_ref(&kim), at(0)).await.unwrap();
    let boss = PersonId { source: "ad".into(), key: "x1".into() };
    let mut boss = Person { groups: vec!["admins".into()], ..Person::new(boss, Status::Active) };
    boss.set_values("username", ["boss".to_owned()]);
    bench.change(&boss, at(3)).await;
    assert_eq!(bench.decide_on("kim", at(1), at(4)).roles.len(), 0, "a file compares groups exactly");
    let state = bench.published.load();
    let role = |known: &PersonId| {
        state.fold.people.find(&bench.keyer, known).map(|known| of_person(&state, known, at(4)).len())
    };
    assert_eq!((role(&boss.id), role(&kim.id)), (Some(1), Some(0)));
}

#[tokio::test]
async fn whom_a_name_only_resembles_is_shown_to_no_service() {
    let mut policy = linked(Directory::File, "username");
    policy.unknown_people = Unknown::Allow;
    let bench = bench(policy).await;
    bench.list(&[called("e1", "username", &["kim"])], at(0)).await.unwrap();
    let found = bench.decide_on("\u{212a}im", at(1), at(2));
    assert_eq!((found.reason, found.person), (Reason::Allowed, None));
}
