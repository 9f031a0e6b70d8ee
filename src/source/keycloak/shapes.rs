//! What Keycloak's Admin REST API answers, as far as it concerns us. What decides over access has no default: a field
//! that is missing makes the answer none (law 3).

use std::collections::BTreeMap;

use serde::Deserialize;

/// `GET users…`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// `sub` of their tokens.
    pub id: String,
    pub username: String,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub email_verified: bool,
    pub enabled: bool,
    /// Seconds. Tokens from before are dead.
    #[serde(default)]
    pub not_before: i64,
    #[serde(default)]
    pub attributes: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Disabled, as it says, by too many wrong passwords.
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

/// Whoever is named by an id alone.
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
    /// Milliseconds.
    pub time: i64,
    #[serde(default)]
    pub operation_type: String,
    #[serde(default)]
    pub resource_type: String,
    #[serde(default)]
    pub resource_path: String,
    /// What was sent to the server, not what became of it; only where the realm keeps it.
    #[serde(default)]
    pub representation: Option<String>,
}

/// `GET events`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserEvent {
    #[serde(default)]
    pub id: Option<String>,
    /// Milliseconds.
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

/// Beside a user event.
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
    /// The types of user events that are kept.
    #[serde(default)]
    pub enabled_event_types: Vec<String>,
}

/// What the token endpoint answers in place of a token.
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
    /// Seconds.
    #[serde(rename = "tokens-not-before")]
    pub not_before: i64,
}
