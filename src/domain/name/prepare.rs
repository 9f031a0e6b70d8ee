//! Preparation of strings that LDAP compares ignoring case (RFC 4518 section 2).

use stringprep::tables;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The prepared form of a value; `None` if it contains a prohibited character.
///
/// Insignificant spaces are removed. Section 2.6.1 puts a fixed number in their place, which has the same effect.
pub(super) fn prepared(value: &str) -> Option<String> {
    if value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(value.to_ascii_lowercase());
    }
    let mapped = value.chars().filter_map(mapped).flat_map(tables::case_fold_for_nfkc);
    let text: String = mapped.nfkc().collect();
    if text.chars().any(is_prohibited) {
        return None;
    }
    Some(spaced(&text))
}

/// Section 2.2: maps some characters to a space, and others to nothing.
fn mapped(c: char) -> Option<char> {
    match c {
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' => Some(' '),
        '\u{ad}' | '\u{34f}' | '\u{1806}' | '\u{180b}'..='\u{180e}' | '\u{fe00}'..='\u{fe0f}' | '\u{fffc}' => None,
        '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => None,
        '\u{6dd}' | '\u{70f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => None,
        '\u{2060}'..='\u{2063}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => None,
        '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}' => None,
        '\u{a0}'
        | '\u{1680}'
        | '\u{2000}'..='\u{200a}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{202f}'
        | '\u{205f}'
        | '\u{3000}' => Some(' '),
        other => Some(other),
    }
}

/// Section 2.4: whether a character is prohibited.
fn is_prohibited(c: char) -> bool {
    tables::unassigned_code_point(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::change_display_properties_or_deprecated(c)
        || c == char::REPLACEMENT_CHARACTER
}

/// Removes spaces at both ends and reduces runs to one. A space that bears a combining mark does not count as a space.
fn spaced(text: &str) -> String {
    let mut found = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut waiting = false;
    while let Some(c) = chars.next() {
        if c == ' ' && !chars.peek().copied().is_some_and(is_combining_mark) {
            waiting = !found.is_empty();
            continue;
        }
        if std::mem::take(&mut waiting) {
            found.push(' ');
        }
        found.push(c);
    }
    // A value of nothing but spaces becomes one space, not an empty text.
    if found.is_empty() && !text.is_empty() {
        found.push(' ');
    }
    found
}
