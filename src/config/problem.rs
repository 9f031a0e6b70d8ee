//! Errors and warnings of a configuration.

use std::fmt;

use super::location::SourceLocation;

/// One error or warning: `file:line: key: what`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its location.
    pub location: SourceLocation,
    /// The key, from the root: `issuers[0].audiences`. Empty if the whole file is meant.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name of an environment variable already names the key.
        if self.key.is_empty() || self.location.is_environment() {
            write!(f, "{}: {}", self.location, self.what)
        } else {
            write!(f, "{}: {}: {}", self.location, self.key, self.what)
        }
    }
}

/// All errors of a configuration, ordered by file and line; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub Vec<Problem>);

impl Invalid {
    /// Sorts the errors.
    #[must_use]
    pub fn sorted(mut problems: Vec<Problem>) -> Self {
        sort(&mut problems);
        Self(problems)
    }
}

/// Sorts by file and line; stable within a line.
pub fn sort(problems: &mut Vec<Problem>) {
    problems.sort_by(|one, other| {
        (&*one.location.file, one.location.line).cmp(&(&*other.location.file, other.location.line))
    });
    problems.dedup();
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// A value fit for a message: on one line and not too long.
#[must_use]
pub fn quoted(value: &str) -> String {
    const SHOWN: usize = 60;
    let mut text: String = value.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if value.chars().nth(SHOWN).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}
