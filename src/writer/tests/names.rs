//! Names that are written in several ways, or that several people have.

use super::*;
use crate::domain::binding::{Binding, Permission, Role};
use crate::domain::name::Directory;
use crate::domain::policy::Authorization;
use crate::state::revocations::EntryKind;

/// `hr` is a directory of this kind, linked by this attribute.
pub(super) fn linked(directory: Directory, attribute: &str) -> Policy {
    let mut policy = policy();
    policy.sources[0].directory = directory;
    policy.sources[0].link = vec![Link { claim: "login".into(), attribute: attribute.into() }];
    policy
}

pub(super) async fn bench(policy: Policy) -> Bench {
    let bench = Bench::over(Arc::new(Memory::default()), policy.clone()).await;
    bench.configure(policy, at(0)).await.unwrap();
    bench
}

/// Somebody with these values of an attribute.
pub(super) fn called(key: &str, attribute: &str, values: &[&str]) -> Person {
    let mut called = Person { email: None, ..person(key, Status::Active) };
    called.set_values(attribute, values.iter().map(|value| (*value).to_owned()));
    called
}

pub(super) fn departed(person: &Person) -> Person {
    Person { status: Status::Departed, ..person.clone() }
}

impl Bench {
    pub(super) async fn change(&self, person: &Person, now: Now) {
        let change = Observation::Change { person: person.clone(), at: None, event_id: None };
        self.writer.ask(Command::Observe(change), now).await.unwrap();
    }

    /// Why a token that bears `login` ends as it does, and the roles that it has.
    pub(super) fn decide_on(&self, login: &str, issued: Now, now: Now) -> crate::domain::decision::Decision {
        let state = self.published.load();
        let source = &state.rules.policy.sources[0];
        let link = &source.link[0];
        let rule = source.directory.compares(&link.attribute);
        let claim = |value: &str| self.keyer.key(KeyKind::LinkClaim, &[ISSUER, &link.claim, value]);
        let keys = LinkKeys {
            source: 0,
            person: LinkKey::of(&self.keyer, "hr", &link.attribute, (rule, login)),
            claim: [claim(&rule.fold(login).text), claim(login)],
            link: 0,
            value: login.into(),
        };
        let CredentialOutcome::Verified(verified) = token(&self.keyer, "subject", issued) else { panic!("not proven") };
        let mut identity = Identity::clone(&verified);
        identity.owner.links = vec![keys];
        let shown = [CredentialOutcome::Verified(Arc::new(Verified::attest(identity)))];
        decide(&state, &Request::default(), &shown, now)
    }

    pub(super) fn login(&self, login: &str, issued: Now, now: Now) -> Reason {
        self.decide_on(login, issued, now).reason
    }

    /// Values that are cut off.
    pub(super) fn cut_off(&self, values: &[&str]) -> Vec<String> {
        let state = self.published.load();
        let is = |value: &&&str| {
            let key = self.keyer.key(KeyKind::LinkClaim, &[ISSUER, "login", value]);
            state.fold.revocations.under(key).iter().any(|entry| entry.effect == EntryKind::CutOff)
        };
        values.iter().filter(is).map(|value| (*value).to_owned()).collect()
    }
}

#[tokio::test]
async fn to_write_a_directory_otherwise_cuts_nobody_off() {
    let bench = bench(linked(Directory::Ldap, "uid")).await;
    let people = [called("e1", "uid", &["Ann  Lee", "ALEE"]), called("e2", "uid", &["B\u{c5}k"])];
    bench.list(&people, at(0)).await.unwrap();
    let lower = [called("e1", "uid", &["alee", "ann lee"]), called("e2", "uid", &["ba\u{30a}k"])];
    bench.list(&lower, at(10)).await.unwrap();
    for login in ["Ann Lee", "alee", "b\u{e5}k"] {
        assert_eq!(bench.login(login, at(1), at(11)), Reason::Allowed, "{login}");
    }
    assert_eq!(bench.cut_off(&["ann lee", "Ann  Lee", "alee", "ALEE", "b\u{e5}k", "ba\u{30a}k"]), [""; 0]);
    bench.folds_agree().await;
}

#[tokio::test]
async fn one_of_several_values_leaves() {
    let bench = bench(linked(Directory::Ldap, "mail")).await;
    bench.change(&called("e1", "mail", &["A.Old@x.example", "a@x.example"]), at(0)).await;
    bench.change(&called("e1", "mail", &["a@x.example", "a.new@x.example"]), at(10)).await;
    assert_eq!(bench.login("a.old@x.example", at(1), at(11)), Reason::IssuedBeforeCutoff, "it left");
    assert_eq!(bench.login("A.Old@x.example", at(1), at(11)), Reason::IssuedBeforeCutoff, "as it was written");
    assert_eq!(bench.login("A@X.example", at(1), at(11)), Reason::Allowed, "it stayed, though it is another's place");
    assert_eq!(bench.login("a.new@x.example", at(1), at(11)), Reason::Allowed, "nobody had it before");
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_value_that_somebody_has_who_is_here_cuts_nobody_off() {
    let bench = bench(linked(Directory::Keycloak, "email")).await;
    let (one, other) = (called("e1", "email", &["desk@x.example"]), called("e2", "email", &["b@x.example"]));
    bench.list(&[one.clone(), other], at(0)).await.unwrap();
    bench.change(&called("e2", "email", &["b@x.example", "Desk@X.example"]), at(10)).await;
    let found = bench.decide_on("desk@x.example", at(1), at(11));
    assert_eq!(found.reason, Reason::MixedIdentities, "it may be either");
    let people = ["e1", "e2"].map(|key| person(key, Status::Active).id);
    assert_eq!(found.determining, crate::domain::decision::Determining::People(people.to_vec()));
    assert_eq!(bench.cut_off(&["desk@x.example", "Desk@X.example"]), [""; 0]);
    assert_eq!(bench.login("B@x.example", at(1), at(11)), Reason::Allowed);
    // One of the two leaves: what was issued before is dead, and the other one has it alone.
    bench.change(&departed(&one), at(20)).await;
    assert_eq!(bench.login("desk@x.example", at(1), at(21)), Reason::IssuedBeforeCutoff);
    assert_eq!(bench.login("desk@x.example", at(30), at(31)), Reason::Allowed);
    bench.folds_agree().await;
}

#[tokio::test]
async fn who_comes_back_takes_their_names_up_again() {
    let bench = bench(linked(Directory::File, "username")).await;
    let (one, other) = (called("e1", "username", &["Kit"]), called("e2", "username", &["KIT"]));
    bench.change(&one, at(0)).await;
    bench.change(&departed(&one), at(10)).await;
    bench.change(&departed(&other), at(11)).await;
    bench.change(&one, at(20)).await;
    assert_eq!(bench.login("kit", at(1), at(21)), Reason::IssuedBeforeCutoff);
    assert_eq!(bench.login("kit", at(30), at(31)), Reason::Allowed, "another who is gone no longer counts");
    bench.folds_agree().await;
}

#[tokio::test]
async fn folding_into_an_ascii_letter_denies_and_grants_nothing() {
    let mut policy = linked(Directory::File, "username");
    policy.services[0].authorization = Authorization::Roles;
    policy.roles = vec![Role { name: "all".into(), permissions: vec![Permission::default()], rights: vec![] }];
    let bound = Binding {
        role: 0,
        issuer: Some(0),
        groups: vec!["eng".into()],
        people: vec!["\u{212a}im".into()],
        clients: vec![],
        everyone: false,
        expires: None,
        place: "offboard.yaml:3".into(),
    };
    policy.bindings = vec![bound];
    let bench = bench(policy).await;
    let kim = Person { groups: vec!["eng".into()], ..called("e1", "username", &["kim"]) };
    bench.list(std::slice::from_ref(&kim), at(0)).await.unwrap();
    assert_eq!(bench.login("KIM", at(1), at(2)), Reason::Allowed);
    assert_eq!(bench.login("\u{212a}im", at(1), at(2)), Reason::UnknownPerson);
    assert_eq!(bench.decide_on("\u{212a}im", at(1), at(2)).roles.len(), 0);
    assert!(bench.published.load().fold.pins.is_empty(), "a binding does not mean her either");
    let exempt = Command::Exempt {
        reference: "\u{212a}IM".into(),
        expires: at(100).wall,
        reason: "wrong".into(),
        actor: "ops".into(),
    };
    assert_eq!(bench.writer.ask(exempt, at(3)).await, Err(Refused::Nobody("\u{212a}IM".into())));
    bench.change(&Person { status: Status::Suspended, ..kim }, at(5)).await;
    for login in ["KIM", "\u{212a}im"] {
        assert_eq!(bench.login(login, at(1), at(6)), Reason::RevokedPerson, "{login:?}");
    }
    // A denial by such a name means her.
    let done = bench.revoke(Target::Person { reference: "\u{212a}im".into() }, at(7)).await.unwrap();
    assert_eq!(done.persons.len(), 1);
}

#[tokio::test]
async fn ids_are_compared_exactly_and_their_source_may_stand_before_them() {
    let bench = bench(linked(Directory::Okta, "id")).await;
    let people = ["00uAb", "00uaB"].map(|key| Person { email: None, ..person(key, Status::Active) });
    bench.list(&people, at(0)).await.unwrap();
    let of = |reference: &str| -> Vec<String> {
        bench.published.load().resolve(reference).into_iter().map(|id| id.key).collect()
    };
    assert_eq!(of("00uAb"), ["00uAb"]);
    assert_eq!(of(" hr/00uaB "), ["00uaB"]);
    assert_eq!((of("00UAB"), of("hr/00UAB")), (vec![], vec![]));
    bench.revoke(Target::Person { reference: "00uAb".into() }, at(5)).await.unwrap();
    assert_eq!(bench.login("00uAb", at(1), at(6)), Reason::RevokedPerson);
    assert_eq!(bench.login("00uaB", at(1), at(6)), Reason::Allowed, "somebody else");
    // Restored: the cut-offs of two REFs that fold to the same are two.
    let other = bench.revoke(Target::Person { reference: "00uaB".into() }, at(7)).await.unwrap();
    bench.restore(other.revocation.unwrap(), at(20)).await.unwrap();
    assert_eq!(bench.login("00uaB", at(20), at(21)), Reason::IssuedBeforeCutoff);
    assert_eq!(bench.login("00uaB", at(21), at(22)), Reason::Allowed);
    assert_eq!(bench.login("00uAb", at(21), at(22)), Reason::RevokedPerson);
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_standing_ref_means_whoever_comes_to_be_called_so_in_any_spelling() {
    let bench = bench(linked(Directory::Ldap, "uid")).await;
    bench.list(&[called("e1", "uid", &["one"])], at(0)).await.unwrap();
    let jose = Target::Person { reference: "Jose\u{301}  Rey".into() };
    let done = bench.revoke(jose, at(1)).await.unwrap();
    assert_eq!(done.persons, []);
    bench.change(&called("e2", "uid", &["two", "JOS\u{c9} REY"]), at(5)).await;
    assert_eq!(bench.login("two", at(6), at(7)), Reason::RevokedPerson);
    bench.change(&called("e2", "uid", &["two"]), at(10)).await;
    assert_eq!(bench.login("two", at(20), at(21)), Reason::RevokedPerson, "whatever they are called later");
    bench.restore(done.revocation.unwrap(), at(30)).await.unwrap();
    assert_eq!(bench.login("two", at(20), at(31)), Reason::IssuedBeforeCutoff);
    assert_eq!(bench.login("two", at(31), at(32)), Reason::Allowed);
    bench.folds_agree().await;
}

#[tokio::test]
async fn groups_of_ldap_are_bound_in_any_spelling() {
    let mut policy = linked(Directory::Ldap, "uid");
    policy.services[0].authorization = Authorization::Roles;
    let role = |name: &str| Role { name: name.into(), permissions: vec![Permission::default()], rights: vec![] };
    policy.roles = vec![role("by-cn"), role("by-dn"), role("kelvin")];
    let bound = |role: u16, group: &str| Binding {
        role,
        issuer: Some(0),
        groups: vec![group.into()],
        people: vec![],
        clients: vec![],
        everyone: false,
        expires: None,
        place: format!("offboard.yaml:{role}"),
    };
    policy.bindings =
        vec![bound(0, "Ma\u{30a}nskab"), bound(1, "CN=M\u{c5}NSKAB, OU=Groups,DC=example"), bound(2, "\u{212a}ings")];
    let bench = bench(policy.clone()).await;
    let groups = ["m\u{e5}nskab", "cn=m\u{e5}nskab,ou=groups,dc=example", "kings"].map(str::to_owned).to_vec();
    let member = Person { groups, ..called("e1", "uid", &["one"]) };
    bench.list(std::slice::from_ref(&member), at(0)).await.unwrap();
    let roles = |bench: &Bench| -> Vec<String> {
        bench.decide_on("one", at(1), at(2)).role_names().map(str::to_owned).collect()
    };
    assert_eq!(roles(&bench), ["by-cn", "by-dn"]);
    // Elsewhere a group is called exactly so.
    for source in &mut policy.sources {
        source.directory = Directory::Keycloak;
    }
    let exact = bench_of(policy, &member).await;
    assert_eq!(roles(&exact), [""; 0]);
    bench.folds_agree().await;
}

async fn bench_of(policy: Policy, person: &Person) -> Bench {
    let bench = bench(policy).await;
    bench.list(std::slice::from_ref(person), at(0)).await.unwrap();
    bench
}

#[tokio::test]
async fn the_guard_loses_no_group_that_is_only_written_otherwise() {
    let bench = bench(linked(Directory::Ldap, "uid")).await;
    let people = |group: &str| -> Vec<Person> {
        let one = |number: usize| Person {
            groups: vec![format!("CN={group} {number},DC=x")],
            ..called(&format!("e{number}"), "uid", &[&format!("u{number}")])
        };
        (0..30).map(one).collect()
    };
    bench.list(&people("Team"), at(0)).await.unwrap();
    bench.list(&people("TEAM  "), at(10)).await.unwrap();
    bench.list(&people("Crew"), at(20)).await.unwrap_err();
}
