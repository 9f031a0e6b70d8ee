//! What the fake Okta answers. Whatever Okta would refuse is refused, and remembered as a complaint.

use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};

use super::query::{Filter, Wrong, limit, parameters};
use super::{After, Failure, Org, date, epoch_ms, token};

type Shared = Arc<Mutex<Org>>;

/// An answer before it has its common headers.
pub struct Reply {
    pub status: u16,
    pub body: String,
    pub headers: Vec<(String, String)>,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string(), headers: vec![("content-type".into(), "application/json".into())] }
    }

    /// As Okta words errors.
    pub fn error(status: u16, code: &str, summary: &str) -> Self {
        let body = json!({ "errorCode": code, "errorSummary": summary, "errorLink": code, "errorId": "oae1",
            "errorCauses": [] });
        Self::json(status, &body)
    }

    fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.into(), value.to_string()));
        self
    }
}

pub async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let failure = {
        let mut org = shared.lock().unwrap();
        org.asked.push(uri.to_string());
        org.failure(uri.path())
    };
    if matches!(failure, Some(Failure::Hang)) {
        std::future::pending::<()>().await;
    }
    let mut org = shared.lock().unwrap();
    let reply = match failure {
        Some(Failure::Status(status)) => Reply::error(status, "E0000009", "Internal Server Error"),
        Some(Failure::Html | Failure::Nowhere) => {
            let status = if matches!(failure, Some(Failure::Html)) { 200 } else { 404 };
            let mut page = Reply::json(status, &Value::Null);
            page.body = "<!doctype html><title>Sign in</title>".into();
            page.headers = vec![("content-type".into(), "text/html".into())];
            page
        }
        Some(Failure::Crowded) => Reply::error(429, "E0000047", "API call exceeded rate limit")
            .with("x-rate-limit-limit", 0)
            .with("x-rate-limit-remaining", 0)
            .with("x-rate-limit-reset", epoch_ms() / 1000 + 60),
        Some(Failure::Half) => {
            let mut reply = routed(&mut org, &method, &uri, &headers, &body);
            reply.body.truncate(reply.body.len() / 2);
            reply
        }
        Some(Failure::Hang) | None => routed(&mut org, &method, &uri, &headers, &body),
    };
    if reply.status == 400 {
        let complaint = format!("{uri}: {}", reply.body);
        org.complaints.push(complaint);
    }
    let mut response = Response::builder().status(reply.status).header("date", date(org.ahead));
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).unwrap()
}

fn routed(org: &mut Org, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Reply {
    let path: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    match (method.as_str(), path.as_slice()) {
        ("GET", ["oauth2", "v1", "keys"]) => return Reply::json(200, &json!({ "keys": [] })),
        ("POST", ["oauth2", "v1", "token"]) => return token::issue(org, headers, body),
        ("GET", ["api", "v1", ..]) => {}
        _ => return Reply::error(404, "E0000022", "The endpoint does not support the provided HTTP method"),
    }
    let (bucket, right) = match path.as_slice() {
        [_, _, "logs"] => ("logs", "logs"),
        [_, _, "users"] => ("users", "users"),
        [_, _, "users", _] => ("user", "users"),
        [_, _, "users", _, "groups"] => ("user/groups", "groups"),
        [_, _, "groups"] => ("groups", "groups"),
        [_, _, "groups", _, "users"] => ("group/users", "groups"),
        [_, _, "apps", _] => ("app", "apps"),
        [_, _, "apps", _, "users"] => ("app/users", "apps"),
        [_, _, "apps", _, "users", _] => ("app/user", "apps"),
        _ => return Reply::error(404, "E0000022", "no such endpoint"),
    };
    let (used, limit, reset, over) = org.spend(bucket);
    let reply = if over {
        Reply::error(429, "E0000047", "API call exceeded rate limit due to too many requests.")
    } else if let Some(refusal) = org.unauthorized(headers, right) {
        refusal
    } else {
        let query = uri.query().unwrap_or_default();
        let found = match path.as_slice() {
            [_, _, "logs"] => logs(org, query),
            [_, _, "users"] => users(org, query),
            [_, _, "users", id] => Ok(user(org, id)),
            [_, _, "users", id, "groups"] => Ok(groups_of(org, id)),
            [_, _, "groups"] => groups(org, query),
            [_, _, "groups", id, ..] => members(org, id, query),
            [_, _, "apps", id] => Ok(app(org, id)),
            [_, _, "apps", id, "users"] => assignments(org, id, query),
            [_, _, "apps", id, "users", user] => Ok(assignment(org, id, user)),
            _ => Err("nothing there".into()),
        };
        found.unwrap_or_else(|wrong| Reply::error(400, "E0000031", &wrong))
    };
    let left = limit.saturating_sub(used);
    reply.with("x-rate-limit-limit", limit).with("x-rate-limit-remaining", left).with("x-rate-limit-reset", reset)
}

fn logs(org: &mut Org, query: &str) -> Result<Reply, Wrong> {
    let found = parameters(query, &["since", "until", "after", "filter", "q", "limit", "sortOrder"])?;
    let limit = limit(&found, 100, 1000)?;
    if found.contains_key("until") || found.get("sortOrder").is_some_and(|order| order != "ASCENDING") {
        return Err("bounded requests are not for polling".into());
    }
    let filter = found.get("filter").map(|text| Filter::of_log(text)).transpose()?;
    let text = found.get("filter").cloned().unwrap_or_default();
    let begin = match (found.get("after"), found.get("since")) {
        (Some(_), Some(_)) => return Err("since and after exclude each other".into()),
        (Some(after), None) => match org.issued.get(after) {
            Some(After { of, filter, last }) if of == "logs" && *filter == text => last.parse().unwrap(),
            _ => return Err("after was never given".into()),
        },
        (None, since) => {
            let default = epoch_ms() - 7 * 86_400_000;
            let since = since.map_or(Ok(default), |text| {
                text.parse::<jiff::Timestamp>().map(|time| time.as_millisecond()).map_err(|_| format!("since {text}"))
            })?;
            if since < epoch_ms() - 180 * 86_400_000 {
                return Ok(Reply::error(400, "E0000053", "since is too far in the past"));
            }
            org.log.iter().position(|(persisted, _)| *persisted >= since).unwrap_or(org.log.len())
        }
    };
    let (mut rows, mut end) = (Vec::new(), begin);
    for (_, event) in org.log.iter().skip(begin) {
        if rows.len() == limit {
            break;
        }
        end += 1;
        if filter.as_ref().is_none_or(|filter| filter.fits(event)) {
            rows.push(event.clone());
        }
    }
    org.log_rows += rows.len();
    let after = org.issue("logs", &text, &end.to_string());
    let next = org.link("/api/v1/logs", &[("after", &after), ("filter", &text), ("limit", &limit.to_string())]);
    let own = org.link("/api/v1/logs", &[("filter", &text)]);
    let reply = Reply::json(200, &Value::Array(rows)).with("link", format!("<{own}>; rel=\"self\""));
    Ok(reply.with("link", format!("<{next}>; rel=\"next\"")))
}

/// Rows behind `after`, in the order of their ids, with a link to those that follow.
fn paged(
    org: &mut Org,
    path: &str,
    (filter, after): (&[(&str, &str)], Option<&String>),
    limit: usize,
    rows: Vec<Value>,
) -> Result<Reply, Wrong> {
    let of = filter.iter().map(|(name, value)| format!("{name}={value}")).collect::<String>();
    let last = match after {
        None => String::new(),
        Some(after) => match org.issued.get(after) {
            Some(after) if after.of == path && after.filter == of => after.last.clone(),
            _ => return Err("after was never given for this".into()),
        },
    };
    let limit = limit.min(org.rows);
    let mut rows: Vec<Value> = rows.into_iter().filter(|row| row["id"].as_str().unwrap() > last.as_str()).collect();
    rows.sort_by(|a, b| a["id"].as_str().cmp(&b["id"].as_str()));
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = (more && !org.cut.is_some_and(|cut| path.starts_with(cut))).then(|| {
        let last = if org.repeats { last } else { rows.last().unwrap()["id"].as_str().unwrap().to_owned() };
        let (after, limit) = (org.issue(path, &of, &last), limit.to_string());
        org.link(path, &[filter, &[("after", after.as_str()), ("limit", limit.as_str())]].concat())
    });
    let reply =
        Reply::json(200, &Value::Array(rows)).with("link", format!("<{}>; rel=\"self\"", org.link(path, filter)));
    Ok(match next {
        Some(next) => reply.with("link", format!("<{next}>; rel=\"next\"")),
        None => reply,
    })
}

fn users(org: &mut Org, query: &str) -> Result<Reply, Wrong> {
    let found = parameters(query, &["filter", "search", "after", "limit"])?;
    let limit = limit(&found, 200, 200)?;
    let (rows, by): (Vec<Value>, Option<&str>) = match (found.get("filter"), found.get("search")) {
        (Some(_), Some(_)) => return Err("filter and search".into()),
        (Some(text), None) => {
            let filter = Filter::of_users(text)?;
            (org.users.values().filter(|user| filter.fits(user)).cloned().collect(), Some("filter"))
        }
        (None, Some(text)) => {
            let filter = Filter::of_search(text)?;
            (org.searchable.values().filter(|user| filter.fits(user)).cloned().collect(), Some("search"))
        }
        (None, None) => (org.users.values().filter(|user| user["status"] != "DEPROVISIONED").cloned().collect(), None),
    };
    let by: Vec<(&str, &str)> = by.map(|name| (name, found[name].as_str())).into_iter().collect();
    paged(org, "/api/v1/users", (&by, found.get("after")), limit, rows)
}

fn user(org: &mut Org, id: &str) -> Reply {
    if let Some((record, times)) = org.lagging.get_mut(id).filter(|(_, times)| *times > 0) {
        *times -= 1;
        return Reply::json(200, record);
    }
    let login = |user: &&Value| user["profile"]["login"] == id;
    match org.users.get(id).or_else(|| org.users.values().find(login)) {
        Some(user) => Reply::json(200, user),
        None => Reply::error(404, "E0000007", "Not found: Resource not found"),
    }
}

fn groups_of(org: &Org, id: &str) -> Reply {
    if !org.users.contains_key(id) {
        return Reply::error(404, "E0000007", "Not found: Resource not found");
    }
    let mine = org.groups.values().filter(|group| group.has(id)).map(|group| group.record.clone());
    Reply::json(200, &Value::Array(mine.collect()))
}

fn groups(org: &mut Org, query: &str) -> Result<Reply, Wrong> {
    let found = parameters(query, &["after", "limit"])?;
    let limit = limit(&found, 10_000, 10_000)?;
    let rows = org.groups.values().map(|group| group.record.clone()).collect();
    paged(org, "/api/v1/groups", (&[], found.get("after")), limit, rows)
}

fn app(org: &Org, id: &str) -> Reply {
    let record = json!({ "id": id, "name": "oidc_client", "label": "Payments", "status": "ACTIVE",
        "signOnMode": "OPENID_CONNECT" });
    match org.apps.get(id) {
        Some(_) => Reply::json(200, &record),
        None => Reply::error(404, "E0000007", "Not found: Resource not found (AppInstance)"),
    }
}

fn assignment(org: &Org, id: &str, user: &str) -> Reply {
    match org.apps.get(id).and_then(|app| app.get(user)) {
        Some(record) => Reply::json(200, record),
        None => Reply::error(404, "E0000007", "Not found: Resource not found"),
    }
}

fn assignments(org: &mut Org, id: &str, query: &str) -> Result<Reply, Wrong> {
    let found = parameters(query, &["after", "limit"])?;
    let limit = limit(&found, 50, 500)?;
    let Some(app) = org.apps.get(id) else { return Ok(Reply::error(404, "E0000007", "Not found")) };
    let rows = app.values().cloned().collect();
    paged(org, &format!("/api/v1/apps/{id}/users"), (&[], found.get("after")), limit, rows)
}

fn members(org: &mut Org, id: &str, query: &str) -> Result<Reply, Wrong> {
    let found = parameters(query, &["after", "limit"])?;
    let limit = limit(&found, 1000, 1000)?;
    let Some(group) = org.groups.get(id) else { return Ok(Reply::error(404, "E0000007", "Not found")) };
    let there = |user: &&Value| group.has(user["id"].as_str().unwrap()) && user["status"] != "DEPROVISIONED";
    let rows = org.users.values().filter(there).cloned().collect();
    paged(org, &format!("/api/v1/groups/{id}/users"), (&[], found.get("after")), limit, rows)
}
