//! What Keycloak's records mean, as observations.

use std::time::Duration;

use super::Keycloak;
use super::groups::Groups;
use super::shapes::{Client, User};
use crate::domain::command::Observation;
use crate::domain::person::{Person, PersonId, Status, UNVERIFIED_EMAIL};
use crate::domain::revocation::Target;
use crate::domain::time::Timestamp;

/// How long an ended session is remembered. No access token of it lives longer.
const SESSION: Duration = Duration::from_secs(30 * 86_400);
/// The prefix of a service account's user name: nothing else in its record distinguishes it from a person.
const SERVICE_ACCOUNT: &str = "service-account-";

/// Whether this is a client's own user. Listings omit these users, but a request by id or name finds them.
pub fn is_service_account(user: &User) -> bool {
    user.username.starts_with(SERVICE_ACCOUNT)
}

impl Keycloak {
    pub(super) fn id(&self, key: &str) -> PersonId {
        PersonId { source: self.settings.name.clone(), key: key.to_owned() }
    }

    /// The person of a user record, with these groups, or with none if no groups are known. Keycloak does not say when
    /// a record last changed, so the order of reading counts.
    pub(super) fn person(&self, user: User, groups: Option<&Groups>) -> Person {
        let status = if user.enabled { Status::Active } else { Status::Suspended };
        let mut person = Person::new(self.id(&user.id), status);
        for (name, values) in user.attributes.into_iter().filter(|(name, _)| self.settings.attributes.contains(name)) {
            person.set_values(&name, values);
        }
        let email = user.email.filter(|email| !email.is_empty());
        person.set_values(if user.email_verified { "email" } else { UNVERIFIED_EMAIL }, email);
        person.username = Some(user.username).filter(|name| !name.is_empty());
        person.groups = groups.map(|groups| groups.of(&user.id)).unwrap_or_default();
        person
    }

    /// Tokens issued to a user before `notBefore` are invalid.
    pub(super) fn not_before(&self, user: &User) -> Option<Observation> {
        let target = Target::DirectoryPerson { person: self.id(&user.id) };
        (user.not_before > 0)
            .then(|| self.cut_off(target, Timestamp::from_secs(user.not_before), "`notBefore` of the user"))
    }

    pub(super) fn realm_not_before(&self, not_before: i64) -> Option<Observation> {
        let target = Target::Issuer { issuer: self.settings.issuer.clone() };
        (not_before > 0).then(|| self.cut_off(target, Timestamp::from_secs(not_before), "`notBefore` of the realm"))
    }

    pub(super) fn cut_off(&self, target: Target, at: Timestamp, reason: &str) -> Observation {
        Observation::CutOff { source: self.settings.name.clone(), target, at, reason: reason.to_owned() }
    }

    pub(super) fn session(&self, session: &str, at: Timestamp) -> Observation {
        Observation::Block {
            source: self.settings.name.clone(),
            target: Target::Session { issuer: self.settings.issuer.clone(), session: session.to_owned() },
            stands: true,
            at: Some(at),
            expires: Some(at.plus(SESSION)),
            reason: "session ended".to_owned(),
        }
    }

    /// What a client's `enabled` and `notBefore` mean.
    pub(super) fn client(&mut self, client: &Client) -> Vec<Observation> {
        self.clients.insert(client.id.clone(), client.client_id.clone());
        let mut found = vec![self.client_block(&client.client_id, !client.enabled)];
        if client.not_before > 0 {
            let target = Target::Client { issuer: self.settings.issuer.clone(), client: client.client_id.clone() };
            found.push(self.cut_off(target, Timestamp::from_secs(client.not_before), "`notBefore` of the client"));
        }
        found
    }

    pub(super) fn client_block(&self, client: &str, stands: bool) -> Observation {
        Observation::Block {
            source: self.settings.name.clone(),
            target: Target::Client { issuer: self.settings.issuer.clone(), client: client.to_owned() },
            stands,
            at: None,
            expires: None,
            reason: if stands { "client disabled" } else { "client enabled" }.to_owned(),
        }
    }
}
