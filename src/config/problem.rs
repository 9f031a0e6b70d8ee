//! What is wrong with a configuration, and what is merely dangerous.

use std::fmt;

use super::location::SourceLocation;

/// One thing that is wrong, or dangerous: `file:line: key: what`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub location: SourceLocation,
    /// The key, from the root: `issuers[0].audiences`. Empty where the whole file is meant.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A variable of the environment names its key itself.
        if self.key.is_empty() || self.location.is_environment() {
            write!(f, "{}: {}", self.location, self.what)
        } else {
            write!(f, "{}: {}: {}", self.location, self.key, self.what)
        }
    }
}

/// Everything that is wrong with a configuration, in order of file and line; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub Vec<Problem>);

impl Invalid {
    /// Puts the problems in order.
    #[must_use]
    pub fn sorted(mut problems: Vec<Problem>) -> Self {
        sort(&mut problems);
        Self(problems)
    }
}

/// Orders by file and line; what stands on one line stays as found.
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

/// A value as it may be shown: on one line and not too long.
#[must_use]
pub fn quoted(value: &str) -> String {
    const SHOWN: usize = 60;
    let mut text: String = value.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if value.chars().nth(SHOWN).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}
