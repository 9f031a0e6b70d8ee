//! Findings about a source's links for `source check`: what tokens have, whom they match, and which other rule would match.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::matches::{Matches, OfLink};
use crate::control::views::FindingView;
use crate::domain::credential::{CredentialOutcome, Verified};
use crate::domain::decision::steps::CredentialStep;
use crate::domain::key::fold_name;
use crate::domain::source::{Link, SourceRules};
use crate::source::directory::Grade;
use crate::state::State;

const WHAT: &str = "link";
const SAMPLE: &str = "token sample";
/// Limit on other attributes named.
const NAMED: usize = 3;

fn finding(what: &str, grade: Grade, text: String) -> FindingView {
    FindingView { grade: grade.word(), what: what.to_owned(), text }
}

/// Findings about each link of a source, from the tokens seen.
pub(super) fn seen(state: &State, matches: &Matches, name: &str) -> Vec<FindingView> {
    let policy = &state.rules.policy;
    let Some(source) = policy.sources.iter().find(|source| source.name == name) else { return Vec::new() };
    let Some(issuer) = policy.issuers.get(usize::from(source.issuer)) else { return Vec::new() };
    let (tokens, known) = matches.of_source(&issuer.issuer, name);
    if tokens == 0 {
        let text = format!(
            "no person's token of `{}` was seen since the start and the first full listing; try one with `--token-sample \
             FILE`",
            issuer.name
        );
        return vec![finding(WHAT, Grade::Warning, text)];
    }
    (0_u16..).zip(&source.link).map(|(index, link)| of_link(state, source, link, known.get(&index), tokens)).collect()
}

fn of_link(state: &State, source: &SourceRules, link: &Link, known: Option<&OfLink>, tokens: usize) -> FindingView {
    let shown = format!("`{}` = `{}`", link.claim, link.attribute);
    let Some(known) = known else {
        let text =
            format!("{shown}: none of the last {tokens} tokens has `{}`, or an earlier link decided", link.claim);
        return finding(WHAT, Grade::Warning, text);
    };
    if known.matched > 0 {
        return finding(
            WHAT,
            Grade::Good,
            format!("{shown}: {} of {} tokens matched somebody", known.matched, known.shown),
        );
    }
    let values: Vec<&str> = known.values.iter().map(AsRef::as_ref).collect();
    let example = values.last().map(|value| format!(" (for example `{}`)", value.escape_debug())).unwrap_or_default();
    let text = format!("{shown}: {} tokens have this claim{example}, but it never matched anybody", known.shown);
    finding(WHAT, Grade::Warning, text + &by_another_rule(state, &source.name, &link.attribute, &values))
}

/// Findings about one token: whom it matches, or by which rule it would.
pub(super) fn sample(state: &State, shown: &[CredentialStep], name: &str) -> Vec<FindingView> {
    let of = |shown: &CredentialStep| match &shown.outcome {
        CredentialOutcome::Verified(credential) => of_sample(state, credential, name),
        CredentialOutcome::Rejected { reason, detail, .. } => {
            let why = detail.as_ref().map(|detail| format!(": {}", detail.full())).unwrap_or_default();
            finding(SAMPLE, Grade::Bad, format!("rejected before any look-up: {}{why}", reason.code()))
        }
        CredentialOutcome::Foreign { .. } => {
            finding(SAMPLE, Grade::Bad, "it is not a JWT, or no configured issuer has its `iss`".to_owned())
        }
    };
    match shown {
        [] => vec![finding(SAMPLE, Grade::Bad, "the file does not contain a token".to_owned())],
        shown => shown.iter().map(of).collect(),
    }
}

fn of_sample(state: &State, credential: &Verified, name: &str) -> FindingView {
    let sources = &state.rules.policy.sources;
    let Some(source) = sources.iter().find(|source| source.name == name) else {
        return finding(SAMPLE, Grade::Bad, "the source is not configured".to_owned());
    };
    if source.issuer != credential.issuer_index {
        return finding(
            SAMPLE,
            Grade::Bad,
            format!("it was issued by {}, not by this source's issuer", credential.issuer),
        );
    }
    let of_source = |index: u16| sources.get(usize::from(index)).is_some_and(|source| source.name == name);
    let Some(keys) = credential.owner.links.iter().find(|link| of_source(link.source)) else {
        let claims: Vec<String> = source.link.iter().map(|link| format!("`{}`", link.claim)).collect();
        return finding(SAMPLE, Grade::Bad, format!("none of the claims in `link` is present: {}", claims.join(", ")));
    };
    let Some(link) = source.link.get(usize::from(keys.link)) else {
        return finding(SAMPLE, Grade::Bad, "the configuration changed meanwhile; try again".to_owned());
    };
    let shown = format!("`{}` is `{}`", link.claim, keys.value.escape_debug());
    let linked = state.fold.people.linked(&keys.person).map(|(known, _)| known.person.id.to_string());
    let met: BTreeSet<String> = linked.collect();
    if met.is_empty() {
        let other = by_another_rule(state, name, &link.attribute, &[&keys.value]);
        return finding(SAMPLE, Grade::Bad, format!("{shown}, but nobody has this as `{}`{other}", link.attribute));
    }
    finding(SAMPLE, Grade::Good, format!("{shown}: {}", met.into_iter().collect::<Vec<_>>().join(", ")))
}

/// Who would match if case were ignored, or by other attributes.
fn by_another_rule(state: &State, source: &str, attribute: &str, values: &[&str]) -> String {
    let wanted: BTreeSet<String> = values.iter().map(|value| fold_name(value)).collect();
    let mut met: BTreeMap<&str, usize> = BTreeMap::new();
    for known in state.fold.people.of_source(source) {
        for (name, value) in known.person.attributes() {
            if wanted.contains(&fold_name(value)) {
                *met.entry(name).or_default() += 1;
            }
        }
    }
    if met.contains_key(attribute) {
        return format!("; it would match `{attribute}` if case were ignored: the provider writes it differently");
    }
    let others: Vec<String> = met.into_keys().take(NAMED).map(|name| format!("`{name}`")).collect();
    match others.as_slice() {
        [] => String::new(),
        others => format!("; people here have it as {}; link by that", others.join(", ")),
    }
}
