//! Path patterns of permissions: `*` is one segment, `**` any number of them.

use std::fmt;

/// A path pattern, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// This very segment.
    Literal(String),
    /// `*`
    One,
    /// `**`
    Any,
}

/// A text that is no path pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not begin with `/`.
    #[error("path pattern `{0}` must begin with `/`")]
    NotRooted(String),
    /// A star stands inside a segment.
    #[error("path pattern `{0}`: `*` and `**` stand for whole segments only")]
    PartialStar(String),
    /// It has a query or a fragment.
    #[error("path pattern `{0}`: query and fragment take no part in matching")]
    Query(String),
}

impl PathPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// [`PatternError`] says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let rest = text.strip_prefix('/').ok_or_else(|| PatternError::NotRooted(text.to_owned()))?;
        if text.contains(['?', '#']) {
            return Err(PatternError::Query(text.to_owned()));
        }
        let parts = rest
            .split('/')
            .map(|segment| match segment {
                "*" => Ok(Part::One),
                "**" => Ok(Part::Any),
                literal if literal.contains('*') => Err(PatternError::PartialStar(text.to_owned())),
                literal => Ok(Part::Literal(literal.to_owned())),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), parts })
    }

    /// Whether `path` (without query) matches: time linear in the path for each `**`.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix('/') else { return false };
        let mut segments = rest.split('/');
        let mut parts = self.parts.iter();
        // Where to try again when a literal after the last `**` did not match: one segment further on.
        let mut retry: Option<(std::slice::Iter<'_, Part>, std::str::Split<'_, char>)> = None;
        loop {
            let before = segments.clone();
            match (parts.next(), segments.next()) {
                (None, None) => return true,
                (Some(Part::Any), _) => {
                    segments = before;
                    retry = Some((parts.clone(), segments.clone()));
                    continue;
                }
                (Some(Part::One), Some(segment)) if !segment.is_empty() => continue,
                (Some(Part::Literal(literal)), Some(segment)) if literal == segment => continue,
                _ => {}
            }
            let Some((part, segment)) = &mut retry else { return false };
            if segment.next().is_none() {
                return false;
            }
            parts = part.clone();
            segments = segment.clone();
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn stars_stand_for_segments() {
        assert!(matches("/v1/orders", "/v1/orders"));
        assert!(!matches("/v1/orders", "/v1/orders/"));
        assert!(!matches("/v1/orders", "/v1/Orders"));
        assert!(matches("/v1/*/items", "/v1/7/items"));
        assert!(!matches("/v1/*/items", "/v1/7/8/items"));
        assert!(!matches("/v1/*", "/v1/"), "an empty segment is no segment");
        assert!(matches("/v1/**", "/v1/"));
        assert!(matches("/v1/**", "/v1"), "any number is also none");
        assert!(matches("/v1/**", "/v1/a/b/c"));
        assert!(!matches("/v1/**", "/v10/a"));
        assert!(matches("/**", "/"));
        assert!(matches("/**/items", "/a/b/items"));
        assert!(matches("/**/items", "/items"));
        assert!(matches("/**/a/**/b", "/x/a/a/y/b"));
        assert!(!matches("/**/a/**/b", "/x/b/a"));
        assert!(matches("/pkg.Service/Method", "/pkg.Service/Method"));
        assert!(!matches("/pkg.Service/Method", "pkg.Service/Method"), "never without its leading slash");
    }

    #[test]
    fn odd_patterns_are_refused() {
        assert!(matches!(PathPattern::parse("v1"), Err(PatternError::NotRooted(_))));
        assert!(matches!(PathPattern::parse("/v1/a*"), Err(PatternError::PartialStar(_))));
        assert!(matches!(PathPattern::parse("/v1?a"), Err(PatternError::Query(_))));
    }
}
