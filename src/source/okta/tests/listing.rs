//! Groups of a listing count once it was taken, and not before.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, DATE, LINK};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::super::*;
use super::event;
use crate::domain::time::Now;

/// An organization, with Alice in every group that it has.
#[derive(Default)]
struct Fake {
    base: String,
    /// Ids and names.
    groups: Vec<(&'static str, &'static str)>,
    log: Vec<Value>,
}

type Shared = Arc<Mutex<Fake>>;

async fn answer(State(org): State<Shared>, uri: Uri) -> Response {
    let org = org.lock().unwrap();
    let kind = |id: &str| if id.starts_with("00gapp") { "APP_GROUP" } else { "OKTA_GROUP" };
    let group = |(id, name): &(&str, &str)| json!({ "id": id, "type": kind(id), "profile": { "name": name } });
    let groups = || org.groups.iter().map(group).collect::<Value>();
    let alice = json!({ "id": "00ualice", "status": "ACTIVE", "profile": { "login": "alice" } });
    let path: Vec<&str> = uri.path().split('/').skip(3).collect();
    let body = match path.as_slice() {
        ["keys"] => json!({}),
        ["groups"] | ["users", _, "groups"] => groups(),
        ["groups", ..] | ["users"] => json!([alice]),
        ["users", _] => alice,
        ["logs"] => org.log.iter().cloned().collect(),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    // The log alone goes on for ever.
    let relation = if path == ["logs"] { "next" } else { "self" };
    let link = format!("<{}/api/v1/logs?after={}>; rel=\"{relation}\"", org.base, org.log.len());
    let date = "Sun, 26 Mar 2023 21:06:00 GMT".to_owned();
    let headers = [(CONTENT_TYPE, "application/json".to_owned()), (DATE, date), (LINK, link)];
    (headers, body.to_string()).into_response()
}

struct Fixture {
    org: Shared,
    okta: Okta,
    _server: JoinSet<()>,
    _token: tempfile::NamedTempFile,
}

impl Fixture {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let org = Fake { base: base.clone(), groups: vec![("00geng", "eng"), ("00gops", "ops")], log: vec![] };
        let org = Arc::new(Mutex::new(org));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&org));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "token").unwrap();
        let settings = Settings {
            name: "okta".to_owned(),
            url: base.parse().unwrap(),
            credential: Credential::Token { file: token.path().to_owned() },
            attributes: BTreeSet::new(),
            app: None,
        };
        let now = Now { wall: Timestamp::from_secs(1_679_864_760), steady: Timestamp::from_secs(0) };
        let okta = Okta::new(settings, Http::new(Duration::from_secs(10), None), Arc::new(move || now));
        let mut fixture = Self { org, okta, _server: server, _token: token };
        fixture.changes().await;
        let people = fixture.read_listing().await;
        assert_eq!(people[0].groups.len(), 2, "{people:?}");
        fixture.okta.listing_over(ListingOutcome::Accepted);
        fixture
    }

    /// What groups are said to be deleted.
    async fn changes(&mut self) -> Vec<String> {
        let changes = self.okta.changes().await.unwrap();
        self.okta.acknowledged();
        assert!(changes.trouble.is_none(), "{:?}", changes.trouble);
        let deleted = changes.observations.into_iter().filter_map(|seen| match seen {
            Observation::GroupDeleted { group, .. } => Some(group),
            _ => None,
        });
        deleted.collect()
    }

    /// In which groups those are who are said to have changed.
    async fn read_again(&mut self) -> Vec<Vec<String>> {
        let changes = self.okta.changes().await.unwrap();
        self.okta.acknowledged();
        let people = changes.observations.into_iter().filter_map(|seen| match seen {
            Observation::Change { person, .. } => Some(person.groups),
            _ => None,
        });
        people.collect()
    }

    async fn read_listing(&mut self) -> Vec<Person> {
        let (mut people, mut place) = (Vec::new(), None);
        loop {
            let page = self.okta.page(place).await.unwrap();
            people.extend(page.people);
            place = page.next;
            if place.is_none() {
                return people;
            }
        }
    }

    /// `eng` is deleted; its event follows.
    fn delete(&self) -> Value {
        self.org.lock().unwrap().groups.remove(0);
        event("1", "group.lifecycle.delete", 1, &[("UserGroup", "00geng")])
    }
}

/// The listing reads the groups first: a deletion that its events still have to tell is in them already.
#[tokio::test]
async fn a_group_that_is_deleted_as_a_listing_begins_ends_at_once() {
    let mut one = Fixture::start().await;
    let event = one.delete();
    one.okta.page(None).await.unwrap();
    one.org.lock().unwrap().log.push(event);
    assert_eq!(one.changes().await, ["eng"]);
}

/// Nor does somebody who is looked up meanwhile, and is in a group that nobody heard of yet.
#[tokio::test]
async fn a_group_that_is_deleted_before_somebody_is_looked_up_ends_by_its_event() {
    let mut one = Fixture::start().await;
    let event = one.delete();
    one.org.lock().unwrap().groups.push(("00gnew", "new"));
    let alice = one.okta.look_up("id", "00ualice").await.unwrap().unwrap();
    assert!(alice.groups.contains(&"new".to_owned()), "{alice:?}");
    one.org.lock().unwrap().log.push(event);
    assert_eq!(one.changes().await, ["eng"]);
}

/// Names of groups that come with an application are anybody's choice.
#[tokio::test]
async fn a_name_that_an_own_group_takes_gives_nobody_else_anything() {
    let mut one = Fixture::start().await;
    one.org.lock().unwrap().groups.push(("00gapp", "admins"));
    one.read_listing().await;
    one.okta.listing_over(ListingOutcome::Accepted);
    let of = async |one: &mut Fixture| one.okta.look_up("id", "00ualice").await.unwrap().unwrap().groups;
    assert!(of(&mut one).await.contains(&"admins".to_owned()), "nobody else is called so");
    one.org.lock().unwrap().groups.push(("00gown", "admins"));
    of(&mut one).await;
    // Whoever is in the other one alone.
    one.org.lock().unwrap().groups.pop();
    let groups = of(&mut one).await;
    assert!(!groups.contains(&"admins".to_owned()), "{groups:?}");
}

/// Who is read while a listing is on its way is in what groups were called before it.
#[tokio::test]
async fn who_is_read_during_a_listing_is_read_again_once_it_was_taken() {
    let mut one = Fixture::start().await;
    one.org.lock().unwrap().groups.extend([("00gapp", "admins"), ("00gapp2", "admins")]);
    one.read_listing().await;
    one.okta.listing_over(ListingOutcome::Accepted);
    one.org.lock().unwrap().groups.pop();
    let admins = |groups: &[String]| groups.contains(&"admins".to_owned());
    assert!(admins(&one.read_listing().await[0].groups), "one alone is called so by now");
    let event = event("7", "group.user_membership.add", 1, &[("UserGroup", "00gapp"), ("User", "00ualice")]);
    one.org.lock().unwrap().log.push(event);
    assert!(!admins(&one.read_again().await[0]), "the listing was not taken yet");
    one.okta.listing_over(ListingOutcome::Accepted);
    one.org.lock().unwrap().log.clear();
    let again = one.read_again().await;
    assert!(again.len() == 1 && admins(&again[0]), "{again:?}");
    assert!(one.read_again().await.is_empty(), "once");
}
