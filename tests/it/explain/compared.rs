//! What was expected of a credential and what was found, side by side: in the text, and with `-o json`.

use serde_json::{Value, json};

use super::{Stage, line};
use crate::support::provider::Signer;

impl Stage {
    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.explain(&[words, &["-o", "json"]].concat()).1).unwrap()
    }

    /// What the last decision on a token was compared by.
    async fn compared(&mut self, token: &str) -> Vec<Value> {
        let answer = self.proxy.ask(token).await.unwrap();
        let told = self.json(&["--decision", &answer.metadata["decision_id"]]);
        let steps = told["steps"].as_array().unwrap();
        let compared = steps.iter().flat_map(|step| step["compared"].as_array().unwrap());
        compared.cloned().collect()
    }
}

fn of<'a>(compared: &'a [Value], what: &str) -> &'a Value {
    compared.iter().find(|one| one["what"] == what).unwrap_or_else(|| panic!("no {what} in {compared:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verified_token_shows_what_was_expected_of_it() {
    let mut stage = Stage::start().await;
    let token = stage.issuer.token("sub=alice&aud=other,third").await;
    let (_, told) = stage.told(&token).await;
    assert_eq!(line(&told, "    audience"), "audience: found other, third; expected mesh  <- does not fit");
    let issuer = format!("issuer: found {0}; expected {0}", stage.issuer.url);
    assert_eq!(line(&told, "    issuer"), issuer);
    let clocks = line(&told, "how far apart");
    assert!(clocks.contains("  less than a second; there it is 20"), "{clocks}");
    assert!(told.lines().last().unwrap().starts_with("verdict"), "{told}");

    let compared = stage.compared(&token).await;
    let order: Vec<&str> = compared.iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(order, ["issuer", "key id", "audience", "issued", "expires"]);
    assert!(compared.iter().all(|one| one["claimed"] == false), "{compared:?}");
    let audience =
        json!({ "what": "audience", "expected": "mesh", "found": "other, third", "fits": false, "claimed": false });
    assert_eq!(*of(&compared, "audience"), audience);
    let key = of(&compared, "key id");
    assert!(
        key["fits"] == true && key["found"] == key["expected"] && key["found"].as_str().unwrap().starts_with("dev-")
    );

    let expired = stage.issuer.token("sub=alice&ttl=-300").await;
    let found = stage.compared(&expired).await;
    let expires = of(&found, "expires");
    assert!(expires["fits"] == false && expires["found"].as_str().unwrap().contains(", 5m"), "{expires}");
    assert!(expires["found"].as_str().unwrap().ends_with(" behind the clock"), "{expires}");
    assert!(expires["expected"].as_str().unwrap().starts_with("at most 30s behind the clock, 20"), "{expires}");
    let early = jiff::Timestamp::now().as_second() + 600;
    let early = stage.issuer.token(&format!("sub=alice&nbf={early}&iat={early}&ttl=1200")).await;
    let found = stage.compared(&early).await;
    for what in ["issued", "not before"] {
        let time = of(&found, what);
        assert!(time["fits"] == false && time["found"].as_str().unwrap().ends_with(" ahead of the clock"), "{time}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_unproven_token_says_is_escaped_and_marked_as_claimed() {
    let mut stage = Stage::start().await;
    let now = jiff::Timestamp::now().as_second();
    let claims =
        json!({ "iss": stage.issuer.url, "aud": ["mesh\u{1b}[31m"], "sub": "alice", "iat": now, "exp": now + 60 });
    let forged = Signer::new("made\u{1b}up", 9).sign(&claims);
    let (code, told) = stage.told(&forged).await;
    assert_eq!(code, 1);
    let key = line(&told, "    key id");
    assert!(key.starts_with(r"key id: found made\u{1b}up (claimed); expected dev-"), "{key}");
    assert!(key.ends_with("  <- does not fit"), "{key}");
    let audience = line(&told, "    audience");
    assert_eq!(audience, r"audience: found mesh\u{1b}[31m (claimed); expected mesh  <- does not fit");
    assert!(!told.contains('\u{1b}') && !told.contains(&forged), "{told}");
    assert!(stage.compared(&forged).await.iter().all(|one| one["claimed"] == true));

    let strange = json!({ "iss": "https://elsewhere.example.com", "aud": "mesh", "sub": "alice", "exp": now + 60 });
    let compared = stage.compared(&Signer::new("a", 9).sign(&strange)).await;
    let expected = json!({ "what": "issuer", "expected": stage.issuer.url, "found": "https://elsewhere.example.com",
        "fits": false, "claimed": true });
    assert_eq!(compared, [expected], "nothing else of it was compared");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_has_every_key_always() {
    let mut stage = Stage::start().await;
    let answer = stage.proxy.ask("opaque").await.unwrap();
    let recalled = stage.json(&["--decision", &answer.metadata["decision_id"]]);
    let request = ["--method", "GET", "--host", "orders.example.com", "--path", "/v1/orders"];
    let asked = stage.json(&request);
    let config = stage.files.path("config").display().to_string();
    let offline = stage.json_offline(&[&["--config", &config], &request[..]].concat());
    let keys = [
        "allowed",
        "by_configuration_only",
        "clock_ahead_ms",
        "decision_id",
        "epoch",
        "notes",
        "now",
        "person",
        "reason",
        "service",
        "steps",
    ];
    for told in [&recalled, &asked, &offline] {
        let mut found: Vec<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, keys);
        for step in told["steps"].as_array().unwrap() {
            assert_eq!(step.as_object().unwrap().len(), 4, "{step}");
        }
    }
    assert_eq!(recalled["decision_id"], answer.metadata["decision_id"].as_str());
    assert!(asked["decision_id"].is_null() && asked["person"].is_null() && asked["clock_ahead_ms"].is_number());
    assert_eq!((&asked["reason"], &asked["allowed"]), (&json!("no_credentials"), &json!(false)));
    assert!(offline["epoch"].is_null() && offline["clock_ahead_ms"].is_null());
    assert_eq!(offline["by_configuration_only"], true);
}
