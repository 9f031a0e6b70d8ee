//! An access token that renews itself.

use std::future::Future;
use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::error::SourceError;
use super::http::{Answer, Call, Http};

/// The access token for a provider. No `Debug`: it is a secret.
#[derive(Default)]
pub struct AccessToken(Option<Held>);

struct Held {
    authorization: String,
    /// When to renew it.
    until: Instant,
}

/// The answer of a token endpoint.
#[derive(Deserialize)]
struct Issued {
    access_token: String,
    /// In seconds.
    expires_in: u64,
}

impl AccessToken {
    /// Takes the token from an answer. It is to be renewed `before` it expires, or after half its lifetime if that is
    /// shorter. Returns the token itself.
    ///
    /// # Errors
    /// [`SourceError::Malformed`] if the answer is not a token.
    pub fn take(&mut self, answer: &Answer, before: Duration) -> Result<String, SourceError> {
        let Issued { access_token, expires_in } = answer.json()?;
        let life = Duration::from_secs(expires_in);
        // The sum overflows only for a lifetime that no token has.
        let until = Instant::now().checked_add(life.saturating_sub(before.min(life / 2)));
        let authorization = format!("Bearer {access_token}");
        self.0 = Some(Held { authorization, until: until.unwrap_or_else(Instant::now) });
        Ok(access_token)
    }

    fn is_due(&self) -> bool {
        self.0.as_ref().is_none_or(|held| held.until <= Instant::now())
    }

    /// Drops the token, so that the next request gets a new one.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}

/// A client that authenticates with an access token.
pub trait SignsIn: Send {
    /// The client's HTTP connection and its current token.
    fn session(&mut self) -> (&Http, &mut AccessToken);

    /// Gets a new token.
    fn sign_in(&mut self) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// Called with each answer, for what else the client wants to learn from it.
    fn note(&mut self, answer: &Answer) {
        let _ = answer;
    }
}

/// Sends a GET request with a token that is renewed in time. If the token is not accepted, tries once more with a new
/// one, as it may have been revoked early. Returns the answer whatever its status.
///
/// # Errors
/// [`SourceError`] if there is no token or no answer.
pub async fn get<C: SignsIn>(client: &mut C, step: &'static str, url: Url) -> Result<Answer, SourceError> {
    let mut again = true;
    loop {
        if client.session().1.is_due() {
            client.sign_in().await?;
        }
        let (http, token) = client.session();
        let authorization = token.0.as_ref().map(|held| held.authorization.clone()).unwrap_or_default();
        let answer = http.ask(Call::get(step, url.clone()).authorized(authorization)).await?;
        client.note(&answer);
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        client.session().1.forget();
        if !std::mem::take(&mut again) {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::Router;
    use axum::http::HeaderMap;
    use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
    use axum::routing::get;
    use serde_json::json;
    use tokio::task::JoinSet;

    use super::*;

    /// A client, and a provider that accepts only the token with this number.
    struct Client {
        http: Http,
        base: Url,
        token: AccessToken,
        accepted: Arc<AtomicU64>,
        issued: Arc<AtomicU64>,
        noted: Vec<u16>,
        _server: JoinSet<()>,
    }

    impl Client {
        async fn start(life: u64) -> Self {
            let accepted = Arc::new(AtomicU64::new(1));
            let judge = Arc::clone(&accepted);
            let rows = get(async move |headers: HeaderMap| {
                let wanted = format!("Bearer t{}", judge.load(Ordering::Relaxed));
                if headers[AUTHORIZATION] == wanted { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
            });
            let issued = Arc::new(AtomicU64::new(0));
            let count = Arc::clone(&issued);
            let token = get(async move || {
                let number = count.fetch_add(1, Ordering::Relaxed) + 1;
                let token = json!({ "access_token": format!("t{number}"), "expires_in": life });
                ([(CONTENT_TYPE, "application/json")], token.to_string())
            });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
            let mut server = JoinSet::new();
            let app = Router::new().route("/rows", rows).route("/token", token);
            server.spawn(async move { axum::serve(listener, app).await.unwrap() });
            let http = Http::new(Duration::from_secs(10), None);
            let token = AccessToken::default();
            Self { http, base, token, accepted, issued, noted: vec![], _server: server }
        }

        async fn get(&mut self) -> u16 {
            let url = self.base.join("/rows").unwrap();
            super::get(self, "list rows", url).await.unwrap().status.as_u16()
        }
    }

    impl SignsIn for Client {
        fn session(&mut self) -> (&Http, &mut AccessToken) {
            (&self.http, &mut self.token)
        }

        async fn sign_in(&mut self) -> Result<(), SourceError> {
            let answer = self.http.ask(Call::get("get a token", self.base.join("/token").unwrap())).await?;
            self.token.take(&answer, Duration::from_secs(60)).map(drop)
        }

        fn note(&mut self, answer: &Answer) {
            self.noted.push(answer.status.as_u16());
        }
    }

    #[tokio::test]
    async fn a_token_is_used_until_it_is_not_accepted() {
        let mut client = Client::start(300).await;
        assert_eq!([client.get().await, client.get().await], [200, 200]);
        assert_eq!(client.issued.load(Ordering::Relaxed), 1);
        client.accepted.store(2, Ordering::Relaxed);
        assert_eq!(client.get().await, 200, "with a new one");
        client.accepted.store(9, Ordering::Relaxed);
        assert_eq!(client.get().await, 401, "a new one is not accepted either");
        assert_eq!((client.issued.load(Ordering::Relaxed), client.noted), (3, vec![200, 200, 401, 200, 401, 401]));
    }

    #[tokio::test]
    async fn a_token_is_renewed_before_it_ends() {
        for (life, used) in [(300, 240), (100, 50), (0, 0), (u64::MAX, 0)] {
            let mut client = Client::start(life).await;
            let before = Instant::now();
            client.sign_in().await.unwrap();
            let until = client.token.0.as_ref().unwrap().until;
            let (earliest, latest) = (before + Duration::from_secs(used), Instant::now() + Duration::from_secs(used));
            assert!(until >= earliest && until <= latest, "{life}");
            let renewed = if used > 0 { 1 } else { 2 };
            client.accepted.store(renewed, Ordering::Relaxed);
            assert_eq!((client.get().await, client.issued.load(Ordering::Relaxed)), (200, renewed), "{life}");
        }
    }
}
