//! The findings of `offboard source check`, in the order of the tests.

use super::directory::{Finding, Grade};
use super::error::{SourceError, chain};

/// The findings so far.
#[derive(Debug, Default)]
pub struct CheckReport(Vec<Finding>);

impl CheckReport {
    /// A report that starts with these findings.
    #[must_use]
    pub fn new(findings: Vec<Finding>) -> Self {
        Self(findings)
    }

    /// Adds: this is as it should be.
    pub fn good(&mut self, what: &'static str, text: impl Into<String>) {
        self.say(Grade::Good, what, text);
    }

    /// Adds: something will be slower or missing.
    pub fn warn(&mut self, what: &'static str, text: impl Into<String>) {
        self.say(Grade::Warning, what, text);
    }

    /// Adds: something will not work.
    pub fn bad(&mut self, what: &'static str, text: impl Into<String>) {
        self.say(Grade::Bad, what, text);
    }

    /// Adds: something will not work because of this error.
    pub fn failed(&mut self, what: &'static str, error: &SourceError) {
        self.bad(what, chain(error));
    }

    /// Adds a finding of this grade.
    pub fn say(&mut self, grade: Grade, what: &'static str, text: impl Into<String>) {
        self.0.push(Finding { grade, what, text: text.into() });
    }

    /// All findings.
    #[must_use]
    pub fn findings(self) -> Vec<Finding> {
        self.0
    }
}
