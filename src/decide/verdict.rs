//! The strictest finding so far, what determined it, and the steps that led there.

use std::sync::Arc;

use crate::domain::decision::Determining;
use crate::domain::decision::steps::{CredentialStep, RevocationStep, SourceStep, Steps};
use crate::domain::detail::Detail;
use crate::domain::id::ExemptionId;
use crate::domain::reason::Reason;

/// One finding.
#[derive(Debug)]
pub(super) struct Worst {
    pub(super) reason: Reason,
    pub(super) determining: Determining,
    /// The index of the credential it is about.
    pub(super) credential: Option<usize>,
    /// The detail, if it came with the credential.
    pub(super) detail: Option<Arc<Detail>>,
}

/// Collects findings: the strictest reason wins, and among equals the first.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    worst: Option<Worst>,
    /// The caller has departed, is exempted or is under a cut-off.
    pub(super) notable: bool,
    /// A break-glass event without which this would be a denial.
    pub(super) exempted: Option<ExemptionId>,
    /// What each step found.
    pub(super) steps: Steps,
}

impl Verdict {
    /// A verdict before the first finding.
    pub(super) fn new(steps: Steps) -> Self {
        Self { steps, ..Self::default() }
    }

    /// Adds a finding about the request, or about the credential with this index.
    pub(super) fn add(&mut self, reason: Reason, determining: Determining, credential: Option<usize>) {
        self.set_if_stricter(reason, determining, credential, None);
    }

    /// Adds a problem of a verified credential itself.
    pub(super) fn add_flaw(&mut self, reason: Reason, credential: usize, detail: Option<&Arc<Detail>>) {
        if let Some(step) = self.credential(credential) {
            step.finding = Some(step.finding.map_or(reason, |found| found.min(reason)));
        }
        self.set_if_stricter(reason, Determining::None, Some(credential), detail);
    }

    /// Adds why a credential was not verified. Nothing that it claims is looked up, so the finding names no credential.
    pub(super) fn add_rejection(&mut self, reason: Reason, detail: Option<&Arc<Detail>>) {
        self.set_if_stricter(reason, Determining::None, None, detail);
    }

    /// Adds a revocation that applies to a credential, unless an exemption lifts it.
    pub(super) fn add_revocation(&mut self, found: RevocationStep, credential: usize) {
        match found.exemption {
            Some(exemption) => self.exempted = Some(exemption),
            None => self.add(found.reason, found.revocation.clone(), Some(credential)),
        }
        if let Some(step) = self.credential(credential)
            && step.revocation.as_ref().is_none_or(|before| found.precedence() < before.precedence())
        {
            step.revocation = Some(found);
        }
    }

    /// Notes how fresh a source was, once per source.
    pub(super) fn note_source(&mut self, step: SourceStep) {
        if self.steps.sources.iter().all(|noted| noted.source != step.source) {
            self.steps.sources.push(step);
        }
    }

    fn credential(&mut self, index: usize) -> Option<&mut CredentialStep> {
        self.steps.credentials.get_mut(index)
    }

    fn set_if_stricter(
        &mut self,
        reason: Reason,
        determining: Determining,
        credential: Option<usize>,
        detail: Option<&Arc<Detail>>,
    ) {
        if self.worst.as_ref().is_none_or(|worst| reason < worst.reason) {
            self.worst = Some(Worst { reason, determining, credential, detail: detail.cloned() });
        }
    }

    /// Whether any finding denies the request.
    pub(super) fn denies(&self) -> bool {
        self.worst.is_some()
    }

    /// The strictest finding, and the steps.
    pub(super) fn into_parts(self) -> (Option<Worst>, Steps) {
        (self.worst, self.steps)
    }
}
