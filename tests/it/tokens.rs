//! Tokens as providers write them, and the reason in words where one is refused: `explain` in all its forms, the log at
//! debug, the audit record; and the warning where a revocation names something that never came by.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::installation::Installation;
use crate::support::offboard::Offboard;
use crate::support::provider::{Signer, jwks};
use crate::support::proxy::Proxy;
use crate::support::until;

const ISS: &str = "https://login.example.org/t1";

/// What marks everything that a test's tokens claim: it may be shown by `explain`, and nowhere else.
const CLAIMED: &str = "cl4imed";

struct Stage {
    files: Installation,
    offboard: Offboard,
    proxy: Proxy,
    signer: Signer,
}

impl Stage {
    /// A service with one issuer, whose keys are in a file, and which has these keys beside.
    async fn start(issuer: &str, rest: &str) -> Self {
        let (files, signer) = (Installation::new(""), Signer::new("k1", 5));
        std::fs::write(files.path("jwks.json"), jwks(&[&signer])).unwrap();
        files.write("20-rules.yaml", &rules(&files, issuer, rest));
        let dir = files.path("");
        let mut command = Offboard::command();
        command.env("OFFBOARD_LOG", "debug").arg("serve").arg("--config").arg(files.path("config"));
        let offboard = Offboard::started(&dir, &mut command).await;
        until("ready", async || offboard.ops("/readyz").await.status().is_success().then_some(())).await;
        offboard.has_keys("t1").await;
        let proxy = Proxy::connect(offboard.authz).await;
        Self { files, offboard, proxy, signer }
    }

    /// A token with these claims beside those that every one has.
    fn token(&self, claims: &Value) -> String {
        self.signer.sign_as(&json!({ "alg": "EdDSA", "kid": "k1" }), self.claims(claims).to_string().as_bytes())
    }

    fn claims(&self, claims: &Value) -> Value {
        let mut all = json!({ "iss": ISS, "sub": "u1", "aud": "mesh", "iat": 1_700_000_000, "exp": 4_000_000_000_i64 });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        all
    }

    /// Asks as a proxy does: whether it is let through, the reason, the decision's id.
    async fn ask(&mut self, token: &str) -> (bool, String, String) {
        let answer = self.proxy.ask(token).await.unwrap();
        let reason = answer.reason.unwrap_or_default();
        (answer.allowed, reason, answer.metadata["decision_id"].clone())
    }

    fn run(&self, words: &[&str]) -> (i32, String, String) {
        self.offboard.run(&self.files.token_file(), words)
    }

    /// What the three forms of `explain` say of a refused token: by the configuration, live, and of a decision.
    async fn explained(&mut self, token: &str) -> [String; 3] {
        let (_, _, id) = self.ask(token).await;
        let bearer = format!("authorization: Bearer {token}");
        let request = ["--method", "GET", "--host", "orders.example.com", "--path", "/v1/orders", "-H", &bearer];
        let config = self.files.path("config").display().to_string();
        let offline = Offboard::command().args(["explain", "--config", &config]).args(request).output().unwrap();
        let live = self.run(&[&["explain"], &request[..]].concat()).1;
        let recalled = self.run(&["explain", "--decision", &id]).1;
        [String::from_utf8(offline.stdout).unwrap(), live, recalled]
    }

    /// Every record of the trail.
    fn trail(&self) -> String {
        let files = std::fs::read_dir(self.files.path("audit")).unwrap();
        let read = |file: PathBuf| std::fs::read_to_string(file).unwrap_or_default();
        files.map(|file| read(file.unwrap().path())).collect()
    }
}

fn rules(files: &Installation, issuer: &str, rest: &str) -> String {
    format!(
        "issuers: [{{ name: t1, issuer: '{ISS}', jwks: {{ file: {} }}, {issuer} }}]\n\
         authorization: none\npeople: {{ unknown: allow }}\nresponse: {{ reveal_reason: true }}\n{rest}\n",
        files.path("jwks.json").display()
    )
}

fn tampered(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.AAAA", part(header), part(claims))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_says_which_claim_limit_or_key_decided() {
    let rest = "sources: [{ name: hr, kind: file, issuer: t1, path: PEOPLE, link: [{ claim: emp.no, attribute: id }] }]\n\
                credentials: { bearer: { largest: 3KiB } }";
    let people = Installation::new("");
    people.write_people(&["id: e1"]);
    let path = people.path("people/people.yaml").display().to_string();
    let rest = rest.replace("PEOPLE", &path).replace("people: {{ unknown: allow }}", "");
    let mut stage = Stage::start("audiences: [mesh, shop]", &rest).await;
    stage.offboard.knows("hr", 1).await;
    let es512 = tampered(&json!({ "alg": "ES512", "kid": "k1" }), &stage.claims(&json!({})));
    let no_key = stage
        .signer
        .sign_as(&json!({ "alg": "EdDSA", "kid": CLAIMED }), stage.claims(&json!({})).to_string().as_bytes());
    let huge = stage.token(&json!({ "filler": "f".repeat(4000) }));
    let cases = [
        (
            stage.token(&json!({ "sid": { CLAIMED: "\u{1b}[1m\u{202e}" } })),
            "bad_claims",
            "claim `sid` is neither",
            Some(CLAIMED),
        ),
        (stage.token(&json!({ "exp": null })), "bad_claims", "claim `exp` is not a number", Some("null")),
        (stage.token(&json!({ "emp": [CLAIMED] })), "bad_claims", "claim `emp.no` cannot be reached", Some(CLAIMED)),
        (stage.token(&json!({ "at_hash": CLAIMED })), "bad_claims", "claim `at_hash` marks an ID token", Some(CLAIMED)),
        (stage.token(&json!({ "sub": null, "client_id": "x", "amr": [CLAIMED] })), "bad_claims", "claim `amr`", None),
        (
            stage.token(&json!({ "act": { "sub": [CLAIMED] } })),
            "bad_claims",
            "claim `sub` of actor 1 in `act`",
            Some(CLAIMED),
        ),
        (
            stage.token(&json!({ "aud": CLAIMED })),
            "wrong_audience",
            "`aud` holds none of the `audiences` of issuer `t1`: `mesh`, `shop`",
            Some(CLAIMED),
        ),
        (stage.token(&json!({ "exp": 86_400 })), "expired", "claim `exp` passed", Some("1970-01-02")),
        (huge, "malformed_credentials", "longer than 3072 bytes (`credentials.bearer.largest`)", Some("bytes")),
        (es512, "bad_signature", "the signature algorithm is not supported", Some("ES512")),
        (
            stage.token(&json!({ "nbf": 4_000_000_000_i64 })),
            "not_yet_valid",
            "claim `nbf` is further in the future",
            Some("2096-"),
        ),
        (
            stage.token(&json!({ "iat": 4_000_000_000_i64 })),
            "not_yet_valid",
            "claim `iat` is further in the future",
            Some("2096-"),
        ),
        (
            stage.token(&json!({ "iss": "https://cl4imed.example" })),
            "unknown_issuer",
            "claim `iss` names no configured issuer; configured are: `https://login.example.org/t1`",
            Some(CLAIMED),
        ),
        (no_key, "unknown_signing_key", "no key has the `kid` of the token (issuer `t1`)", Some(CLAIMED)),
    ];
    for (token, reason, words, found) in &cases {
        let (allowed, said, _) = stage.ask(token).await;
        assert_eq!((allowed, said.as_str()), (false, *reason), "{words}");
        for told in stage.explained(token).await {
            assert!(told.contains(&format!("{reason}: ")) && told.contains(words), "{words}: {told}");
            assert!(!told.contains(['\u{1b}', '\u{202e}']), "{told:?}");
            if let Some(found) = found {
                let claimed = told.split("(claimed: ").nth(1).unwrap_or_else(|| panic!("{words}: {told}"));
                assert!(claimed.contains(found), "{words}: {told}");
            }
        }
        until(words, async || stage.offboard.process.output().contains(&words.replace('"', "\\\"")).then_some(()))
            .await;
    }
    let log = stage.offboard.process.output();
    assert!(!log.contains(CLAIMED), "what a token claims is not logged");
    // Denials of somebody known are recorded one by one; what nobody is known for is summed up by the minute.
    for (_, _, words, _) in
        cases.iter().filter(|(_, reason, ..)| ["bad_claims", "wrong_audience", "expired"].contains(reason))
    {
        let is_recorded = || {
            stage.trail().lines().any(|line| {
                let record: Value = serde_json::from_str(line).unwrap_or_default();
                record["detail"].as_str().is_some_and(|detail| detail.contains(words))
            })
        };
        until(words, async || is_recorded().then_some(())).await;
    }
    assert!(!stage.trail().contains(CLAIMED), "nor recorded");
    let verify = stage.files.path("audit").display().to_string();
    let verified = Offboard::command().args(["audit", "verify", "--path", &verify]).output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_unknown_is_told_by_which_claim_they_were_looked_for() {
    let people = Installation::new("");
    people.write_people(&["id: e1, username: zoe"]);
    let path = people.path("people/people.yaml").display().to_string();
    let source =
        |name: &str, link: &str| format!("{{ name: {name}, kind: file, issuer: t1, path: {path}, link: [{link}] }}");
    let badge = source("badges", "{ claim: [x.y, badge], attribute: id }");
    let hr = source("hr", "{ claim: login, attribute: username }, { claim: sub, attribute: id }");
    let rest = format!("sources: [{badge}, {hr}]");
    let mut stage = Stage::start("audiences: [mesh]", &rest).await;
    let deny = rules(&stage.files, "audiences: [mesh]", &rest).replace("unknown: allow", "unknown: deny");
    stage.files.write("20-rules.yaml", &deny);
    stage.offboard.knows("hr", 1).await;
    stage.offboard.knows("badges", 1).await;
    let token = stage.token(&json!({ "login": CLAIMED }));
    let mut proxy = stage.proxy.clone();
    until("the new rules hold", async || {
        (proxy.ask(&token).await.unwrap().reason.as_deref() == Some("unknown_person")).then_some(())
    })
    .await;
    let [_, live, recalled] = stage.explained(&token).await;
    for told in [live, recalled] {
        for words in [
            "no claim that links to source `badges` has a value: `[\"x.y\",\"badge\"]`",
            "nobody in source `hr` has the `username` given in claim `login` (claimed: cl4imed)",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
    let known = stage.token(&json!({ "login": "zoe", "x.y": { "badge": "e1" } }));
    assert!(stage.ask(&known).await.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_dies_under_each_of_its_names_and_an_unseen_one_is_warned_of() {
    let mut stage = Stage::start("audiences: [mesh]", "").await;
    let known = [
        ("--client", "0oa-7", "cid"),
        ("--client", "17", "appid"),
        ("--token", "uX", "uti"),
        ("--session", "8", "sid"),
    ];
    for (flag, value, claim) in known {
        let number = value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number));
        let token = stage.token(&json!({ "sub": format!("of-{claim}"), claim: number }));
        let dry = ["revoke", flag, ISS, value, "--reason", "left", "--dry-run"];
        let (code, out, warned) = stage.run(&dry);
        assert_eq!((code, out.contains("nothing was revoked")), (0, true), "{out}");
        let key = flag.trim_start_matches('-');
        let words = format!(
            "warning: nothing seen so far has this {key}: check the spelling, and `claims.{key}` of the issuer\n"
        );
        assert_eq!(warned, words, "before {claim} came by");

        assert!(stage.ask(&token).await.0, "{claim}");
        let (code, told, warned) = stage.run(&dry);
        assert_eq!((code, warned.as_str()), (0, ""), "after it came by");
        assert!(out.contains("dies with it: nothing") && told.contains("dies with it: 1 token seen in use"), "{told}");
        let (code, out, error) = stage.run(&["revoke", flag, ISS, value, "--reason", "left"]);
        assert_eq!((code, error.as_str()), (0, ""), "{out}");
        let (allowed, reason, _) = stage.ask(&token).await;
        assert_eq!((allowed, reason.as_str()), (false, format!("revoked_{key}").as_str()), "{claim}");
    }
    let (code, _, warned) = stage.run(&["revoke", "--subject", ISS, "nobody", "--reason", "left"]);
    assert_eq!((code, warned.as_str()), (0, "warning: nothing seen so far has this subject: check the spelling\n"));
    let (code, out, warned) = stage.run(&["revoke", "--client", ISS, "0oa-8", "--reason", "left"]);
    assert!(code == 0 && out.contains("durable and enforced") && warned.contains("this client"), "{out}{warned}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_seen_outlives_a_reload() {
    let mut stage = Stage::start("audiences: [mesh]", "").await;
    let token = stage.token(&json!({ "azp": "till" }));
    assert!(stage.ask(&token).await.0);
    // The claim is another one from now on: for denial the usual ones go on to count.
    let changed = rules(&stage.files, "audiences: [mesh], claims: { client: app.name }", "");
    stage.files.write("20-rules.yaml", &changed);
    let more = stage.token(&json!({ "app": { "name": 44 }, "aud": "mesh", "azp": "till" }));
    let seen =
        |value: &str| stage.run(&["revoke", "--client", ISS, value, "--reason", "left", "--dry-run"]).2.is_empty();
    assert!(seen("till") && !seen("44"));
    let mut proxy = stage.proxy.clone();
    until("the new claim counts", async || {
        let _ = proxy.ask(&more).await;
        // Under the rules before, the token was kept; each of these is a new one.
        let next = stage.token(&json!({ "app": { "name": 44 }, "jti": stage.offboard.process.output().len() }));
        let _ = proxy.ask(&next).await;
        seen("44").then_some(())
    })
    .await;
    assert!(seen("till"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_providers_pass_as_they_are_configured() {
    // Cognito: no `aud`, and the client is whom it is for. Machines without `sub`, and a flag that tells them.
    let issuer = "audiences: [3n4b5], claims: { audience: client_id, groups: 'cognito:groups' }, id_tokens: accept";
    let rest = "clients: { unknown: deny }\nbindings: [{ role: r, clients: [3n4b5] }]\nroles: [{ name: r, permissions: [{}] }]";
    let mut stage = Stage::start(issuer, rest).await;
    let ask = async |stage: &mut Stage, claims: Value| {
        let token = stage.token(&claims);
        let (allowed, reason, _) = stage.ask(&token).await;
        if allowed { "allowed".to_owned() } else { reason }
    };
    for (claims, expected) in [
        (json!({ "aud": null, "client_id": "3n4b5", "token_use": "access" }), "allowed"),
        (json!({ "aud": "3n4b5", "client_id": "3n4b5", "token_use": "id", "at_hash": "h" }), "allowed"),
        (json!({ "aud": "other", "client_id": "3n4b5" }), "wrong_audience"),
        (json!({ "aud": null, "client_id": "other" }), "wrong_audience"),
        (json!({ "aud": null, "sub": null, "client_id": "3n4b5" }), "allowed"),
        (json!({ "aud": null, "sub": "", "client_id": "3n4b5", "username": "u" }), "bad_claims"),
        (
            json!({ "aud": null, "client_id": "3n4b5", "groups": 7, "cognito:groups": { "a": 1 }, "email": null }),
            "allowed",
        ),
        (json!({ "aud": null, "client_id": "3n4b5", "token_use": "refresh" }), "bad_claims"),
    ] {
        assert_eq!(ask(&mut stage, claims.clone()).await, expected, "{claims}");
    }
    let (code, _, error) = stage.run(&["revoke", "--client", ISS, "3n4b5", "--reason", "left"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(ask(&mut stage, json!({ "aud": null, "sub": null, "client_id": "3n4b5" })).await, "revoked_client");
}
