//! The answers of Keycloak's Admin REST API, as far as we use them. Fields that decide access have no default: if one
//! is missing, the answer is rejected (law 3).

use std::collections::BTreeMap;

use serde::Deserialize;

/// `GET users…`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The `sub` of their tokens.
    pub id: String,
    pub username: String,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub email_verified: bool,
    pub enabled: bool,
    /// In seconds. Older tokens are invalid.
    #[serde(default)]
    pub not_before: i64,
    #[serde(default)]
    pub attributes: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Whether they are shown as disabled because of too many wrong passwords.
    #[must_use]
    pub fn is_locked_out(&self) -> bool {
        let reasons = self.attributes.get("disabledReason").into_iter().flatten();
        !self.enabled && reasons.into_iter().any(|reason| reason == "permanentLockout")
    }
}

/// `GET groups…`, `GET users/{id}/groups`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    pub id: String,
    pub name: String,
    pub path: String,
    #[serde(default)]
    pub parent_id: Option<String>,
}

/// `GET groups/count`
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Count {
    pub count: usize,
}

/// A record that has only an id.
#[derive(Clone, Debug, Deserialize)]
pub struct Member {
    pub id: String,
}

/// `GET clients…`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    pub id: String,
    pub client_id: String,
    pub enabled: bool,
    #[serde(default)]
    pub not_before: i64,
}

/// `GET admin-events`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdminEvent {
    #[serde(default)]
    pub id: Option<String>,
    /// In milliseconds.
    pub time: i64,
    #[serde(default)]
    pub operation_type: String,
    #[serde(default)]
    pub resource_type: String,
    #[serde(default)]
    pub resource_path: String,
    /// The body of the request, not its result; only if the realm stores it.
    #[serde(default)]
    pub representation: Option<String>,
}

/// `GET events`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserEvent {
    #[serde(default)]
    pub id: Option<String>,
    /// In milliseconds.
    pub time: i64,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub user_id: Option<String>,
    #[serde(default)]
    pub session_id: Option<String>,
    #[serde(default)]
    pub details: Details,
}

/// The details of a user event.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Details {
    #[serde(default)]
    pub credential_type: String,
}

/// `GET events/config`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventsConfig {
    pub events_enabled: bool,
    pub admin_events_enabled: bool,
    #[serde(default)]
    pub admin_events_details_enabled: bool,
    /// The types of user events that are stored.
    #[serde(default)]
    pub enabled_event_types: Vec<String>,
}

/// The token endpoint's answer if there is no token.
#[derive(Debug, Default, Deserialize)]
pub struct TokenRefused {
    #[serde(default)]
    pub error: String,
    #[serde(default)]
    pub error_description: String,
}

/// `GET {base}/realms/{realm}`, which needs no token.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct PublicRealm {
    /// In seconds.
    #[serde(rename = "tokens-not-before")]
    pub not_before: i64,
}
