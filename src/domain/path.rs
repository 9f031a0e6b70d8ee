//! Path patterns of permissions: `*` is one segment, `**` any number of them.
//!
//! A pattern is split and its stars are read first, then each segment is normalized like paths ([`spelling`]): `%2A` is the
//! character, not a star.

pub mod foreign;
pub(crate) mod spelling;

use std::fmt;

/// A parsed path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Exactly this segment, in the normal spelling.
    Literal(String),
    /// `*`
    One,
    /// `**`
    Any,
}

/// Why a text is not a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not begin with `/`.
    #[error("path pattern `{0}` must begin with `/`")]
    NotRooted(String),
    /// A star is part of a segment.
    #[error("path pattern `{0}`: `*` and `**` match whole segments only")]
    PartialStar(String),
    /// It has a query or a fragment.
    #[error("path pattern `{0}`: query and fragment are not matched")]
    Query(String),
    /// It has an escape that is not allowed in paths.
    #[error("path pattern `{0}`: {1}: such a path is never evaluated; write a percent sign as `%25`")]
    Escape(String, &'static str),
    /// It has an encoded slash or other structure.
    #[error(
        "path pattern `{0}`: an encoded `/`, `\\`, `;`, `?`, `#` or dot segment can be read in several ways, so no \
         pattern may contain one; `*` matches any segment"
    )]
    EncodedStructure(String),
}

impl PathPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// [`PatternError`] names the broken rule.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let rest = text.strip_prefix('/').ok_or_else(|| PatternError::NotRooted(text.to_owned()))?;
        if text.contains(['?', '#']) {
            return Err(PatternError::Query(text.to_owned()));
        }
        spelling::examine(text).map_err(|why| PatternError::Escape(text.to_owned(), why))?;
        let parts = rest
            .split('/')
            .map(|segment| match segment {
                "*" => Ok(Part::One),
                "**" => Ok(Part::Any),
                literal if literal.contains('*') => Err(PatternError::PartialStar(text.to_owned())),
                literal => Self::literal(literal).ok_or_else(|| PatternError::EncodedStructure(text.to_owned())),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), parts })
    }

    /// A segment in the normal spelling, unless it encodes structure.
    fn literal(segment: &str) -> Option<Part> {
        let spelt = spelling::spell(segment);
        let has_escaped_dots = spelt.contains("%2E");
        let literal = spelling::with_dots(spelt);
        let encodes = spelling::has_escaped_structure(&literal)
            || has_escaped_dots && literal.split([';', '\\']).any(|name| matches!(name, "." | ".."));
        (!encodes).then_some(Part::Literal(literal))
    }

    /// Whether `path` (without query, in the normal spelling) matches. Takes time linear in the path for each `**`.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix('/') else { return false };
        let mut segments = rest.split('/');
        let mut parts = self.parts.iter();
        // Where to retry if a literal after the last `**` does not match: one segment further on.
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
        for text in ["/100%", "/a%g1", "/a%00", "/a%ff", "/a%252fb", "/a%25%32%65"] {
            assert!(matches!(PathPattern::parse(text), Err(PatternError::Escape(..))), "{text}");
        }
        for text in ["/a%2fb", "/%5C", "/a%3bb", "/a%3Fb", "/a%23", "/%2e", "/.%2E/b", "/%2e%2e;x"] {
            assert!(matches!(PathPattern::parse(text), Err(PatternError::EncodedStructure(_))), "{text}");
        }
    }

    #[test]
    fn stars_are_read_before_escapes() {
        assert!(matches("/v1/%2A", "/v1/*") && matches("/v1/%2a%2A", "/v1/**") && matches("/v1/a%2a", "/v1/a*"));
        assert!(!matches("/v1/%2A", "/v1/7") && !matches("/v1/%2A%2A", "/v1/7/8"));
    }

    #[test]
    fn a_pattern_has_one_spelling() {
        for text in ["/v1/[x]/\u{f6} y", "/v1/%5Bx%5d/%c3%B6%20y", "/%76%31/%5bx]/\u{f6}%20y"] {
            assert!(matches(text, "/v1/%5Bx%5D/%C3%B6%20y"), "{text}");
        }
        assert!(matches("/a%2eb", "/a.b"));
        assert!(matches("/50%25", "/50%25") && !matches("/50%2541", "/50A"));
        assert!(!matches("/v1/\u{d6}", "/v1/%C3%B6"), "case takes no part");
    }
}
