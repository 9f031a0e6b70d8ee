//! Names as a real OpenLDAP holds them: several of each, in another case, spacing and Unicode form than tokens and people
//! write.

use super::stage::Stage;
use crate::support::slapd::{Choices, Slapd, dn};

/// How tokens and people write what the directory calls alice.
const SPELT: [&str; 6] = ["ALICE", "j\u{f6}rg a", "J\u{d6}RG  A", "jo\u{308}rg A", "a.second", "alice"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaver_is_out_under_each_of_their_names() {
    let Some(slapd) = Slapd::start(Choices::default()).await else { return };
    let ldif = format!(
        "dn: {}\nchangetype: modify\nadd: uid\nuid: Jo\u{308}rg A\nuid: A.Second\n-\nadd: mail\nmail: Ally@Example.ORG\n",
        dn("alice")
    );
    slapd.modify(&ldif);
    let stage = Stage::start(slapd.port, "").await;
    let mut tokens = Vec::new();
    for name in SPELT {
        tokens.push(stage.odd_token(name).await);
    }
    for (name, token) in SPELT.iter().zip(&tokens) {
        assert_eq!(stage.reason(token).await, "allowed", "{name}");
    }
    // Found by each of them.
    for name in SPELT.iter().chain(&["ally@example.org", "ALICE@example.org"]) {
        let found = stage.person(name);
        assert!(found.contains("a.second") || found.contains("A.Second"), "{name}: {found}");
    }
    slapd.set("alice", "pwdAccountLockedTime", Some("000001010000Z"));
    for (name, token) in SPELT.iter().zip(&tokens) {
        stage.becomes(token, "revoked_person").await;
        assert_eq!(stage.reason(token).await, "revoked_person", "{name}");
    }
    let stranger = stage.odd_token("a.third").await;
    assert_eq!(stage.reason(&stranger).await, "unknown_person");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_bound_in_another_spelling() {
    let Some(slapd) = Slapd::start(Choices::default()).await else { return };
    let stage = Stage::start(slapd.port, "").await;
    let carol = stage.token("carol").await;
    assert_eq!(stage.reason(&carol).await, "allowed");
    for (group, expected) in [
        ("nobody", "no_permission"),
        ("DEVS", "allowed"),
        ("cn=nobody,ou=groups,dc=example,dc=org", "no_permission"),
        ("CN=Devs, OU=Groups, DC=Example,DC=ORG", "allowed"),
    ] {
        stage.bind(group);
        stage.becomes(&carol, expected).await;
    }
}
