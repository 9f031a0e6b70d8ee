//! Warnings before a revocation that may match nothing.

use crate::authenticate::seen_identifiers::SeenIdentifiers;
use crate::domain::policy::Policy;
use crate::domain::revocation::{Target, TargetKind};
use crate::state::State;

/// Warns if a target is about an issuer that is not configured: most likely a typo.
pub(super) fn unconfigured(policy: &Policy, target: &Target) -> Option<String> {
    let issuer = match target {
        Target::Subject { issuer, .. }
        | Target::Session { issuer, .. }
        | Target::Token { issuer, .. }
        | Target::SignedToken { issuer, .. }
        | Target::Client { issuer, .. }
        | Target::LinkClaim { issuer, .. }
        | Target::Issuer { issuer } => issuer,
        Target::Person { .. } | Target::DirectoryPerson { .. } | Target::Key { .. } | Target::Certificate { .. } => {
            return None;
        }
    };
    let known = policy.issuers.iter().any(|rules| *rules.issuer == **issuer || rules.name == *issuer);
    let names: Vec<&str> = policy.issuers.iter().map(|rules| &*rules.issuer).collect();
    (!known).then(|| {
        format!(
            "`{issuer}` is not a configured issuer, so this denies nobody now; configured are: {}",
            names.join(", ")
        )
    })
}

/// Warns if no verified credential since the start has shown the target: it may not exist.
pub(super) fn unseen(seen: &SeenIdentifiers, state: &State, target: &Target) -> Option<String> {
    let kind = target.kind();
    let claim = match kind {
        TargetKind::Client => "client",
        TargetKind::Session => "session",
        TargetKind::Token => "token",
        _ => "",
    };
    let is_unseen = seen.has(kind, target.key(&state.fold.keyer)) == Some(false);
    is_unseen.then(|| {
        let where_else = if claim.is_empty() { String::new() } else { format!(", and `claims.{claim}` of the issuer") };
        format!("nothing seen so far has this {}: check the spelling{where_else}", kind.word())
    })
}
