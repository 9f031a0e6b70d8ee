//! Reads users again whom events named: their current state, and since when.

use tokio::time::{Instant, sleep};

use super::cursor::FeedPosition;
use super::events::{Touched, time};
use super::{FOLLOWED, Okta, PAUSE, SETTLED};
use crate::domain::command::Observation;
use crate::domain::person::Status;
use crate::domain::time::Timestamp;
use crate::source::directory::Changes;
use crate::source::error::SourceError;

/// The result of reading one user again.
enum Read {
    /// Their current state.
    Are(Observation),
    /// The record is older than the event that named them; until there is a newer one, the event counts.
    Doubted(Observation),
    /// They do not exist, and no event said that they were deleted.
    Unseen,
    /// They do not exist, and that was known.
    Known,
}

/// The times in a record, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// When the status changed.
    pub(super) status: Option<i64>,
    /// When the person was assigned to the application.
    pub(super) assigned: Option<i64>,
    /// When the record was updated.
    pub(super) updated: Option<i64>,
}

/// Since when somebody has their status, from the events about it and from the record. Other changes, such as a new
/// group, do not count: tokens issued up to this time may become invalid.
pub(super) fn since(status: Status, touched: &Touched, times: Times) -> i64 {
    let told = match status {
        // Without an event, they may have lacked the assignment until then.
        Status::Active => touched.unblocked.max(touched.assigned).or(times.assigned).max(times.status),
        Status::Suspended | Status::Departed => {
            Some(touched.still_blocked().max(touched.still_unassigned()).unwrap_or(touched.at)).max(times.status)
        }
    };
    // Their names may have changed later, which invalidates what was issued under another name.
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
            // We may only have lost access to them: absence is decided by a listing and its guard.
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

    /// Reads users again whom events named, or some of them.
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

/// Whether a record is older than an event, with a precision of a second. Times are in milliseconds.
pub(super) fn is_older(record: Option<i64>, event: i64) -> bool {
    record.is_none_or(|record| record < event - event.rem_euclid(1000))
}
