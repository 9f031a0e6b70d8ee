//! Whoever an event named, read again: what they are by now, and since when.

use tokio::time::{Instant, sleep};

use super::cursor::FeedPosition;
use super::events::{Touched, time};
use super::{FOLLOWED, Okta, PAUSE, SETTLED};
use crate::domain::command::Observation;
use crate::domain::person::Status;
use crate::domain::time::Timestamp;
use crate::source::directory::Changes;
use crate::source::error::SourceError;

/// What reading one user again came to.
enum Read {
    /// What they are.
    Are(Observation),
    /// The record is older than the event that named them: until there is a newer one, the event counts.
    Doubted(Observation),
    /// They are not there, and no event said that they would not be.
    Unseen,
    /// The same, of somebody of whom that is known.
    Known,
}

/// The times of a record, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// Of its status.
    pub(super) status: Option<i64>,
    /// Of the assignment to the application.
    pub(super) assigned: Option<i64>,
    /// Of the record.
    pub(super) updated: Option<i64>,
}

/// Since when somebody is what they are, by the events that say so and by their record. What else happened to them
/// since, in which group they came, does not count: what was issued up to this time may be dead by it.
pub(super) fn since(status: Status, touched: &Touched, times: Times) -> i64 {
    let told = match status {
        // Without an event, the assignment may be what they had been without.
        Status::Active => touched.unblocked.max(touched.assigned).or(times.assigned).max(times.status),
        Status::Suspended | Status::Departed => {
            Some(touched.still_blocked().max(touched.still_unassigned()).unwrap_or(touched.at)).max(times.status)
        }
    };
    // What they are called may be of a later time, and what was issued under another name ends with that.
    told.unwrap_or(touched.at).max(touched.renamed.max(times.updated).unwrap_or(i64::MIN))
}

impl Okta {
    /// Reads one user again.
    async fn read_again(&mut self, id: &str, touched: Touched) -> Result<Read, SourceError> {
        let Some(user) = self.api.user(id).await? else {
            if touched.is_out() {
                self.gone.add(vec![id.to_owned()]);
                let at = touched.deleted.map(Timestamp::from_millis);
                return Ok(Read::Are(Observation::Deleted { person: self.id(id), at }));
            }
            // We may only have lost sight of them: absence is for a listing to tell, and for its guard.
            return Ok(if self.gone.has(id) { Read::Known } else { Read::Unseen });
        };
        let millis = |text: &Option<String>| text.as_deref().and_then(time).map(Timestamp::as_millis);
        let (status, updated) = (millis(&user.status_changed), millis(&user.last_updated));
        let (mut person, standing) = self.complete(user).await?;
        let blocked = touched.still_blocked().filter(|blocked| is_older(status, *blocked));
        let unassigned = touched.still_unassigned().filter(|at| standing.is_older(*at));
        let mut doubted = false;
        if person.status == Status::Active
            && let Some(blocked) = blocked.max(unassigned)
        {
            doubted = self.api.now().await? < Timestamp::from_millis(blocked).plus(SETTLED);
            if doubted {
                (person.status, person.groups) = (Status::Suspended, Vec::new());
            }
        }
        let times = Times { status, assigned: standing.since(), updated };
        let at = Some(Timestamp::from_millis(since(person.status, &touched, times)));
        let change = Observation::Change { person, at, event_id: None };
        Ok(if doubted { Read::Doubted(change) } else { Read::Are(change) })
    }

    /// Reads those again whom events named, or some of them.
    pub(super) async fn follow(&mut self, place: &mut FeedPosition, found: &mut Changes) -> Result<(), SourceError> {
        let until = Instant::now() + FOLLOWED;
        while Instant::now() < until
            && let Some((id, touched)) = place.first()
        {
            if let Some(pause) = self.api.budget.pause("read a user", Instant::now()) {
                sleep(pause.min(PAUSE)).await;
            }
            let read = self.read_again(&id, touched).await?;
            place.users.remove(&id);
            match read {
                Read::Are(observation) => found.observations.push(observation),
                Read::Doubted(observation) => {
                    found.observations.push(observation);
                    place.doubted.insert(id, touched);
                }
                Read::Unseen => {
                    found.resync = true;
                    self.gone.add(vec![id]);
                }
                Read::Known => {}
            }
        }
        Ok(())
    }
}

/// Whether a record is from before an event, as far as whole seconds tell. Times are in milliseconds.
pub(super) fn is_older(record: Option<i64>, event: i64) -> bool {
    record.is_none_or(|record| record < event - event.rem_euclid(1000))
}
