//! What a revocation affects, and what became of it, in words.

use super::output::shown;
use super::when;
use crate::control::proto::{Epoch, Preview, SeenCredential, SeenCredentials, Standing};

/// What dies, whom it affects, and what to think of before.
pub(super) fn told(preview: &Preview, issued_before: Option<&str>) -> String {
    let mut text = String::new();
    for person in &preview.people {
        let roles = if person.roles.is_empty() { "no role".to_owned() } else { person.roles.join(", ") };
        let seen = person.last_allowed.as_ref().map_or("never seen here".to_owned(), |at| format!("last allowed {at}"));
        text += &format!("affects {} ({}; {roles}; {seen})\n", person.person, person.status);
    }
    let nothing = SeenCredentials::default();
    let (dies, stays) = (preview.dies.as_ref().unwrap_or(&nothing), preview.stays.as_ref().unwrap_or(&nothing));
    text += &listed("dies with it", "nothing that this replica has seen in use since its start", dies);
    if let Some(time) = issued_before {
        text += &format!(
            "leaves alive: what is issued after {}, so whoever can still sign in gets in again\n",
            time.parse().map_or_else(|_| time.to_owned(), when::zoned)
        );
        text += &listed("leaves alive", "nothing seen in use was issued since then", stays);
    }
    for warning in &preview.warnings {
        text += &format!("note: {warning}\n");
    }
    text
}

/// Credentials that were seen, one per line, under their number.
fn listed(what: &str, none: &str, seen: &SeenCredentials) -> String {
    if seen.count == 0 {
        return format!("{what}: {none}\n");
    }
    let plural = |count: u64, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let mut services: Vec<&str> =
        seen.last.iter().flat_map(|one| one.uses.iter().map(|used| used.service.as_str())).collect();
    services.sort_unstable();
    services.dedup();
    let (tokens, sessions) = (plural(seen.count, "token"), plural(seen.sessions, "session"));
    let last = seen.last.first().and_then(last_use).unwrap_or("unknown");
    let mut text =
        format!("{what}: {tokens} seen in use, of {sessions}; last used {last}; services: {}\n", services.join(", "));
    for one in &seen.last {
        text += &format!("  {}\n", shown(&credential(one)));
    }
    let further = seen.count.saturating_sub(seen.last.len() as u64);
    if further > 0 {
        text += &format!("  and {further} more\n");
    }
    text
}

fn last_use(one: &SeenCredential) -> Option<&str> {
    one.uses.iter().map(|used| used.time.as_str()).max()
}

fn credential(one: &SeenCredential) -> String {
    let named = [
        ("token", &one.token),
        ("session", &one.session),
        ("subject", &one.subject),
        ("client", &one.client),
        ("issued", &one.issued),
        ("expires", &one.expires),
    ];
    let named = named.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
    let uses: Vec<String> = one.uses.iter().map(|used| format!("{} {}", used.service, used.time)).collect();
    let uses = format!("last used: {}", uses.join(", "));
    named.chain([uses, format!("of {}", one.issuer)]).collect::<Vec<_>>().join("; ")
}

/// That a revocation stands already, since when and by whom.
pub(super) fn stands(standing: &Standing) -> String {
    let since = standing.since.parse().map_or_else(|_| standing.since.clone(), when::zoned);
    shown(&format!("{} stands already, since {since}, by {}", standing.id, standing.actor))
}

/// What became of a revocation.
pub(super) fn state(begins: Option<&String>, epoch: Option<Epoch>) -> String {
    let epoch = epoch.map(|epoch| format!("{}.{}", epoch.generation, epoch.position)).unwrap_or_default();
    match begins {
        None => format!("durable and enforced; epoch {epoch}"),
        Some(begins) => format!("durable; denies nothing yet, comes into force {begins}; epoch {epoch}"),
    }
}
