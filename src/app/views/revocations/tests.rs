//! Listings of revocations in pages, whatever happens between two of them.

use super::*;
use crate::corp::policy;
use crate::domain::event::NewEvent;
use crate::domain::key::Keyer;
use crate::log::conformance::cut::{cut, filled, revoked};
use crate::log::memory::Memory;
use crate::state::rules::Rules;
use crate::writer::replay;

async fn state(log: &Memory) -> State {
    let fold = replay(&log.without_snapshot(), Keyer::new([1; 16])).await.unwrap().fold;
    let rules = Arc::new(Rules::new(Arc::new(policy()), 1, &fold.keyer));
    State { fold, rules }
}

fn revocation(number: u64) -> Arc<Revocation> {
    let NewEvent { event: Event::Revoked(revocation), .. } = revoked(number) else { panic!() };
    Arc::new(revocation)
}

fn names(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| RevocationId::random(number).to_string()).collect()
}

#[tokio::test]
async fn what_is_enforced_from_memory_is_listed_in_pages_too() {
    let log = Memory::default();
    filled(&log).await;
    let volatile = (20..25).map(|number| (RevocationId::random(number), revocation(number))).collect();
    let (state, texts) = (state(&log).await, Texts { log: &log, volatile });
    let some: BTreeSet<RevocationId> = [1, 5, 9, 20, 21, 22, 23, 24].into_iter().map(RevocationId::random).collect();
    for all in [true, false] {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = match all {
                true => texts.all_standing(&state, before, 3).await,
                false => texts.standing(some.clone(), before, 3).await,
            };
            let page = page.unwrap();
            let Some(last) = page.last() else { break };
            let id = last.id.parse().unwrap();
            before = texts.revocation(id).await.unwrap().map(|(position, _)| (position, id));
            found.extend(page.into_iter().map(|view| view.id));
        }
        assert_eq!(found, names([20, 21, 22, 23, 24, 9, 5, 1]), "all: {all}");
    }
}

#[tokio::test]
async fn the_history_is_read_anew_where_the_log_is_cut_meanwhile() {
    let log = Memory::default();
    filled(&log).await;
    *log.cut_meanwhile.lock().unwrap() = Some(cut(4, &[1]));
    let texts = Texts { log: &log, volatile: OrdMap::new() };
    let found: Vec<String> = texts.history(None).await.unwrap().into_iter().map(|view| view.id).collect();
    assert_eq!(found, names([9, 5, 1]));
}
