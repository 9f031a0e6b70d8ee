//! `offboard observed`: what would have been refused, and what to add if it is meant to pass.

use serde_json::{Value, json};

use crate::support::installation::Installation;
use crate::support::provider::Signer;
use crate::support::scenario::{Scenario, stage};
use crate::support::until;

struct Stage {
    scenario: Scenario,
}

stage!(Stage);

fn rules(files: &Installation, enforcement: &str, bindings: &str) -> String {
    let people = files.path("people/people.yaml").display().to_string();
    format!(
        "enforcement: {enforcement}\nsources: [{{ name: hr, kind: file, issuer: dev, path: {people} }}]\n\
         services: [{{ name: orders, hosts: [orders.example.com] }}]\n\
         roles: [{{ name: reader, permissions: [{{ services: [orders], methods: [GET] }}] }}]\n{bindings}"
    )
}

impl Stage {
    async fn start() -> Self {
        let scenario = Scenario::start(|files| {
            files.write_people(&["id: alice"]);
            rules(files, "observe", "")
        })
        .await;
        scenario.offboard.knows("hr", 1).await;
        Self { scenario }
    }

    /// What would have been, as the proxy is told.
    async fn would(&self, token: &str) -> String {
        let answer = self.proxy.clone().ask(token).await.unwrap();
        assert!(answer.allowed, "nothing is denied");
        answer.metadata["observed_reason"].clone()
    }

    fn told(&self, arguments: &[&str]) -> String {
        let (code, told) = self.run(&[&["observed"], arguments].concat());
        assert_eq!(code, 0, "{told}");
        told
    }

    fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let told = self.told(&[arguments, &["-o", "json"]].concat());
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The only row of this reason.
    fn row(&self, reason: &str) -> Value {
        let rows = self.rows(&[]);
        let mut rows = rows.into_iter().filter(|row| row["reason"] == reason);
        let row = rows.next().unwrap_or_else(|| panic!("no {reason}"));
        assert!(rows.next().is_none(), "one of {reason}");
        row
    }

    async fn becomes_with(&self, bindings: &str, audiences: &str, token: &str, reason: &str) {
        let issuer = self.issuer.section().replace("[mesh]", audiences);
        self.files.write("20-rules.yaml", &format!("{}{issuer}", rules(&self.files, "observe", bindings)));
        until(&format!("it would be {reason}"), async || (self.would(token).await == reason).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_be_refused_says_what_to_add_and_that_lets_it_pass() {
    let stage = Stage::start().await;
    assert!(stage.told(&["-o", "table"]).starts_with("nothing would have been refused since 20"));
    let (alice, bot) = (stage.issuer.token("sub=alice").await, stage.issuer.token("sub=ci&client_id=ci").await);
    let other = stage.issuer.token("sub=alice&aud=api").await;
    assert_eq!(stage.would(&bot).await, "no_permission");
    assert_eq!(stage.would(&bot).await, "no_permission");
    assert_eq!(stage.would(&other).await, "wrong_audience");
    assert_eq!(stage.would("opaque").await, "no_credentials");
    assert_eq!(stage.would(&stage.issuer.token("sub=carol&client_id=spa").await).await, "unknown_person");

    let bound = stage.row("no_permission");
    let example = &bound["example"];
    assert_eq!(bound["count"], 2, "{bound}");
    for (key, value) in [
        ("service", json!("orders")),
        ("issuer", json!(stage.issuer.url)),
        ("audiences", json!(["mesh"])),
        ("client", json!("ci")),
        ("path", json!("/v1")),
        ("claimed", json!(false)),
        ("add", json!("`bindings: [{ role: reader, issuer: dev, clients: [ci] }]`")),
    ] {
        assert_eq!(bound[key], value, "{key}");
    }
    let (method, host, path) = (json!("GET"), json!("orders.example.com"), json!("/v1/orders"));
    assert_eq!((&example["method"], &example["host"], &example["path"]), (&method, &host, &path));
    let id = example["decision_id"].as_str().unwrap();
    let (_, why) = stage.run(&["explain", "--decision", id]);
    assert!(why.contains("would be denied with 403"), "{why}");
    assert_eq!(stage.row("wrong_audience")["add"], "one of `api` to `audiences` of issuer `dev`");
    let foreign = stage.row("no_credentials")["add"].as_str().unwrap().to_owned();
    assert!(foreign.starts_with("`foreign_credentials: pass` in service `orders`"), "{foreign}");
    assert!(stage.row("unknown_person")["add"].as_str().unwrap().contains("`people: { unknown: allow }`"));
    let table = stage.told(&["-o", "table"]);
    assert!(table.starts_with("orders no_permission: 2 times, last 20"), "{table}");
    let lines = format!(
        "      issuer {}; audience mesh; client ci; path /v1\n      such as GET orders.example.com/v1/orders, decision {id}\n      \
         add: `bindings: [{{ role: reader, issuer: dev, clients: [ci] }}]`\n",
        stage.issuer.url
    );
    assert!(table.contains(&lines), "{table}");

    let bindings = "bindings: [{ role: reader, issuer: dev, clients: [ci] }]\n";
    stage.becomes_with(bindings, "[mesh]", &bot, "allowed").await;
    stage.becomes_with(bindings, "[mesh, api]", &other, "no_permission").await;
    assert_eq!(stage.would(&alice).await, "no_permission");
    let roles = stage.rows(&[]).into_iter().filter(|row| row["reason"] == "no_permission" && row["client"].is_null());
    assert!(roles.map(|row| row["add"].as_str().unwrap().to_owned()).all(|add| add.contains("groups: […]")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unproven_is_escaped_and_bounded_and_gets_no_advice() {
    let stage = Stage::start().await;
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({ "iss": stage.issuer.url, "aud": "mesh\u{1b}[2J", "sub": "alice", "exp": now + 60 });
    for number in 0..60 {
        let header = json!({ "alg": "EdDSA", "kid": format!("made-up-{number}"), "typ": "at+jwt" });
        let forged = Signer::new("a", 9).sign_as(&header, claims.to_string().as_bytes());
        assert_eq!(stage.would(&forged).await, "unknown_signing_key");
    }
    let strange = json!({ "iss": "https://elsewhere.example.com", "aud": "mesh", "sub": "alice", "exp": now + 60 });
    assert_eq!(stage.would(&Signer::new("a", 9).sign(&strange)).await, "unknown_issuer");
    let rows = stage.rows(&[]);
    let of = |reason: &'static str| rows.iter().filter(move |row| row["reason"] == reason);
    let claimed = of("unknown_signing_key").filter(|row| row["claimed"] == true);
    assert_eq!(claimed.count(), 50, "and no more");
    let rest: Vec<&Value> = rows.iter().filter(|row| row["several"] == true).collect();
    let counts: Vec<&Value> = rest.iter().map(|row| &row["count"]).collect();
    assert_eq!(counts, [&json!(10), &json!(1)], "the others are counted together");
    let one = of("unknown_signing_key").find(|row| row["key_id"] == "made-up-7").unwrap();
    assert_eq!(one["audiences"], json!([r"mesh\u{1b}[2J"]));
    assert!(rows.iter().all(|row| row["add"].as_str().unwrap().starts_with("nothing")), "{rows:?}");
    let table = stage.told(&["-o", "table"]);
    let line = format!(r"claimed: issuer {}; audience mesh\u{{1b}}[2J; key id made-up-7; path /v1", stage.issuer.url);
    assert!(table.contains(&line) && !table.contains('\u{1b}'), "{table}");
    assert!(table.contains("different kinds; path /v1"), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_service_and_a_time_are_asked_for_and_what_is_enforced_is_not_there() {
    let stage = Stage::start().await;
    assert_eq!(stage.would("opaque").await, "no_credentials");
    assert_eq!(stage.rows(&["--service", "orders", "--since", "1h"]).len(), 1);
    assert_eq!(stage.rows(&["--service", "default"]), Vec::<Value>::new());
    assert_eq!(stage.rows(&["--since", "2100-01-01T00:00:00Z"]), Vec::<Value>::new());
    let (code, refused) = stage.run(&["observed", "--service", "order"]);
    assert_eq!(
        (code, refused.contains("unknown service `order`; configured are: default, orders")),
        (1, true),
        "{refused}"
    );

    stage.files.write("20-rules.yaml", &format!("{}{}", rules(&stage.files, "enforce", ""), stage.issuer.section()));
    until("it is enforced", async || (!stage.proxy.clone().ask("opaque").await.unwrap().allowed).then_some(())).await;
    let before = stage.row("no_credentials")["count"].clone();
    assert!(!stage.proxy.clone().ask("opaque").await.unwrap().allowed);
    assert_eq!(stage.row("no_credentials")["count"], before, "what is denied is not observed");
}
