//! What a token is that somebody found: verified like any other, but for its dates and audience.

use std::sync::Arc;

use crate::app::check_handler::LiveCheckHandler;
use crate::domain::credential::{CredentialOutcome, Foreign, Verified};
use crate::domain::revocation::Target;
use crate::jose::jws::Compact;
use crate::request::Request;

/// The target of a revocation that denies this token.
///
/// # Errors
/// Why it does not verify as an access token of a configured issuer, without any part of it.
pub(super) async fn target(handler: &LiveCheckHandler, text: &str) -> Result<Target, String> {
    let token = bare(text);
    let verified = verified(handler, token).await?;
    let largest = handler.published.load().rules.policy.bearer_largest;
    let compact = Compact::split_within(token, largest).map_err(|error| error.to_string())?;
    Ok(Target::SignedToken {
        issuer: verified.issuer.to_string(),
        token: verified.token_id.clone(),
        sha256: hex::encode(compact.signed_sha256()),
    })
}

/// The token in what was found: perhaps a whole header.
fn bare(text: &str) -> &str {
    let rest = text.trim();
    let rest = without(rest, "authorization:");
    without(rest, "bearer ")
}

fn without<'a>(text: &'a str, prefix: &str) -> &'a str {
    match text.split_at_checked(prefix.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(prefix) => rest.trim(),
        _ => text,
    }
}

async fn verified(handler: &LiveCheckHandler, token: &str) -> Result<Arc<Verified>, String> {
    let header = handler.published.load().rules.policy.bearer_header.clone();
    let value = format!("Bearer {token}");
    let request = Request::synthetic("GET", "", "/", [(header.as_str(), value.as_bytes())]);
    let outcomes =
        handler.authenticate(&request).await.ok_or("the configuration changes again and again: try again")?;
    match outcomes.iter().next() {
        None => Err("there is no token in it".to_owned()),
        Some(CredentialOutcome::Foreign { what: Foreign::Jwt, .. }) => {
            Err("it is no token of a configured issuer: its `iss` names none".to_owned())
        }
        Some(CredentialOutcome::Foreign { what: Foreign::Other, .. }) => {
            Err("it has not the form of a token of any configured issuer".to_owned())
        }
        Some(CredentialOutcome::Rejected { reason, detail, .. }) => {
            let detail = detail.as_ref().map(|detail| format!(": {}", detail.words())).unwrap_or_default();
            Err(format!("it does not verify as a token of a configured issuer ({}{detail})", reason.code()))
        }
        Some(CredentialOutcome::Verified(verified)) => match (verified.flaw, &verified.detail) {
            (None, _) => Ok(Arc::clone(verified)),
            (Some(flaw), detail) => {
                let detail = detail.as_ref().map(|detail| format!(": {}", detail.words())).unwrap_or_default();
                Err(format!(
                    "it is signed, but no access token that its issuer's rules accept ({}{detail})",
                    flaw.code()
                ))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_what_surrounds_it() {
        for text in ["e30.e30.x", " e30.e30.x\n", "Bearer e30.e30.x", "Authorization: bearer  e30.e30.x\r\n"] {
            assert_eq!(bare(text), "e30.e30.x", "{text}");
        }
    }
}
