//! Folding: many spellings, one text.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

/// A value as a rule spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded<'a> {
    /// The same for all values that are equal by the rule.
    pub text: Cow<'a, str>,
    /// The text, and where folding turned another character into ASCII; `None` if nowhere.
    strict: Option<String>,
}

impl<'a> Folded<'a> {
    /// The value itself.
    pub(super) fn exact(value: &'a str) -> Self {
        Self { text: Cow::Borrowed(value), strict: None }
    }

    /// Folds a value by an idempotent rule.
    pub(super) fn by(value: &'a str, fold: impl Fn(&str) -> String) -> Self {
        Self::of(value, value, fold)
    }

    /// The same, for a value that is an escaped spelling of `plain`.
    pub(super) fn of(value: &'a str, plain: &str, fold: impl Fn(&str) -> String) -> Self {
        let text = fold(value);
        let strict = marks(plain, &fold).map(|marks| format!("{text}\0{marks}"));
        let text = if text == value { Cow::Borrowed(value) } else { Cow::Owned(text) };
        Self { text, strict }
    }

    /// The same for all values that are equal by the rule and whose match may grant access.
    #[must_use]
    pub fn strict(&self) -> &str {
        self.strict.as_deref().unwrap_or(&self.text)
    }
}

/// Each non-ASCII character that folding turns into ASCII letters, digits or signs, with its place in the folded text.
fn marks(value: &str, fold: &impl Fn(&str) -> String) -> Option<String> {
    if value.is_ascii() {
        return None;
    }
    let has_ascii = |text: &str| text.bytes().any(|byte| byte.is_ascii_graphic());
    let mut marks = String::new();
    for (at, c) in value.char_indices().filter(|(_, c)| !c.is_ascii()) {
        if !has_ascii(&fold(c.encode_utf8(&mut [0; 4]))) {
            continue;
        }
        let before = value.get(..at).map(fold).unwrap_or_default();
        let place = before.chars().filter(|c| *c != ' ').count();
        let lower: String = c.to_lowercase().collect();
        let mark = if has_ascii(&lower) { c.to_string() } else { lower };
        marks.push_str(&format!("{place}{mark} "));
    }
    (!marks.is_empty()).then_some(marks)
}

/// NFC and lower case, independent of locale.
pub(super) fn lower_case(value: &str) -> String {
    if value.is_ascii() {
        return value.to_ascii_lowercase();
    }
    let lower: String = value.nfc().collect::<String>().to_lowercase();
    lower.nfc().collect()
}
