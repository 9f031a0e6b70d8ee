//! Law 5: acknowledged means durable and enforced.

use futures_util::future::join_all;
use offboard::domain::command::Refused;
use offboard::domain::reason::Reason;
use offboard::domain::revocation::Target;
use offboard::log::Log as _;

use super::world::{Store, World};
use super::{holds, same};
use crate::corp::{self, ISSUER, at};

/// Fifty at once: each is enforced when it is acknowledged, in the log when anybody looks, and still there after a
/// restart.
pub async fn law_5_acknowledged_is_durable_and_enforced<S: Store>(store: S) {
    let world = World::start(store).await;
    let sessions: Vec<String> = (0..50).map(|number| format!("s{number}")).collect();
    let revoke = async |session: &String| {
        let target = Target::Session { issuer: ISSUER.into(), session: session.clone() };
        let done = world.revoke(target, at(1)).await.unwrap();
        same(&reason(&world, session).await, &Reason::RevokedSession, "acknowledged is enforced");
        holds(world.published.load().fold.epoch >= done.epoch, "the epoch of an acknowledgement is in force");
        holds(world.log.head().await.unwrap() >= done.epoch, "acknowledged is in the log");
    };
    join_all(sessions.iter().map(revoke)).await;
    let [live, anew, _] = world.digests().await;
    same(&anew, &live, "the log holds what is enforced");

    let world = world.restart(corp::policy()).await;
    for session in &sessions {
        same(&reason(&world, session).await, &Reason::RevokedSession, "acknowledged outlives the process");
    }
}

/// The directory is taken away: nothing that a restart would forget is acknowledged, and nothing changes. Once it is
/// back, everything is as before.
pub async fn law_5_what_a_restart_would_forget_is_not_acknowledged<S: Store>(store: S) {
    let world = World::start(store).await;
    let session = |session: &str| Target::Session { issuer: ISSUER.into(), session: session.to_owned() };
    world.revoke(session("kept"), at(1)).await.unwrap();
    world.store.take_away(true);
    let refused = world.revoke(session("lost"), at(1)).await;
    holds(matches!(refused, Err(Refused::Gone(_))), format!("what cannot be kept is refused: {refused:?}"));
    same(&reason(&world, "lost").await, &Reason::Allowed, "what is refused changes nothing");
    same(&reason(&world, "kept").await, &Reason::RevokedSession, "what is denied stays denied");
    world.store.take_away(false);
    world.revoke(session("found"), at(1)).await.unwrap();
    let world = world.restart(corp::policy()).await;
    for (session, expected) in
        [("kept", Reason::RevokedSession), ("lost", Reason::Allowed), ("found", Reason::RevokedSession)]
    {
        same(&reason(&world, session).await, &expected, format!("{session}, after a restart"));
    }
}

async fn reason<S: Store>(world: &World<S>, session: &str) -> Reason {
    let issued = at(0).wall.as_millis() / 1000;
    let token = world.token_of(&serde_json::json!({ "sub": "alice", "sid": session, "iat": issued }));
    world.check(&token, at(2)).await.reason
}
