//! How many people are not assigned to the application, for `offboard source check`.

use std::collections::HashSet;

use super::Okta;
use super::api::{Listed, Right, User};
use super::app::Assignment;
use super::listing::{ROWS, every_status};
use crate::domain::person::Status;
use crate::source::error::SourceError;

/// How many pages of each list are read: 10,000 assignments, 4,000 users.
const PAGES: usize = 20;
/// Assignments per request: the most that Okta returns.
const ASSIGNMENTS: &str = "500";

/// How many people are active in Okta, and how many of them are not assigned.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    /// Active people among those who were read.
    pub(super) active: usize,
    /// Those of them who are not assigned.
    pub(super) unassigned: usize,
    /// Whether everybody was read.
    pub(super) whole: bool,
}

impl Okta {
    /// Counts people who are not assigned; `None` if there are more assignments than are read.
    pub(super) async fn count_unassigned(&mut self, app: &str) -> Result<Option<Counted>, SourceError> {
        let mut assigned = HashSet::new();
        let mut next = Some(self.page_or(None, &["apps", app, "users"], &[("limit", ASSIGNMENTS)])?);
        for _ in 0..PAGES {
            let Some(url) = next.take() else { break };
            let page: Listed<Assignment> = self.api.list("list who is assigned", url, Right::Apps).await?;
            assigned.extend(page.rows.into_iter().filter(Assignment::counts).map(|row| row.id));
            next = page.next;
        }
        if next.is_some() {
            return Ok(None);
        }
        let filter = every_status();
        let mut next = Some(self.page_or(None, &["users"], &[("filter", filter.as_str()), ("limit", ROWS)])?);
        let mut counted = Counted::default();
        for _ in 0..PAGES {
            let Some(url) = next.take() else { break };
            let page: Listed<User> = self.api.list("list users", url, Right::Users).await?;
            for user in page.rows {
                let person = self.person(user)?;
                if person.status == Status::Active {
                    counted.active += 1;
                    counted.unassigned += usize::from(!assigned.contains(&person.id.key));
                }
            }
            next = page.next;
        }
        counted.whole = next.is_none();
        Ok(Some(counted))
    }
}
