//! Names near a REF that means nobody: most likely one of them was meant.

use std::collections::BTreeSet;

use crate::domain::key::fold_name;
use crate::domain::name::distance::distance;
use crate::state::State;

/// Names that are suggested.
const SUGGESTED: usize = 5;
/// People between two pauses: others want to be answered meanwhile.
const AT_ONCE: usize = 1024;
/// How far a name with the same local part counts as: farther than a slip.
const SAME_LOCAL_PART: usize = 3;

/// The nearest names, each with its person: `mallory@example.com (hr/e9)`.
pub(super) async fn names(state: &State, reference: &str) -> Vec<String> {
    let wanted = fold_name(reference);
    let mut nearest: BTreeSet<(usize, String)> = BTreeSet::new();
    for (index, known) in state.fold.people.iter().enumerate() {
        if index % AT_ONCE == AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        let id = known.person.id.to_string();
        let names = known.person.attributes().map(|(_, value)| value).chain([id.as_str()]);
        let apart = |name: &str| apart(&wanted, &fold_name(name)).map(|apart| (apart, name.to_owned()));
        let Some((apart, name)) = names.filter_map(apart).min() else { continue };
        if name.chars().any(char::is_control) {
            continue;
        }
        let shown = if name == id { id } else { format!("{name} ({id})") };
        nearest.insert((apart, shown));
        if nearest.len() > SUGGESTED {
            nearest.pop_last();
        }
    }
    nearest.into_iter().map(|(_, name)| name).collect()
}

/// How far apart two folded names are; `None`: too far.
fn apart(wanted: &str, name: &str) -> Option<usize> {
    let slips = distance(wanted, name);
    if slips <= 2 && slips * 3 < wanted.chars().count() {
        return Some(slips);
    }
    let local = |name: &str| name.split_once('@').map(|(local, _)| local.to_owned());
    let same = match (local(wanted), local(name)) {
        (None, Some(of_name)) => of_name == wanted,
        (Some(of_wanted), None) => of_wanted == name,
        (of_wanted, of_name) => of_wanted.is_some() && of_wanted == of_name,
    };
    same.then_some(SAME_LOCAL_PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_another_domain_are_near() {
        for (wanted, name, far) in [
            ("malory@example.com", "mallory@example.com", Some(1)),
            ("hr/e10", "hr/e1", Some(1)),
            ("mallory", "mallory@example.com", Some(3)),
            ("mallory@example.org", "mallory@example.com", Some(3)),
            ("mallory@corp.test", "mallory@example.com", Some(3)),
            ("mallory@corp.test", "mallory", Some(3)),
            ("bob", "rob", None),
            ("e9", "e8", None),
            ("bob@example.com", "alice@example.com", None),
        ] {
            assert_eq!(apart(wanted, name), far, "{wanted} {name}");
        }
    }
}
