//! A domain controller, as Microsoft documents one (support/ad.rs), followed by DirSync and by `uSNChanged`. Whatever is
//! told is compared as a whole: nobody else is concerned.

mod deletions;

use std::sync::{Arc, Mutex};

use offboard::domain::command::Observation;
use offboard::domain::person::{Person, Status};
use offboard::domain::time::{Now, Timestamp};
use offboard::source::directory::Directory;
use offboard::source::ldap::{Flavor, Ldap, Sync};

use crate::support::ad::{DOMAIN, DomainController, group, key, person};
use crate::support::{Scratch, directories};

const ALICE: u32 = 11;
const BOB: u32 = 12;
const CAROL: u32 = 13;

/// A domain controller with three people, and whoever follows it.
struct Follower {
    server: DomainController,
    ldap: Ldap,
    sync: Sync,
    cursor: Option<String>,
    clock: Arc<Mutex<Timestamp>>,
    files: Scratch,
}

/// `NAME STATUS GROUPS`, of groups that go by their own name alone.
fn told(person: &Person) -> String {
    let status = match person.status {
        Status::Active => "active",
        Status::Suspended => "suspended",
        Status::Departed => "departed",
    };
    let groups: Vec<&str> = person.groups.iter().map(String::as_str).filter(|group| !group.contains('=')).collect();
    format!("{} {status} {}", person.username.as_deref().unwrap_or("?"), groups.join(" ")).trim_end().to_owned()
}

impl Follower {
    async fn start(sync: Sync) -> Self {
        let (server, files) = (DomainController::start().await, Scratch::new());
        {
            let mut state = server.state();
            for (number, name) in [(ALICE, "alice"), (BOB, "bob"), (CAROL, "carol")] {
                state.add_person(number, name, &[("primaryGroupID", "513")]);
            }
            state.add_group(513, "Domain Users", &[]);
            state.add_group(514, "Guests", &[]);
            state.add_group(600, "core", &[&person("alice"), &person("bob")]);
            state.add_group(601, "devs", &[&group("core"), &person("carol")]);
        }
        let clock = Arc::new(Mutex::new("2026-11-25T12:00:00Z".parse().unwrap()));
        let ldap = Self::of(sync, server.port, &files, &clock);
        let mut follower = Self { server, ldap, sync, cursor: None, clock, files };
        assert_eq!(follower.hears().await, (vec![], true), "a listing tells what was before");
        follower
    }

    fn of(sync: Sync, port: u16, files: &Scratch, clock: &Arc<Mutex<Timestamp>>) -> Ldap {
        let clock = Arc::clone(clock);
        let time = move || {
            let wall = *clock.lock().unwrap();
            Now { wall, steady: wall }
        };
        directories::ldap(Flavor::Ad, sync, port, files.path(), Arc::new(time))
    }

    /// Another process goes on from the same cursor.
    fn restart(&mut self) {
        self.ldap = Self::of(self.sync, self.server.port, &self.files, &self.clock);
        self.ldap.open(self.cursor.clone());
    }

    /// Follows and lists, as the service does when it starts.
    async fn listing(sync: Sync) -> Self {
        let mut follower = Self::start(sync).await;
        let all = [
            "alice active Domain Users core devs",
            "bob active Domain Users core devs",
            "carol active Domain Users devs",
        ];
        assert_eq!(follower.lists().await, all);
        assert_eq!(follower.hears().await, (vec![], false), "nothing happened");
        follower
    }

    /// What is told now, and whether everybody should be listed.
    async fn hears(&mut self) -> (Vec<String>, bool) {
        let (mut all, mut resync) = (Vec::new(), false);
        for _ in 0..100 {
            let changes = self.ldap.changes().await.unwrap();
            self.ldap.acknowledged();
            all.extend(changes.observations.iter().map(|observation| match observation {
                Observation::Change { person, .. } => told(person),
                Observation::Deleted { person, .. } => format!("{} gone", person.key),
                Observation::UnknownDeleted { person } => format!("{} vanished", person.key),
                Observation::RolledBack { because, .. } => because.rsplit(": ").next().unwrap().to_owned(),
                other => panic!("{other:?}"),
            }));
            resync |= changes.resync;
            // As the poller does.
            self.cursor = changes.cursor.or_else(|| self.cursor.take());
            if !changes.more {
                return (all, resync);
            }
        }
        panic!("there is always more: {all:?}");
    }

    /// Nothing is concluded now, and a listing is to tell: at once, or within a minute where another just did.
    async fn is_out_of_sight(&mut self, listed: bool) {
        let changes = self.ldap.changes().await.unwrap();
        self.ldap.acknowledged();
        assert!(changes.observations.is_empty(), "{changes:?}");
        assert_eq!((changes.resync, changes.silent), (listed, !listed), "{changes:?}");
        let trouble = changes.trouble.unwrap();
        assert!(trouble.to_string().contains("`bind_dn` has lost the right to read"), "{trouble}");
        self.cursor = changes.cursor;
    }

    async fn lists(&mut self) -> Vec<String> {
        let (mut all, mut place) = (Vec::new(), None);
        loop {
            let page = self.ldap.page(place).await.unwrap();
            self.ldap.acknowledged();
            all.extend(page.people.iter().map(told));
            place = match page.next {
                Some(next) => Some(next),
                None => return all,
            };
        }
    }

    fn set(&self, dn: &str, name: &str, values: &[&str]) {
        self.server.state().set(dn, name, values);
    }
}

async fn leavers(sync: Sync) {
    let mut follower = Follower::listing(sync).await;
    follower.set(&person("alice"), "userAccountControl", &["514"]);
    assert_eq!(follower.hears().await, (vec!["alice suspended Domain Users core devs".to_owned()], false));
    follower.set(&person("alice"), "userAccountControl", &["512"]);
    assert_eq!(follower.hears().await.0, ["alice active Domain Users core devs"]);

    // Nothing is written at the domain controller when an account expires.
    follower.set(&person("bob"), "accountExpires", &["134401248000000000"]);
    assert_eq!(follower.hears().await.0, ["bob active Domain Users core devs"]);
    *follower.clock.lock().unwrap() = "2026-11-25T23:59:59.999Z".parse().unwrap();
    assert_eq!(follower.hears().await, (vec![], false));
    *follower.clock.lock().unwrap() = "2026-11-26T00:00:00Z".parse().unwrap();
    assert_eq!(follower.hears().await.0, ["bob suspended Domain Users core devs"]);
    assert_eq!(follower.hears().await, (vec![], false), "once");

    follower.server.state().delete(&person("bob"));
    assert_eq!(follower.hears().await, (vec![format!("{} gone", key(BOB))], false));
    // Out of the tree of people; groups name her by her new name at once.
    follower.server.state().rename(&person("carol"), &format!("CN=carol,OU=Attic,{DOMAIN}"));
    assert_eq!(follower.hears().await, (vec![format!("{} gone", key(CAROL))], false));
    follower.server.state().rename(&format!("CN=carol,OU=Attic,{DOMAIN}"), &person("carol"));
    assert_eq!(follower.hears().await.0, ["carol active Domain Users devs"]);
    // A computer that is deleted is nobody.
    follower.server.state().add_group(700, "printers", &[]);
    assert_eq!(follower.hears().await, (vec![], false));
    follower.server.state().delete(&group("printers"));
    assert_eq!(follower.hears().await, (vec![], false));
    assert_eq!(follower.lists().await, ["alice active Domain Users core devs", "carol active Domain Users devs"]);
}

#[tokio::test]
async fn leavers_by_dirsync() {
    leavers(Sync::DirSync).await;
}

#[tokio::test]
async fn leavers_by_usn() {
    leavers(Sync::Poll).await;
}

async fn movers(sync: Sync) {
    let mut follower = Follower::listing(sync).await;
    // A change of a group changes nothing at its members.
    follower.set(&group("core"), "member", &[&person("bob")]);
    assert_eq!(follower.hears().await, (vec!["alice active Domain Users".to_owned()], false));
    follower.set(&group("core"), "member", &[&person("alice"), &person("bob"), &group("devs")]);
    assert_eq!(
        follower.hears().await.0,
        ["alice active Domain Users core devs", "carol active Domain Users core devs"],
        "a circle of groups: whoever is in one is in both"
    );
    // Out of the group that is in the group.
    follower.set(&group("devs"), "member", &[]);
    let left = ["alice active Domain Users core", "bob active Domain Users core", "carol active Domain Users"];
    assert_eq!(follower.hears().await.0, left);

    follower.set(&person("alice"), "primaryGroupID", &["514"]);
    assert_eq!(follower.hears().await.0, ["alice active Guests core"]);
    follower.server.state().delete(&group("core"));
    assert_eq!(follower.hears().await.0, ["alice active Guests", "bob active Domain Users"]);
    // The primary group of many, in another group and out of it.
    follower.server.state().add_group(602, "everyone", &[&group("Domain Users")]);
    assert_eq!(follower.hears().await.0, ["bob active Domain Users everyone", "carol active Domain Users everyone"]);
    follower.set(&group("everyone"), "member", &[]);
    assert_eq!(follower.hears().await.0, ["bob active Domain Users", "carol active Domain Users"]);
}

#[tokio::test]
async fn movers_by_dirsync() {
    movers(Sync::DirSync).await;
}

#[tokio::test]
async fn movers_by_usn() {
    movers(Sync::Poll).await;
}

/// More people than one page has, in a group with more members than one answer gives.
#[tokio::test]
async fn a_large_group_comes_in_ranges() {
    for sync in [Sync::DirSync, Sync::Poll] {
        let mut follower = Follower::listing(sync).await;
        follower.server.state().values = 250;
        let names: Vec<String> = (0..600).map(|number| format!("p{number:04}")).collect();
        let members: Vec<String> = names.iter().map(|name| person(name)).collect();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        for (number, name) in (10_000..).zip(&names) {
            follower.server.state().add_person(number, name, &[]);
        }
        follower.server.state().add_group(800, "large", &members);
        let mut told = follower.hears().await.0;
        told.sort_unstable();
        told.dedup();
        let all: Vec<String> = names.iter().map(|name| format!("{name} active large")).collect();
        assert_eq!(told, all);
        // The last one is in the last range.
        follower.set(&group("large"), "member", &members[..599]);
        assert_eq!(follower.hears().await, (vec!["p0599 active".to_owned()], false));
        assert_eq!(follower.lists().await.len(), 603);
        // Nothing of it waits for a listing, which would be held back.
        follower.server.state().delete(&group("large"));
        let (told, resync) = follower.hears().await;
        assert!(told.len() == 599 && told.iter().all(|told| told.ends_with(" active")) && !resync);
    }
}

#[tokio::test]
async fn another_domain_controller_counts_otherwise() {
    let mut follower = Follower::listing(Sync::Poll).await;
    // Restored from a backup: the same numbers mean other changes.
    follower.set(&person("alice"), "userAccountControl", &["514"]);
    follower.server.state().invocation = [8; 16];
    let (told, listed) = follower.hears().await;
    assert!(listed && told.len() == 1 && told[0].starts_with("the `invocationId` of its database was "), "{told:?}");
    assert_eq!(follower.lists().await[0], "alice suspended Domain Users core devs");
    assert_eq!(follower.hears().await, (vec![], false));
    follower.server.state().service = format!("CN=NTDS Settings,CN=DC2,CN=Configuration,{DOMAIN}");
    assert_eq!(follower.hears().await, (vec![], true));
    follower.set(&person("alice"), "userAccountControl", &["512"]);
    assert_eq!(follower.hears().await, (vec!["alice active Domain Users core devs".to_owned()], false));
}

#[tokio::test]
async fn cookies_of_dirsync() {
    let mut follower = Follower::start(Sync::DirSync).await;
    // Piece by piece, while things happen; nothing of it is told twice.
    follower.server.state().rows = 2;
    assert_eq!(follower.lists().await.len(), 3);
    for name in ["alice", "bob", "carol"] {
        follower.set(&person(name), "userAccountControl", &["514"]);
    }
    let asked = follower.server.state().asked;
    let suspended = [
        "alice suspended Domain Users core devs",
        "bob suspended Domain Users core devs",
        "carol suspended Domain Users devs",
    ];
    assert_eq!(follower.hears().await.0, suspended);
    assert_eq!(follower.server.state().asked, asked + 2);

    // Another domain controller of the domain may send everything again: nobody leaves by that.
    follower.server.state().invocation = [8; 16];
    follower.server.state().service = format!("CN=NTDS Settings,CN=DC2,CN=Configuration,{DOMAIN}");
    let (mut told, resync) = follower.hears().await;
    told.sort_unstable();
    assert_eq!((told, resync), (suspended.map(str::to_owned).to_vec(), false));

    // One that takes no cookie of another is asked anew, and everybody is listed.
    for code in [2, 53] {
        follower.server.state().refuses_cookies = Some(code);
        let answer = follower.ldap.changes().await.unwrap();
        follower.ldap.acknowledged();
        assert!(answer.observations.is_empty() && answer.resync && answer.cursor.is_some());
        follower.server.state().refuses_cookies = None;
        follower.cursor = answer.cursor;
        assert_eq!(follower.hears().await, (vec![], false));
    }
    follower.set(&person("bob"), "userAccountControl", &["512"]);
    assert_eq!(follower.hears().await.0, ["bob active Domain Users core devs"]);

    // Restored from a backup: it would take the cookie, and say nothing of what happens now.
    follower.server.state().invocation = [9; 16];
    follower.set(&person("carol"), "userAccountControl", &["512"]);
    let (told, listed) = follower.hears().await;
    assert!(listed && told.len() == 1 && told[0].starts_with("the `invocationId` of its database was "), "{told:?}");
    follower.set(&person("carol"), "userAccountControl", &["514"]);
    assert_eq!(follower.hears().await, (vec!["carol suspended Domain Users devs".to_owned()], false));
    // What an earlier version kept says nothing of how far it counted: one that refuses it may be older.
    let kept: serde_json::Value = serde_json::from_str(follower.cursor.as_deref().unwrap()).unwrap();
    follower.cursor = Some(serde_json::json!({ "dirsync": kept["dirsync"]["cookie"] }).to_string());
    follower.server.state().refuses_cookies = Some(53);
    follower.restart();
    let answer = follower.ldap.changes().await.unwrap();
    assert!(
        matches!(&answer.observations[..], [Observation::RolledBack { because, .. }] if because.contains("refuses"))
    );
}

/// After a restart it is not known yet who is a person: the writer knows.
#[tokio::test]
async fn what_was_deleted_meanwhile() {
    for sync in [Sync::DirSync, Sync::Poll] {
        let mut follower = Follower::listing(sync).await;
        follower.server.state().delete(&group("devs"));
        follower.server.state().delete(&person("bob"));
        follower.restart();
        let (mut told, _) = follower.hears().await;
        told.sort_unstable();
        assert_eq!(told, [format!("{} vanished", key(BOB)), format!("{} vanished", key(601))]);
    }
}

#[tokio::test]
async fn somebody_is_looked_up_by_name_and_key() {
    let mut follower = Follower::listing(Sync::DirSync).await;
    let bob = follower.ldap.look_up("uid", "bob").await.unwrap();
    assert_eq!(bob.map(|person| person.id.key), Some(key(BOB)));
    assert_eq!(
        follower.ldap.look_up("id", &key(ALICE)).await.unwrap().as_ref().map(told).as_deref(),
        Some("alice active Domain Users core devs")
    );
    for value in ["*", "b*", "*)(sAMAccountName=*", "bob)(|(cn=*", "bob\0", r"bo\62", "(bob)", "bøb", ""] {
        assert_eq!(follower.ldap.look_up("uid", value).await.unwrap(), None, "{value:?}");
    }
    let (mail, name) = ("o'*(b)\\ø@example.org", "O'Brien (*) \\ Ø");
    follower.server.state().add_person(50, name, &[("mail", mail)]);
    let found = follower.ldap.look_up("uid", name).await.unwrap().unwrap();
    assert_eq!((found.username.as_deref(), found.id.key), (Some(name), key(50)));
    follower.restart();
    std::fs::write(follower.files.path().join("secret"), "wrong").unwrap();
    assert!(follower.ldap.look_up("uid", "bob").await.unwrap_err().to_string().contains("bind"));
    let findings = follower.ldap.examine().await;
    assert!(findings[0].text.contains("invalid credentials"), "{findings:?}");
}
