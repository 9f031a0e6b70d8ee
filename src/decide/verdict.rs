//! The strictest finding so far, and what determined it.

use std::sync::Arc;

use crate::domain::credential::Verified;
use crate::domain::decision::Determining;
use crate::domain::reason::Reason;

/// Collects findings; the one that comes first in the order of reasons wins, and among equals the first.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    worst: Option<(Reason, Determining, Option<Arc<Verified>>)>,
    /// The caller is departed, exempted or under a cut-off.
    pub(super) notable: bool,
    /// A break-glass event without which this would be a denial.
    pub(super) exempted: Option<u64>,
}

impl Verdict {
    /// Notes a finding.
    pub(super) fn add(&mut self, reason: Reason, determining: Determining, credential: Option<&Arc<Verified>>) {
        if self.worst.as_ref().is_none_or(|(worst, _, _)| reason < *worst) {
            self.worst = Some((reason, determining, credential.cloned()));
        }
    }

    /// Whether something speaks against the request.
    pub(super) fn denies(&self) -> bool {
        self.worst.is_some()
    }

    /// The strictest finding.
    pub(super) fn into_worst(self) -> Option<(Reason, Determining, Option<Arc<Verified>>)> {
        self.worst
    }
}
