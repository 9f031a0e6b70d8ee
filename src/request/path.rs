//! A request's path, in every form that whoever stands behind the proxy may take it for.
//!
//! Proxies and services disagree on `%2F`, `//`, `..`, `\` and `;`, and each such difference has been a way
//! past somebody's rules. So no form is picked: all readings are computed, and `decide` asks the rules of each
//! (all allow → allow, all deny → deny, mixed → `ambiguous_path`).
//!
//! Spelling is no difference: a path has one spelling (RFC 3986 section 6.2.2, [`spelling`]), in which only escapes of
//! structure stay: of `/`, `\`, `;`, `?`, `#` and of dots. A percent sign (`%25`) is one, unless decoding further would
//! ever yield structure: nobody decodes twice here, and who does behind the proxy must find nothing.
//!
//! A reading is any combination, in any order, of these:
//! - decoding once: dots (Envoy's `normalize_path`), `%2F` (its `path_with_escaped_slashes_action`), `%5C`, or the rest;
//! - `\` as `/`;
//! - parameters cut per segment: `/a;x=y/b` as `/a/b`, and so `/a/..;x/b` as `/a/../b`, then `/b`;
//! - slashes merged;
//! - dot segments collapsed (RFC 3986 section 5.2.4); where the last one is a dot segment, with and without a
//!   slash in its place, because cleaners differ there;
//! - what follows a decoded `?` or `#` cut, as somebody does who decodes before splitting (CVE-2024-38474);
//! - the first segment after `//` taken for an authority (CVE-2026-26205).
//!
//! What takes no part: case, and a trailing slash. `/v1/orders/` is not `/v1/orders`; a service that takes them
//! for the same needs both in its permissions. Trimming it as one more reading would make every rule that ends
//! in a slash ambiguous and guards nothing: rules only ever allow, and whoever allows `/a/` on a service that
//! cannot tell it from `/a` has allowed both.

use crate::domain::path::spelling;

/// A request's path, without query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// Its forms in the one spelling, without doubles, the one as it was sent first. Each begins with `/`, but for the
    /// one form `*` of `OPTIONS *` and the one empty form of what has no path (`CONNECT`, TCP): neither matches any
    /// pattern, and a rule that names no path holds for both.
    Forms(Vec<String>),
    /// No form of it can be trusted; why.
    Odd(&'static str),
}

impl Default for Path {
    fn default() -> Self {
        Self::Forms(Vec::new())
    }
}

/// Longest path, without query, that is looked into. nginx and Apache take about as much of a request line.
const LONGEST: usize = 8 * 1024;

/// A path that can be taken for more than this is nobody's honest path; bounds the work it can cause.
const MOST_FORMS: usize = 32;

impl Path {
    /// The path of what has none.
    #[must_use]
    pub fn none() -> Self {
        Self::Forms(vec![String::new()])
    }

    /// Reads a request target, query included, as the method takes it.
    #[must_use]
    pub fn read(method: &str, target: &str) -> Self {
        match (method, target) {
            ("CONNECT", "") => return Self::none(),
            (_, "") => return Self::Odd("no path"),
            ("OPTIONS", "*") => return Self::Forms(vec!["*".to_owned()]),
            _ => {}
        }
        if target.contains('#') {
            return Self::Odd("raw fragment");
        }
        // The only split there is: a URL parser takes `//admin/x` for a host and drops it.
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        if !path.starts_with('/') {
            return Self::Odd("not in origin form");
        }
        if path.len() > LONGEST {
            return Self::Odd("path is too long");
        }
        if path.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Self::Odd("raw control character");
        }
        if is_plain(path) {
            return Self::Forms(vec![path.to_owned()]);
        }
        match spelling::examine(path) {
            Ok(()) => all_forms(&spelling::spell(path)),
            Err(why) => Self::Odd(why),
        }
    }
}

/// Whether there is only one way to read it, and it is spelt as it should be.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    path.bytes().all(|byte| {
        let plain = match byte {
            b'/' => before != b'/',
            b'.' => before != b'/',
            other => spelling::is_bare(other),
        };
        before = byte;
        plain
    })
}

/// Everything that readings of readings lead to.
fn all_forms(path: &str) -> Path {
    let mut forms = vec![path.to_owned()];
    let mut next = 0;
    while let Some(form) = forms.get(next).cloned() {
        for reading in readings(&form) {
            if forms.contains(&reading) {
                continue;
            }
            if forms.len() == MOST_FORMS {
                return Path::Odd("too many readings");
            }
            forms.push(reading);
        }
        next += 1;
    }
    // Escaped dots were kept apart for whoever collapses only bare ones; to the rules they are dots.
    let mut distinct = Vec::with_capacity(forms.len());
    for form in forms.into_iter().map(spelling::with_dots) {
        if !distinct.contains(&form) {
            distinct.push(form);
        }
    }
    Path::Forms(distinct)
}

/// What one step of somebody's normalising makes of a form; the form itself where it changes nothing.
fn readings(form: &str) -> impl Iterator<Item = String> + '_ {
    type Step = fn(&str) -> Option<String>;
    const STEPS: [Step; 11] = [
        |form| spelling::decode(form, |byte| byte == b'.'),
        |form| spelling::decode(form, |byte| byte == b'/'),
        |form| spelling::decode(form, |byte| byte == b'\\'),
        |form| spelling::decode(form, |byte| matches!(byte, b';' | b'?' | b'#')),
        |form| form.contains('\\').then(|| form.replace('\\', "/")),
        without_parameters,
        merge_slashes,
        |form| collapse(form, "/"),
        |form| collapse(form, ""),
        |form| form.split_once(['?', '#']).map(|(path, _)| path.to_owned()),
        without_authority,
    ];
    STEPS.into_iter().filter_map(move |step| step(form))
}

/// `/a;x=y/b` → `/a/b`
fn without_parameters(form: &str) -> Option<String> {
    let name = |segment| str::split_once(segment, ';').map_or(segment, |(name, _)| name);
    form.contains(';').then(|| form.split('/').map(name).collect::<Vec<_>>().join("/"))
}

/// `/a//b` → `/a/b`
fn merge_slashes(form: &str) -> Option<String> {
    let mut merged = String::with_capacity(form.len());
    for character in form.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    (merged.len() < form.len()).then_some(merged)
}

/// `/a/./b/../c` → `/a/c`; a dot segment at the end leaves `end`. Empty segments count as segments, as in RFC
/// 3986; who merges slashes first is another reading.
fn collapse(form: &str, end: &str) -> Option<String> {
    let mut segments = form.strip_prefix('/')?.split('/').peekable();
    let mut kept: Vec<&str> = Vec::new();
    let mut changed = false;
    let mut collapsed_end = "";
    while let Some(segment) = segments.next() {
        if segment != "." && segment != ".." {
            kept.push(segment);
            continue;
        }
        changed = true;
        if segment == ".." {
            kept.pop();
        }
        if segments.peek().is_none() {
            collapsed_end = end;
        }
    }
    let collapsed = format!("/{}{}", kept.join("/"), if kept.is_empty() { "" } else { collapsed_end });
    changed.then_some(collapsed)
}

/// `//admin/x` → `/x`
fn without_authority(form: &str) -> Option<String> {
    let rest = form.strip_prefix("//")?;
    Some(rest.split_once('/').map_or_else(|| "/".to_owned(), |(_, path)| format!("/{path}")))
}

#[cfg(test)]
mod tests;
