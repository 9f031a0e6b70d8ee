//! Who leaves Microsoft Entra ID is out, and whatever its answers are, nobody comes back by them who should not.

mod troubles;
mod world;

use std::time::{Duration, Instant};

use serde_json::json;

use world::{QUICK, World, company, now};

use crate::support::entra::{Fault, Tenant};
use crate::support::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_leaves_is_out() {
    let (mut world, [alice, bob, orders]) = World::start(QUICK, company).await;
    let (old, bobs) = (world.token(&alice).await, world.token(&bob).await);
    assert!(world.allowed(&old).await && world.allowed(&bobs).await);

    world.entra.with(|tenant| tenant.enable(&alice, false));
    world.becomes(&old, "revoked_person").await;
    world.entra.with(|tenant| tenant.enable(&alice, true));
    world.becomes(&old, "issued_before_cutoff").await;
    let new = world.new_token(&alice).await;
    world.becomes(&new, "allowed").await;

    // Whole records instead of what changed.
    world.entra.with(|tenant| tenant.partial = false);
    world.entra.with(|tenant| tenant.revoke_sessions(&alice, now() + 20));
    world.becomes(&new, "issued_before_cutoff").await;
    world.offboard.measures("entra", &["receipt", "provider"]).await;
    let newer = world.issuer.token(&format!("sub=x&oid={alice}&iat={}", now() + 25)).await;
    world.becomes(&newer, "allowed").await;

    world.entra.with(|tenant| tenant.delete(&alice, "changed"));
    world.becomes(&newer, "revoked_person").await;
    world.entra.with(|tenant| {
        tenant.restore(&alice);
        tenant.join(&orders, &alice);
    });
    world.becomes(&old, "issued_before_cutoff").await;
    world.becomes(&newer, "allowed").await;
    world.entra.with(|tenant| tenant.delete(&alice, "changed"));
    world.becomes(&newer, "revoked_person").await;
    world.entra.with(|tenant| tenant.delete(&alice, "deleted"));
    world.asked_again().await;
    assert!(!world.allowed(&newer).await && world.allowed(&bobs).await, "for ever, and nobody else");

    // Who is said to be disabled, and cannot be read, is believed to be.
    world.entra.with(|tenant| {
        (tenant.fault, tenant.fault_at) = (Some(Fault::Broken), "/v1.0/users/8b");
        tenant.enable(&bob, false);
    });
    world.becomes(&bobs, "revoked_person").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_nested_group_gives_and_takes() {
    let fill = |tenant: &mut Tenant| {
        let [alice, bob, orders] = company(tenant);
        let carol = tenant.add_user("carol2");
        let [team, squad] = ["team", "squad"].map(|name| tenant.add_group(name));
        tenant.join(&orders, &team);
        tenant.join(&team, &squad);
        // They contain each other.
        tenant.join(&squad, &team);
        tenant.join(&squad, &carol);
        ([alice, bob, carol], [orders, team, squad])
    };
    let (mut world, ([alice, bob, carol], [orders, team, squad])) = World::start(QUICK, fill).await;
    let tokens = [world.token(&alice).await, world.token(&bob).await, world.token(&carol).await];
    let [alices, bobs, carols] = &tokens;
    for token in &tokens {
        world.becomes(token, "allowed").await;
    }
    let good = world.entra.with(|tenant| tenant.answered());
    world.entra.with(|tenant| tenant.leave(&team, &squad));
    world.becomes(carols, "no_permission").await;
    assert!(world.allowed(alices).await);
    world.entra.with(|tenant| tenant.join(&orders, &squad));
    world.becomes(carols, "allowed").await;
    world.entra.with(|tenant| tenant.delete_group(&squad));
    world.becomes(carols, "no_permission").await;
    world.entra.with(|tenant| tenant.leave(&orders, &bob));
    world.becomes(bobs, "no_permission").await;

    // What was said before that is said again, and then everything.
    for rows in [good, world.entra.with(|tenant| tenant.answered())] {
        world.entra.with(|tenant| tenant.replay(rows));
        world.asked_again_without(&[bobs, carols]).await;
        assert!(world.allowed(alices).await);
    }

    // Another group of the same name: nobody knows which is meant.
    let other = world.entra.with(|tenant| tenant.add_group("orders"));
    world.becomes(alices, "no_permission").await;
    world.entra.with(|tenant| tenant.rename_group(&other, "others"));
    world.becomes(alices, "allowed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_page_that_comes_again_gives_nothing_back() {
    let (mut world, [alice, bob, _]) = World::start(QUICK, company).await;
    let (alices, bobs) = (world.token(&alice).await, world.token(&bob).await);
    world.becomes(&alices, "allowed").await;
    world.entra.with(|tenant| tenant.set(&alice, "mail", json!("a@mail.example")));
    world.asked_again().await;
    let good = world.entra.with(|tenant| tenant.answered());
    world.entra.with(|tenant| tenant.enable(&alice, false));
    world.becomes(&alices, "revoked_person").await;
    for rows in [good, world.entra.with(|tenant| tenant.answered())] {
        world.entra.with(|tenant| tenant.replay(rows));
        let new = world.new_token(&alice).await;
        world.asked_again_without(&[&alices, &new]).await;
    }
    // Not even where their own address is late as well.
    world.entra.with(|tenant| {
        tenant.keep_saying(&bob, 2);
        tenant.enable(&bob, false);
    });
    world.becomes(&bobs, "revoked_person").await;
    until("its address is asked often enough", async || {
        world.entra.with(|tenant| tenant.is_up_to_date(&bob)).then_some(())
    })
    .await;
    let mut new = world.new_token(&bob).await;
    world.becomes(&new, "revoked_person").await;

    // A change that misses its round, and comes with the next.
    world.entra.with(|tenant| tenant.enable(&bob, true));
    new = world.new_token(&bob).await;
    world.becomes(&new, "allowed").await;
    world.entra.with(|tenant| {
        tenant.lag();
        tenant.enable(&bob, false);
    });
    world.becomes(&new, "revoked_person").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_listing_that_is_late_gives_nothing_back() {
    let (mut world, [alice, bob, orders]) = World::start(QUICK, company).await;
    let ids = [alice.clone(), bob.clone(), world.entra.with(|tenant| tenant.add_user("new"))];
    world.entra.with(|tenant| tenant.join(&orders, &ids[2]));
    let tokens = [world.token(&ids[0]).await, world.token(&ids[1]).await, world.token(&ids[2]).await];
    for token in &tokens {
        world.becomes(token, "allowed").await;
    }
    world.entra.with(|tenant| {
        tenant.freeze_listings();
        tenant.enable(&alice, false);
        tenant.leave(&orders, &bob);
        tenant.delete(&ids[2], "changed");
    });
    world.becomes(&tokens[0], "revoked_person").await;
    world.becomes(&tokens[1], "no_permission").await;
    world.becomes(&tokens[2], "revoked_person").await;
    let (code, said) = world.run(&["source", "sync", "entra", "--full"]);
    assert_eq!(code, 0, "{said}");
    let new = [world.new_token(&ids[0]).await, world.new_token(&ids[1]).await, world.new_token(&ids[2]).await];
    for token in tokens.iter().chain(&new) {
        assert!(!world.allowed(token).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_group_lost_no_late_copy_gives_back() {
    let (mut world, [_, bob, orders]) = World::start(QUICK, company).await;
    let bobs = world.token(&bob).await;
    world.becomes(&bobs, "allowed").await;
    world.entra.with(|tenant| {
        tenant.keep_saying_members(&orders, 8);
        tenant.leave(&orders, &bob);
    });
    world.becomes(&bobs, "no_permission").await;
    while !world.entra.with(|tenant| tenant.has_told_members(&orders)) {
        assert!(!world.allowed(&bobs).await);
    }
    world.asked_again_without(&[&bobs]).await;
    // Neither does the second listing since, of a copy that is late.
    world.entra.with(|tenant| {
        tenant.join(&orders, &bob);
        tenant.freeze_listings();
    });
    world.becomes(&bobs, "allowed").await;
    world.entra.with(|tenant| {
        tenant.keep_saying_members(&orders, 40);
        tenant.leave(&orders, &bob);
    });
    world.becomes(&bobs, "no_permission").await;
    for _ in 0..2 {
        let (code, said) = world.run(&["source", "sync", "entra", "--full"]);
        assert_eq!(code, 0, "{said}");
        world.asked_again_without(&[&bobs]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_is_deleted_further_on_in_a_listing_is_out() {
    let (mut world, [alice, bob, _]) = World::start(QUICK, company).await;
    let (alices, bobs) = (world.token(&alice).await, world.token(&bob).await);
    world.becomes(&alices, "allowed").await;
    world.entra.with(|tenant| {
        tenant.hidden.insert(alice.clone());
        (tenant.deleted_meanwhile, tenant.page) = (Some(alice.clone()), 1);
    });
    let (code, said) = world.run(&["source", "sync", "entra", "--full"]);
    assert_eq!(code, 0, "{said}");
    world.becomes(&alices, "revoked_person").await;
    assert!(world.allowed(&bobs).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_joiner_is_looked_up_by_id_alone() {
    let (world, [alice, _, orders]) = World::start("poll: 1h, max_staleness: 3h", company).await;
    let joiner = world.entra.with(|tenant| {
        let id = tenant.add_user("joiner");
        tenant.join(&orders, &id);
        id
    });
    let token = world.token(&joiner).await;
    // Known at once; their groups come with changes or a listing.
    world.becomes(&token, "no_permission").await;
    world.sync();
    world.becomes(&token, "allowed").await;
    // Little is left of what may be asked: between two questions it waits.
    world.entra.with(|tenant| tenant.used = Some(0.9));
    let began = Instant::now();
    world.sync();
    assert!(began.elapsed() >= Duration::from_secs(1));
    world.entra.with(|tenant| tenant.used = None);
    // The address of a user takes a user name too: a token that claims one is nobody's.
    let alices = world.token("alice@corp.example").await;
    world.becomes(&alices, "unknown_person").await;
    world.entra.with(|tenant| tenant.enable(&alice, false));
    let (code, said) = world.run(&["source", "sync", "entra", "--full"]);
    assert_eq!(code, 0, "{said}");
    let alices = world.token(&alice).await;
    world.becomes(&alices, "revoked_person").await;
}
