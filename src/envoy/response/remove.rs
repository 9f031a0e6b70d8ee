//! Which request headers the upstream must not see.

// INVARIANT: a header that is set is never listed. Envoy sets headers first and removes afterwards: it would be deleted.

use crate::domain::policy::ResponseRules;
use crate::request::Request;
use crate::request::headers::alike;

/// The prefix of headers that only we may set. `_` counts as `-`: many services cannot tell them apart.
const OURS: &str = "x-offboard-";

/// On allow: forged headers of ours, configured headers that are not set this time, and `remove_headers`, each also in any
/// spelling with `_` that was sent.
pub(super) fn on_allow<'a>(
    rules: &'a ResponseRules,
    request: Option<&'a Request>,
    set: impl Fn(&str) -> bool,
) -> Vec<&'a str> {
    let configured = || rules.headers.iter().map(|(name, _)| name).chain(&rules.remove_headers);
    let unwanted = |name: &[u8]| is_ours(name) || configured().any(|known| alike(known.as_bytes(), name));
    let sent = sent(request, unwanted);
    // Listed even if not seen: the proxy may not show us every header.
    list(configured().map(String::as_str).chain(sent), set)
}

/// On observe: only forged headers of ours.
pub(super) fn on_observe<'a>(rules: &'a ResponseRules, request: Option<&'a Request>) -> Vec<&'a str> {
    let configured = rules.headers.iter().map(|(name, _)| name.as_str()).filter(|name| is_ours(name.as_bytes()));
    list(configured.chain(sent(request, is_ours)), |_| false)
}

/// The names of the request's headers that are `unwanted`.
fn sent(request: Option<&Request>, unwanted: impl Fn(&[u8]) -> bool) -> impl Iterator<Item = &str> {
    let names = request.into_iter().flat_map(|request| request.headers.raw_names());
    names.filter(move |name| unwanted(name)).filter_map(|name| std::str::from_utf8(name).ok())
}

fn is_ours(name: &[u8]) -> bool {
    name.get(..OURS.len()).is_some_and(|start| alike(start, OURS.as_bytes()))
}

/// Each name once, in order, without those that are set and those that Envoy does not remove.
fn list<'a>(names: impl Iterator<Item = &'a str>, set: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let mut listed: Vec<&str> = Vec::new();
    for name in names {
        let removable = !name.starts_with(':') && name != "host";
        if removable && !set(name) && !listed.contains(&name) {
            listed.push(name);
        }
    }
    listed
}
