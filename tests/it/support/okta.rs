//! A fake Okta, built from its documentation (there is no other here): users, groups, the System Log in the order of
//! its persistence, pages by `Link`, rate limits, and what may go wrong. It refuses what Okta would refuse.

pub mod query;
pub mod serve;
pub mod token;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use serve::Reply;
use token::App;

/// The API token that it takes at first.
pub const TOKEN: &str = "00token-of-a-read-only-admin";

/// What goes wrong at an address.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    Status(u16),
    /// No answer ever.
    Hang,
    /// A page with status 200.
    Html,
    /// A page of something on the way, with status 404.
    Nowhere,
    /// Half of the right answer.
    Half,
    /// 429 for too many at once.
    Crowded,
}

/// An `after` that was given out.
pub struct After {
    pub of: String,
    pub filter: String,
    pub last: String,
}

pub struct Group {
    pub record: Value,
    pub members: BTreeSet<String>,
}

impl Group {
    fn has(&self, user: &str) -> bool {
        self.record["type"] == "BUILT_IN" || self.members.contains(user)
    }
}

/// A window of requests.
struct Window {
    since: Instant,
    used: u64,
    refused_until: i64,
}

/// The organization.
pub struct Org {
    pub url: String,
    pub users: BTreeMap<String, Value>,
    /// What `search` finds: it is late (`Org::index`).
    pub searchable: BTreeMap<String, Value>,
    /// Records that reading a user gives instead, so many times.
    pub lagging: HashMap<String, (Value, usize)>,
    pub groups: BTreeMap<String, Group>,
    /// Who is assigned to each application: assignments by the id of the user.
    pub apps: BTreeMap<String, BTreeMap<String, Value>>,
    /// Events with the time of their persistence, in its order.
    pub log: Vec<(i64, Value)>,
    pub issued: HashMap<String, After>,
    /// The API token that is taken.
    pub token: Option<String>,
    /// What the holder of the token may not see.
    pub denied: BTreeSet<&'static str>,
    pub app: Option<App>,
    /// Failures by the beginning of a path.
    pub failures: Vec<(String, Failure)>,
    /// Rows in a page at most.
    pub rows: usize,
    /// Listings under this path end after their first page, without a word.
    pub cut: Option<&'static str>,
    /// The next page is the same again.
    pub repeats: bool,
    /// Where the next page is said to be, instead of here.
    pub elsewhere: Option<String>,
    /// Requests in a window, by group of addresses.
    pub limits: HashMap<&'static str, u64>,
    pub window: Duration,
    /// How far its clock is ahead, in seconds.
    pub ahead: i64,
    /// Every request.
    pub asked: Vec<String>,
    /// Events that were given out.
    pub log_rows: usize,
    /// What no client should have asked.
    pub complaints: Vec<String>,
    windows: HashMap<&'static str, Window>,
    events: usize,
}

/// The server. It stops when dropped.
pub struct Okta {
    pub url: String,
    org: Arc<Mutex<Org>>,
    /// Its thread ends with this: a test that waits for a command does not keep it from answering.
    _stop: oneshot::Sender<()>,
}

pub fn epoch_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn text(millis: i64) -> String {
    format!("{:.3}", jiff::Timestamp::from_millisecond(millis).unwrap())
}

/// Okta's times of records are whole seconds.
fn second(millis: i64) -> String {
    text(millis - millis.rem_euclid(1000))
}

fn date(ahead: i64) -> String {
    let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead);
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap()
}

impl Okta {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let org = Arc::new(Mutex::new(Org::new(url.clone())));
        let router = Router::new().fallback(serve::answer).with_state(Arc::clone(&org));
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let serving = axum::serve(listener, router).into_future();
                tokio::select! { served = serving => served.unwrap(), _ = stopped => {} }
            });
        });
        Self { url, org, _stop: stop }
    }

    /// The organization, to look at and to change.
    pub fn org(&self) -> MutexGuard<'_, Org> {
        self.org.lock().unwrap()
    }
}

impl Org {
    fn new(url: String) -> Self {
        let mut org = Self {
            url,
            users: BTreeMap::new(),
            searchable: BTreeMap::new(),
            lagging: HashMap::new(),
            groups: BTreeMap::new(),
            apps: BTreeMap::new(),
            log: vec![],
            issued: HashMap::new(),
            token: Some(TOKEN.into()),
            denied: BTreeSet::new(),
            app: None,
            failures: vec![],
            rows: 200,
            cut: None,
            repeats: false,
            elsewhere: None,
            limits: HashMap::new(),
            window: Duration::from_secs(60),
            ahead: 0,
            asked: vec![],
            log_rows: 0,
            complaints: vec![],
            windows: HashMap::new(),
            events: 0,
        };
        org.add_group("00geveryone", "BUILT_IN", "Everyone");
        org
    }

    /// Somebody who joined an hour ago: `alice` has the id `00ualice` and the login `alice@example.com`.
    pub fn add_user(&mut self, name: &str) {
        let (id, login) = (format!("00u{name}"), format!("{name}@example.com"));
        let then = second(epoch_ms() - 3_600_000);
        let record = json!({ "id": id, "status": "ACTIVE", "created": then, "activated": then, "statusChanged": then,
            "lastLogin": null, "lastUpdated": then, "passwordChanged": then, "type": { "id": "oty1" },
            "profile": { "login": login, "email": login, "firstName": name, "employeeNumber": format!("e-{name}"),
                "secondEmail": null },
            "credentials": { "provider": { "type": "OKTA", "name": "OKTA" } }, "_links": {} });
        self.users.insert(id, record);
    }

    pub fn add_group(&mut self, id: &str, kind: &str, name: &str) {
        let record = json!({ "id": id, "type": kind, "created": "2020-01-01T00:00:00.000Z",
            "lastMembershipUpdated": "2020-01-01T00:00:00.000Z", "objectClass": ["okta:user_group"],
            "profile": { "name": name, "description": null } });
        self.groups.insert(id.into(), Group { record, members: BTreeSet::new() });
    }

    /// What `search` finds is now up to date.
    pub fn index(&mut self) {
        self.searchable = self.users.clone();
    }

    /// Changes a status, without a word in the log.
    pub fn set_status(&mut self, name: &str, status: &str) {
        let user = self.users.get_mut(&format!("00u{name}")).unwrap();
        let now = second(epoch_ms());
        user["status"] = status.into();
        (user["statusChanged"], user["lastUpdated"]) = (now.clone().into(), now.into());
    }

    /// An event about somebody, as it would be now.
    pub fn event(&mut self, kind: &str, name: &str) -> Value {
        self.events += 1;
        let (id, login) = (format!("00u{name}"), format!("{name}@example.com"));
        json!({ "uuid": format!("f1d0b993-0000-11ed-a688-{:012}", self.events), "published": text(epoch_ms()),
            "eventType": kind, "version": "0", "severity": "INFO", "displayMessage": kind,
            "actor": { "id": "00uadmin", "type": "User", "alternateId": "admin@example.com", "detailEntry": null },
            "target": [
                { "id": "0ua1", "type": "AppUser", "alternateId": login, "detailEntry": null },
                { "id": id, "type": "User", "alternateId": login, "displayName": name, "detailEntry": null,
                    "changeDetails": null },
                { "id": null, "type": "SomethingNew" },
            ],
            "outcome": { "result": "SUCCESS", "reason": null },
            "transaction": { "type": "WEB", "id": "ZCC1", "detail": {} },
            "authenticationContext": { "externalSessionId": "idx1", "rootSessionId": "idx1" },
            "client": { "ipAddress": "192.0.2.1" }, "debugContext": { "debugData": {} } })
    }

    /// An event becomes visible.
    pub fn persist(&mut self, event: Value) {
        self.log.push((epoch_ms(), event));
    }

    /// Something happens to somebody, and is in the log at once.
    pub fn happens(&mut self, kind: &str, name: &str) {
        let event = self.event(kind, name);
        self.persist(event);
    }

    /// A status changes, and the log says so.
    pub fn lifecycle(&mut self, name: &str, act: &str) {
        let status = match act {
            "suspend" => "SUSPENDED",
            "deactivate" => "DEPROVISIONED",
            _ => "ACTIVE",
        };
        self.set_status(name, status);
        self.happens(&format!("user.lifecycle.{act}"), name);
    }

    pub fn join(&mut self, name: &str, group: &str) {
        self.groups.get_mut(group).unwrap().members.insert(format!("00u{name}"));
        self.happens("group.user_membership.add", name);
    }

    pub fn leave(&mut self, name: &str, group: &str) {
        self.groups.get_mut(group).unwrap().members.remove(&format!("00u{name}"));
        self.happens("group.user_membership.remove", name);
    }

    /// Assigns somebody to an application, which is made where there was none, without a word in the log.
    pub fn set_assigned(&mut self, name: &str, app: &str) {
        let (id, now) = (format!("00u{name}"), second(epoch_ms()));
        let record = json!({ "id": id, "externalId": null, "created": now, "lastUpdated": now, "scope": "USER",
            "status": "ACTIVE", "statusChanged": now, "passwordChanged": null, "syncState": "DISABLED",
            "credentials": { "userName": format!("{name}@example.com") }, "profile": {}, "_links": {} });
        self.apps.entry(app.into()).or_default().insert(id, record);
    }

    /// An event about somebody and an application.
    pub fn app_event(&mut self, kind: &str, name: &str, app: &str) -> Value {
        let mut event = self.event(kind, name);
        event["target"].as_array_mut().unwrap().push(json!({ "id": app, "type": "AppInstance", "alternateId": "App" }));
        event
    }

    /// Assigns somebody to an application, and the log says so.
    pub fn assign(&mut self, name: &str, app: &str) {
        self.set_assigned(name, app);
        let event = self.app_event("application.user_membership.add", name, app);
        self.persist(event);
    }

    /// Takes an application from somebody.
    pub fn unassign(&mut self, name: &str, app: &str) {
        self.apps.get_mut(app).unwrap().remove(&format!("00u{name}"));
        let event = self.app_event("application.user_membership.remove", name, app);
        self.persist(event);
    }

    pub fn delete(&mut self, name: &str) {
        let id = format!("00u{name}");
        self.happens("user.lifecycle.delete.initiated", name);
        self.users.remove(&id);
        self.groups.values_mut().for_each(|group| _ = group.members.remove(&id));
        self.apps.values_mut().for_each(|app| _ = app.remove(&id));
        self.happens("user.lifecycle.delete.completed", name);
    }

    /// How often something was asked.
    pub fn asked_for(&self, path: &str) -> usize {
        self.asked.iter().filter(|asked| asked.starts_with(path)).count()
    }

    fn failure(&self, path: &str) -> Option<Failure> {
        self.failures.iter().find(|(prefix, _)| path.starts_with(prefix.as_str())).map(|(_, failure)| *failure)
    }

    fn issue(&mut self, of: &str, filter: &str, last: &str) -> String {
        // The same place has the same name, as with an empty page of the log.
        let same = |after: &After| after.of == of && after.filter == filter && after.last == last;
        if let Some((name, _)) = self.issued.iter().find(|(_, after)| same(after)) {
            return name.clone();
        }
        let name = format!("{}_{}", epoch_ms(), self.issued.len());
        self.issued.insert(name.clone(), After { of: of.into(), filter: filter.into(), last: last.into() });
        name
    }

    fn link(&self, path: &str, query: &[(&str, &str)]) -> String {
        let url = self.elsewhere.as_ref().unwrap_or(&self.url);
        reqwest::Url::parse_with_params(&format!("{url}{path}"), query).unwrap().to_string()
    }

    /// Counts a request: how many were used, of how many, until when, and whether it was one too many.
    fn spend(&mut self, bucket: &'static str) -> (u64, u64, i64, bool) {
        let limit = self.limits.get(bucket).copied().unwrap_or(6000);
        let (length, now) = (self.window, Instant::now());
        let fresh = || Window { since: now, used: 0, refused_until: 0 };
        let window = self.windows.entry(bucket).or_insert_with(fresh);
        if now.duration_since(window.since) >= length {
            *window = fresh();
        }
        let left = length.saturating_sub(now.duration_since(window.since));
        // Rounded up: whoever waits until then is let in.
        let reset = (epoch_ms() + i64::try_from(left.as_millis()).unwrap()).div_euclid(1000) + 1;
        if window.used >= limit && epoch_ms() < window.refused_until {
            self.complaints.push(format!("{bucket}: asked again before the window was over"));
        }
        window.used += 1;
        let over = window.used > limit;
        if over {
            window.refused_until = epoch_ms() + i64::try_from(left.as_millis()).unwrap();
        }
        (window.used, limit, reset + self.ahead, over)
    }

    /// Nothing is left in any window.
    pub fn spend_all(&mut self) {
        for (bucket, limit) in self.limits.clone() {
            self.windows.insert(bucket, Window { since: Instant::now(), used: limit, refused_until: 0 });
        }
    }

    /// Why somebody may not see something, if so.
    fn unauthorized(&mut self, headers: &HeaderMap, right: &'static str) -> Option<Reply> {
        let Some(shown) = headers.get("authorization").and_then(|value| value.to_str().ok()) else {
            self.complaints.push("no authorization".into());
            return Some(Reply::error(401, "E0000011", "Invalid token provided"));
        };
        let known = match shown.split_once(' ') {
            Some(("SSWS", token)) => self.token.as_deref() == Some(token),
            Some(("Bearer", token)) => self.app.as_ref().is_some_and(|app| app.tokens.contains(token)),
            _ => false,
        };
        if !known {
            return Some(Reply::error(401, "E0000011", "Invalid token provided"));
        }
        self.denied
            .contains(right)
            .then(|| Reply::error(403, "E0000006", "You do not have permission to perform the requested action"))
    }
}
