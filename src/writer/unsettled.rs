//! What was offered to the log and may stand in it or not: nobody answered.
//!
//! The same events are offered again until they stand, or until others stand in their place. Nothing is planned meanwhile,
//! since nobody knows on what. Whoever asked for them hears that the outcome is unknown, and under which key to ask.

use super::listing::Effect;
use super::{Answer, Writer};
use crate::domain::command::Refused;
use crate::domain::event::{Epoch, NewEvent};
use crate::log::{Log, LogError};

/// How often the same is offered before anybody is told that the outcome is unknown.
const OFFERS: usize = 3;

/// Events whose outcome is unknown.
#[derive(Debug)]
pub(super) struct Unsettled {
    /// What they were to stand behind.
    pub(super) after: Epoch,
    pub(super) events: Vec<NewEvent>,
    /// What becomes of listings, if they stand.
    pub(super) effects: Vec<Effect>,
    /// Why nobody knows.
    pub(super) cause: String,
}

impl<L: Log> Writer<L> {
    /// Makes sure that it is known what the log holds, that it holds what is enforced, and that what it holds is enforced.
    pub(in crate::writer) async fn make_ready(&mut self) -> Result<(), LogError> {
        self.find_out().await?;
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

    /// Finds out what became of the events that were offered last; `true`: they stand, and are in force. `false` also where
    /// there were none.
    ///
    /// # Errors
    /// [`LogError::Unknown`] if nobody knows yet; [`LogError::Moved`] if the store went meanwhile, so that nobody will for as
    /// long as it is gone; those of reading what stands.
    pub(super) async fn find_out(&mut self) -> Result<bool, LogError> {
        let Some(mut unsettled) = self.unsettled.take() else { return Ok(false) };
        for _ in 0..OFFERS {
            match self.offer_again(&unsettled).await {
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

    /// Offers the same events again; whether they stand.
    async fn offer_again(&self, unsettled: &Unsettled) -> Result<bool, LogError> {
        let Unsettled { after, events, .. } = unsettled;
        match self.log.append(*after, events.clone()).await {
            Ok(_) => Ok(true),
            // Something stands there: these, or others. Every event has a name, so that the same means these.
            Err(LogError::Conflict { .. } | LogError::Duplicate { .. }) => {
                let found = self.log.read(after.position, events.len()).await?;
                Ok(found.len() == events.len() && found.iter().zip(events).all(|(found, event)| found.new == *event))
            }
            Err(error) => Err(error),
        }
    }
}

/// What each command of a batch hears while the outcome is unknown: under which key it can ask.
pub(super) fn unknown(answers: Vec<(Result<Answer, Refused>, Option<String>)>) -> Vec<Result<Answer, Refused>> {
    let unknown = |(answer, key): (Result<Answer, Refused>, Option<String>)| match (answer, key) {
        (Ok(_), Some(key)) => Err(Refused::Unknown { key }),
        // What it asks for may be true by what nobody knows of.
        (Ok(_), None) => Err(Refused::Log("the outcome of what was asked before is unknown".to_owned())),
        (Err(refused), _) => Err(refused),
    };
    answers.into_iter().map(unknown).collect()
}
