//! Who is assigned to the application, if one is configured. People who are not assigned are out, even if they are
//! active; they may come back.

use serde::Deserialize;

use super::Okta;
use super::again::is_older;
use super::api::{Listed, Right};
use super::events::time;
use super::listing::{ListingState, ROWS};
use crate::domain::time::Timestamp;
use crate::source::error::SourceError;

/// Statuses of an assignment with which somebody may use the application, or will. Any other status means that they may
/// not.
const ASSIGNED: [&str; 8] =
    ["ACTIVE", "APPROVED", "IMPLICIT", "IMPORTED", "MATCHED", "PENDING", "PROVISIONED", "STAGED"];

/// Whether somebody is assigned to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// No application is configured, or the assignment does not matter.
    Unasked,
    /// Assigned; the time of the record, in milliseconds.
    Assigned(Option<i64>),
    /// Not assigned.
    Unassigned,
}

impl Standing {
    /// Whether the assignment is older than an event that contradicts it, in milliseconds.
    pub(super) fn is_older(self, event: i64) -> bool {
        matches!(self, Self::Assigned(since) if is_older(since, event))
    }

    /// The time of the record, in milliseconds.
    pub(super) fn since(self) -> Option<i64> {
        if let Self::Assigned(since) = self { since } else { None }
    }
}

/// `GET /api/v1/apps/{id}`, as far as we use it.
#[derive(Deserialize)]
pub(super) struct App {
    /// Its name.
    #[serde(default)]
    pub(super) label: String,
    #[serde(default)]
    pub(super) status: String,
}

/// `GET /api/v1/apps/{id}/users…`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Assignment {
    /// The user's id.
    pub(super) id: String,
    status: String,
    #[serde(default)]
    last_updated: Option<String>,
}

impl Assignment {
    /// Whether this assignment counts.
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

/// An empty list of assignments never means that everybody left.
fn nobody(app: &str) -> SourceError {
    let what = format!("nobody is assigned to app `{app}`: is the id right?");
    SourceError::Misconfigured { step: "list who is assigned", what }
}

impl Okta {
    /// Reads the configured application.
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

    /// Whether a user is assigned now.
    pub(super) async fn standing(&mut self, id: &str) -> Result<Standing, SourceError> {
        let Some(app) = self.settings.app.clone() else { return Ok(Standing::Unasked) };
        let path = ["apps", app.as_str(), "users", id];
        let standing = match self.api.get::<Assignment>("read an assignment", &path, Right::Apps).await {
            // The path also accepts a user name.
            Ok(found) if found.id == id => found.standing(),
            Ok(_) => Standing::Unassigned,
            // If the application itself is gone, that says nothing about anybody.
            Err(SourceError::NotFound { .. }) => self.app(&app).await.map(|_| Standing::Unassigned)?,
            Err(error) => return Err(error),
        };
        // A running listing may have read an older state.
        self.listing.correct(id, standing != Standing::Unassigned);
        Ok(standing)
    }

    /// The next piece of the list of assignments, for a listing.
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

    /// Checks that anybody at all is assigned.
    pub(super) async fn somebody_is_assigned(&mut self, app: &str) -> Result<(), SourceError> {
        let url = self.page_or(None, &["apps", app, "users"], &[("limit", "1")])?;
        let page: Listed<Assignment> = self.api.list("list who is assigned", url, Right::Apps).await?;
        if page.rows.is_empty() { Err(nobody(app)) } else { Ok(()) }
    }
}
