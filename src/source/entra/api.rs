//! The requests to Microsoft Graph that a sync needs, with a token that renews itself.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::refusal;
use super::wire::{List, Page};
use crate::domain::settings::entra::Tenant;
use crate::domain::time::Timestamp;
use crate::source::address::{below, followed};
use crate::source::directory::Finding;
use crate::source::error::SourceError;
use crate::source::http::{Answer, Call, Http, encoded, secret};
use crate::source::token::{self, AccessToken, SignsIn};
use crate::source::visited::Visited;

/// How long before its expiry a token is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// The pause before the next request, by the used share of our limit.
const SLOW: [(f64, Duration); 2] = [(1.0, Duration::from_secs(5)), (0.8, Duration::from_secs(1))];

/// The application permission that reading users needs.
pub const USERS: &str = "User.Read.All";
/// The application permission that reading groups needs.
pub const GROUPS: &str = "GroupMember.Read.All";

/// A page of a delta query.
pub enum Delta<T> {
    /// Its rows, and where the query continues.
    Page(Page<T>),
    /// The provider no longer knows the position: everything must be listed anew.
    Reset,
}

/// The API client of one tenant.
pub struct Api {
    http: Http,
    tenant: Tenant,
    token: AccessToken,
    /// The provider's time at its last answer.
    pub date: Option<Timestamp>,
    pause: Duration,
}

impl Api {
    /// A client of `tenant` that sends its requests by `http`.
    #[must_use]
    pub fn new(http: Http, tenant: Tenant) -> Self {
        Self { http, tenant, token: AccessToken::default(), date: None, pause: Duration::ZERO }
    }

    /// Which requests go through a proxy, for `source check`.
    #[must_use]
    pub fn proxies(&self) -> Vec<Finding> {
        self.http.proxies([&self.tenant.login_url, &self.tenant.graph_url])
    }

    /// An answer of any status to a request whose token was accepted.
    async fn answer(&mut self, step: &'static str, url: Url) -> Result<Answer, SourceError> {
        if !self.pause.is_zero() {
            sleep(self.pause).await;
        }
        let answer = token::get(self, step, url).await?;
        if answer.status == StatusCode::FORBIDDEN {
            // Only a new token has permissions that are granted from now on.
            self.token.forget();
        }
        Ok(answer)
    }

    fn accepted(&self, answer: Answer, right: &str) -> Result<Answer, SourceError> {
        let advice = refusal::of_graph(&answer, right, &self.tenant.client_id);
        if answer.status == StatusCode::BAD_REQUEST
            && let Some(code) = refusal::code(&answer)
        {
            return Err(SourceError::Malformed { step: answer.step, what: format!("answered 400: `{code}`") });
        }
        answer.own()?.checked(|_| advice)
    }

    /// `GET {graph}/v1.0/…`; `right` is the application permission that a 403 means is missing.
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
        let url = self.url(path, query)?;
        let answer = self.answer(step, url).await?;
        self.accepted(answer, right)?.json()
    }

    /// The same for a list: all its pages, with at most `limit` rows.
    ///
    /// # Errors
    /// [`SourceError`] if a request fails or the list is longer.
    pub async fn list<T: DeserializeOwned>(
        &mut self,
        step: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
        (right, limit): (&str, usize),
    ) -> Result<Vec<T>, SourceError> {
        let mut next = Some(self.url(path, query)?);
        let (mut rows, mut visited) = (Vec::new(), Visited::default());
        while let Some(url) = next {
            visited.note(step, &url)?;
            let answer = self.answer(step, url).await?;
            let page: List<T> = self.accepted(answer, right)?.json()?;
            rows.extend(page.value);
            if rows.len() > limit {
                return Err(SourceError::Malformed { step, what: "the list does not end".to_owned() });
            }
            next = page.next.map(|link| self.followed(step, &link)).transpose()?;
        }
        Ok(rows)
    }

    /// A page of a delta query. At a position that was `kept`, a bad request means that the provider no longer knows
    /// the position.
    ///
    /// # Errors
    /// [`SourceError`] if the request fails.
    pub async fn delta<T: DeserializeOwned>(
        &mut self,
        (step, right): (&'static str, &str),
        url: Url,
        kept: bool,
    ) -> Result<Delta<T>, SourceError> {
        let answer = self.answer(step, url).await?;
        let forgotten = || refusal::code(&answer).is_some_and(|code| refusal::wants_resync(&code));
        let reset = match answer.status {
            StatusCode::GONE => true,
            StatusCode::BAD_REQUEST => kept || forgotten(),
            status => status.is_client_error() && forgotten(),
        };
        if reset {
            return Ok(Delta::Reset);
        }
        Ok(Delta::Page(self.accepted(answer, right)?.json()?))
    }

    /// Builds an address of Graph with this query.
    ///
    /// # Errors
    /// [`SourceError::Malformed`] if `graph_url` cannot have a path.
    pub fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url, SourceError> {
        below(&self.tenant.graph_url, &[&["v1.0"], path].concat(), query)
    }

    /// Checks an address from an answer, and returns it unchanged. It gets our token, so it must be on the configured
    /// Graph.
    ///
    /// # Errors
    /// [`SourceError::Malformed`] if it is not.
    pub fn followed(&self, step: &'static str, link: &str) -> Result<Url, SourceError> {
        let what = || "its next page is on another host than `graph_url`: not followed".to_owned();
        followed(link, &self.tenant.graph_url).map_err(|_| SourceError::Malformed { step, what: what() })
    }
}

impl SignsIn for Api {
    fn session(&mut self) -> (&Http, &mut AccessToken) {
        (&self.http, &mut self.token)
    }

    /// Gets a token. This also shows whether tenant, application and secret are right.
    async fn sign_in(&mut self) -> Result<(), SourceError> {
        let step = "get a token for the application";
        let Tenant { login_url, graph_url, tenant, client_id, client_secret_file } = &self.tenant;
        let password = secret(client_secret_file).await?;
        let scope = format!("{}/.default", graph_url.as_str().trim_end_matches('/'));
        let form = encoded([
            ("grant_type", "client_credentials"),
            ("client_id", client_id.as_str()),
            ("client_secret", password.as_str()),
            ("scope", scope.as_str()),
        ]);
        let url = below(login_url, &[tenant, "oauth2", "v2.0", "token"], &[])?;
        let answer = self.http.ask(Call::post(step, url, form)).await?;
        self.date = answer.date().or(self.date);
        if matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {
            let advice = refusal::of_token(&answer, &self.tenant);
            return Err(SourceError::Forbidden { step, advice });
        }
        let answer = answer.checked(|_| "the sign-in service refuses the application".to_owned())?;
        self.token.take(&answer, RENEW_BEFORE).map(drop)
    }

    fn note(&mut self, answer: &Answer) {
        self.date = answer.date().or(self.date);
        self.pause = pause(&answer.headers);
    }
}

/// How long to wait before the next request. Once much of our limit is used, the provider says how much.
fn pause(headers: &HeaderMap) -> Duration {
    let used = headers.get("x-ms-throttle-limit-percentage").and_then(|value| value.to_str().ok()?.parse::<f64>().ok());
    let slow = |(above, pause)| used.filter(|used| *used > above).map(|_| pause);
    SLOW.into_iter().find_map(slow).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(graph: &str) -> Api {
        let url = |text: &str| Url::parse(text).unwrap();
        let tenant = Tenant {
            login_url: url("https://login.microsoftonline.com"),
            graph_url: url(graph),
            tenant: "t".into(),
            client_id: "c".into(),
            client_secret_file: "/dev/null".into(),
        };
        Api::new(Http::new(Duration::from_secs(1), None), tenant)
    }

    #[test]
    fn our_token_goes_nowhere_else() {
        let api = api("https://graph.microsoft.us/");
        let link = "https://graph.microsoft.us/v1.0/users/delta?$deltatoken=a_b-C%3d";
        assert_eq!(api.followed("x", link).unwrap().as_str(), link, "whole, and as it is");
        for other in ["https://login.microsoftonline.com/users", "/v1.0/users/delta?$skiptoken=a"] {
            assert!(api.followed("x", other).is_err(), "{other}");
        }
        let url = api.url(&["users", "a/b"], &[]).unwrap();
        assert_eq!(url.as_str(), "https://graph.microsoft.us/v1.0/users/a%2Fb");
    }

    #[test]
    fn little_that_is_left_slows_down() {
        let paused = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-ms-throttle-limit-percentage", value.parse().unwrap());
            pause(&headers).as_secs()
        };
        assert_eq!(["0.5", "0.8", "0.81", "1.3", "much"].map(paused), [0, 0, 1, 5, 0]);
        assert_eq!(pause(&HeaderMap::new()), Duration::ZERO);
    }
}
