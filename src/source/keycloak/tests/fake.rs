//! A server that answers as a realm was seen to, and a source that asks it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::super::*;
use crate::domain::command::Observation;
use crate::domain::revocation::Target;

/// A realm, as it is behind the API.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) users: Vec<Value>,
    pub(super) groups: Vec<Value>,
    /// Direct members by group.
    pub(super) members: BTreeMap<String, Vec<String>>,
    pub(super) clients: Vec<Value>,
    pub(super) admin_events: Vec<Value>,
    pub(super) user_events: Vec<Value>,
    pub(super) admin_events_off: bool,
    /// Without `view-users`.
    pub(super) blind: bool,
    /// Shown as locked out while they sign in.
    pub(super) signing_in: bool,
    /// Taken out when the second page of users is asked for.
    pub(super) leaves: Option<String>,
    pub(super) asked: Vec<String>,
}

type Shared = Arc<Mutex<Fake>>;

pub(super) fn user(name: &str) -> Value {
    json!({ "id": format!("id-{name}"), "username": name, "email": format!("{name}@example.com"), "emailVerified": true,
        "enabled": true, "notBefore": 0 })
}

pub(super) fn group(id: &str, path: &str, parent: Option<&str>) -> Value {
    json!({ "id": id, "name": path.rsplit('/').next(), "path": path, "parentId": parent })
}

impl Fake {
    pub(super) fn of(names: &[&str]) -> Self {
        Self { users: names.iter().map(|name| user(name)).collect(), ..Self::default() }
    }

    pub(super) fn user(&mut self, name: &str) -> &mut Value {
        self.users.iter_mut().find(|user| user["username"] == name).unwrap()
    }

    fn answer(&mut self, path: &[&str], query: &BTreeMap<String, String>) -> Result<Value, StatusCode> {
        let number = |name: &str| query.get(name).and_then(|text| text.parse::<i64>().ok());
        let rows = |rows: Vec<&Value>| {
            let max = number("max").and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
            let first = usize::try_from(number("first").unwrap_or(0)).unwrap();
            Value::Array(rows.into_iter().skip(first).take(max).cloned().collect())
        };
        let since = |events: &[Value]| -> Vec<Value> {
            let from = number("dateFrom").unwrap();
            events.iter().filter(|event| event["time"].as_i64().unwrap() >= from).cloned().collect()
        };
        let is_meant = |user: &&Value| {
            query.get("enabled").is_none_or(|_| user["enabled"] == false)
                && query.get("username").is_none_or(|name| user["username"] == *name)
        };
        let find = |all: &[Value], id: &str| all.iter().find(|one| one["id"] == id).cloned();
        Ok(match path {
            ["users", "count"] => self.users.iter().filter(is_meant).count().into(),
            ["groups", "count"] => json!({ "count": self.groups.len() }),
            ["users"] | ["groups"] if self.blind => json!([]),
            ["users", ..] | ["groups", ..] if self.blind => return Err(StatusCode::FORBIDDEN),
            ["users"] if query.get("enabled").is_some() && query["briefRepresentation"] == "true" => {
                let mut users: Vec<Value> = self.users.iter().filter(is_meant).cloned().collect();
                for user in &mut users {
                    let user = user.as_object_mut().unwrap();
                    user.retain(|name, _| !["attributes", "notBefore"].contains(&name.as_str()));
                }
                self.asked.push("in brief".to_owned());
                rows(users.iter().collect())
            }
            ["users"] => {
                if let Some(name) = self.leaves.take_if(|_| number("first") > Some(0)) {
                    self.users.retain(|user| user["username"] != *name);
                }
                rows(self.users.iter().filter(is_meant).collect())
            }
            ["users", id] => {
                let mut user = find(&self.users, id).ok_or(StatusCode::NOT_FOUND)?;
                if self.signing_in {
                    user["enabled"] = false.into();
                    user["attributes"] = json!({ "disabledReason": ["permanentLockout"] });
                }
                user
            }
            ["users", id, "groups"] => {
                let of = |group: &&Value| {
                    self.members.get(group["id"].as_str().unwrap()).is_some_and(|all| all.iter().any(|one| one == id))
                };
                rows(self.groups.iter().filter(of).collect())
            }
            ["groups"] => rows(self.groups.iter().collect()),
            ["groups", id, "members"] => {
                let members: Vec<Value> = self.members[*id].iter().map(|id| json!({ "id": id })).collect();
                rows(members.iter().collect())
            }
            ["clients"] => rows(self.clients.iter().collect()),
            ["clients", id] => find(&self.clients, id).ok_or(StatusCode::NOT_FOUND)?,
            ["events", "config"] => json!({ "eventsEnabled": true, "adminEventsEnabled": !self.admin_events_off }),
            ["admin-events"] => rows(since(&self.admin_events).iter().collect()),
            ["events"] => rows(since(&self.user_events).iter().collect()),
            other => panic!("{other:?}"),
        })
    }
}

pub(super) fn json_of(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

async fn answer(State(realm): State<Shared>, uri: Uri) -> Response {
    let path: Vec<&str> = uri.path().split('/').skip(1).collect();
    let query: BTreeMap<String, String> =
        reqwest::Url::parse(&format!("http://x{uri}")).unwrap().query_pairs().into_owned().collect();
    let mut realm = realm.lock().unwrap();
    realm.asked.push(uri.path().to_owned());
    match path.as_slice() {
        ["realms", "corp"] => json_of(&json!({ "tokens-not-before": 0 })),
        ["realms", ..] => {
            let token = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(json!({ "iat": 1_700_000_000 }).to_string()));
            json_of(&json!({ "access_token": token, "expires_in": 300 }))
        }
        ["admin", "realms", "corp", rest @ ..] => {
            let none = |status| (status, json_of(&json!({ "error": "not found" }))).into_response();
            realm.answer(rest, &query).map_or_else(none, |value| json_of(&value))
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A source, and the realm that it asks.
pub(super) struct Fixture {
    pub(super) realm: Shared,
    pub(super) source: Keycloak,
    pub(super) _secret: tempfile::NamedTempFile,
    pub(super) _server: JoinSet<()>,
}

/// Milliseconds of the realm's clock when a test begins.
pub(super) const NOW: i64 = 1_700_000_000_000;

impl Fixture {
    pub(super) async fn start(realm: Fake) -> Self {
        let realm = Arc::new(Mutex::new(realm));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&realm));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "secret").unwrap();
        let settings = Settings {
            name: "kc".into(),
            issuer: "https://idp".into(),
            realm: Realm {
                url,
                realm: "corp".into(),
                client_id: "sync".into(),
                client_secret_file: secret.path().to_owned(),
            },
            attributes: BTreeSet::new(),
            poll: Duration::from_secs(1),
        };
        let source = Keycloak::new(settings, Http::new(Duration::from_secs(10), None));
        let mut fixture = Self { realm, source, _secret: secret, _server: server };
        fixture.changes().await;
        fixture
    }

    pub(super) fn realm(&self) -> std::sync::MutexGuard<'_, Fake> {
        self.realm.lock().unwrap()
    }

    pub(super) async fn changes(&mut self) -> Changes {
        let changes = self.source.changes().await.unwrap();
        self.source.acknowledged();
        changes
    }

    /// Everybody in a listing, and what is said beside. It is taken.
    pub(super) async fn list(&mut self) -> Result<(Vec<Person>, Vec<Observation>, Option<usize>), SourceError> {
        let listed = self.read_listing().await;
        self.source.listing_over(if listed.is_ok() { ListingOutcome::Accepted } else { ListingOutcome::Dropped });
        listed
    }

    /// The same, before it is known whether it is taken.
    pub(super) async fn read_listing(&mut self) -> Result<(Vec<Person>, Vec<Observation>, Option<usize>), SourceError> {
        let (mut people, mut beside, mut place) = (Vec::new(), Vec::new(), None);
        loop {
            let page = self.source.page(place).await?;
            people.extend(page.people);
            beside.extend(page.observations);
            place = page.next;
            if place.is_none() {
                return Ok((people, beside, page.count));
            }
        }
    }
}

/// One observation in a few words.
pub(super) fn word(observation: &Observation) -> String {
    match observation {
        Observation::Change { person, at, .. } => {
            let at = at.map(|at| at.as_millis() - NOW);
            format!("{} {} {at:?} {}", person.id.key, person.status.word(), person.groups.join(","))
        }
        Observation::Deleted { person, at } => format!("{} gone {:?}", person.key, at.map(|at| at.as_millis() - NOW)),
        Observation::CutOff { target, at, .. } => {
            let whom = match target {
                Target::DirectoryPerson { person } => person.key.clone(),
                other => format!("{other:?}"),
            };
            format!("{whom} cut off {}", at.as_millis() - NOW)
        }
        Observation::Block { target: Target::Session { session, .. }, stands, .. } => {
            format!("session {session} {stands}")
        }
        Observation::Block { target: Target::Client { client, .. }, stands, .. } => format!("client {client} {stands}"),
        other => format!("{other:?}"),
    }
}

pub(super) fn words(changes: &Changes) -> Vec<String> {
    changes.observations.iter().map(word).collect()
}
