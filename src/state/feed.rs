//! What the log holds about a source between two listings.

use std::sync::Arc;

use crate::domain::guard::{Confirmed, HeldListing, Removals, is_lately};
use crate::domain::source::Linking;
use crate::domain::time::Timestamp;

/// The state of a source between two listings.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Feed {
    /// How its people were last linked with credentials.
    pub linking: Option<Arc<Linking>>,
    /// The cursor from which its events are read on.
    pub cursor: Option<String>,
    /// The listing that the guard holds back.
    pub held: Option<Arc<HeldListing>>,
    /// The announced share of people who may be missing, in hundredths of a percent, and until when.
    pub expected: Option<(u32, Timestamp)>,
    /// The lost memberships that an operator confirmed.
    #[serde(default)]
    pub confirmed: Option<Confirmed>,
    /// The removals of its listings since a time; they count as long as [`is_lately`] says so.
    #[serde(default)]
    pub left_out: Option<(Timestamp, Removals)>,
    /// The part of them that is not applied yet: the rest of an accepted listing that is applied in steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_come: Option<Removals>,
}

impl Feed {
    /// The removals of its listings, without those that were never applied because the process ended in between.
    #[must_use]
    pub fn left_out_for_good(&self) -> Option<(Timestamp, Removals)> {
        let rest = self.to_come.unwrap_or_default();
        self.left_out.map(|(since, sum)| (since, sum.less(rest)))
    }

    /// Adds the removals of an accepted listing. It uses up what was confirmed.
    pub(super) fn add_up(&mut self, left_out: Removals, now: Timestamp) {
        self.confirmed = None;
        self.left_out = self.left_out_for_good();
        self.to_come = None;
        if left_out.is_nothing() {
            return;
        }
        self.left_out = Some(match self.left_out {
            Some((since, before)) if is_lately(since, now) => (since, before.and(left_out)),
            _ => (now, left_out),
        });
    }
}
