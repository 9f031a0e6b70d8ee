//! The requests to Okta's management API that a sync needs: signed, counted against the rate limits, and read strictly.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::assertion::{Claims, signed};
use super::budget::Budget;
use super::links;
use crate::domain::settings::okta::Credential;
use crate::domain::time::Timestamp;
use crate::source::address::below;
use crate::source::directory::Finding;
use crate::source::error::SourceError;
use crate::source::http::{Answer, Call, Http, encoded, secret};
use crate::source::token::{self, AccessToken, SignsIn};

/// How long before its expiry a token is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// A right, named after the scope that gives it to a service app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To read the System Log.
    Logs,
    /// To read users.
    Users,
    /// To read groups.
    Groups,
    /// To read applications and who is assigned to them.
    Apps,
}

impl Right {
    /// All rights that are needed; the last only if an application is configured.
    const ALL: [Self; 4] = [Self::Logs, Self::Users, Self::Groups, Self::Apps];

    /// The scope.
    #[must_use]
    pub fn scope(self) -> &'static str {
        match self {
            Self::Logs => "okta.logs.read",
            Self::Users => "okta.users.read",
            Self::Groups => "okta.groups.read",
            Self::Apps => "okta.apps.read",
        }
    }

    /// What the right allows us to see.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Logs => "the System Log",
            Self::Users => "users",
            Self::Groups => "groups and their members",
            Self::Apps => "applications and who is assigned to them",
        }
    }
}

/// A page, and the address of the next one.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// The rows of the page.
    pub rows: Vec<T>,
    /// The next page, if there is one.
    pub next: Option<Url>,
}

/// `GET /api/v1/users…`, as far as we use it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The `uid` of their tokens.
    pub id: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub transitioning_to_status: Option<String>,
    #[serde(default)]
    pub status_changed: Option<String>,
    #[serde(default)]
    pub last_updated: Option<String>,
    #[serde(default)]
    pub profile: BTreeMap<String, serde_json::Value>,
}

/// `GET /api/v1/groups…`
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    pub id: String,
    /// `OKTA_GROUP`, `APP_GROUP` or `BUILT_IN`.
    #[serde(rename = "type", default)]
    pub kind: String,
    pub profile: GroupProfile,
}

/// A group's profile.
#[derive(Clone, Debug, Deserialize)]
pub struct GroupProfile {
    pub name: String,
}

/// Why there is no token.
#[derive(Default, Deserialize)]
struct NoToken {
    #[serde(default)]
    error: String,
}

/// The API client of one organization.
pub struct Api {
    http: Http,
    /// The organization's address.
    pub url: Url,
    credential: Credential,
    rights: &'static [Right],
    token: AccessToken,
    date: Option<(Timestamp, Instant)>,
    /// The rate limits.
    pub budget: Budget,
}

impl Api {
    /// A client of the organization at `url` that sends its requests by `http`; `apps` if an application is configured.
    #[must_use]
    pub fn new(http: Http, url: Url, credential: Credential, apps: bool) -> Self {
        let rights = Right::ALL.get(..if apps { 4 } else { 3 }).unwrap_or(&[]);
        Self { http, url, credential, rights, token: AccessToken::default(), date: None, budget: Budget::default() }
    }

    /// Builds an address of the organization.
    ///
    /// # Errors
    /// [`SourceError::Malformed`] if the configured address cannot have a path.
    pub fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url, SourceError> {
        below(&self.url, path, query)
    }

    /// Which requests go through a proxy, for `source check`.
    #[must_use]
    pub fn proxies(&self) -> Vec<Finding> {
        self.http.proxies([&self.url])
    }

    /// Reads the public keys. This shows whether it is an Okta organization, and its time.
    ///
    /// # Errors
    /// [`SourceError`] if the request fails.
    pub async fn reach(&mut self) -> Result<Answer, SourceError> {
        let url = self.address(&["oauth2", "v1", "keys"], &[])?;
        let answer = self.http.ask(Call::get("read the keys of the organization", url)).await?;
        self.note(&answer);
        Ok(answer)
    }

    /// The organization's time.
    ///
    /// # Errors
    /// [`SourceError`] if no answer has a `Date`, or the request fails.
    pub async fn now(&mut self) -> Result<Timestamp, SourceError> {
        if self.date.is_none() {
            self.reach().await?;
        }
        let known = self.date.map(|(date, at)| date.plus(at.elapsed()));
        known.ok_or_else(|| SourceError::Malformed { step: "read the time", what: "no answer had a `Date`".into() })
    }

    fn checked(&mut self, answer: Answer, advice: impl FnOnce(StatusCode) -> String) -> Result<Answer, SourceError> {
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let wait = self.budget.refused(&answer.headers, answer.date());
            return Err(SourceError::RateLimited { step: answer.step, wait });
        }
        self.budget.answered();
        answer.own()?.checked(advice)
    }

    async fn answer(&mut self, step: &'static str, url: Url, right: Right) -> Result<Answer, SourceError> {
        let answer = match &self.credential {
            Credential::Token { file } => {
                let call = Call::get(step, url).authorized(format!("SSWS {}", secret(file).await?));
                let answer = self.http.ask(call).await?;
                self.note(&answer);
                answer
            }
            Credential::App { .. } => token::get(self, step, url).await?,
        };
        let advice = advice(&self.credential, right);
        self.checked(answer, |status| match status {
            StatusCode::FORBIDDEN => advice.1,
            _ => advice.0,
        })
    }

    /// Reads one object.
    ///
    /// # Errors
    /// [`SourceError`] if the request fails; for 401 and 403 it says what is missing.
    pub async fn get<T: DeserializeOwned>(
        &mut self,
        step: &'static str,
        path: &[&str],
        right: Right,
    ) -> Result<T, SourceError> {
        let url = self.address(&[&["api", "v1"], path].concat(), &[])?;
        self.answer(step, url, right).await?.json()
    }

    /// Reads a page of a list.
    ///
    /// # Errors
    /// [`SourceError`] if the request fails; for 401 and 403 it says what is missing.
    pub async fn list<T: DeserializeOwned>(
        &mut self,
        step: &'static str,
        url: Url,
        right: Right,
    ) -> Result<Listed<T>, SourceError> {
        let answer = self.answer(step, url, right).await?;
        let next = next(step, &answer.headers, &self.url)?;
        Ok(Listed { rows: answer.json()?, next })
    }

    /// One user; `None` if there is none with this id.
    ///
    /// # Errors
    /// [`SourceError`] if the request fails.
    pub async fn user(&mut self, id: &str) -> Result<Option<User>, SourceError> {
        match self.get::<User>("read a user", &["users", id], Right::Users).await {
            // The path also accepts a user name, and `me`.
            Ok(user) => Ok(Some(user).filter(|user| user.id == id)),
            Err(SourceError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl SignsIn for Api {
    fn session(&mut self) -> (&Http, &mut AccessToken) {
        (&self.http, &mut self.token)
    }

    /// Gets an access token if a service app is configured. This also shows whether its key is right.
    async fn sign_in(&mut self) -> Result<(), SourceError> {
        let Credential::App { client_id, private_key_file, key_id } = self.credential.clone() else { return Ok(()) };
        let step = "get a token for the service app";
        let pem = secret(&private_key_file).await?;
        let (url, now) = (self.address(&["oauth2", "v1", "token"], &[])?, self.now().await?);
        let claims = Claims { client_id: &client_id, key_id: key_id.as_deref(), audience: url.as_str(), now };
        let unsigned = |what: &str| SourceError::Secret { path: private_key_file.clone(), cause: what.to_owned() };
        let assertion = signed(&pem, claims).map_err(unsigned)?;
        let form = encoded([
            ("grant_type", "client_credentials"),
            ("scope", &scopes(self.rights, "", " ")),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
        ]);
        let answer = self.http.ask(Call::post(step, url, form)).await?;
        self.note(&answer);
        let refused = answer.json::<NoToken>().unwrap_or_default().error;
        if matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(SourceError::Forbidden { step, advice: no_token(&client_id, &refused, self.rights) });
        }
        let answer = self.checked(answer, |_| String::new())?;
        self.token.take(&answer, RENEW_BEFORE).map(drop)
    }

    fn note(&mut self, answer: &Answer) {
        self.date = answer.date().map(|date| (date, Instant::now())).or(self.date);
        self.budget.note(answer.step, &answer.headers, answer.date(), Instant::now());
    }
}

fn next(step: &'static str, headers: &HeaderMap, base: &Url) -> Result<Option<Url>, SourceError> {
    links::next(headers, base).map_err(|what| SourceError::Malformed { step, what: what.to_owned() })
}

/// What is missing after a 401, and after a 403.
fn advice(credential: &Credential, right: Right) -> (String, String) {
    let (what, scope) = (right.word(), right.scope());
    match credential {
        Credential::Token { .. } => (
            "the API token in `token_file` is wrong, was revoked, or ended: it does after 30 days without use, and with \
             the account that made it"
                .to_owned(),
            format!(
                "whoever made the API token in `token_file` may not read {what}: give that account the role Read-only \
                 Administrator"
            ),
        ),
        Credential::App { client_id, .. } => (
            format!("the access token of service app `{client_id}` is not accepted"),
            format!(
                "service app `{client_id}` may not read {what}: grant it the scope `{scope}` (Okta API Scopes), and the \
                 role Read-only Administrator (Admin roles)"
            ),
        ),
    }
}

fn scopes(rights: &[Right], quote: &str, between: &str) -> String {
    rights.iter().map(|right| format!("{quote}{}{quote}", right.scope())).collect::<Vec<_>>().join(between)
}

/// Why the token endpoint refused, in words.
fn no_token(client_id: &str, error: &str, rights: &[Right]) -> String {
    match error {
        "use_dpop_nonce" | "invalid_dpop_proof" => format!(
            "service app `{client_id}` demands DPoP, which is not supported: switch off \"Require Demonstrating Proof \
             of Possession (DPoP) header in token requests\" in its general settings"
        ),
        "invalid_scope" | "access_denied" => {
            format!("grant service app `{client_id}` the scopes {} (Okta API Scopes)", scopes(rights, "`", ", "))
        }
        _ => format!(
            "client `{client_id}` is unknown or inactive, or the key in `private_key_file` is none of its public keys: \
             it must be a service app with \"Public key / Private key\" as client authentication"
        ),
    }
}
