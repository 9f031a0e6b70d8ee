//! Law 7: when a block on somebody who outlives their credentials ends, a cut-off at that time stays.

use offboard::domain::command::{Command, RevokeRequest};
use offboard::domain::policy::{ConfiguredRevocation, Policy};
use offboard::domain::reason::Reason;
use offboard::domain::revocation::{Shape, Target};
use serde_json::json;

use super::world::{Store, World, alice, person, request, suspended};
use super::{holds, same};
use crate::corp::{self, ISSUER, at, configured};

/// A token of alice from the client `web`, issued at `issued`.
fn token<S: Store>(world: &World<S>, issued: i64) -> String {
    let issued = at(issued).wall.as_millis() / 1000;
    world.token_of(&json!({ "sub": "alice", "sid": "s1", "jti": "t1", "azp": "web", "iat": issued }))
}

/// The block that ended at `end` is over, and tokens issued until then stay denied.
async fn over<S: Store>(world: &World<S>, end: i64, how: &str) {
    let (old, new) = (token(world, end), token(world, end + 1));
    let now = at(end + 2);
    same(&world.check(&old, now).await.reason, &Reason::IssuedBeforeCutoff, format!("issued before it was {how}"));
    same(&world.check(&new, now).await.reason, &Reason::Allowed, format!("issued after it was {how}"));
}

/// Every way in which every kind of block can end.
pub async fn law_7_a_block_that_ends_leaves_a_cut_off<S: Store>(store: S) {
    let mut world = World::start(store).await;
    let issuer = || ISSUER.to_owned();
    let outlived = [
        alice(),
        Target::Subject { issuer: issuer(), subject: "alice".into() },
        Target::Client { issuer: issuer(), client: "web".into() },
        Target::Issuer { issuer: issuer() },
    ];
    for (target, start) in outlived.into_iter().zip((100..).step_by(100)) {
        let done = world.revoke(target.clone(), at(start)).await.unwrap();
        world.restore(done.revocation.unwrap(), at(start + 10)).await.unwrap();
        over(&world, start + 10, &format!("restored ({target})")).await;
        let expiring = RevokeRequest { expires: Some(at(start + 30).wall), ..request(target.clone()) };
        world.writer.ask(Command::Revoke(expiring), at(start + 20)).await.unwrap();
        world.tick(at(start + 40)).await;
        over(&world, start + 30, &format!("expired ({target})")).await;
    }
    world.list(&[suspended("alice"), person("bob")], at(500)).await.unwrap();
    world.list(&[person("alice"), person("bob")], at(510)).await.unwrap();
    over(&world, 510, "active again").await;
    world.configure(Policy { revocations: Some(vec![configured(alice())]), ..corp::policy() }, at(520)).await.unwrap();
    world.configure(Policy { revocations: Some(vec![]), ..corp::policy() }, at(530)).await.unwrap();
    over(&world, 530, "removed from the configuration").await;
    // A block that was to begin later and was changed to begin at once: the log has to know.
    let later = ConfiguredRevocation { effective: Some(at(9000).wall), ..configured(alice()) };
    for (entry, now) in [(later, 540), (configured(alice()), 541)] {
        world.configure(Policy { revocations: Some(vec![entry]), ..corp::policy() }, at(now)).await.unwrap();
    }
    world.configure(Policy { revocations: Some(vec![]), ..corp::policy() }, at(550)).await.unwrap();
    over(&world, 550, "brought forward, and taken out").await;

    lifted(&world).await;
    let world = world.restart(corp::policy()).await;
    over(&world, 550, "taken out, and the process restarted").await;
}

/// A block on the credential itself, or on something that dies with it, is lifted without a trace.
async fn lifted<S: Store>(world: &World<S>) {
    let issuer = || ISSUER.to_owned();
    for target in [
        Target::Session { issuer: issuer(), session: "s1".into() },
        Target::Token { issuer: issuer(), token: "t1".into() },
        Target::Key { id: "k1".into() },
        Target::Certificate { sha256: "ab".repeat(32) },
    ] {
        let done = world.revoke(target.clone(), at(600)).await.unwrap();
        world.restore(done.revocation.unwrap(), at(601)).await.unwrap();
        let key = target.key(&world.keyer);
        holds(world.published.load().fold.revocations.under(key).is_empty(), format!("{target} is lifted"));
        same(&world.check(&token(world, 551), at(602)).await.reason, &Reason::Allowed, format!("{target} is lifted"));
    }
    // A cut-off that somebody ends is over: it was not a block.
    let cut_off = RevokeRequest { shape: Shape::CutOff { at: at(700).wall }, ..request(alice()) };
    let done = world.writer.ask(Command::Revoke(cut_off), at(700)).await.unwrap();
    same(&world.check(&token(world, 551), at(701)).await.reason, &Reason::IssuedBeforeCutoff, "a cut-off stands");
    world.restore(done.revocation.unwrap(), at(702)).await.unwrap();
    same(&world.check(&token(world, 551), at(703)).await.reason, &Reason::Allowed, "and is restored");
}
