//! The calls of Keycloak's Admin REST API that a sync needs, with a token that renews itself.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::domain::time::Timestamp;
use crate::source::error::SourceError;
use crate::source::http::{Answer, Call, Http, encoded, secret};

/// A token is renewed this long before it ends, or at half of its life if that is shorter.
const RENEW_BEFORE: Duration = Duration::from_secs(30);

/// Which realm, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm {
    /// Where Keycloak answers: `https://idp.example.com`, with the path under which it is served.
    pub url: Url,
    /// Name of the realm.
    pub realm: String,
    /// Client with a service account.
    pub client_id: String,
    /// File with its secret; read again for each token.
    pub client_secret_file: PathBuf,
}

/// Asks one realm.
pub struct Api {
    http: Http,
    realm: Realm,
    token: Option<(String, Instant)>,
    /// What time it was there when it last answered.
    pub date: Option<Timestamp>,
    /// `notBefore` of the realm in seconds, as the last token answer had it.
    pub not_before: i64,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: u64,
    #[serde(rename = "not-before-policy", default)]
    not_before: i64,
}

#[derive(Deserialize)]
struct PublicRealm {
    #[serde(rename = "tokens-not-before", default)]
    not_before: i64,
}

/// `GET users…`, as far as it concerns us.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// `sub` of their tokens.
    pub id: String,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub email_verified: bool,
    #[serde(default)]
    pub enabled: bool,
    /// Seconds. Tokens from before are dead.
    #[serde(default)]
    pub not_before: i64,
    #[serde(default)]
    pub attributes: std::collections::BTreeMap<String, Vec<String>>,
    /// A service account's client.
    #[serde(default)]
    pub service_account_client_id: Option<String>,
}

/// `GET groups…`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    pub id: String,
    pub path: String,
    #[serde(default)]
    pub sub_group_count: Option<u64>,
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
    #[serde(default)]
    pub enabled: bool,
    #[serde(default)]
    pub not_before: i64,
}

/// `GET admin-events`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdminEvent {
    pub id: Option<String>,
    /// Milliseconds.
    pub time: i64,
    #[serde(default)]
    pub operation_type: String,
    #[serde(default)]
    pub resource_type: String,
    #[serde(default)]
    pub resource_path: String,
    #[serde(default)]
    pub representation: Option<String>,
}

/// `GET events`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserEvent {
    pub id: Option<String>,
    /// Milliseconds.
    pub time: i64,
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub user_id: Option<String>,
    #[serde(default)]
    pub session_id: Option<String>,
}

/// `GET events/config`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventsConfig {
    pub events_enabled: bool,
    pub admin_events_enabled: bool,
    pub admin_events_details_enabled: bool,
}

impl Api {
    /// Asks `realm` by `http`.
    #[must_use]
    pub fn new(http: Http, realm: Realm) -> Self {
        Self { http, realm, token: None, date: None, not_before: 0 }
    }

    fn url(&self, parts: &[&str]) -> Result<Url, SourceError> {
        let mut url = self.realm.url.clone();
        let malformed =
            || SourceError::Malformed { step: "make an address", what: "the `url` cannot have a path".into() };
        url.path_segments_mut().map_err(|()| malformed())?.pop_if_empty().extend(parts);
        Ok(url)
    }

    /// Gets a token: by that it is known whether the client and its secret are right.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn sign_in(&mut self) -> Result<(), SourceError> {
        let step = "get a token for the service account";
        let Realm { realm, client_id, client_secret_file, .. } = self.realm.clone();
        let password = secret(&client_secret_file).await?;
        let url = self.url(&["realms", &realm, "protocol", "openid-connect", "token"])?;
        let user = encoded([("", client_id.as_str())]).split_off(1);
        let password = encoded([("", password.as_str())]).split_off(1);
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let form = encoded([("grant_type", "client_credentials")]);
        let answer = self.http.ask(Call::post(step, url, form).authorized(basic)).await?;
        self.date = answer.date().or(self.date);
        let answer = match answer.status {
            StatusCode::NOT_FOUND => {
                let advice = format!("there is no realm `{realm}` under this `url`");
                return Err(SourceError::Forbidden { step, advice });
            }
            StatusCode::BAD_REQUEST => {
                let advice =
                    format!("client `{client_id}` has no service account: switch on \"Service accounts roles\"");
                return Err(SourceError::Forbidden { step, advice });
            }
            _ => answer.checked(|_| {
                format!("client `{client_id}` is unknown or disabled, or its secret in `client_secret_file` is wrong")
            })?,
        };
        let token: Token = answer.json()?;
        let life = Duration::from_secs(token.expires_in);
        let renew = life.saturating_sub(RENEW_BEFORE.min(life / 2));
        self.token = Some((format!("Bearer {}", token.access_token), Instant::now() + renew));
        self.not_before = token.not_before;
        Ok(())
    }

    async fn answer(&mut self, step: &'static str, url: Url, right: &str) -> Result<Answer, SourceError> {
        for last in [false, true] {
            if self.token.as_ref().is_none_or(|(_, renew)| *renew <= Instant::now()) {
                self.sign_in().await?;
            }
            let token = self.token.as_ref().map(|(token, _)| token.clone()).unwrap_or_default();
            let answer = self.http.ask(Call::get(step, url.clone()).authorized(token)).await?;
            self.date = answer.date().or(self.date);
            // A `notBefore` of the realm ends our own token too.
            if answer.status == StatusCode::UNAUTHORIZED && !last {
                self.token = None;
                continue;
            }
            let client = self.realm.client_id.clone();
            return answer.checked(|status| match status {
                StatusCode::FORBIDDEN => {
                    format!("give the service account of `{client}` the role `{right}` of `realm-management`")
                }
                _ => "its token is not accepted".to_owned(),
            });
        }
        Err(SourceError::Forbidden { step, advice: "its token is not accepted".to_owned() })
    }

    /// `GET {base}/admin/realms/{realm}/…`; `right` is what a 403 lacks.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn get<T: DeserializeOwned>(
        &mut self,
        step: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
        right: &str,
    ) -> Result<T, SourceError> {
        let mut url = self.url(&[&["admin", "realms", self.realm.realm.as_str()], path].concat())?;
        url.query_pairs_mut().extend_pairs(query);
        self.answer(step, url, right).await?.json()
    }

    /// `notBefore` of the realm, in seconds; needs no right.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn realm_not_before(&mut self) -> Result<i64, SourceError> {
        let url = self.url(&["realms", &self.realm.realm.clone()])?;
        let answer = self.http.ask(Call::get("read the realm", url)).await?;
        self.date = answer.date().or(self.date);
        let realm: PublicRealm = answer.checked(|_| "the realm is not public".to_owned())?.json()?;
        self.not_before = realm.not_before;
        Ok(realm.not_before)
    }

    /// One user; nobody where there is none.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn user(&mut self, id: &str) -> Result<Option<User>, SourceError> {
        match self.get("read a user", &["users", id], &[], "view-users").await {
            Ok(user) => Ok(Some(user)),
            Err(SourceError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
