//! Appends with an unknown outcome.
//!
//! The same events are appended again until they or others stand at their position. Nothing is planned meanwhile, since
//! the state to plan on is unknown. The callers are told that the outcome is unknown, and the key to query it.

use super::listings::Effect;
use super::{Answer, Writer};
use crate::domain::command::Refused;
use crate::domain::event::{Epoch, NewEvent};
use crate::log::{Log, LogError};

/// The number of retries before callers are told that the outcome is unknown.
const OFFERS: usize = 3;

/// Events whose outcome is unknown.
#[derive(Debug)]
pub(super) struct Unsettled {
    /// The epoch behind which they were appended.
    pub(super) after: Epoch,
    pub(super) events: Vec<NewEvent>,
    /// Their effects on listings, if they stand.
    pub(super) effects: Vec<Effect>,
    /// Why the outcome is unknown.
    pub(super) cause: String,
}

impl<L: Log> Writer<L> {
    /// Resolves an unknown outcome, appends what is enforced from memory only, and folds what could not be read before.
    pub(in crate::writer) async fn make_ready(&mut self) -> Result<(), LogError> {
        self.resolve_unsettled().await?;
        self.rejoin().await?;
        // What could not be read back before.
        if self.follower.fold.epoch.position < self.appended.position
            && let Err(error) = self.catch_up_to(self.appended).await
        {
            self.log.standing().await?;
            return Err(error);
        }
        Ok(())
    }

    /// Resolves the outcome of the last append: `true` if its events stand and are folded; `false` if not, or if
    /// nothing was unsettled.
    ///
    /// # Errors
    /// [`LogError::Unknown`] if nobody knows yet; [`LogError::Moved`] if the store went meanwhile, so that nobody will for as
    /// long as it is gone; those of reading what stands.
    pub(super) async fn resolve_unsettled(&mut self) -> Result<bool, LogError> {
        let Some(mut unsettled) = self.unsettled.take() else { return Ok(false) };
        for _ in 0..OFFERS {
            match self.retry(&unsettled).await {
                Ok(true) => {
                    let Unsettled { after, events, effects, .. } = unsettled;
                    self.listings.carry_out(effects);
                    let end = after.position + events.len() as u64;
                    self.catch_up_to(Epoch { position: end, ..after }).await?;
                    return Ok(true);
                }
                Ok(false) => {
                    self.catch_up().await?;
                    return Ok(false);
                }
                Err(error @ LogError::Moved { .. }) => {
                    self.unsettled = Some(unsettled);
                    return Err(error);
                }
                Err(error) => unsettled.cause = error.to_string(),
            }
        }
        let cause = unsettled.cause.clone();
        self.unsettled = Some(unsettled);
        Err(LogError::Unknown { events: Vec::new(), cause })
    }

    /// Appends the same events again. Returns whether they stand.
    async fn retry(&self, unsettled: &Unsettled) -> Result<bool, LogError> {
        let Unsettled { after, events, .. } = unsettled;
        match self.log.append(*after, events.clone()).await {
            Ok(_) => Ok(true),
            // Either these events stand there, or others. Every event has a unique name, so equal events are these.
            Err(LogError::Conflict { .. } | LogError::Duplicate { .. }) => {
                let found = self.log.read(after.position, events.len()).await?;
                Ok(found.len() == events.len() && found.iter().zip(events).all(|(found, event)| found.new == *event))
            }
            Err(error) => Err(error),
        }
    }
}

/// The answer to each command of a batch whose outcome is unknown, with the key to query it.
pub(super) fn unknown(answers: Vec<(Result<Answer, Refused>, Option<String>)>) -> Vec<Result<Answer, Refused>> {
    let unknown = |(answer, key): (Result<Answer, Refused>, Option<String>)| match (answer, key) {
        (Ok(_), Some(key)) => Err(Refused::Unknown { key }),
        // What the command asks for may depend on the unsettled events.
        (Ok(_), None) => Err(Refused::Log("the outcome of an earlier append is unknown; retry later".to_owned())),
        (Err(refused), _) => Err(refused),
    };
    answers.into_iter().map(unknown).collect()
}
