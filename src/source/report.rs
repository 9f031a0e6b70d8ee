//! What `offboard source check` found, in the order in which it was tried.

use super::directory::{Finding, Grade};
use super::error::{SourceError, chain};

/// The findings so far.
#[derive(Debug, Default)]
pub struct CheckReport(Vec<Finding>);

impl CheckReport {
    /// A report that begins with these findings.
    #[must_use]
    pub fn new(findings: Vec<Finding>) -> Self {
        Self(findings)
    }

    /// Something is as it should be.
    pub fn good(&mut self, what: &'static str, text: impl Into<String>) {
        self.say(Grade::Good, what, text);
    }

    /// Something will be slower or missing.
    pub fn warn(&mut self, what: &'static str, text: impl Into<String>) {
        self.say(Grade::Warning, what, text);
    }

    /// Something will not work.
    pub fn bad(&mut self, what: &'static str, text: impl Into<String>) {
        self.say(Grade::Bad, what, text);
    }

    /// Something will not work, for this reason.
    pub fn failed(&mut self, what: &'static str, error: &SourceError) {
        self.bad(what, chain(error));
    }

    /// Something is of this grade.
    pub fn say(&mut self, grade: Grade, what: &'static str, text: impl Into<String>) {
        self.0.push(Finding { grade, what, text: text.into() });
    }

    /// All findings.
    #[must_use]
    pub fn findings(self) -> Vec<Finding> {
        self.0
    }
}
