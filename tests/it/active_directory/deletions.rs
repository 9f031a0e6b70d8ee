//! Who is deleted, and who only cannot be seen.

use super::*;

/// A right that is taken away looks like a deletion: nobody leaves by that. Whoever is beside them tells.
#[tokio::test]
async fn who_is_only_out_of_sight_has_not_left() {
    let mut follower = Follower::listing(Sync::DirSync).await;
    let sales = format!("OU=Sales,OU=Staff,{DOMAIN}");
    for (number, name) in [(21, "dave"), (22, "erin"), (23, "fred")] {
        follower.server.state().add_person(number, name, &[]);
        follower.server.state().rename(&person(name), &format!("CN={name},{sales}"));
    }
    follower.hears().await;
    let touch = |follower: &Follower, name: &str| {
        follower.set(&format!("CN={name},{sales}"), "mail", &["other@example.org"]);
    };
    follower.server.state().hidden = Some(sales.clone());
    touch(&follower, "dave");
    follower.is_out_of_sight(true).await;
    touch(&follower, "dave");
    follower.is_out_of_sight(false).await;
    assert_eq!(follower.hears().await, (vec![], false));
    *follower.clock.lock().unwrap() = "2026-11-25T12:01:00Z".parse().unwrap();
    assert_eq!(follower.hears().await, (vec![], true));
    assert!(!follower.ldap.changes().await.unwrap().silent);
    follower.ldap.acknowledged();
    // A listing without them, which the guard may hold back, makes it no other.
    assert_eq!(follower.lists().await.len(), 3);
    touch(&follower, "dave");
    follower.is_out_of_sight(false).await;
    *follower.clock.lock().unwrap() = "2026-11-25T12:02:00Z".parse().unwrap();
    assert_eq!(follower.hears().await, (vec![], true));
    // The same after a restart, while nobody is known.
    follower.server.state().hidden = Some(format!("OU=Staff,{DOMAIN}"));
    touch(&follower, "dave");
    follower.restart();
    follower.is_out_of_sight(true).await;
    follower.server.state().hidden = None;
    follower.lists().await;
    touch(&follower, "dave");
    assert_eq!(follower.hears().await, (vec!["dave active".to_owned()], false), "as if nothing had been");
    // A group that is out of sight has lost nobody.
    follower.server.state().hidden = Some(format!("OU=Groups,{DOMAIN}"));
    follower.set(&group("core"), "member", &[&person("bob")]);
    follower.is_out_of_sight(false).await;
    follower.server.state().hidden = None;
    follower.set(&group("core"), "member", &[]);
    follower.hears().await;
    // Truly gone, though others are gone as well.
    follower.server.state().delete(&format!("CN=erin,{sales}"));
    assert_eq!(follower.hears().await, (vec![format!("{} gone", key(22))], false));
}

/// Each of them leaves at once; the last of all is for a listing, and its guard, to judge.
#[tokio::test]
async fn everybody_is_deleted_one_after_another() {
    for sync in [Sync::DirSync, Sync::Poll] {
        let mut follower = Follower::listing(sync).await;
        for (number, name) in [(ALICE, "alice"), (BOB, "bob")] {
            follower.server.state().delete(&person(name));
            assert_eq!(follower.hears().await, (vec![format!("{} gone", key(number))], false));
        }
        follower.server.state().delete(&person("carol"));
        follower.is_out_of_sight(true).await;
        assert_eq!(follower.hears().await, (vec![], false), "said once");
        assert_eq!(follower.lists().await, Vec::<String>::new());
        follower.server.state().add_person(30, "gina", &[]);
        assert_eq!(follower.hears().await.0, ["gina active"], "it is not stuck");
    }
}

/// Without the right to `Deleted Objects` what is known is as old as the last listing.
#[tokio::test]
async fn deletions_that_cannot_be_seen_are_not_claimed_to_be() {
    for (sync, silent) in [(Sync::DirSync, false), (Sync::Poll, true)] {
        let mut follower = Follower::listing(sync).await;
        assert!(!follower.ldap.changes().await.unwrap().silent);
        follower.ldap.acknowledged();
        follower.server.state().hides_deleted = true;
        let changes = follower.ldap.changes().await.unwrap();
        assert_eq!((changes.silent, changes.trouble.is_some()), (silent, false));
        let findings = follower.ldap.examine().await;
        let found = findings.iter().find(|finding| finding.what == "deletions");
        assert_eq!(found.is_some_and(|found| found.text.contains("`CN=Deleted Objects`")), silent, "{findings:?}");
    }
}
