//! What some server may take a path for, written apart from the code above: whatever it does, and in whatever order,
//! it sees nothing that the rules judge otherwise.

use proptest::prelude::*;

use super::*;
use crate::domain::path::PathPattern;

/// A byte that stands in the path, or one that is escaped in it. What is decoded is never decoded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Bare(u8),
    Escaped(u8),
}
use Unit::{Bare, Escaped};

/// One thing that servers do.
#[derive(Clone, Copy, Debug)]
enum Habit {
    DecodeAll,
    DecodeUnreserved,
    DecodeSlashes,
    DecodeBackslashes,
    DecodeReserved,
    BackslashIsSlash,
    CutParameters,
    MergeSlashes,
    CollapseWithSlash,
    Collapse,
    CutQuery,
    CutAuthority,
}

const HABITS: [Habit; 12] = [
    Habit::DecodeAll,
    Habit::DecodeUnreserved,
    Habit::DecodeSlashes,
    Habit::DecodeBackslashes,
    Habit::DecodeReserved,
    Habit::BackslashIsSlash,
    Habit::CutParameters,
    Habit::MergeSlashes,
    Habit::CollapseWithSlash,
    Habit::Collapse,
    Habit::CutQuery,
    Habit::CutAuthority,
];

fn units(text: &str) -> Vec<Unit> {
    let bytes = text.as_bytes();
    let (mut units, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => units.push(Escaped(byte)),
            None => units.push(Bare(bytes[at])),
        }
        at += if matches!(units.last(), Some(Escaped(_))) { 3 } else { 1 };
    }
    units
}

fn decoded(seen: &[Unit], wanted: impl Fn(u8) -> bool) -> Vec<Unit> {
    let decode = |unit: &Unit| match *unit {
        Escaped(byte) if wanted(byte) => Bare(byte),
        other => other,
    };
    seen.iter().map(decode).collect()
}

fn segments(seen: &[Unit]) -> Vec<Vec<Unit>> {
    seen[1..].split(|unit| *unit == Bare(b'/')).map(<[Unit]>::to_vec).collect()
}

fn joined(segments: &[Vec<Unit>]) -> Vec<Unit> {
    segments.iter().flat_map(|segment| std::iter::once(Bare(b'/')).chain(segment.iter().copied())).collect()
}

fn collapsed(seen: &[Unit], trailing_slash: bool) -> Vec<Unit> {
    let all = segments(seen);
    let mut kept: Vec<Vec<Unit>> = Vec::new();
    let last = all.len() - 1;
    for (at, segment) in all.into_iter().enumerate() {
        let dots = segment.iter().all(|unit| *unit == Bare(b'.'));
        match segment.len() {
            1 if dots => {}
            2 if dots => drop(kept.pop()),
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if at == last && trailing_slash && !kept.is_empty() {
            kept.push(vec![]);
        }
    }
    if kept.is_empty() { vec![Bare(b'/')] } else { joined(&kept) }
}

/// What a server with this habit makes of what it sees.
fn practised(seen: &[Unit], habit: Habit) -> Vec<Unit> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match habit {
        Habit::DecodeAll => decoded(seen, |_| true),
        Habit::DecodeUnreserved => decoded(seen, unreserved),
        Habit::DecodeSlashes => decoded(seen, |byte| byte == b'/'),
        Habit::DecodeBackslashes => decoded(seen, |byte| byte == b'\\'),
        Habit::DecodeReserved => decoded(seen, |byte| !unreserved(byte) && byte != b'/' && byte != b'\\'),
        Habit::BackslashIsSlash => {
            seen.iter().map(|unit| if *unit == Bare(b'\\') { Bare(b'/') } else { *unit }).collect()
        }
        Habit::CutParameters => {
            let name = |segment: &Vec<Unit>| segment.iter().copied().take_while(|unit| *unit != Bare(b';')).collect();
            joined(&segments(seen).iter().map(name).collect::<Vec<_>>())
        }
        Habit::MergeSlashes => {
            let mut merged = seen.to_vec();
            merged.dedup_by(|next, before| *next == Bare(b'/') && *before == Bare(b'/'));
            merged
        }
        Habit::CollapseWithSlash => collapsed(seen, true),
        Habit::Collapse => collapsed(seen, false),
        Habit::CutQuery => seen.iter().copied().take_while(|unit| !matches!(unit, Bare(b'?' | b'#'))).collect(),
        Habit::CutAuthority if seen.starts_with(&[Bare(b'/'), Bare(b'/')]) => {
            let rest: Vec<Unit> = seen[2..].iter().copied().skip_while(|unit| *unit != Bare(b'/')).collect();
            if rest.is_empty() { vec![Bare(b'/')] } else { rest }
        }
        Habit::CutAuthority => seen.to_vec(),
    }
}

/// A segment in one spelling: what is escaped is what it stands for, except structure.
fn spelt(segment: &[Unit]) -> Vec<Unit> {
    decoded(segment, |byte| !b"/\\;?#".contains(&byte))
}

/// Whether a pattern, segment by segment, matches what a server sees.
fn matched(pattern: &[&str], seen: &[Vec<Unit>]) -> bool {
    match (pattern.split_first(), seen.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), None) => matched(rest, seen),
        (Some((&"**", rest)), Some((_, tail))) => matched(rest, seen) || matched(pattern, tail),
        (Some((&"*", rest)), Some((head, tail))) => !head.is_empty() && matched(rest, tail),
        (Some((literal, rest)), Some((head, tail))) => spelt(&units(literal)) == spelt(head) && matched(rest, tail),
        _ => false,
    }
}

fn permitted(rules: &[String], seen: &[Unit]) -> bool {
    let seen = segments(seen);
    rules.iter().any(|rule| matched(&rule.split('/').skip(1).collect::<Vec<_>>(), &seen))
}

fn any_path() -> impl Strategy<Value = String> {
    const PIECES: [&str; 40] = [
        "a", "b", "/a", "/b", "/", "//", ".", "..", "/../", "/..", "/./", "\\", ";", ";x", "%2e", "%2E", "/%2e%2e",
        "%2F", "%2f", "%5c", "%5C", "%3b", "%3B", "%3f", "%3F", "%23", "%25", "%2525", "%32", "%65", "25", "2f", "2e",
        "%20", "\u{f8}", "%c3%b8", "%C3%B8", "[", "%5b", "%2a",
    ];
    proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..9)
        .prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn any_rules() -> impl Strategy<Value = Vec<String>> {
    const SEGMENTS: [&str; 16] =
        ["a", "b", "*", "**", "**", "", "..", "a;x", "a\\b", "%61", "%20", "%C3%B8", "\u{f8}", "[", "%5B", "%2A"];
    let rule = proptest::collection::vec(proptest::sample::select(&SEGMENTS[..]), 1..4);
    proptest::collection::vec(rule.prop_map(|segments| format!("/{}", segments.join("/"))), 1..4)
}

/// Structure and control characters.
fn is_telling(byte: u8) -> bool {
    b"/\\;.?#".contains(&byte) || byte.is_ascii_control()
}

/// Everything decoded once, whatever comes of it.
fn decoded_once(text: &[u8]) -> Vec<u8> {
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.filter(|_| text[at] == b'%').map(|digits| std::str::from_utf8(digits).unwrap());
        decoded.push(digits.map_or(text[at], |digits| u8::from_str_radix(digits, 16).unwrap()));
        at += digits.map_or(1, |_| 3);
    }
    decoded
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_000))]

    /// The verdict is one for all forms only where it is that for every server.
    #[test]
    fn no_server_sees_what_the_rules_judge_otherwise(
        path in any_path(),
        rules in any_rules(),
        servers in proptest::collection::vec(proptest::collection::vec(proptest::sample::select(&HABITS[..]), 0..7), 12),
    ) {
        let Path::Forms(forms) = Path::read("GET", &path) else { return Ok(()) };
        let patterns: Vec<_> = rules.iter().map(|rule| PathPattern::parse(rule).unwrap()).collect();
        let mut verdicts: Vec<bool> =
            forms.iter().map(|form| patterns.iter().any(|pattern| pattern.matches(form))).collect();
        verdicts.dedup();
        let [verdict] = verdicts[..] else { return Ok(()) };
        for server in servers {
            let seen = server.iter().fold(units(&path), |seen, habit| practised(&seen, *habit));
            prop_assert_eq!(permitted(&rules, &seen), verdict, "{:?} {:?} {:?}", server, seen, forms);
        }
    }

    /// A percent sign is one, unless decoding further, however often, yields structure.
    #[test]
    fn what_hides_behind_a_percent_sign_is_refused(
        path in "/(a|%25|%2525|25|2|5|%32|%35|%65|e|%46|2f|%2e|%3b|%30|0|7|%20|/|\\.){0,9}",
    ) {
        let count = |text: &[u8]| text.iter().filter(|byte| is_telling(**byte)).count();
        let once = decoded_once(path.as_bytes());
        let mut last = once.clone();
        for _ in 0..path.len() {
            last = decoded_once(&last);
        }
        let honest = count(&once) == count(&last) && !once.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'));
        match Path::read("GET", &path) {
            Path::Odd(why) => prop_assert!(!honest || why == "too many readings", "{}", why),
            Path::Forms(_) => prop_assert!(honest, "{:?}", String::from_utf8_lossy(&last)),
        }
    }

    /// Without structure there is one path, however it is spelt, and a pattern is spelt as freely.
    #[test]
    fn every_spelling_of_a_path_is_that_path(
        text in "[a-z0-9 \\[\\]{}|^`\"<>~*:@!$&'()+,=%\u{e4}\u{f8}\u{1f600}_-]{1,8}",
        spelling in proptest::collection::vec(0..3_u8, 2 * 32),
    ) {
        let mut dice = spelling.into_iter();
        let mut spell = |text: &str, must: &str| -> String {
            let mut spelt = String::new();
            for character in text.chars() {
                let how = dice.next().unwrap_or(0);
                if how == 0 && !must.contains(character) {
                    spelt.push(character);
                    continue;
                }
                for byte in character.to_string().bytes() {
                    spelt += &if how == 1 { format!("%{byte:02x}") } else { format!("%{byte:02X}") };
                }
            }
            spelt
        };
        let path = format!("/v1/{}/page", spell(&text, "% "));
        let pattern = format!("/v1/{}/page", spell(&text, "%*"));
        let read = Path::read("GET", &path);
        // What looks like an escape of structure, once it is decoded, is no honest name.
        let hides = text.contains('%') && matches!(read, Path::Odd("double encoding"));
        if !hides {
            let Path::Forms(forms) = read else { panic!("{path}: {read:?}") };
            prop_assert_eq!(forms.len(), 1, "{}", path);
            let pattern = PathPattern::parse(&pattern).unwrap();
            prop_assert!(pattern.matches(&forms[0]), "{} {}", pattern, path);
            prop_assert!(!PathPattern::parse("/v1/other/page").unwrap().matches(&forms[0]));
        }
    }
}
