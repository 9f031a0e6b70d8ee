//! The values under the keys of the contract, for headers and metadata alike.

use std::borrow::Cow;

use crate::domain::decision::Decision;
use crate::domain::policy::HeaderValue as Holds;

/// The value under a key of the contract, if there is one. Roles are a list: see [`Decision::role_names`].
pub(super) fn text<'a>(holds: Holds, decision: &'a Decision, decision_id: &'a str) -> Option<Cow<'a, str>> {
    let credential = decision.verified();
    let borrowed = match holds {
        Holds::Person => return decision.person.as_ref().map(|person| Cow::Owned(person.to_string())),
        Holds::Epoch => return Some(Cow::Owned(decision.epoch.to_string())),
        Holds::Roles => return None,
        Holds::Issuer => credential.map(|credential| &*credential.issuer),
        Holds::Subject => credential.and_then(|credential| credential.subject.as_deref()),
        Holds::Session => credential.and_then(|credential| credential.session.as_deref()),
        Holds::TokenId => credential.and_then(|credential| credential.token_id.as_deref()),
        Holds::Client => credential.and_then(|credential| credential.client.as_deref()),
        Holds::Service => Some(&*decision.service),
        Holds::DecisionId => Some(decision_id),
    };
    borrowed.map(Cow::Borrowed)
}
