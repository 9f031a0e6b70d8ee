//! What is known of a source between two listings.

use std::sync::Arc;

use crate::domain::guard::{Confirmed, HeldListing, Removals, is_lately};
use crate::domain::source::Linking;
use crate::domain::time::Timestamp;

/// Where a source stands between two listings.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Feed {
    /// How its people were last linked with credentials.
    pub linking: Option<Arc<Linking>>,
    /// From where its events are read on.
    pub cursor: Option<String>,
    /// The listing that the guard holds back.
    pub held: Option<Arc<HeldListing>>,
    /// How many of ten thousand may be missing, until when.
    pub expected: Option<(u32, Timestamp)>,
    /// What was confirmed of memberships.
    #[serde(default)]
    pub confirmed: Option<Confirmed>,
    /// What its listings left out since a time; it counts as long as [`is_lately`] says so.
    #[serde(default)]
    pub left_out: Option<(Timestamp, Removals)>,
    /// What of that is still to come: the rest of an accepted listing that comes into force in steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_come: Option<Removals>,
}

impl Feed {
    /// What its listings left out, less what never came into force because the process ended in the middle of it.
    #[must_use]
    pub fn left_out_for_good(&self) -> Option<(Timestamp, Removals)> {
        let rest = self.to_come.unwrap_or_default();
        self.left_out.map(|(since, sum)| (since, sum.less(rest)))
    }

    /// What a listing that was taken left out. What was confirmed is used up by it.
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
