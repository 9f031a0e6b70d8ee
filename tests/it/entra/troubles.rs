//! Restarts, lost rights, people who cannot be read, and what is no answer.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::world::{QUICK, World, company};
use crate::support::entra::{Fault, SECRET, TENANT, Tenant};
use crate::support::offboard::Offboard;
use crate::support::proxy::Proxy;
use crate::support::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_who_cannot_be_read_delays_nobody() {
    let (mut world, [alice, bob, orders]) = World::start(QUICK, company).await;
    let carol = world.entra.with(|tenant| {
        let carol = tenant.add_user("carol2");
        tenant.join(&orders, &carol);
        carol
    });
    let [alices, bobs, carols] = [world.token(&alice).await, world.token(&bob).await, world.token(&carol).await];
    for token in [&alices, &bobs, &carols] {
        world.becomes(token, "allowed").await;
    }
    world.entra.with(|tenant| {
        tenant.unreadable = Some(alice.clone());
        tenant.set(&alice, "mail", json!("a@mail.example"));
    });
    world.until_failed("provider_error").await;
    world.entra.with(|tenant| {
        tenant.enable(&bob, false);
        tenant.leave(&orders, &carol);
    });
    world.becomes(&bobs, "revoked_person").await;
    world.becomes(&carols, "no_permission").await;
    assert!(world.allowed(&alices).await);
    // A row that says no more than that somebody is disabled: it is believed, whether they can be read or not.
    world.entra.with(|tenant| tenant.enable(&alice, false));
    world.becomes(&alices, "issued_before_cutoff").await;
    world.entra.with(|tenant| tenant.unreadable = None);
    world.becomes(&alices, "revoked_person").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whoever_is_at_no_address_has_not_left() {
    let rest = format!("{QUICK}, max_change: {{ share: 20%, from: 2 }}");
    let (mut world, [alice, bob, _]) = World::start(&rest, company).await;
    let (alices, bobs) = (world.token(&alice).await, world.token(&bob).await);
    world.becomes(&alices, "allowed").await;
    // Named by changes as people who are there; their own addresses do not know them.
    world.entra.with(|tenant| {
        for id in [&alice, &bob] {
            tenant.hidden.insert(id.clone());
            tenant.set(id, "mail", json!("x@mail.example"));
        }
    });
    world.asked_again().await;
    assert!(world.allowed(&alices).await && world.allowed(&bobs).await);
    let (code, said) = world.run(&["source", "sync", "entra", "--full"]);
    assert!(code == 1 && said.contains("is held back: 2 of 7 known people"), "{code}: {said}");
    assert!(world.allowed(&alices).await && world.allowed(&bobs).await);
    // One of them is a departure like any other.
    world.entra.with(|tenant| tenant.hidden.remove(&bob));
    let (code, said) = world.run(&["source", "sync", "entra", "--full"]);
    assert_eq!(code, 0, "{said}");
    world.becomes(&alices, "revoked_person").await;
    assert!(world.allowed(&bobs).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_a_restart_a_late_listing_gives_nothing_back_either() {
    let (mut world, [alice, bob, _]) = World::start(QUICK, company).await;
    let (alices, bobs) = (world.token(&alice).await, world.token(&bob).await);
    world.becomes(&alices, "allowed").await;
    world.entra.with(|tenant| {
        tenant.freeze_listings();
        tenant.enable(&alice, false);
    });
    world.becomes(&alices, "revoked_person").await;
    world.asked_again().await;
    world.offboard.process.signal(Signal::KILL);
    world.offboard.process.stop(Duration::from_secs(10));
    world.offboard = world.files.start().await;
    world.offboard.has_keys("dev").await;
    world.proxy = Proxy::connect(world.offboard.authz).await;
    let (code, said) = world.run(&["source", "sync", "entra", "--full"]);
    assert_eq!(code, 0, "{said}");
    let new = world.new_token(&alice).await;
    world.becomes(&new, "revoked_person").await;
    assert!(world.allowed(&bobs).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_place_that_is_forgotten_is_begun_anew() {
    let (world, [alice, bob, orders]) = World::start(QUICK, company).await;
    let (alices, bobs) = (world.token(&alice).await, world.token(&bob).await);
    world.becomes(&alices, "allowed").await;
    world.becomes(&bobs, "allowed").await;
    // What nobody will be told as a change any more: a listing tells.
    world.entra.with(|tenant| {
        (tenant.fault, tenant.fault_at) = (Some(Fault::Gone), "/v1.0/users");
        tenant.delete(&alice, "changed");
    });
    world.entra.asked_again("/v1.0/users/delta?%24select").await;
    world.entra.with(|tenant| tenant.fault = None);
    world.becomes(&alices, "revoked_person").await;
    world.entra.with(|tenant| {
        (tenant.fault, tenant.fault_at) = (Some(Fault::Expired), "/v1.0/groups");
        tenant.leave(&orders, &bob);
    });
    world.entra.asked_again("/v1.0/groups/delta?%24select").await;
    world.entra.with(|tenant| tenant.fault = None);
    world.becomes(&bobs, "no_permission").await;
    // What happens after that is seen by changes again.
    let id = world.entra.with(|tenant| tenant.add_user("new"));
    world.offboard.knows("entra", 7).await;
    world.entra.with(|tenant| tenant.enable(&id, false));
    world.offboard.knows("entra", 6).await;
    world.entra.with(|tenant| tenant.join(&orders, &bob));
    world.becomes(&bobs, "allowed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whatever_goes_wrong_there_changes_no_answer() {
    // Most of it is waiting until it may be tried again.
    let answers = [
        (Fault::Throttled, "rate_limited"),
        (Fault::Overloaded, "rate_limited"),
        (Fault::Broken, "provider_error"),
        (Fault::Hang, "unreachable"),
    ];
    let pages = [
        (Fault::Html, "malformed"),
        (Fault::Truncated, "malformed"),
        (Fault::Circle, "malformed"),
        (Fault::Elsewhere, "malformed"),
    ];
    tokio::join!(faults(answers), faults(pages));
}

async fn faults<const N: usize>(faults: [(Fault, &str); N]) {
    let (mut world, [alice, bob, _]) = World::start(QUICK, company).await;
    let (alices, bobs) = (world.token(&alice).await, world.token(&bob).await);
    world.becomes(&alices, "allowed").await;
    world.becomes(&bobs, "allowed").await;
    for (fault, kind) in faults {
        world.entra.with(|tenant| tenant.fault = Some(fault));
        world.until_failed(kind).await;
        assert!(world.allowed(&alices).await && world.allowed(&bobs).await, "{fault:?}");
        world.entra.with(|tenant| tenant.fault = None);
        // It would go on by itself, as it does after the last.
        if fault != faults[N - 1].0 {
            world.sync();
        }
    }
    world.asked_again().await;
    let before = world.failures("forbidden").await;
    world.entra.with(Tenant::end_tokens);
    world.asked_again().await;
    assert!(world.failures("forbidden").await == before, "a new token, and nothing more");
    world.entra.with(|tenant| tenant.enable(&alice, false));
    world.becomes(&alices, "revoked_person").await;
    assert!(world.allowed(&bobs).await);
    assert!(!world.offboard.process.output().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_right_that_is_taken_away_is_named() {
    let (mut world, [alice, bob, _]) = World::start(QUICK, company).await;
    let (alices, bobs) = (world.token(&alice).await, world.token(&bob).await);
    world.becomes(&alices, "allowed").await;
    for right in ["User.Read.All", "GroupMember.Read.All"] {
        world.entra.with(|tenant| tenant.take_away(right));
        until("it is named", async || {
            let (_, shown) = world.run(&["source", "show", "entra"]);
            (shown.contains(right) && shown.contains("admin consent")).then_some(())
        })
        .await;
        let (code, checked) = world.run(&["source", "check", "entra"]);
        assert!(code == 1 && checked.contains(right), "{checked}");
        assert!(world.allowed(&alices).await && world.allowed(&bobs).await);
        if right == "GroupMember.Read.All" {
            // Users are followed all the same.
            world.entra.with(|tenant| tenant.enable(&bob, false));
            world.becomes(&bobs, "revoked_person").await;
        }
        world.entra.with(|tenant| tenant.give(right));
        world.sync();
    }
    world.entra.with(|tenant| tenant.enable(&alice, false));
    world.becomes(&alices, "revoked_person").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_restart_goes_on() {
    let (mut world, [alice, bob, orders]) = World::start(QUICK, company).await;
    let (alices, bobs) = (world.token(&alice).await, world.token(&bob).await);
    world.becomes(&alices, "allowed").await;
    world.asked_again().await;
    world.offboard.process.signal(Signal::KILL);
    world.offboard.process.stop(Duration::from_secs(10));
    world.entra.with(|tenant| {
        tenant.enable(&alice, false);
        tenant.leave(&orders, &bob);
        tenant.asked.clear();
        // The listing finds nothing out: users are known by where changes went on.
        (tenant.fault, tenant.fault_at) = (Some(Fault::Broken), "/v1.0/groups");
    });
    world.offboard = world.files.start().await;
    world.offboard.has_keys("dev").await;
    world.proxy = Proxy::connect(world.offboard.authz).await;
    world.becomes(&alices, "revoked_person").await;
    assert!(world.allowed(&bobs).await, "its groups as they were known");
    let first = world.entra.with(|tenant| {
        tenant.fault = None;
        tenant.asked.iter().find(|asked| asked.contains("users/delta")).cloned()
    });
    assert!(first.as_ref().is_some_and(|first| first.contains("?$deltatoken=pqw")), "{first:?}");
    world.becomes(&bobs, "no_permission").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_check_says_what_is_wrong_and_never_the_secret() {
    let (world, _) = World::start(QUICK, company).await;
    let (code, said) = world.run(&["source", "check", "entra"]);
    assert_eq!(code, 0, "{said}");
    for what in ["users", "groups", "sessions", "changes of users", "changes of groups", "clock"] {
        assert!(said.contains(what), "{what}: {said}");
    }
    let rules = std::fs::read_to_string(world.files.path("config/20-rules.yaml")).unwrap();
    let config = world.files.path("config").display().to_string();
    let wrong = world.files.path("wrong.secret");
    std::fs::write(&wrong, "not-it").unwrap();
    for (before, after, words) in [
        ("entra.secret", "wrong.secret", "`client_secret_file` is wrong"),
        (TENANT, "other.example", "there is no tenant `other.example`"),
        ("client_id: 5d3f", "client_id: 0000", "there is no application `0000"),
        ("poll: 100ms", "link: [{ claim: sub, attribute: shoeSize }]", "Request_BadRequest"),
    ] {
        assert!(rules.contains(before));
        world.files.write("20-rules.yaml", &rules.replace(before, after));
        let mut command = Offboard::command();
        command.args(["source", "check", "entra", "--config", &config]);
        let done = command.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.code() == Some(1) && said.contains(words), "{words}: {said}");
        assert!(!said.contains(SECRET) && !said.contains("not-it"));
    }
}

/// What a listing says of groups counts for nobody before the guard let it pass: not for whoever changes meanwhile either.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn groups_of_a_listing_that_is_held_back_count_for_nobody() {
    let rest = format!("{QUICK}, max_change: {{ share: 20%, from: 2 }}");
    let (mut world, [alice, bob, orders]) = World::start(&rest, company).await;
    let (alices, bobs) = (world.token(&alice).await, world.token(&bob).await);
    world.becomes(&alices, "allowed").await;
    world.entra.with(|tenant| tenant.memberless = true);
    let (code, said) = world.run(&["source", "sync", "entra", "--full"]);
    assert!(code == 1 && said.contains("0 of 7 known people and 14 memberships"), "{code}: {said}");
    world.entra.with(|tenant| tenant.set(&alice, "mail", json!("new@mail.example")));
    let known = || world.run(&["people"]).1.contains("new@mail.example").then_some(());
    until("what changed meanwhile is known", async || known()).await;
    assert!(world.allowed(&alices).await && world.allowed(&bobs).await);
    // Groups are followed from where they were.
    world.entra.with(|tenant| tenant.leave(&orders, &bob));
    world.becomes(&bobs, "no_permission").await;
    world.entra.with(|tenant| tenant.memberless = false);
    let (code, said) = world.run(&["source", "sync", "entra", "--full"]);
    assert_eq!(code, 0, "{said}");
    assert!(world.allowed(&alices).await && !world.allowed(&bobs).await);
    world.entra.with(|tenant| tenant.leave(&orders, &alice));
    world.becomes(&alices, "no_permission").await;
}
