//! Answers to `explain`, with the texts that the state does not hold.

use super::{LiveViews, revocations};
use crate::app::explain::offline::Asked;
use crate::app::explain::{self, Knowledge, Story};
use crate::control::views::{Explanation, Question, Views as _};
use crate::domain::decision::{Decision, Determining};
use crate::domain::reason::Reason;
use crate::log::Log;

impl<L: Log> LiveViews<L> {
    /// Why a decision was made or would be made.
    ///
    /// # Errors
    /// See [`crate::control::views::Views::explain`].
    pub(super) async fn explained(&self, question: Question) -> Result<Explanation, String> {
        let rings = self.problems.rings.borrow().clone();
        let explanation = match question {
            Question::Decision(id) => {
                let recent = id.parse().ok().and_then(|id| self.handler.recorder.recent(id));
                let recent = recent.ok_or("no recent decision of this replica has this id")?;
                self.with_reason(&recent.decision, explain::recalled(&recent, &rings)).await
            }
            Question::Request { method, host, path, service, headers } => {
                let asked = Asked { method, host, path, service, headers };
                let request = asked.request(&self.state().rules.policy)?;
                let decided = self.handler.decide(&request, self.handler.clock.now(), None).await;
                let (_, now, decision) = decided.ok_or("the configuration changes again and again: try again")?;
                let (at, destination) = (now.wall, Some(&request.destination));
                let knowledge = Knowledge::Live;
                let story = Story { decision: &decision, at, destination, knowledge, rings: &rings };
                self.with_reason(&decision, story.tell()).await
            }
        };
        Ok(Explanation { now: self.now().wall, ..explanation })
    }

    /// Adds the reason of the strictest revocation, and who made it: the state holds no texts.
    async fn with_reason(&self, decision: &Decision, mut explanation: Explanation) -> Explanation {
        let found = explain::strictest_revocation(decision).filter(|found| found.exemption.is_none());
        if let Some(found) = found
            && let Determining::Revocation(id) = found.revocation
            && let Ok(Some((_, view))) = self.texts().revocation(id).await
        {
            let cause = explain::cause(decision, &found.revocation);
            if let Some(step) = explanation.steps.iter_mut().find(|step| step.cause == cause) {
                let left = revocations::left(&self.state(), id, &view.revocation.target);
                let left = left
                    .filter(|_| found.reason == Reason::IssuedBeforeCutoff)
                    .map(|at| format!(" has ended, and left that what was issued at or before {at} stays denied"));
                let left = left.unwrap_or_default();
                step.cause = format!("{cause}{left}: {}, by {}", view.revocation.reason, view.revocation.actor);
            }
        }
        explanation
    }
}
