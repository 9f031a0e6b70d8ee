//! Law 11: one writer in a process, one order of events for all, and state changes only by reading the log in that order.

use std::sync::Arc;

use futures_util::future::join_all;
use offboard::domain::inbox::Command;
use offboard::domain::revocation::Target;
use offboard::state::Published;

use super::same;
use super::world::{Store, World, request};
use crate::corp::{ISSUER, at};

fn session(name: String) -> Command {
    Command::Revoke(request(Target::Session { issuer: ISSUER.into(), session: name }))
}

/// Two writers over one log take turns and race: each ends with what the log says, in its order.
pub async fn law_11_one_order_of_events_for_all<S: Store>(store: S) {
    let mut world = World::start(store).await;
    let (other, beside) = world.beside().await;
    for round in 0..10 {
        let here = (0..3).map(|number| world.inbox.ask(session(format!("a{round}-{number}")), at(1)));
        let there = (0..3).map(|number| other.ask(session(format!("b{round}-{number}")), at(1)));
        let (here, there) = futures_util::future::join(join_all(here), join_all(there)).await;
        let done: Vec<_> = here.into_iter().chain(there).map(Result::unwrap).collect();
        assert!(done.iter().all(|done| done.position > 0));
    }
    // Whoever writes last has read everything; the other reads on when it next writes.
    world.inbox.ask(session("last".into()), at(2)).await.unwrap();
    other.ask(session("very last".into()), at(2)).await.unwrap();
    let at_the_end = digest(&beside);
    same(&world.refold_digest().await, &at_the_end, "a writer's state is the fold of the log");
    world.inbox.ask(session("after it".into()), at(2)).await.unwrap();
    same(&world.refold_digest().await, &digest(&world.published), "and so is the other's");
}

fn digest(published: &Arc<Published>) -> String {
    published.snapshot().fold.digest()
}
