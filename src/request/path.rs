//! A request's path, in every form that whoever stands behind the proxy may take it for.
//!
//! Proxies and services disagree on `%2F`, `//`, `..`, `\` and `;`, and each such difference has been a way
//! past somebody's rules. So no form is picked: all readings are computed, and `decide` asks the rules of each
//! (all allow → allow, all deny → deny, mixed → `ambiguous_path`).
//!
//! A reading is any combination, in any order, of these:
//! - percent-decoding once: of everything, or only of unreserved characters (Envoy's `normalize_path`), of
//!   `%2F` (its `path_with_escaped_slashes_action`), of `%5C`, or of the rest;
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

/// A request's path, without query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// Its forms, without doubles, the raw one first. Each begins with `/`, but for the one form `*` of
    /// `OPTIONS *` and the one empty form of what has no path (`CONNECT`, TCP): neither matches any pattern,
    /// and a rule that names no path holds for both.
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
        if path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Self::Odd("raw control character or space");
        }
        if is_plain(path) {
            return Self::Forms(vec![path.to_owned()]);
        }
        match examine_escapes(path) {
            Ok(()) => all_forms(path),
            Err(why) => Self::Odd(why),
        }
    }
}

/// Whether there is only one way to read it.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    path.bytes().all(|byte| {
        let plain = !matches!((before, byte), (_, b'%' | b'\\' | b';') | (b'/', b'/' | b'.'));
        before = byte;
        plain
    })
}

/// What no honest client encodes.
fn examine_escapes(path: &str) -> Result<(), &'static str> {
    let escapes = path.bytes().filter(|&byte| byte == b'%').count();
    if escapes != escaped(path.as_bytes()).count() {
        return Err("broken percent encoding");
    }
    let decoded = decode_bytes(path, |_| true);
    if decoded.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        return Err("encoded NUL, CR or LF");
    }
    if escaped(&decoded).next().is_some() {
        return Err("double encoding");
    }
    match std::str::from_utf8(&decoded) {
        Ok(_) => Ok(()),
        Err(_) => Err("invalid UTF-8"),
    }
}

/// The bytes that stand escaped in it.
fn escaped(text: &[u8]) -> impl Iterator<Item = u8> {
    text.windows(3).filter_map(|window| match window {
        [b'%', high, low] => Some(hex(*high)? << 4 | hex(*low)?),
        _ => None,
    })
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
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
    Path::Forms(forms)
}

/// What one step of somebody's normalising makes of a form; the form itself where it changes nothing.
fn readings(form: &str) -> impl Iterator<Item = String> + '_ {
    type Step = fn(&str) -> Option<String>;
    const STEPS: [Step; 11] = [
        |form| decode(form, is_unreserved),
        |form| decode(form, |byte| byte == b'/'),
        |form| decode(form, |byte| byte == b'\\'),
        |form| decode(form, |byte| !is_unreserved(byte) && byte != b'/' && byte != b'\\'),
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

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Decodes the escapes of wanted bytes, once.
fn decode(form: &str, wanted: fn(u8) -> bool) -> Option<String> {
    if !form.contains('%') {
        return None;
    }
    // Whole characters were examined before; each class of bytes holds all or none of a character's.
    String::from_utf8(decode_bytes(form, wanted)).ok()
}

fn decode_bytes(form: &str, wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(form.len());
    let mut rest = form.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let stands_for = rest.get(..3).and_then(|start| escaped(start).next());
        match stands_for.filter(|byte| wanted(*byte)) {
            Some(wanted) => {
                decoded.push(wanted);
                rest = rest.get(3..).unwrap_or_default();
            }
            None => {
                decoded.push(byte);
                rest = tail;
            }
        }
    }
    decoded
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
