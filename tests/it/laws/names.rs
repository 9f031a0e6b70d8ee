//! Law 6, where two systems write a name differently: a leaver is out under every spelling of each of their names that
//! their directory treats as the same, and so is whoever had that name before.

use offboard::domain::command::Command;
use offboard::domain::decision::Decision;
use offboard::domain::name::Directory;
use offboard::domain::person::{Person, Status};
use offboard::domain::policy::Policy;
use offboard::domain::reason::Reason;
use offboard::domain::revocation::{Shape, Target};
use offboard::domain::source::Link;
use offboard::domain::time::Now;
use serde_json::json;

use super::same;
use super::world::{Store, World, person, request};
use crate::corp::{self, at};

/// How one name is written.
struct Spelt {
    directory: Directory,
    /// The attribute that `link` compares.
    attribute: &'static str,
    /// The name in the directory, and a second value.
    there: [&'static str; 2],
    /// How tokens and people write the first value.
    first: [&'static str; 2],
    /// How they write the second value.
    second: &'static str,
}

/// A people file.
pub async fn law_6_a_leaver_of_a_file_is_out_however_it_is_written<S: Store>(store: S) {
    let names = Spelt {
        directory: Directory::File,
        attribute: "username",
        there: ["Grace.Hopper", "GMH"],
        first: ["grace.hopper", "GRACE.HOPPER"],
        second: "gmh",
    };
    out_under_every_spelling(store, names).await;
}

/// Keycloak, which keeps names in lower case.
pub async fn law_6_a_leaver_of_keycloak_is_out_however_it_is_written<S: Store>(store: S) {
    let names = Spelt {
        directory: Directory::Keycloak,
        attribute: "username",
        there: ["n\u{fa}\u{f1}ez", "maria"],
        first: ["nu\u{301}n\u{303}ez", "N\u{da}\u{d1}EZ"],
        second: "Maria",
    };
    out_under_every_spelling(store, names).await;
}

/// Okta.
pub async fn law_6_a_leaver_of_okta_is_out_however_it_is_written<S: Store>(store: S) {
    let names = Spelt {
        directory: Directory::Okta,
        attribute: "login",
        there: ["Ada.Lovelace@Example.com", "ada@example.com"],
        first: ["ada.lovelace@example.com", "ADA.LOVELACE@EXAMPLE.COM"],
        second: "Ada@example.com",
    };
    out_under_every_spelling(store, names).await;
}

/// Entra.
pub async fn law_6_a_leaver_of_entra_is_out_however_it_is_written<S: Store>(store: S) {
    let names = Spelt {
        directory: Directory::Entra,
        attribute: "userPrincipalName",
        there: ["Zo\u{eb}@corp.example", "z.b@corp.example"],
        first: ["zoe\u{308}@corp.example", "ZO\u{cb}@CORP.EXAMPLE"],
        second: "Z.B@corp.example",
    };
    out_under_every_spelling(store, names).await;
}

/// LDAP, whose rules also fold runs of spaces and names of entries.
pub async fn law_6_a_leaver_of_ldap_is_out_however_it_is_written<S: Store>(store: S) {
    let names = Spelt {
        directory: Directory::Ldap,
        attribute: "uid",
        there: ["J  Smith", "jsm"],
        first: ["j smith", " J Smith "],
        second: "JSM",
    };
    out_under_every_spelling(store, names).await;
    let entries = Spelt {
        directory: Directory::Ldap,
        attribute: "entryDN",
        there: ["uid=Rear\\, Admiral,OU=Staff, DC=example", "cn=r,dc=example"],
        first: ["UID=rear\\2c admiral,ou=staff,dc=example", "uid=rear\\, admiral , ou=staff,dc=EXAMPLE"],
        second: "CN=R, DC=example",
    };
    out_under_every_spelling(S::new(), entries).await;
}

struct Scene<S: Store> {
    world: World<S>,
    names: Spelt,
}

impl<S: Store> Scene<S> {
    fn called(&self, key: &str, status: Status, values: &[&str]) -> Person {
        let mut person = Person { status, email: None, ..person(key) };
        person.set_values(self.names.attribute, values.iter().map(|value| (*value).to_owned()));
        person
    }

    async fn list(&self, people: &[Person], now: Now) {
        let others = (0..20).map(|number| Person { email: None, ..person(&format!("p{number}")) });
        let people: Vec<Person> = people.iter().cloned().chain(others).collect();
        self.world.list(&people, now).await.unwrap();
    }

    async fn check(&self, name: &str, issued: i64, now: i64) -> Decision {
        let claims = json!({ "sub": "somebody", "login": name, "iat": at(issued).wall.as_millis() / 1000 });
        self.world.check(&self.world.token_of(&claims), at(now)).await
    }

    /// Checks every spelling of every name, in a token that was issued at `issued`.
    async fn all(&self, issued: i64, now: i64, expected: Reason, when: &str) {
        let Spelt { directory, there, first, second, .. } = &self.names;
        for name in there.iter().chain(first).chain([second]) {
            let found = self.check(name, issued, now).await;
            same(&found.reason, &expected, format!("{name:?} of {directory:?} {when}"));
        }
    }
}

async fn out_under_every_spelling<S: Store>(store: S, names: Spelt) {
    let policy = policy(&names);
    let mut world = World::empty(store, policy.clone()).await;
    world.configure(policy.clone(), at(0)).await.unwrap();
    let mut scene = Scene { world, names };
    let there = scene.names.there;
    let here = |scene: &Scene<S>| scene.called("e1", Status::Active, &there);
    scene.list(&[here(&scene)], at(0)).await;
    scene.all(5, 6, Reason::Allowed, "while they are here").await;

    let locked = scene.called("e1", Status::Suspended, &there);
    scene.list(&[locked], at(10)).await;
    scene.all(5, 11, Reason::RevokedPerson, "when they are locked").await;
    scene.world = scene.world.restart(policy.clone()).await;
    scene.all(12, 13, Reason::RevokedPerson, "after a restart").await;
    scene.list(&[here(&scene)], at(20)).await;
    scene.all(5, 30, Reason::IssuedBeforeCutoff, "once they are back").await;
    scene.all(30, 31, Reason::Allowed, "once they are back").await;

    // By REF, in each spelling.
    for (number, spelling) in (0..).zip([scene.names.first[0], scene.names.first[1], scene.names.second]) {
        let now = 40 + 10 * number;
        let target = Target::Person { reference: spelling.into() };
        let done = scene.world.revoke(target, at(now)).await.unwrap();
        same(&done.persons.len(), &1, format!("{spelling:?} means one person"));
        scene.all(now + 8, now + 8, Reason::RevokedPerson, "when an operator says so").await;
        scene.world.restore(done.revocation.unwrap(), at(now + 1)).await.unwrap();
    }
    scene.all(75, 76, Reason::Allowed, "when it was taken back").await;

    // They depart and stay listed under their name. Somebody new has the same name, in another spelling.
    let gone = scene.called("e1", Status::Departed, &there);
    scene.list(std::slice::from_ref(&gone), at(80)).await;
    scene.all(75, 81, Reason::RevokedPerson, "when they have left").await;
    let heirs = [scene.names.first[1], scene.names.second];
    let heir = scene.called("e2", Status::Active, &heirs);
    scene.list(&[gone, heir], at(90)).await;
    scene.all(75, 100, Reason::IssuedBeforeCutoff, "when somebody else is called so").await;
    scene.all(100, 101, Reason::Allowed, "for whoever is called so now").await;
    let digests = scene.world.digests().await;
    same(&digests[0], &digests[1], "the state from the snapshot is that of the whole log");
    same(&digests[2], &digests[1], "and so is that of a snapshot of it");
    cut_off_by_ref(&scene).await;
}

/// A cut-off by REF counts under every spelling too.
async fn cut_off_by_ref<S: Store>(scene: &Scene<S>) {
    let target = Target::Person { reference: scene.names.first[0].into() };
    let cut_off =
        offboard::domain::command::RevokeRequest { shape: Shape::CutOff { at: at(105).wall }, ..request(target) };
    scene.world.writer.ask(Command::Revoke(cut_off), at(106)).await.unwrap();
    scene.all(104, 107, Reason::IssuedBeforeCutoff, "after a cut-off").await;
    scene.all(106, 107, Reason::Allowed, "issued after it").await;
}

fn policy(names: &Spelt) -> Policy {
    let mut policy = corp::policy();
    policy.sources[0].directory = names.directory;
    let attribute = names.attribute.to_owned();
    policy.sources[0].link = vec![Link { claim: "login".into(), attribute }];
    policy
}
