//! The path of a request, in every form in which an upstream may read it.
//!
//! Proxies and services disagree on `%2F`, `//`, `..`, `\` and `;`, and each difference has been used to bypass rules. So
//! no form is preferred: all readings are computed, and `decide` applies the rules to each (all allow → allow, all deny →
//! deny, mixed → `ambiguous_path`).
//!
//! Spelling makes no difference: a path has one normal spelling (RFC 3986 section 6.2.2, [`spelling`]), which keeps only
//! escapes of structure (`/`, `\`, `;`, `?`, `#`), of dots and of the percent sign (`%25`). A path is refused if decoding
//! it further could ever yield structure: we never decode twice, and an upstream that does must find nothing.
//!
//! A reading is any combination, in any order, of these:
//! - decoding once: dots (Envoy's `normalize_path`), `%2F` (its `path_with_escaped_slashes_action`), `%5C`, or the rest;
//! - `\` as `/`;
//! - parameters removed from each segment: `/a;x=y/b` as `/a/b`, and so `/a/..;x/b` as `/a/../b`, then `/b`;
//! - slashes merged;
//! - dot segments collapsed (RFC 3986 section 5.2.4); if the last one is a dot segment, with and without a
//!   slash in its place, because implementations differ;
//! - everything from a decoded `?` or `#` removed, as when decoding comes before splitting (CVE-2024-38474);
//! - the first segment after `//` read as an authority (CVE-2026-26205).
//!
//! Case and a trailing slash are not normalized. `/v1/orders/` is not `/v1/orders`; a service that treats them alike needs
//! both in its permissions. A reading without the slash would make every rule that ends in one ambiguous and protect
//! nothing: rules only allow, and to allow `/a/` on a service that cannot tell it from `/a` is to allow both.

use crate::domain::few::Few;
use crate::domain::path::spelling;

/// The path of a request, without query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// Its distinct forms in the normal spelling, starting with the one sent. Each begins with `/`, except the single form
    /// `*` of `OPTIONS *` and the single empty form of requests without a path (`CONNECT`, TCP): these two match no
    /// pattern, and only rules without paths apply to them.
    Forms(Few<String>),
    /// No form of it can be trusted, for this reason.
    Odd(&'static str),
}

impl Default for Path {
    fn default() -> Self {
        Self::Forms(Few::default())
    }
}

/// The longest path, without query, that is read, in bytes. nginx and Apache accept about as much in a request line.
const MAX_LENGTH: usize = 8 * 1024;

/// The most forms of a path. No honest path has more, and this bounds the work that one can cause.
const MAX_FORMS: usize = 32;

impl Path {
    /// The path of a request that has none.
    #[must_use]
    pub fn none() -> Self {
        Self::Forms(Few::One(String::new()))
    }

    /// Reads a request target, including its query, as defined for the method.
    #[must_use]
    pub fn read(method: &str, target: &str) -> Self {
        match (method, target) {
            ("CONNECT", "") => return Self::none(),
            (_, "") => return Self::Odd("no path"),
            ("OPTIONS", "*") => return Self::Forms(Few::One("*".to_owned())),
            _ => {}
        }
        if target.contains('#') {
            return Self::Odd("raw fragment");
        }
        // Split by hand: a URL parser would read `//admin/x` as a host and drop it.
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        if !path.starts_with('/') {
            return Self::Odd("not in origin form");
        }
        if path.len() > MAX_LENGTH {
            return Self::Odd("path is too long");
        }
        if path.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Self::Odd("raw control character");
        }
        if is_plain(path) {
            return Self::Forms(Few::One(path.to_owned()));
        }
        match spelling::examine(path) {
            Ok(()) => all_forms(&spelling::spell(path)),
            Err(why) => Self::Odd(why),
        }
    }
}

/// Whether a path has only one reading and is in the normal spelling.
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

/// All forms: the readings, the readings of those, and so on.
fn all_forms(path: &str) -> Path {
    let mut forms = vec![path.to_owned()];
    let mut next = 0;
    while let Some(form) = forms.get(next).cloned() {
        for reading in readings(&form) {
            if forms.contains(&reading) {
                continue;
            }
            if forms.len() == MAX_FORMS {
                return Path::Odd("too many readings");
            }
            forms.push(reading);
        }
        next += 1;
    }
    // Escaped dots were kept apart for implementations that collapse only bare ones; to the rules they are dots.
    let mut distinct = Vec::with_capacity(forms.len());
    for form in forms.into_iter().map(spelling::with_dots) {
        if !distinct.contains(&form) {
            distinct.push(form);
        }
    }
    Path::Forms(distinct.into())
}

/// The forms that one step of normalization makes of a form, for each step that changes it.
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

/// `/a/./b/../c` → `/a/c`; a dot segment at the end is replaced by `end`. Empty segments count as segments, as in RFC
/// 3986; merging slashes first is another reading.
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
