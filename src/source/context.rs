//! What a running source needs from the rest: where observations go, what time it is, and requests.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::error::SourceError;
use super::health::{Health, Reports};
use crate::domain::command::{Command, Observation, Refused, WriterHandle};
use crate::domain::time::Now;

/// Observations that are sent together: they share a commit.
const TOGETHER: usize = 500;
/// Tells the time.
pub type Time = Arc<dyn Fn() -> Now + Send + Sync>;

/// A request to a source, outside its schedule.
#[derive(Debug)]
pub enum SourceRequest {
    /// Ask at once; with `full`, list everybody. Answered when it is done.
    Sync {
        /// Whether to list everybody too.
        full: bool,
        /// How it ended.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Look up one person.
    LookUp {
        /// An attribute that `link` names.
        attribute: String,
        /// Its value.
        value: String,
        /// Whether there is such a person, who is known by now; `None` if that is unclear.
        reply: oneshot::Sender<Option<bool>>,
    },
}

/// What a source needs from the rest.
pub struct SourceContext {
    /// Where observations go.
    pub writer: WriterHandle,
    /// The clock.
    pub time: Time,
    /// Where failures and events are counted.
    pub reports: Reports,
    /// Its health.
    pub health: watch::Sender<Health>,
    /// Requests to it.
    pub requests: mpsc::Receiver<SourceRequest>,
}

/// Hands observations to the writer, in their order, and waits until they are enforced.
pub(super) async fn observe<I>(context: &SourceContext, observations: I) -> Result<(), SourceError>
where
    I: IntoIterator<Item = Observation, IntoIter: Send>,
{
    let mut rest = observations.into_iter().peekable();
    while rest.peek().is_some() {
        let now = (context.time)();
        let (mut answers, mut in_steps) = (Vec::new(), None);
        for next in rest.by_ref().take(TOGETHER) {
            if matches!(next, Observation::GroupDeleted { .. }) {
                in_steps = Some(next);
                break;
            }
            answers.push(context.writer.put(Command::Observe(next), now).await?);
        }
        for answer in answers {
            answer.await.map_err(|_| Refused::Stopped)??;
        }
        // Complete it before anything behind it.
        while let Some(next) = &in_steps {
            if !context.writer.ask(Command::Observe(next.clone()), now).await?.more {
                in_steps = None;
            }
        }
    }
    Ok(())
}
