//! What is asked and answered: sign-in, rights, single objects, lists, and what goes wrong.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Response as Built, header::CONTENT_TYPE};
use axum::response::Response;
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::tenant::{Fault, Tenant};
use super::{CLIENT, SECRET, TENANT};

pub type Query = BTreeMap<String, String>;

fn built(status: u16, kind: &str, body: String) -> Response {
    Built::builder().status(status).header(CONTENT_TYPE, kind).body(Body::from(body)).unwrap()
}

pub fn found(body: &Value) -> Response {
    built(200, "application/json;odata.metadata=minimal", body.to_string())
}

pub fn failed(status: u16, code: &str, message: &str) -> Response {
    let body = json!({ "error": { "code": code, "message": message, "innerError": { "request-id": "1" } } });
    built(status, "application/json", body.to_string())
}

fn refused(status: u16, error: &str, number: u32) -> Response {
    let description = format!("AADSTS{number}: {error}. Trace ID: 1");
    let body = json!({ "error": error, "error_description": description, "error_codes": [number] });
    built(status, "application/json; charset=utf-8", body.to_string())
}

/// Properties that users and groups have.
const PROPERTIES: [&str; 10] = [
    "id",
    "accountEnabled",
    "userPrincipalName",
    "mail",
    "displayName",
    "signInSessionsValidFromDateTime",
    "employeeId",
    "department",
    "members",
    "userType",
];

/// What is asked of each object; `None` where there is no such thing.
pub fn select(query: &Query, _what: &str) -> Option<Vec<String>> {
    let names: Vec<String> = query.get("$select")?.split(',').map(str::to_owned).collect();
    names.iter().all(|name| PROPERTIES.contains(&name.as_str())).then_some(names)
}

pub fn selected(user: &Map<String, Value>, select: &[String]) -> Value {
    user.iter().filter(|(name, _)| select.contains(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn pairs(text: &str) -> Query {
    Url::parse(&format!("http://query/?{text}")).unwrap().query_pairs().into_owned().collect()
}

impl Tenant {
    /// `None` never answers.
    pub(super) fn answer(&mut self, parts: &Parts, form: &str) -> Option<Response> {
        let path = parts.uri.path();
        self.asked.push(parts.uri.to_string());
        let uri = parts.uri.to_string();
        if self.unreadable.as_ref().is_some_and(|id| uri.contains(id.as_str())) {
            return Some(failed(500, "InternalServerError", ""));
        }
        let at_fault = path.starts_with(self.fault_at);
        match self.fault.filter(|_| at_fault) {
            Some(Fault::Hang) => return None,
            Some(Fault::Throttled | Fault::Overloaded) => {
                let status = if self.fault == Some(Fault::Throttled) { 429 } else { 503 };
                let mut answer = failed(status, "TooManyRequests", "");
                answer.headers_mut().insert("retry-after", "1".parse().unwrap());
                return Some(answer);
            }
            Some(Fault::Broken) => return Some(failed(500, "InternalServerError", "")),
            Some(Fault::Html) => return Some(built(200, "text/html", "<html>Sign in</html>".to_owned())),
            Some(Fault::Truncated) => {
                let half = r#"{"@odata.context":"x","value":[{"id":"8b1ee412-"#;
                return Some(built(200, "application/json", half.to_owned()));
            }
            _ => {}
        }
        let mut answer = match path.strip_prefix("/v1.0/") {
            None => self.sign_in(path, &pairs(form)),
            Some(path) => self.graph(path, parts),
        };
        if let Some(used) = self.used {
            answer.headers_mut().insert("x-ms-throttle-limit-percentage", used.to_string().parse().unwrap());
        }
        Some(answer)
    }

    /// `POST /{tenant}/oauth2/v2.0/token`
    fn sign_in(&mut self, path: &str, form: &Query) -> Response {
        let says = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if path != format!("/{TENANT}/oauth2/v2.0/token") {
            return refused(400, "invalid_request", 90_002);
        }
        if says("client_id") != CLIENT {
            return refused(400, "unauthorized_client", 700_016);
        }
        if says("client_secret") != SECRET {
            return refused(401, "invalid_client", 7_000_215);
        }
        if says("grant_type") != "client_credentials" || says("scope") != format!("{}/.default", self.url) {
            return refused(400, "invalid_scope", 1_002_012);
        }
        self.issued += 1;
        let token = format!("eyJ0.access.{}", self.issued);
        self.tokens.insert(token.clone(), self.permissions.clone());
        found(&json!({ "token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token }))
    }

    fn graph(&mut self, path: &str, parts: &Parts) -> Response {
        let bearer = parts.headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let Some(roles) = bearer.and_then(|token| self.tokens.get(token)) else {
            return failed(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.");
        };
        let needs = if path.starts_with("groups") { "GroupMember.Read.All" } else { "User.Read.All" };
        if !roles.contains(needs) || !self.permissions.contains(needs) {
            return failed(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.");
        }
        let query = pairs(parts.uri.query().unwrap_or_default());
        match path.split('/').collect::<Vec<_>>()[..] {
            ["users", "delta"] => self.delta("users", &query),
            ["groups", "delta"] => self.delta("groups", &query),
            ["users"] => self.list_users(&query),
            ["users", id] => self.user(id, &query),
            ["users", id, "transitiveMemberOf"] => self.transitive(id),
            ["groups"] => {
                let rows: Vec<Value> = self
                    .groups
                    .iter()
                    .take(1)
                    .map(|(id, group)| json!({ "id": id, "displayName": group.name }))
                    .collect();
                found(&json!({ "value": rows }))
            }
            ["groups", id] => match self.groups.get(id) {
                Some(group) => found(&json!({ "id": id, "displayName": group.name })),
                None => failed(404, "Request_ResourceNotFound", ""),
            },
            ["groups", id, "members"] => self.members(id),
            _ => failed(400, "BadRequest", "Resource not found for the segment"),
        }
    }

    /// By id or by user name.
    fn user(&mut self, id: &str, query: &Query) -> Response {
        let Some(select) = select(query, "users") else { return failed(400, "Request_BadRequest", "no such property") };
        let id = id.replace("%40", "@");
        match self.read(&id) {
            Some(user) => found(&selected(&user, &select)),
            None => failed(404, "Request_ResourceNotFound", ""),
        }
    }

    fn read(&mut self, id: &str) -> Option<Map<String, Value>> {
        if let Some((user, times)) = self.stale.get_mut(id).filter(|(_, times)| *times > 0) {
            *times -= 1;
            return Some(user.clone());
        }
        if self.hidden.contains(id) {
            return None;
        }
        self.users.get(id).or_else(|| self.users.values().find(|user| user["userPrincipalName"] == id)).cloned()
    }

    fn list_users(&mut self, query: &Query) -> Response {
        let Some(select) = select(query, "users") else { return failed(400, "Request_BadRequest", "no such property") };
        let ids: Vec<String> = match query.get("$filter") {
            None => self.users.keys().take(1).cloned().collect(),
            Some(filter) => {
                let values: Vec<String> = filter.split('\'').skip(1).step_by(2).map(str::to_owned).collect();
                if filter.starts_with("id in (") && values.len() <= 15 {
                    values
                } else if let Some((property, _)) = filter.split_once(" eq ").filter(|_| values.len() == 1) {
                    let is = |user: &&Map<String, Value>| user.get(property).is_some_and(|value| *value == values[0]);
                    self.users.values().filter(is).map(|user| user["id"].as_str().unwrap().to_owned()).collect()
                } else {
                    return failed(400, "Request_UnsupportedQuery", "");
                }
            }
        };
        let users: Vec<Value> =
            ids.iter().filter_map(|id| self.read(id)).map(|user| selected(&user, &select)).collect();
        found(&json!({ "value": users }))
    }

    /// Direct members, on several pages.
    fn members(&mut self, path: &str) -> Response {
        let Some(group) = self.groups.get(path) else { return failed(404, "Request_ResourceNotFound", "") };
        let kind = |id: &String| if self.groups.contains_key(id) { "group" } else { "user" };
        let stale = self.stale_members.get_mut(path).filter(|(_, times)| *times > 0);
        let members = stale.map_or(&group.members, |(members, times)| {
            *times -= 1;
            members
        });
        let rows: Vec<Value> = members
            .iter()
            .map(|id| json!({ "@odata.type": format!("#microsoft.graph.{}", kind(id)), "id": id }))
            .chain([json!({ "@odata.type": "#microsoft.graph.device", "id": "de51ce00" })])
            .collect();
        let skip: usize = self.asked.last().unwrap().split("$skip=").nth(1).map_or(0, |skip| skip.parse().unwrap());
        let mut page = json!({ "value": rows.iter().skip(skip).take(2).collect::<Vec<_>>() });
        if rows.len() > skip + 2 {
            page["@odata.nextLink"] = json!(format!("{}/v1.0/groups/{path}/members?$skip={}", self.url, skip + 2));
        }
        found(&page)
    }

    fn transitive(&self, id: &str) -> Response {
        let mut of = vec![id.to_owned()];
        let mut next = 0;
        while next < of.len() {
            let member = of[next].clone();
            let direct = self.groups.iter().filter(|(_, group)| group.members.contains(&member));
            let new: Vec<String> = direct.map(|(id, _)| id.clone()).filter(|id| !of.contains(id)).collect();
            of.extend(new);
            next += 1;
        }
        let rows: Vec<Value> =
            of[1..].iter().map(|id| json!({ "@odata.type": "#microsoft.graph.group", "id": id })).collect();
        let role = json!({ "@odata.type": "#microsoft.graph.directoryRole", "id": "401e" });
        found(&json!({ "value": rows.into_iter().chain([role]).collect::<Vec<_>>() }))
    }
}
