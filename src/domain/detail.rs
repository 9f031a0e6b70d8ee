//! What decided, in words: the claim, limit or key behind a reason.

use std::borrow::Cow;
use std::fmt;

/// Characters that are shown of what a caller sent.
const MOST_FOUND: usize = 200;

/// Why, in two parts that never mix: words that quote what is configured and nothing else, fit for logs and audit records
/// (law 10), and what stood in the credential, for `explain` alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Detail {
    words: Cow<'static, str>,
    found: Option<Box<str>>,
}

impl Detail {
    /// Words that quote what is configured, or names that standards gave, and nothing that a caller sent.
    #[must_use]
    pub fn new(words: impl Into<Cow<'static, str>>) -> Self {
        Self { words: words.into(), found: None }
    }

    /// And what the credential said, bounded and escaped here: whoever made it chose it.
    #[must_use]
    pub fn found(self, what: &str) -> Self {
        let mut found = String::new();
        for (index, sign) in what.chars().enumerate() {
            if index == MOST_FOUND {
                found.push('…');
                break;
            }
            // Quotes and backslashes are plain; everything that a terminal or a reader may take for something else is not.
            match sign {
                '"' | '\'' | '\\' => found.push(sign),
                _ => found.extend(sign.escape_debug()),
            }
        }
        Self { found: Some(found.into()), ..self }
    }

    /// The words, without what was found.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// Everything, for `explain`; what was found is marked as claimed.
    #[must_use]
    pub fn told(&self) -> String {
        match &self.found {
            None => self.words.clone().into_owned(),
            Some(found) => format!("{} (claimed: {found})", self.words),
        }
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Detail").field(&self.words).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_told_escaped_and_bounded_and_stays_out_of_the_words() {
        let detail = Detail::new("claim `sid` is no text").found("{\"a\":\"\u{1b}[31m\u{202e}\n\"}");
        assert_eq!(detail.words(), "claim `sid` is no text");
        assert_eq!(detail.told(), r#"claim `sid` is no text (claimed: {"a":"\u{1b}[31m\u{202e}\n"})"#);
        assert!(!format!("{detail:?}").contains("31m"));
        let long = Detail::new("x").found(&"é".repeat(5000)).told();
        assert!(long.chars().count() < 250 && long.contains('…'), "{long}");
    }
}
