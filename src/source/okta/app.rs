//! Who is assigned to the application, where one is configured. Whoever is not is out, however active they are: they
//! may come back.

use serde::Deserialize;

use super::Okta;
use super::again::is_older;
use super::api::{Listed, Right};
use super::events::time;
use super::listing::{ListingState, ROWS};
use crate::domain::time::Timestamp;
use crate::source::error::SourceError;

/// Statuses of an assignment by which somebody may use the application, or will. Any other takes it away.
const ASSIGNED: [&str; 8] =
    ["ACTIVE", "APPROVED", "IMPLICIT", "IMPORTED", "MATCHED", "PENDING", "PROVISIONED", "STAGED"];

/// How somebody stands to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// None is configured, or it does not matter.
    Unasked,
    /// Assigned, by a record from this time, in milliseconds.
    Assigned(Option<i64>),
    /// Not assigned.
    Unassigned,
}

impl Standing {
    /// Whether it is from before an event that says otherwise, in milliseconds.
    pub(super) fn is_older(self, event: i64) -> bool {
        matches!(self, Self::Assigned(since) if is_older(since, event))
    }

    /// When the record is from, in milliseconds.
    pub(super) fn since(self) -> Option<i64> {
        if let Self::Assigned(since) = self { since } else { None }
    }
}

/// `GET /api/v1/apps/{id}`, as far as it concerns us.
#[derive(Deserialize)]
pub(super) struct App {
    /// What it is called.
    #[serde(default)]
    pub(super) label: String,
    #[serde(default)]
    pub(super) status: String,
}

/// `GET /api/v1/apps/{id}/users…`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Assignment {
    /// Id of the user.
    pub(super) id: String,
    status: String,
    #[serde(default)]
    last_updated: Option<String>,
}

impl Assignment {
    /// Whether by this one somebody is assigned.
    pub(super) fn counts(&self) -> bool {
        self.standing() != Standing::Unassigned
    }

    fn standing(&self) -> Standing {
        if ASSIGNED.contains(&self.status.as_str()) {
            Standing::Assigned(self.last_updated.as_deref().and_then(time).map(Timestamp::as_millis))
        } else {
            Standing::Unassigned
        }
    }
}

/// That nobody is assigned is never "everybody left".
fn nobody(app: &str) -> SourceError {
    let what = format!("nobody is assigned to app `{app}`: is the id right?");
    SourceError::Misconfigured { step: "list who is assigned", what }
}

impl Okta {
    /// The application that is configured.
    pub(super) async fn app(&mut self, app: &str) -> Result<App, SourceError> {
        let step = "read the app";
        match self.api.get(step, &["apps", app], Right::Apps).await {
            Err(SourceError::NotFound { .. }) => {
                let what = format!("there is no app `{app}`, or it cannot be seen: is the id right?");
                Err(SourceError::Misconfigured { step, what })
            }
            found => found,
        }
    }

    /// How a user stands to the application now.
    pub(super) async fn standing(&mut self, id: &str) -> Result<Standing, SourceError> {
        let Some(app) = self.settings.app.clone() else { return Ok(Standing::Unasked) };
        let path = ["apps", app.as_str(), "users", id];
        let standing = match self.api.get::<Assignment>("read an assignment", &path, Right::Apps).await {
            // It answers to a user name in this place too.
            Ok(found) if found.id == id => found.standing(),
            Ok(_) => Standing::Unassigned,
            // Where the app itself is gone, that says nothing of anybody.
            Err(SourceError::NotFound { .. }) => self.app(&app).await.map(|_| Standing::Unassigned)?,
            Err(error) => return Err(error),
        };
        // A listing that is on its way may have been told something older.
        self.listing.correct(id, standing != Standing::Unassigned);
        Ok(standing)
    }

    /// The next piece of those who are assigned, for a listing.
    pub(super) async fn piece_of_assignments(
        &mut self,
        listing: &mut ListingState,
        app: &str,
    ) -> Result<(), SourceError> {
        let step = "list who is assigned";
        let url = self.page_or(listing.next.as_ref(), &["apps", app, "users"], &[("limit", ROWS)])?;
        let page: Listed<Assignment> = match self.api.list(step, url, Right::Apps).await {
            Err(SourceError::NotFound { .. }) => {
                self.app(app).await?;
                return Err(SourceError::NotFound { step });
            }
            found => found?,
        };
        let over = listing.went_on(page.next, page.rows.first().map(|row| row.id.as_str()))?;
        let standings = page.rows.into_iter().map(|row| (row.counts(), row.id));
        listing.assigned.extend(standings.map(|(assigned, id)| (id, assigned)));
        if over && !listing.assigned.values().any(|assigned| *assigned) {
            return Err(nobody(app));
        }
        Ok(())
    }

    /// Whether anybody at all is assigned.
    pub(super) async fn somebody_is_assigned(&mut self, app: &str) -> Result<(), SourceError> {
        let url = self.page_or(None, &["apps", app, "users"], &[("limit", "1")])?;
        let page: Listed<Assignment> = self.api.list("list who is assigned", url, Right::Apps).await?;
        if page.rows.is_empty() { Err(nobody(app)) } else { Ok(()) }
    }
}
