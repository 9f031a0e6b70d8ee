//! What operators are told is true: whom a name means, what a revocation does, and what it leaves.

mod audited;
mod exempting;
mod found;
mod many;
mod names;
mod once;
mod restoring;
mod revoking;
mod terminal;
mod told;
mod watching;

use serde_json::Value;

use crate::support::installation::Installation;
use crate::support::scenario::{Scenario, stage};

/// A company with a list of people, whose ids are the `sub` of their tokens, and a proxy before it.
struct Stage {
    scenario: Scenario,
}

stage!(Stage);

const PEOPLE: [&str; 6] = [
    "id: e1, email: ann@example.com",
    "id: e2, email: smith@example.com, username: smith",
    "id: e3, email: smith@example.org, username: smith",
    "id: e4, email: mallory@example.com",
    "id: e5, status: suspended",
    "id: e9, email: zoe@example.com",
];

fn rules(files: &Installation) -> String {
    let path = files.path("people/people.yaml").display().to_string();
    format!("authorization: none\nsources: [{{ name: hr, kind: file, issuer: dev, path: {path}, poll: 1s }}]\n")
}

impl Stage {
    async fn start() -> Self {
        let scenario = Scenario::start(|files| {
            files.write_people(&PEOPLE);
            rules(files)
        })
        .await;
        scenario.offboard.knows("hr", 5).await;
        Self { scenario }
    }

    async fn token(&self, sub: &str) -> String {
        self.issuer.token(&format!("sub={sub}&aud=mesh")).await
    }

    /// A command that succeeds: its output.
    fn said(&self, arguments: &[&str]) -> String {
        let (code, told) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {told}");
        told
    }

    /// A command whose answer is no: why.
    fn refused(&self, arguments: &[&str]) -> String {
        let (code, told) = self.run(arguments);
        assert_eq!(code, 1, "{arguments:?}: {told}");
        told
    }

    /// What operators ever revoked.
    fn revoked(&self) -> Vec<Value> {
        let mut rows = self.rows(&["revocations", "--all"]);
        rows.retain(|row| row["owner"] == "operator");
        rows
    }

    /// Revokes, and returns the id.
    fn revoke(&self, target: &[&str]) -> String {
        let told = self.said(&[&["revoke"], target, &["--reason", "HR-12"]].concat());
        let id = told.lines().find_map(|line| line.strip_prefix("revoked: "));
        id.unwrap_or_else(|| panic!("{told}")).split(' ').next().unwrap().to_owned()
    }

    /// What a listing prints.
    fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let told = self.said(&[arguments, &["-o", "json"]].concat());
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
