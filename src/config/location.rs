//! Where something stands in the configuration.

use std::fmt;
use std::sync::Arc;

/// A place in a file, or a variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLocation {
    /// Name of the file, or `environment NAME`.
    pub file: Arc<str>,
    /// Line from 1; 0 where there are no lines.
    pub line: u64,
    /// Column from 1, in characters; 0 where there are no columns.
    pub column: u64,
}

impl SourceLocation {
    /// A whole file, or a variable of the environment.
    #[must_use]
    pub fn whole(file: &Arc<str>) -> Self {
        Self { file: Arc::clone(file), line: 0, column: 0 }
    }

    /// Whether it is a variable of the environment.
    #[must_use]
    pub fn is_environment(&self) -> bool {
        self.line == 0 && self.file.starts_with("environment ")
    }
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}
