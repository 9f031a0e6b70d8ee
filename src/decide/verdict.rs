//! The strictest finding so far, and what determined it.

use std::sync::Arc;

use crate::domain::credential::Verified;
use crate::domain::decision::Determining;
use crate::domain::detail::Detail;
use crate::domain::id::ExemptionId;
use crate::domain::reason::Reason;

/// One finding.
#[derive(Debug)]
pub(super) struct Worst {
    pub(super) reason: Reason,
    pub(super) determining: Determining,
    pub(super) credential: Option<Arc<Verified>>,
    /// In words, where they came with the credential.
    pub(super) detail: Option<Arc<Detail>>,
}

/// Collects findings; the one that comes first in the order of reasons wins, and among equals the first.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    worst: Option<Worst>,
    /// The caller is departed, exempted or under a cut-off.
    pub(super) notable: bool,
    /// A break-glass event without which this would be a denial.
    pub(super) exempted: Option<ExemptionId>,
}

impl Verdict {
    /// Notes a finding.
    pub(super) fn add(&mut self, reason: Reason, determining: Determining, credential: Option<&Arc<Verified>>) {
        self.note(reason, determining, credential, None);
    }

    /// Notes what is wrong with a credential itself, and the words that came with it.
    pub(super) fn add_told(
        &mut self,
        reason: Reason,
        credential: Option<&Arc<Verified>>,
        detail: Option<&Arc<Detail>>,
    ) {
        self.note(reason, Determining::None, credential, detail);
    }

    fn note(
        &mut self,
        reason: Reason,
        determining: Determining,
        credential: Option<&Arc<Verified>>,
        detail: Option<&Arc<Detail>>,
    ) {
        if self.worst.as_ref().is_none_or(|worst| reason < worst.reason) {
            self.worst = Some(Worst { reason, determining, credential: credential.cloned(), detail: detail.cloned() });
        }
    }

    /// Whether something speaks against the request.
    pub(super) fn denies(&self) -> bool {
        self.worst.is_some()
    }

    /// The strictest finding.
    pub(super) fn into_worst(self) -> Option<Worst> {
        self.worst
    }
}
