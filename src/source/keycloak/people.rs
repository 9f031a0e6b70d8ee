//! What records of Keycloak amount to, as observations.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Keycloak;
use super::shapes::{Client, User};
use crate::domain::inbox::Observation;
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::revocation::Target;
use crate::domain::time::Timestamp;

/// How long an ended session is remembered. No access token of it lives that long.
const SESSION: Duration = Duration::from_secs(30 * 86_400);
/// What a service account's user is called: nothing else in its record tells it from a person's.
const SERVICE_ACCOUNT: &str = "service-account-";
/// An address that nobody vouched for: it is looked up for denials, and links nobody.
pub const UNVERIFIED_EMAIL: &str = "unverified_email";

/// Whether this is a client's own user. Listings have none of them; asked for by id or name they are found.
pub fn is_service_account(user: &User) -> bool {
    user.username.starts_with(SERVICE_ACCOUNT)
}

impl Keycloak {
    pub(super) fn id(&self, key: &str) -> PersonId {
        PersonId { source: self.settings.name.clone(), key: key.to_owned() }
    }

    /// What a user amounts to. Keycloak does not say when a record last changed; the order in which it was read counts.
    pub(super) fn person(&self, user: User) -> Person {
        let mut attributes: BTreeMap<String, String> = BTreeMap::new();
        for (name, values) in user.attributes {
            if let Some(value) = values.into_iter().next().filter(|_| self.settings.attributes.contains(&name)) {
                attributes.insert(name, value);
            }
        }
        let email = user.email.filter(|email| !email.is_empty());
        let (email, unverified) = if user.email_verified { (email, None) } else { (None, email) };
        attributes.extend(unverified.map(|email| (UNVERIFIED_EMAIL.to_owned(), email)));
        let groups = self.memberships.get(user.id.as_str());
        Person {
            id: self.id(&user.id),
            status: if user.enabled { Status::Active } else { Status::Suspended },
            email,
            username: Some(user.username).filter(|name| !name.is_empty()),
            attributes,
            changed: None,
            groups: groups.map(|ids| self.tree.flat(ids)).unwrap_or_default(),
        }
    }

    /// What was issued to a user before `notBefore` is dead.
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

    /// What a client's being enabled, and its `notBefore`, amount to.
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
