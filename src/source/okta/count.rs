//! How many people are not assigned to the application, for `offboard source check`.

use std::collections::HashSet;

use super::Okta;
use super::api::{Listed, Right, User};
use super::app::Assignment;
use super::listing::{ROWS, every_status};
use crate::domain::person::Status;
use crate::source::error::SourceError;

/// Pages of each list that are read: 10,000 assignments, 4,000 users.
const PAGES: usize = 20;
/// Assignments that are asked for at once: more is not given.
const ASSIGNMENTS: &str = "500";

/// Who is active in Okta, and who of them is not assigned.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    /// How many are active, of those who were read.
    pub(super) active: usize,
    /// How many of them are not assigned.
    pub(super) unassigned: usize,
    /// Whether these were all.
    pub(super) whole: bool,
}

impl Okta {
    /// Counts who is not assigned; `None` where more are assigned than are read for that.
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
