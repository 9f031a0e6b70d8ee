//! The requests to Keycloak's Admin REST API that a sync needs, with a token that renews itself.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::shapes::{PublicRealm, TokenRefused, User};
use crate::domain::settings::keycloak::Realm;
use crate::domain::time::Timestamp;
use crate::source::address::below;
use crate::source::directory::Finding;
use crate::source::error::SourceError;
use crate::source::http::{Answer, Call, Http, encoded, secret};
use crate::source::token::{self, AccessToken, SignsIn};

/// How long before its expiry a token is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(30);

/// The API client of one realm.
pub struct Api {
    http: Http,
    realm: Realm,
    token: AccessToken,
    /// Keycloak's time, and our own, when it last issued a token. Its answers have no `Date`.
    clock: Option<(Timestamp, Instant)>,
}

/// The parts of our own token that we read. Only Keycloak verifies it.
#[derive(Deserialize)]
struct Issued {
    iat: i64,
}

/// When a token was issued, to the second.
fn issued(token: &str) -> Option<Timestamp> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let issued: Issued = serde_json::from_slice(&payload).ok()?;
    Some(Timestamp::from_secs(issued.iat))
}

impl Api {
    /// A client of `realm` that sends its requests by `http`.
    #[must_use]
    pub fn new(http: Http, realm: Realm) -> Self {
        Self { http, realm, token: AccessToken::default(), clock: None }
    }

    /// Keycloak's time, to the second; `None` before the first token.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        self.clock.map(|(there, here)| there.plus(here.elapsed()))
    }

    /// Which requests go through a proxy, for `source check`.
    #[must_use]
    pub fn proxies(&self) -> Vec<Finding> {
        self.http.proxies([&self.realm.url])
    }

    /// Why there is no token, in words.
    fn missing(&self, answer: &Answer) -> String {
        let Realm { realm, client_id: client, .. } = &self.realm;
        if answer.status == StatusCode::NOT_FOUND {
            return format!("there is no realm `{realm}` under this `url`");
        }
        let said: TokenRefused = answer.json().unwrap_or_default();
        match (said.error.as_str(), said.error_description.as_str()) {
            ("invalid_client", _) => format!("there is no client `{client}` in realm `{realm}`, or it is disabled"),
            ("unauthorized_client", text) if text.starts_with("Public client") => {
                format!("client `{client}` is public: switch on \"Client authentication\"")
            }
            ("unauthorized_client", text) if text.contains("service account") => {
                format!("client `{client}` has no service account: switch on \"Service accounts roles\"")
            }
            ("unauthorized_client", _) => {
                format!("the secret in `client_secret_file` is not the one of client `{client}`")
            }
            _ => format!("client `{client}` gets no token in realm `{realm}`"),
        }
    }

    async fn answer(&mut self, step: &'static str, url: Url, right: &str) -> Result<Answer, SourceError> {
        // A `notBefore` of the realm invalidates our own token too.
        token::get(self, step, url).await?.own()?.checked(|status| match status {
            StatusCode::FORBIDDEN => self.lacks(right),
            _ => "its token is not accepted".to_owned(),
        })
    }

    fn lacks(&self, right: &str) -> String {
        format!("give the service account of `{}` the role `{right}` of `realm-management`", self.realm.client_id)
    }

    /// The error for a listing with fewer rows than the realm counts. With only the right to query users, Keycloak
    /// lists nobody but counts everybody.
    #[must_use]
    pub fn void(&self, step: &'static str, rows: usize, count: usize) -> SourceError {
        let what = format!("it has {rows} rows, and the realm counts {count}");
        if rows == 0 {
            return SourceError::Forbidden { step, advice: format!("{what}: {}", self.lacks("view-users")) };
        }
        SourceError::Malformed { step, what }
    }

    /// `GET {base}/admin/realms/{realm}/…`; `right` is the role that a 403 means is missing.
    ///
    /// # Errors
    /// [`SourceError`] if the request fails.
    pub async fn get<T: DeserializeOwned>(
        &mut self,
        step: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
        right: &str,
    ) -> Result<T, SourceError> {
        let Realm { url, realm, .. } = &self.realm;
        let url = below(url, &[&["admin", "realms", realm.as_str()], path].concat(), query)?;
        self.answer(step, url, right).await?.json()
    }

    /// The realm's `notBefore`, in seconds. Reading it needs no role.
    ///
    /// # Errors
    /// [`SourceError`] if the request fails.
    pub async fn realm_not_before(&mut self) -> Result<i64, SourceError> {
        let url = below(&self.realm.url, &["realms", &self.realm.realm], &[])?;
        let answer = self.http.ask(Call::get("read the realm", url)).await?;
        let realm: PublicRealm = answer.checked(|_| "the realm is not public".to_owned())?.json()?;
        Ok(realm.not_before)
    }

    /// The number of users, or of those that match a query.
    ///
    /// # Errors
    /// [`SourceError`] if the request fails.
    pub async fn count(&mut self, query: &[(&str, &str)]) -> Result<usize, SourceError> {
        self.get("count users", &["users", "count"], query, "view-users").await
    }

    /// The user, with a reliable `enabled`. In a realm with permanent lockout, Keycloak briefly shows a user who is
    /// signing in as locked out (and a user whose record is being read cannot sign in). A query for disabled users
    /// gives the true answer.
    ///
    /// # Errors
    /// [`SourceError`] if the request fails.
    pub async fn settled(&mut self, user: User) -> Result<User, SourceError> {
        if !user.is_locked_out() {
            return Ok(user);
        }
        let query = [("enabled", "false"), ("username", user.username.as_str()), ("exact", "true")];
        let enabled = self.count(&query).await? == 0;
        Ok(User { enabled, ..user })
    }

    /// One user; `None` if there is none with this id.
    ///
    /// # Errors
    /// [`SourceError`] if the request fails.
    pub async fn user(&mut self, id: &str) -> Result<Option<User>, SourceError> {
        match self.get::<User>("read a user", &["users", id], &[], "view-users").await {
            Ok(user) if user.id == id => Ok(Some(self.settled(user).await?)),
            Ok(_) => Ok(None),
            Err(SourceError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl SignsIn for Api {
    fn session(&mut self) -> (&Http, &mut AccessToken) {
        (&self.http, &mut self.token)
    }

    /// Gets a token. This also shows whether the client and its secret are right.
    async fn sign_in(&mut self) -> Result<(), SourceError> {
        let Realm { realm, client_id, client_secret_file, .. } = self.realm.clone();
        let password = secret(&client_secret_file).await?;
        let url = below(&self.realm.url, &["realms", &realm, "protocol", "openid-connect", "token"], &[])?;
        let user = encoded([("", client_id.as_str())]).split_off(1);
        let password = encoded([("", password.as_str())]).split_off(1);
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let form = encoded([("grant_type", "client_credentials")]);
        let call = Call::post("get a token for the service account", url, form).authorized(basic);
        let answer = self.http.ask(call).await?;
        let advice = self.missing(&answer);
        let step = answer.step;
        let answer = match answer.status {
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => return Err(SourceError::Forbidden { step, advice }),
            _ => answer.checked(|_| advice)?,
        };
        let token = self.token.take(&answer, RENEW_BEFORE)?;
        self.clock = issued(&token).map(|there| (there, Instant::now())).or(self.clock);
        Ok(())
    }
}
