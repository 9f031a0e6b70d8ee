//! Who is disabled now: what no event tells is seen by this.

use std::time::Duration;

use super::Keycloak;
use super::rows::{Listing, Read, Rows};
use super::shapes::User;
use crate::domain::inbox::Observation;
use crate::domain::time::Timestamp;
use crate::source::error::SourceError;

/// It is asked with every tenth poll, and at least this often.
const LONGEST: Duration = Duration::from_secs(10);

/// How often it is asked, by how often events are read.
pub fn every(poll: Duration) -> Duration {
    (poll * 10).min(LONGEST.max(poll))
}

impl Keycloak {
    /// Everybody who is disabled, and the realm's `notBefore`.
    pub(super) async fn status(&mut self) -> Result<Vec<Observation>, SourceError> {
        let step = "list disabled users";
        let query = [("enabled", "false"), ("briefRepresentation", "false")];
        let listing = Listing { step, path: &["users"], query: &query, id: |user: &User| &user.id };
        let (mut rows, mut disabled) = (Rows::default(), Vec::new());
        loop {
            match rows.next(&mut self.api, &listing).await? {
                Read::Page(users, more) => {
                    disabled.extend(users.into_iter().filter(|user| !user.enabled));
                    if !more {
                        break;
                    }
                }
                Read::Moved => disabled.clear(),
            }
        }
        let count = self.api.count(&[("enabled", "false")]).await?;
        if disabled.is_empty() && count > 0 {
            return Err(self.api.void(step, 0, count));
        }
        let not_before = self.api.realm_not_before().await?;
        let mut found: Vec<Observation> = disabled.iter().filter_map(|user| self.not_before(user)).collect();
        let people = disabled.into_iter().map(|user| self.person(user)).collect();
        let source = self.settings.name.clone();
        // When it was taken counts for complete listings alone.
        found.push(Observation::Listing { source, people, complete: false, at: Timestamp::MIN });
        found.extend(self.realm_not_before(not_before));
        Ok(found)
    }
}
