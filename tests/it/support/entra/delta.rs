//! Delta queries: rounds, pages, and the tokens in their links.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::Response;
use serde_json::{Value, json};

use super::answers::{Query, failed, found, select};
use super::tenant::{Change, Fault, Tenant};

/// What a token in a link stands for.
#[derive(Clone, Debug)]
pub enum Mark {
    /// More pages of a round.
    Skip { what: &'static str, pages: Vec<Vec<Value>>, then: Box<Mark> },
    /// Changes since.
    Delta { what: &'static str, select: Vec<String>, since: usize, held: Vec<usize> },
}

impl Tenant {
    fn link(&mut self, what: &str, mark: Mark) -> (&'static str, String) {
        let (name, parameter) = match &mark {
            Mark::Skip { .. } => ("@odata.nextLink", "$skiptoken"),
            Mark::Delta { .. } => ("@odata.deltaLink", "$deltatoken"),
        };
        self.issued += 1;
        let token = format!("pqwSUjGYvb3jQpbwVAwEL7yuI3dU{}_{}", self.issued, self.journal.len());
        self.marks.insert(token.clone(), mark);
        (name, format!("{}/v1.0/{what}/delta?{parameter}={token}", self.url))
    }

    /// `GET /users/delta` and `GET /groups/delta`
    pub(super) fn delta(&mut self, what: &'static str, query: &Query) -> Response {
        let token = query.get("$skiptoken").or(query.get("$deltatoken")).filter(|token| *token != "latest");
        let Some(token) = token else { return self.first_round(what, query) };
        if query.len() != 1 {
            return failed(400, "Request_BadRequest", "parameters are in the token");
        }
        match self.fault.filter(|_| self.fault_at.ends_with(what) || self.fault_at == "/v1.0") {
            Some(Fault::Gone) => {
                let mut answer = failed(410, "syncStateNotFound", "");
                let location = format!("{}/v1.0/{what}/delta?$deltatoken=", self.url);
                answer.headers_mut().insert("location", location.parse().unwrap());
                return answer;
            }
            Some(Fault::Expired) => return failed(400, "syncStateNotFound", "The delta token is expired"),
            _ => {}
        }
        match self.marks.get(token).cloned() {
            Some(Mark::Skip { what: of, pages, then }) if of == what => self.page(what, pages, *then),
            Some(Mark::Delta { what: of, select, since, held }) if of == what => self.round(what, select, since, &held),
            _ => failed(400, "Request_BadRequest", "Badly formed token."),
        }
    }

    fn first_round(&mut self, what: &'static str, query: &Query) -> Response {
        let latest = query.get("$deltatoken").is_some_and(|token| token == "latest");
        if query.keys().any(|name| name != "$select" && !(latest && name == "$deltatoken")) {
            return failed(400, "Request_BadRequest", "not supported for delta");
        }
        let Some(select) = select(query, what) else { return failed(400, "Request_BadRequest", "no such property") };
        let then = Mark::Delta { what, select: select.clone(), since: self.journal.len(), held: vec![] };
        let (users, groups) = self.frozen.clone().unwrap_or_else(|| (self.users.clone(), self.groups.clone()));
        let mut rows: Vec<Value> = Vec::new();
        if !latest && what == "users" {
            rows.extend(users.values().map(|user| super::answers::selected(user, &select)));
            let deleted = self.deleted.iter().filter(|(id, _)| !users.contains_key(*id));
            rows.extend(deleted.map(|(id, (_, reason))| json!({ "id": id, "@removed": { "reason": reason } })));
            rows.extend(
                self.deleted_meanwhile.iter().map(|id| json!({ "id": id, "@removed": { "reason": "changed" } })),
            );
        }
        if !latest && what == "groups" {
            for (id, group) in &groups {
                let members: Vec<Value> = group.members.iter().map(|member| self.member(member, false)).collect();
                let row = json!({ "id": id, "displayName": group.name });
                let with = |some: &[Value]| json!({ "id": id, "displayName": group.name, "members@delta": some });
                rows.push(row);
                rows.extend(members.chunks(2).filter(|_| !self.memberless).map(with));
            }
        }
        self.remember(what, &rows);
        self.pages(what, rows, then)
    }

    fn member(&self, id: &str, removed: bool) -> Value {
        let kind = if self.groups.contains_key(id) { "#microsoft.graph.group" } else { "#microsoft.graph.user" };
        let mut member = json!({ "@odata.type": kind, "id": id });
        if removed {
            member["@removed"] = json!({ "reason": "deleted" });
        }
        member
    }

    fn remember(&mut self, what: &'static str, rows: &[Value]) {
        self.history.extend(rows.iter().map(|row| (what, row.clone())));
    }

    /// Changes since a token was issued.
    fn round(&mut self, what: &'static str, select: Vec<String>, since: usize, held: &[usize]) -> Response {
        let end = self.journal.len();
        let late = self.late.get(what).copied().filter(|late| (since..end).contains(late));
        let told: Vec<usize> = held.iter().copied().chain(since..late.unwrap_or(end)).collect();
        let held: Vec<usize> = late.map(|late| (late..end).collect()).unwrap_or_default();
        if !held.is_empty() {
            self.late.remove(what);
        }
        let changes: Vec<Change> = told.iter().map(|at| self.journal[*at].clone()).collect();
        let rows = if what == "users" { self.changed_users(&changes, &select) } else { self.changed_groups(&changes) };
        // The same object several times.
        let mut all: Vec<Value> = rows.iter().flat_map(|row| [row.clone(), row.clone()]).collect();
        if let Some(rows) = self.replays.remove(what) {
            all.extend(self.history[..rows].iter().filter(|(of, _)| *of == what).map(|(_, row)| row.clone()));
        }
        self.remember(what, &rows);
        self.pages(what, all, Mark::Delta { what, select, since: end, held })
    }

    fn changed_users(&self, changes: &[Change], select: &[String]) -> Vec<Value> {
        let mut touched: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
        for change in changes {
            if let Change::User(id, properties) = change {
                touched.entry(id).or_default().extend(properties.iter().filter(|name| select.contains(name)));
            }
        }
        let row = |(id, properties): (&String, BTreeSet<&String>)| {
            let Some(user) = self.users.get(id) else {
                let reason = self.deleted.get(id).map_or("deleted", |(_, reason)| *reason);
                return json!({ "id": id, "@removed": { "reason": reason } });
            };
            let some: Vec<String> = properties.into_iter().cloned().chain(["id".to_owned()]).collect();
            super::answers::selected(user, if self.partial { &some } else { select })
        };
        touched.into_iter().map(row).collect()
    }

    fn changed_groups(&self, changes: &[Change]) -> Vec<Value> {
        let mut touched: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Group(id) => drop(touched.entry(id).or_default()),
                Change::Member(id, member) => drop(touched.entry(id).or_default().insert(member)),
                Change::User(..) => {}
            }
        }
        let row = |(id, members): (&String, BTreeSet<&String>)| {
            let Some(group) = self.groups.get(id) else {
                return json!({ "id": id, "@removed": { "reason": "deleted" } });
            };
            let mut row = json!({ "id": id, "displayName": group.name });
            if !members.is_empty() {
                let member = |member: &&String| self.member(member, !group.members.contains(*member));
                row["members@delta"] = members.iter().map(member).collect();
            }
            row
        };
        touched.into_iter().map(row).collect()
    }

    /// Cuts rows into pages, in an order of its own, with one that has no rows.
    fn pages(&mut self, what: &'static str, mut rows: Vec<Value>, then: Mark) -> Response {
        rows.sort_by_key(|row| row["id"].as_str().unwrap().bytes().rev().collect::<Vec<u8>>());
        let mut pages: Vec<Vec<Value>> = rows.chunks(self.page).map(<[Value]>::to_vec).collect();
        if pages.len() > 1 {
            pages.insert(1, vec![]);
        }
        self.page(what, pages, then)
    }

    fn page(&mut self, what: &'static str, mut pages: Vec<Vec<Value>>, then: Mark) -> Response {
        let rows = if pages.is_empty() { vec![] } else { pages.remove(0) };
        let mark = if pages.is_empty() { then } else { Mark::Skip { what, pages, then: Box::new(then) } };
        let (name, mut link) = self.link(what, mark);
        match self.fault {
            Some(Fault::Elsewhere) => link = link.replace(&self.url, "http://127.0.0.1:1"),
            Some(Fault::Circle) => {
                let token = format!("circle-{what}");
                let link = format!("{}/v1.0/{what}/delta?$skiptoken={token}", self.url);
                let then = Box::new(Mark::Delta { what, select: vec![], since: 0, held: vec![] });
                self.marks.insert(token, Mark::Skip { what, pages: vec![], then });
                return found(&json!({ "value": [], "@odata.nextLink": link }));
            }
            _ => {}
        }
        found(&json!({ "@odata.context": format!("{}/v1.0/$metadata#{what}", self.url), "value": rows, name: link }))
    }
}
