//! A provider that answers like the Admin REST API of a Keycloak, as far as a listing goes, and misbehaves on demand.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// How it misbehaves towards whoever asks for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Not at all.
    None,
    /// 500 to whatever is asked.
    Down,
    /// A status, with an empty object.
    Status(u16),
    /// 429 with `Retry-After`.
    Busy,
    /// A byte a second.
    Slow,
    /// The first half of the answer, as if it were all.
    Truncated,
    /// The first half of the answer, and then the connection ends.
    Broken,
    /// A page for people, with status 200.
    Html,
    /// JSON that is none of people.
    Other,
    /// Everybody twice on a page.
    Doubled,
    /// The same page whatever is asked for.
    Repeating,
    /// Nobody, and a count of nobody.
    Empty,
    /// Nobody, and the true count: a right was taken away.
    Blind,
    /// Only the first half of the people, and a count that fits.
    Half,
}

/// What it does, its people, and its admin events.
type Realm = (Trouble, Vec<Value>, Vec<Value>);

#[derive(Clone)]
struct Provider(Arc<Mutex<Realm>>);

pub struct Troubled {
    pub url: String,
    provider: Provider,
    _task: JoinSet<()>,
}

impl Troubled {
    /// With so many people, `u0` and on, all active.
    pub async fn start(people: usize) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let user = |number: usize| {
            json!({ "id": format!("u{number}"), "username": format!("user{number}"), "enabled": true,
                "email": format!("u{number}@example.com"), "emailVerified": true })
        };
        let provider = Provider(Arc::new(Mutex::new((Trouble::None, (0..people).map(user).collect(), vec![]))));
        let app = Router::new().fallback(answer).with_state(provider.clone());
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, provider, _task: task }
    }

    pub fn set(&self, trouble: Trouble) {
        self.provider.0.lock().unwrap().0 = trouble;
    }

    /// An admin event.
    pub fn happens(&self, event: Value) {
        self.provider.0.lock().unwrap().2.push(event);
    }

    /// Disables somebody, or enables them.
    pub fn enable(&self, number: usize, enabled: bool) {
        self.provider.0.lock().unwrap().1[number]["enabled"] = enabled.into();
    }

    /// From now on there are only so many people.
    pub fn truncate(&self, people: usize) {
        self.provider.0.lock().unwrap().1.truncate(people);
    }
}

fn json_of(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

async fn answer(State(provider): State<Provider>, request: Request) -> Response {
    let (trouble, people, events) = provider.0.lock().unwrap().clone();
    let query: Vec<(String, String)> = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    let asked = |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    if trouble == Trouble::Down {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let path = request.uri().path().trim_start_matches("/admin/realms/corp");
    match path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().as_slice() {
        ["users", "count"] => {
            let count = match trouble {
                Trouble::Empty => 0,
                Trouble::Half => people.len() / 2,
                _ => people.len(),
            };
            json_of(&count.into())
        }
        ["users"] => {
            let number = |name: &str, default: usize| asked(name).and_then(|text| text.parse().ok()).unwrap_or(default);
            let disabled = asked("enabled") == Some("false");
            let fits = |user: &&Value| !disabled || user["enabled"] == false;
            let first = if trouble == Trouble::Repeating { 0 } else { number("first", 0) };
            let rows = people.iter().filter(fits).skip(first).take(number("max", 100)).cloned().collect();
            misbehave(trouble, rows, people.len())
        }
        ["users", id] => match people.iter().find(|user| user["id"] == **id) {
            Some(user) => json_of(user),
            None => (StatusCode::NOT_FOUND, json_of(&json!({ "error": "User not found" }))).into_response(),
        },
        ["admin-events"] => json_of(&Value::Array(events)),
        ["groups", "count"] => json_of(&json!({ "count": 0 })),
        ["events", "config"] => json_of(&json!({ "adminEventsEnabled": true, "eventsEnabled": true })),
        // A token that says when it was issued: `{"iat":1700000000}`.
        [.., "token"] => json_of(&json!({ "access_token": "e30.eyJpYXQiOjE3MDAwMDAwMDB9.x", "expires_in": 300 })),
        ["realms", _] => json_of(&json!({ "tokens-not-before": 0 })),
        _ => json_of(&json!([])),
    }
}

fn misbehave(trouble: Trouble, mut rows: Vec<Value>, all: usize) -> Response {
    match trouble {
        Trouble::None | Trouble::Down | Trouble::Repeating => {}
        Trouble::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap();
            return (status, [("content-type", "application/json")], "{}").into_response();
        }
        Trouble::Busy => return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")]).into_response(),
        Trouble::Html => return ([("content-type", "text/html")], "<html>Sign in</html>").into_response(),
        Trouble::Other => return json_of(&json!([{ "id": 1 }])),
        Trouble::Doubled => rows = rows.iter().flat_map(|row| [row.clone(), row.clone()]).collect(),
        Trouble::Empty | Trouble::Blind => rows.clear(),
        Trouble::Half => {
            rows.retain(|row| row["id"].as_str().unwrap()[1..].parse::<usize>().unwrap() < all / 2);
        }
        Trouble::Slow | Trouble::Truncated | Trouble::Broken => {
            let text = Value::Array(rows).to_string();
            let half = Bytes::from(text[..text.len() / 2].to_owned());
            let body = match trouble {
                Trouble::Truncated => Body::from(half),
                Trouble::Broken => Body::from_stream(stream::iter([Ok(half), Err(std::io::Error::other("gone"))])),
                _ => Body::from_stream(stream::unfold(half, |mut left| async {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    (!left.is_empty()).then(|| (Ok::<_, Infallible>(left.split_to(1)), left))
                })),
            };
            return ([("content-type", "application/json")], body).into_response();
        }
    }
    json_of(&Value::Array(rows))
}
