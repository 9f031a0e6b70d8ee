//! What calls that may be sent again were answered, for a day.

use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::domain::call::Answered;
use crate::domain::event::Position;
use crate::domain::time::Timestamp;

/// How long an answer is kept (contract section 7, issue 16.8).
const KEPT: Duration = Duration::from_secs(86_400);
/// Answers kept: 30 MB of them. Beyond that the oldest are given up earlier.
const MOST: usize = 100_000;

/// An answer, and when it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    position: Position,
    time: Timestamp,
    answered: Arc<Answered>,
}

/// The answers of the last day. Which they are depends only on the events (law 11).
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Oldest first.
    by_age: OrdMap<Position, Kept>,
    by_call: OrdMap<String, Position>,
}

impl Answers {
    /// Exactly these, as a snapshot has them.
    pub(super) fn build(kept: Vec<Kept>) -> Self {
        let mut answers = Self::default();
        kept.into_iter().for_each(|kept| answers.insert(kept));
        answers
    }

    /// Keeps the answer that was recorded there, and gives up what is too old by then.
    pub(super) fn keep(&mut self, position: Position, time: Timestamp, answered: &Answered) {
        self.insert(Kept { position, time, answered: Arc::new(answered.clone()) });
        while let Some((_, oldest)) = self.by_age.get_min()
            && (oldest.time.plus(KEPT) <= time || self.by_age.len() > MOST)
        {
            let (position, call) = (oldest.position, oldest.answered.call.clone());
            self.by_age.remove(&position);
            if self.by_call.get(&call) == Some(&position) {
                self.by_call.remove(&call);
            }
        }
    }

    fn insert(&mut self, kept: Kept) {
        self.by_call.insert(kept.answered.call.clone(), kept.position);
        self.by_age.insert(kept.position, kept);
    }

    /// What this call was answered, if that is less than a day ago.
    #[must_use]
    pub fn find(&self, call: &str, now: Timestamp) -> Option<&Answered> {
        let kept = self.by_age.get(self.by_call.get(call)?)?;
        (kept.time.plus(KEPT) > now).then_some(&*kept.answered)
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.by_age.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(call: &str) -> Answered {
        let (call, request) = (call.to_owned(), "of".to_owned());
        Answered { call, request, revocations: vec![], stood: vec![], exemption: None, persons: vec![] }
    }

    #[test]
    fn an_answer_is_kept_for_a_day() {
        let at = |hours: i64| Timestamp::from_secs(hours * 3600);
        let mut answers = Answers::default();
        answers.keep(1, at(0), &answered("a"));
        answers.keep(2, at(12), &answered("b"));
        assert!(answers.find("a", at(23)).is_some() && answers.find("a", at(24)).is_none());
        assert!(answers.find("a", at(-1)).is_some(), "a clock set back forgets nothing");
        answers.keep(3, at(25), &answered("c"));
        let left: Vec<&str> = answers.iter().map(|kept| kept.answered.call.as_str()).collect();
        assert_eq!(left, ["b", "c"], "memory is given back");
        answers.keep(4, at(37), &answered("b"));
        assert!(answers.find("b", at(37)).is_some(), "the same key, a day later");
        assert_eq!(answers.iter().count(), 2);
        let built = Answers::build(answers.iter().cloned().collect());
        assert_eq!(built.iter().count(), 2);
        assert_eq!(built.find("c", at(37)), answers.find("c", at(37)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut answers = Answers::default();
        for number in 0..=MOST as u64 {
            answers.keep(number, Timestamp::from_secs(1), &answered(&number.to_string()));
        }
        assert_eq!(answers.iter().count(), MOST);
        assert!(answers.find("0", Timestamp::from_secs(1)).is_none());
    }
}
