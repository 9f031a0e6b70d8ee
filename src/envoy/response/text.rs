//! The values under the keys of the contract, for headers and metadata alike.

use std::fmt::Write as _;

use crate::domain::decision::Decision;
use crate::domain::policy::HeaderValue as Holds;

/// A value, in pieces that follow one another: it is written where it goes, and nowhere before.
pub(super) type Pieces<'a> = [&'a str; 3];

/// Two numbers of 64 bits, and a dot.
const LONGEST_EPOCH: usize = 41;

/// A decision, as its values are told.
#[derive(Debug)]
pub(super) struct Told<'a> {
    pub(super) decision: &'a Decision,
    pub(super) id: &'a str,
    epoch: String,
}

impl<'a> Told<'a> {
    /// The decision with this id.
    pub(super) fn of(decision: &'a Decision, id: &'a str) -> Self {
        // Room for any: grown piece by piece, it would be several allocations.
        let mut epoch = String::with_capacity(LONGEST_EPOCH);
        // Writing to a String cannot fail.
        let _ = write!(epoch, "{}", decision.epoch);
        Self { decision, id, epoch }
    }

    /// The epoch that was enforced.
    pub(super) fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The value under a key of the contract, if there is one. Roles are a list: see [`Decision::role_names`].
    pub(super) fn text(&self, holds: Holds) -> Option<Pieces<'_>> {
        let credential = self.decision.verified();
        let whole = match holds {
            Holds::Person => {
                // As `PersonId` displays itself.
                return self.decision.person_id().map(|person| [person.source.as_str(), "/", &person.key]);
            }
            Holds::Roles => None,
            Holds::Epoch => Some(self.epoch.as_str()),
            Holds::Issuer => credential.map(|credential| &*credential.issuer),
            Holds::Subject => credential.and_then(|credential| credential.subject.as_deref()),
            Holds::Session => credential.and_then(|credential| credential.session.as_deref()),
            Holds::TokenId => credential.and_then(|credential| credential.token_id.as_deref()),
            Holds::Client => credential.and_then(|credential| credential.client.as_deref()),
            Holds::Service => Some(&*self.decision.service),
            Holds::DecisionId => Some(self.id),
        };
        whole.map(|whole| [whole, "", ""])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reason::Reason;
    use crate::envoy::fixtures::of_alice;

    #[test]
    fn a_person_is_told_as_displayed() {
        let decision = of_alice(Reason::Allowed);
        let told = Told::of(&decision, "id").text(Holds::Person).map(|pieces| pieces.concat());
        assert_eq!(told, decision.person_id().map(ToString::to_string));
    }
}
