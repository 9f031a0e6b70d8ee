//! HTTP requests of sources: limited in time and size, and never redirected by an answer.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::directory::{Finding, Grade};
use super::error::{SourceError, chain};
use super::pace::{LONGEST_WAIT, UNTOLD};
use crate::domain::time::Timestamp;
use crate::http::proxy::Way;
use crate::http::{Client, ClientError};

/// The limit for one page of a directory: 10,000 people with long records.
const MAX_BODY: usize = 64 << 20;

/// A request. No `Debug`: it holds the credential.
#[derive(Clone)]
pub struct Call {
    /// The step, for errors.
    pub step: &'static str,
    /// The method.
    pub method: Method,
    /// The address.
    pub url: Url,
    /// The complete `authorization` header.
    pub authorization: Option<String>,
    /// A form, encoded as `application/x-www-form-urlencoded`.
    pub form: Option<String>,
}

impl Call {
    /// A GET request.
    #[must_use]
    pub fn get(step: &'static str, url: Url) -> Self {
        Self { step, method: Method::GET, url, authorization: None, form: None }
    }

    /// A POST request with a form.
    #[must_use]
    pub fn post(step: &'static str, url: Url, form: String) -> Self {
        Self { step, method: Method::POST, url, authorization: None, form: Some(form) }
    }

    /// The same request with this `authorization` header.
    #[must_use]
    pub fn authorized(self, value: String) -> Self {
        Self { authorization: Some(value), ..self }
    }
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The step of its request.
    pub step: &'static str,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// The provider's time when it answered, to the second.
    #[must_use]
    pub fn date(&self) -> Option<Timestamp> {
        date(&self.headers)
    }

    /// The answer if it is a success, else the error that its status means. `advice` says what is missing if the
    /// provider refuses.
    ///
    /// # Errors
    /// [`SourceError`] for any other status.
    pub fn checked(self, advice: impl FnOnce(StatusCode) -> String) -> Result<Self, SourceError> {
        let step = self.step;
        match self.status {
            status if status.is_success() => Ok(self),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(SourceError::Forbidden { step, advice: advice(self.status) })
            }
            StatusCode::NOT_FOUND => Err(SourceError::NotFound { step }),
            StatusCode::TOO_MANY_REQUESTS => {
                Err(SourceError::RateLimited { step, wait: retry_after(&self.headers).unwrap_or(UNTOLD) })
            }
            status => match retry_after(&self.headers) {
                // An overloaded provider that says how long to wait is obeyed like a rate limit.
                Some(wait) if status == StatusCode::SERVICE_UNAVAILABLE => Err(SourceError::RateLimited { step, wait }),
                _ => Err(SourceError::Status { step, status: status.as_u16() }),
            },
        }
    }

    /// For a provider whose own 404 is always JSON: any other 404 (a proxy's page, say) does not mean that something is
    /// absent.
    ///
    /// # Errors
    /// [`SourceError::Status`] for a 404 that is not its own.
    pub fn own(self) -> Result<Self, SourceError> {
        let foreign = self.status == StatusCode::NOT_FOUND && !self.is_json();
        if foreign { Err(SourceError::Status { step: self.step, status: 404 }) } else { Ok(self) }
    }

    fn kind(&self) -> &str {
        self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn is_json(&self) -> bool {
        self.kind().contains("json")
    }

    /// The body, parsed as JSON.
    ///
    /// # Errors
    /// [`SourceError::Malformed`] for an HTML page with status 200, half of a document, or another shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, SourceError> {
        let malformed = |what: String| SourceError::Malformed { step: self.step, what };
        if !self.is_json() {
            let kind = self.kind();
            return Err(malformed(format!("answered `{}`, not JSON", kind.chars().take(60).collect::<String>())));
        }
        // Never quote the value: it may be a secret or personal data.
        let place = |error: serde_json::Error| {
            malformed(format!("line {} column {}: not as expected", error.line(), error.column()))
        };
        serde_json::from_slice(&self.body).map_err(place)
    }
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(DATE)?.to_str().ok()?;
    let parsed = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::from_millis(parsed.timestamp().as_millisecond()))
}

/// The wait that `Retry-After` asks for, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
            let millis = until.checked_sub(date(headers)?.as_millis())?;
            Duration::from_millis(u64::try_from(millis).ok()?)
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// An HTTP client. Each source has one.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
}

/// How long to wait for a connection; one that takes longer will not succeed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

fn unusable(step: &'static str, error: ClientError) -> SourceError {
    match error {
        ClientError::CaFile { path, cause } => SourceError::Secret { path, cause },
        ClientError::Proxy(error) => SourceError::Misconfigured { step, what: error.to_string() },
        ClientError::Tls(_) | ClientError::Stopped => SourceError::Unreachable { step, cause: error.to_string() },
    }
}

impl Http {
    /// A client that waits at most `timeout` for an answer. It trusts `ca_file` beside the system's roots.
    #[must_use]
    pub fn new(timeout: Duration, ca_file: Option<PathBuf>) -> Self {
        Self::by(Client::new(timeout, timeout.min(CONNECT_TIMEOUT)), ca_file)
    }

    fn by(client: Client, ca_file: Option<PathBuf>) -> Self {
        Self { client: ca_file.map_or_else(|| client.clone(), |path| client.trusting(path)) }
    }

    /// Reports which of these addresses are reached through a proxy; nothing if none is.
    #[must_use]
    pub fn proxies<'a>(&self, urls: impl IntoIterator<Item = &'a Url>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        for url in urls {
            let host = url.host_str().unwrap_or_default();
            let (grade, text) = match self.client.way(url) {
                Ok(Way::Proxy(proxy)) => (Grade::Good, format!("{host} is asked through {proxy}")),
                Ok(Way::Exempt) => (Grade::Good, format!("{host} is asked directly, as `NO_PROXY` says")),
                Ok(Way::Direct | Way::Loopback) => continue,
                Err(error) => (Grade::Bad, error.to_string()),
            };
            if findings.iter().all(|known| known.text != text) {
                findings.push(Finding { grade, what: "proxy", text });
            }
        }
        findings
    }

    /// Sends a request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// [`SourceError::Unreachable`] if there is no answer in time, or if a proxy answers that it got none;
    /// [`SourceError::Malformed`] if the body exceeds the limit.
    pub async fn ask(&self, call: Call) -> Result<Answer, SourceError> {
        let step = call.step;
        let reach = self.client.get(&call.url).await.map_err(|error| unusable(step, error))?;
        let broken = |error: reqwest::Error| {
            let (late, way) = (error.is_timeout(), reach.because(&error));
            let cause = if late { "no answer in time".to_owned() } else { chain(&error.without_url()) };
            SourceError::Unreachable { step, cause: format!("{cause}{way}") }
        };
        let is_plain = call.url.scheme() == "http";
        let mut request = reach.client.request(call.method, call.url).header("accept", "application/json");
        if let Some(authorization) = call.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(form) = call.form {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        }
        let mut answer = request.send().await.map_err(broken)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        if is_plain && is_of_a_proxy(status) && matches!(reach.way, Way::Proxy(_)) {
            let cause = format!("answered {}{}", status.as_u16(), reach.through());
            return Err(SourceError::Unreachable { step, cause });
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            if body.len().saturating_add(chunk.len()) > MAX_BODY {
                return Err(SourceError::Malformed { step, what: format!("longer than {MAX_BODY} bytes") });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { step, status, headers, body })
    }
}

/// Whether a status is a proxy's own: it requires a login, or cannot reach the host.
fn is_of_a_proxy(status: StatusCode) -> bool {
    matches!(status, StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
}

/// Encodes a query or a form.
#[must_use]
pub fn encoded<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let Ok(mut url) = Url::parse("http://query") else { return String::new() };
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

/// Reads a secret from a file, without trailing white space.
///
/// # Errors
/// [`SourceError::Secret`], naming the file.
pub async fn secret(path: &PathBuf) -> Result<String, SourceError> {
    let unread = |cause: std::io::Error| SourceError::Secret { path: path.clone(), cause: cause.to_string() };
    let text = tokio::fs::read_to_string(path).await.map_err(unread)?;
    let text = text.trim_end();
    if text.is_empty() {
        return Err(SourceError::Secret { path: path.clone(), cause: "it is empty".to_owned() });
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, kind: &str) -> Answer {
        let headers = [(CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect();
        Answer { step: "read a user", status: StatusCode::from_u16(status).unwrap(), headers, body: b"{}".to_vec() }
    }

    #[test]
    fn only_the_provider_itself_says_that_there_is_nobody() {
        assert!(answer(404, "application/json;odata.metadata=minimal").own().is_ok());
        assert!(answer(403, "text/html").own().is_ok(), "for others to judge");
        for kind in ["text/html", "text/plain; charset=utf-8", ""] {
            let error = answer(404, kind).own().unwrap_err();
            assert!(matches!(error, SourceError::Status { status: 404, .. }), "{kind}");
        }
    }

    #[tokio::test]
    async fn who_cannot_be_reached_is_told_which_way_was_tried() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        drop(listener);
        let http = Http::new(Duration::from_secs(5), None);
        let error = http.ask(Call::get("read a user", url)).await.unwrap_err().to_string();
        assert!(error.ends_with("; asked directly: it is this machine"), "{error}");
    }
}
