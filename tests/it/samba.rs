//! A real Active Directory domain behind the service, though not Microsoft's: Samba, followed by DirSync and by `uSNChanged`.

mod deletions;
mod restored;

use crate::ldap::stage::Stage;
use crate::support::installation::Installation;
use crate::support::samba::{
    ADMIN, ADMIN_PASSWORD, BASE, CHANGES, DISABLED, ENABLED, PLAIN, READER, READER_PASSWORD, Samba, group, person,
    ticks,
};
use crate::support::until;

/// `sources:` with this domain, followed as somebody; `more` is what stands behind.
fn source(files: &Installation, samba: &Samba, (reader, password): (&str, &str), more: &str) -> String {
    std::fs::write(files.path("ad-password"), password).unwrap();
    format!(
        "sources:\n  - {{ name: ad, kind: ldap, flavor: ad, issuer: dev, url: '{}', base_dn: '{BASE}', people_dn: \
         'OU=Staff,{BASE}', bind_dn: '{reader}', bind_password_file: {}, timeout: 5s, poll: 100ms, {more} }}\n",
        samba.url(),
        files.path("ad-password").display()
    )
}

/// Who may follow it in which way.
const WAYS: [(&str, &str, &str); 2] =
    [("sync: dirsync", READER, READER_PASSWORD), ("sync: poll", READER, READER_PASSWORD)];

/// alice, bob and carol, all in `devs`, and the service that follows.
async fn staged(way: &(&str, &str, &str)) -> Option<(Samba, Stage)> {
    let samba = Samba::start().await?;
    for name in ["alice", "bob", "carol"] {
        samba.add_person(name);
    }
    samba.add_group("devs", &["alice", "bob", "carol"].map(person));
    let (sync, reader, password) = *way;
    let stage = Stage::with(|files| source(files, &samba, (reader, password), sync)).await;
    Some((samba, stage))
}

async fn leavers(way: &(&str, &str, &str)) {
    let Some((samba, stage)) = staged(way).await else { return };
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    assert_eq!(stage.reason(&alice).await, "allowed");
    samba.set(&person("alice"), "userAccountControl", Some(DISABLED));
    stage.becomes(&alice, "revoked_person").await;
    samba.set(&person("alice"), "userAccountControl", Some(ENABLED));
    let again = stage.later_token("alice").await;
    stage.becomes(&again, "allowed").await;
    assert_eq!(stage.reason(&alice).await, "issued_before_cutoff", "what was issued before stays dead");

    // What means "never" changes nothing; what lies in the past and then in the future does.
    for (past, never) in [("0", "0"), ("1", "9223372036854775807"), ("2", "9223372032559808511")] {
        let over = if past == "0" { ticks(-90) } else { past.to_owned() };
        samba.set(&person("bob"), "accountExpires", Some(&over));
        stage.becomes(&bob, "revoked_person").await;
        samba.set(&person("bob"), "accountExpires", Some(never));
        let later = stage.later_token("bob").await;
        stage.becomes(&later, "allowed").await;
    }
    samba.set(&person("bob"), "accountExpires", Some(&ticks(7_200)));
    samba.member("delete", "devs", &person("bob"));
    let later = stage.later_token("bob").await;
    stage.becomes(&later, "no_permission").await;
    // Nothing is written there when the time comes.
    samba.set(&person("bob"), "accountExpires", Some(&ticks(2)));
    stage.becomes(&later, "revoked_person").await;

    // Has to change the password: that ends nothing. A new one does.
    samba.set(&person("carol"), "pwdLastSet", Some("0"));
    samba.member("delete", "devs", &person("carol"));
    stage.becomes(&carol, "no_permission").await;
    samba.member("add", "devs", &person("carol"));
    stage.becomes(&carol, "allowed").await;
    samba.set(&person("carol"), "pwdLastSet", Some("-1"));
    stage.becomes(&carol, "issued_before_cutoff").await;
    let carol = stage.later_token("carol").await;
    stage.becomes(&carol, "allowed").await;

    samba.add_person("dave");
    samba.member("add", "devs", &person("dave"));
    let dave = stage.token("dave").await;
    stage.becomes(&dave, "allowed").await;
    samba.delete(&person("dave"));
    stage.becomes(&dave, "revoked_person").await;
    // Another one who is called so.
    samba.add_person("dave");
    samba.member("add", "devs", &person("dave"));
    let newcomer = stage.later_token("dave").await;
    stage.becomes(&newcomer, "allowed").await;
    assert_ne!(stage.reason(&dave).await, "allowed");
    assert_eq!(stage.reason(&again).await, "allowed", "others go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leavers_by_dirsync() {
    leavers(&WAYS[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leavers_by_usn() {
    leavers(&WAYS[1]).await;
}

async fn movers(way: &(&str, &str, &str)) {
    let Some((samba, stage)) = staged(way).await else { return };
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    samba.member("delete", "devs", &person("alice"));
    stage.becomes(&alice, "no_permission").await;
    // Through a group in the group, in a circle.
    samba.add_group("core", &[person("alice")]);
    samba.member("add", "devs", &group("core"));
    stage.becomes(&alice, "allowed").await;
    samba.member("add", "core", &group("devs"));
    samba.member("delete", "core", &person("alice"));
    stage.becomes(&alice, "no_permission").await;
    // As the primary group, which names no member.
    samba.member("add", "devs", &person("alice"));
    stage.becomes(&alice, "allowed").await;
    samba.set(&person("alice"), "primaryGroupID", Some(&samba.number("devs")));
    samba.set(&person("alice"), "mail", Some("primary@example.org"));
    until("that is known", async || stage.person("alice").contains("primary@example.org").then_some(())).await;
    assert_eq!(stage.reason(&alice).await, "allowed");
    samba.set(&person("alice"), "primaryGroupID", Some("513"));
    samba.member("delete", "devs", &person("alice"));
    stage.becomes(&alice, "no_permission").await;

    // Out of the tree of people, and back.
    samba.move_to(&person("bob"), "CN=bob", &format!("OU=Attic,{BASE}"));
    stage.becomes(&bob, "revoked_person").await;
    samba.move_to(&format!("CN=bob,OU=Attic,{BASE}"), "CN=bob", &format!("OU=Staff,{BASE}"));
    let back = stage.later_token("bob").await;
    stage.becomes(&back, "allowed").await;
    assert_eq!(stage.reason(&bob).await, "issued_before_cutoff");

    // Another name of the entry is nobody's business; another account name is.
    samba.move_to(&person("carol"), "CN=carola", &format!("OU=Staff,{BASE}"));
    samba.member("delete", "devs", &person("carola"));
    stage.becomes(&carol, "no_permission").await;
    samba.member("add", "devs", &person("carola"));
    stage.becomes(&carol, "allowed").await;
    samba.set(&person("carola"), "sAMAccountName", Some("carola"));
    let carola = stage.later_token("carola").await;
    stage.becomes(&carola, "allowed").await;
    assert_ne!(stage.reason(&carol).await, "allowed");
    samba.delete(&group("devs"));
    stage.becomes(&carola, "no_permission").await;
    stage.becomes(&back, "no_permission").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn movers_by_dirsync() {
    movers(&WAYS[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn movers_by_usn() {
    movers(&WAYS[1]).await;
}
