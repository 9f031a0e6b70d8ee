//! The claim, limit or key behind a reason, in words.

use std::borrow::Cow;
use std::fmt;

/// How much of a caller's text is shown, in characters.
const MAX_FOUND: usize = 200;

/// Why, in two parts that never mix. The words quote only configured things and may go to logs and audit records
/// (law 10). What the credential contained is for `explain` alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Detail {
    words: Cow<'static, str>,
    found: Option<Box<str>>,
}

/// A text of a caller, truncated, and with everything escaped that a terminal or reader could misread.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for (index, sign) in text.chars().enumerate() {
        if index == MAX_FOUND {
            shown.push('…');
            break;
        }
        // Quotes and backslashes are harmless.
        match sign {
            '"' | '\'' | '\\' => shown.push(sign),
            _ => shown.extend(sign.escape_debug()),
        }
    }
    shown
}

impl Detail {
    /// A detail whose words quote only configured things and standard names, nothing that a caller sent.
    #[must_use]
    pub fn new(words: impl Into<Cow<'static, str>>) -> Self {
        Self { words: words.into(), found: None }
    }

    /// Adds what the credential contained. It is truncated and escaped here, because its author chose it.
    #[must_use]
    pub fn found(self, what: &str) -> Self {
        Self { found: Some(escaped(what).into()), ..self }
    }

    /// The words, without what the credential contained.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// Everything, for `explain`; what the credential contained is marked as claimed.
    #[must_use]
    pub fn full(&self) -> String {
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
    fn what_was_found_is_shown_escaped_and_truncated_and_stays_out_of_the_words() {
        let detail = Detail::new("claim `sid` is not a string").found("{\"a\":\"\u{1b}[31m\u{202e}\n\"}");
        assert_eq!(detail.words(), "claim `sid` is not a string");
        assert_eq!(detail.full(), r#"claim `sid` is not a string (claimed: {"a":"\u{1b}[31m\u{202e}\n"})"#);
        assert!(!format!("{detail:?}").contains("31m"));
        let long = Detail::new("x").found(&"é".repeat(5000)).full();
        assert!(long.chars().count() < 250 && long.contains('…'), "{long}");
    }
}
