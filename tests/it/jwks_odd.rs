//! Key sets as real providers publish them: keys without `kid`, keys that cannot be used, another issuer's document.

use serde_json::{Value, json};

use crate::support::installation::Installation;
use crate::support::offboard::Offboard;
use crate::support::provider::{Mood, Provider, Signer};
use crate::support::proxy::Proxy;
use crate::support::until;

fn says(keys: &[Value]) -> Mood {
    Mood::Says(json!({ "keys": keys }).to_string(), "")
}

/// Its public key without `kid`, and named as RFC 9864 does.
fn nameless(signer: &Signer) -> Value {
    let mut key = signer.jwk();
    key.as_object_mut().unwrap().remove("kid");
    key["alg"] = "Ed25519".into();
    key
}

/// Keys as they come beside good ones: what is wrong with each is the third.
fn odd() -> [(Value, &'static str); 4] {
    let coordinate = "A".repeat(64);
    [
        (
            json!({ "kty": "EC", "crv": "P-521", "kid": "wide", "x": "AAAA", "y": "AAAA" }),
            "its curve `P-521` is not supported",
        ),
        (
            json!({ "kty": "EC", "crv": "P-384", "kid": "short", "x": coordinate, "y": "A".repeat(62) }),
            "its `y` has 46 bytes, and P-384 has 48",
        ),
        (
            json!({ "kty": "RSA", "kid": "padded", "n": format!("{}==", "v".repeat(342)), "e": "AQAB" }),
            "its `n` is padded with `=`",
        ),
        (
            json!({ "kty": "RSA", "use": "enc", "alg": "RSA-OAEP-256", "n": "v", "e": "AQAB" }),
            "it is not for signatures: its `use` is `enc`",
        ),
    ]
}

struct Stage {
    provider: Provider,
    files: Installation,
    offboard: Offboard,
}

impl Stage {
    async fn start(mood: Mood, algorithms: &str) -> Self {
        let provider = Provider::start(mood).await;
        let files = Installation::new(&format!(
            "authorization: none\npeople: {{ unknown: allow }}\nissuers: [{{ name: corp, issuer: '{}', audiences: [mesh], \
             jwks: {{ discovery: true }}, algorithms: [{algorithms}] }}]\n",
            provider.issuer
        ));
        let offboard = files.start().await;
        Self { provider, files, offboard }
    }

    fn token(&self, signer: &Signer, header: &Value) -> String {
        let now = jiff::Timestamp::now().as_second();
        let claims =
            json!({ "iss": self.provider.issuer, "aud": "mesh", "sub": "alice", "iat": now, "exp": now + 900 });
        signer.sign_as(header, claims.to_string().as_bytes())
    }

    async fn reason(&self, token: &str) -> String {
        Proxy::connect(self.offboard.authz).await.reason(token).await
    }

    fn run(&self, arguments: &[&str]) -> String {
        self.offboard.run(&self.files.token_file(), arguments).1
    }

    fn status(&self) -> Value {
        serde_json::from_str::<Value>(&self.run(&["status", "-o", "json"])).unwrap()["issuers"][0].clone()
    }

    fn explained(&self, token: &str) -> String {
        let bearer = format!("authorization: Bearer {token}");
        self.run(&["explain", "--method", "GET", "--host", "h", "--path", "/", "-H", &bearer])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_without_kid_serve_every_token_and_others_only_their_own() {
    let (old, new, named, stranger) =
        (Signer::new("", 21), Signer::new("", 22), Signer::new("n", 23), Signer::new("", 24));
    let stage = Stage::start(says(&[nameless(&old), nameless(&new), named.jwk()]), "Ed25519").await;
    stage.offboard.has_keys("corp").await;
    for (signer, header, reason) in [
        (&old, json!({ "alg": "Ed25519" }), "allowed"),
        (&new, json!({ "alg": "EdDSA", "kid": "2026-11" }), "allowed"),
        (&named, json!({ "alg": "Ed25519", "kid": "n" }), "allowed"),
        (&named, json!({ "alg": "EdDSA" }), "allowed"),
        (&named, json!({ "alg": "EdDSA", "kid": "m" }), "unknown_signing_key"),
        (&stranger, json!({ "alg": "EdDSA", "kid": "n" }), "bad_signature"),
        (&stranger, json!({ "alg": "EdDSA" }), "bad_signature"),
    ] {
        assert_eq!(stage.reason(&stage.token(signer, &header)).await, reason, "{header}");
    }
    assert_eq!(stage.status()["keys"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_key_that_is_left_out_is_told_with_its_reason() {
    let good = Signer::new("good", 5);
    let keys: Vec<Value> = odd().into_iter().map(|(key, _)| key).chain([good.jwk()]).collect();
    let stage = Stage::start(says(&keys), "EdDSA, ES384, RS256").await;
    stage.offboard.has_keys("corp").await;
    let header = |algorithm: &str, kid: &str| json!({ "alg": algorithm, "kid": kid });
    assert_eq!(stage.reason(&stage.token(&good, &header("EdDSA", "good"))).await, "allowed");

    let shown = stage.status();
    let (left_out, table) = (shown["left_out"].as_array().unwrap(), stage.run(&["status", "-o", "table"]));
    assert_eq!((left_out.len(), &shown["keys"]), (4, &json!(1)), "{shown}");
    for ((key, reason), told) in odd().iter().zip(left_out) {
        assert!(told["reason"].as_str().unwrap().starts_with(reason), "{told}");
        assert_eq!(told["kid"], *key.get("kid").unwrap_or(&Value::Null), "{told}");
        assert!(table.contains(reason), "{table}");
    }
    assert_eq!(left_out[3]["number"], 4, "what has no name has its place");
    let logged = || stage.offboard.process.output().matches("its `n` is padded with").count();
    assert_eq!(logged(), 1);

    let short = stage.token(&good, &header("ES384", "short"));
    assert_eq!(stage.reason(&short).await, "unknown_signing_key");
    let told = stage.explained(&short);
    assert!(
        told.contains("the key that the token names is left out: its `y` has 46 bytes, and P-384 has 48"),
        "{told}"
    );

    // One more, and those before it are not said again.
    let more = json!({ "kty": "OKP", "crv": "X25519", "kid": "exchange", "x": "AA" });
    stage.provider.becomes(says(&keys.into_iter().chain([more]).collect::<Vec<_>>()));
    // The first token with a key that nobody knows has asked for keys; the next may in 30 s. A reload asks at once.
    let asked = stage.provider.asked();
    stage.files.write(
        "30-name.yaml",
        &format!(
            "issuers: [{{ name: twin, issuer: 'https://t', audiences: [t], jwks: {{ uri: '{}' }} }}]\n",
            stage.provider.keys_uri()
        ),
    );
    until("the new key is told", async || (stage.status()["left_out"].as_array()?.len() == 5).then_some(())).await;
    assert!(stage.provider.asked() > asked);
    let lines = stage.offboard.process.output();
    let of = |issuer: &str| lines.lines().filter(|line| line.contains("left out") && line.contains(issuer)).count();
    assert_eq!((of("\"corp\""), of("\"twin\"")), (5, 5), "{lines}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_of_which_nothing_is_left_names_the_first_reason() {
    let keys: Vec<Value> = odd().into_iter().map(|(key, _)| key).skip(1).collect();
    let stage = Stage::start(says(&keys), "ES384").await;
    let first = "key set contains no usable key: key `short`: its `y` has 46 bytes, and P-384 has 48";
    until("that is told", async || (stage.status()["trouble"] == first).then_some(())).await;
    assert_eq!(stage.status()["left_out"].as_array().unwrap().len(), 3);
    let token = stage.token(&Signer::new("", 1), &json!({ "alg": "ES384", "kid": "short" }));
    assert_eq!(stage.reason(&token).await, "not_ready");
    assert!(stage.explained(&token).contains(first), "{}", stage.explained(&token));
    let logged = stage.offboard.process.output().matches(first).count();
    assert_eq!(logged, 1, "however often it was asked");
    assert!(stage.offboard.metric("offboard_jwks_errors_total{issuer=\"corp\"}").await > Some(0.0));
    assert_eq!(stage.offboard.metric("offboard_jwks_keys{issuer=\"corp\"}").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_of_another_issuer_is_refused_by_both_names() {
    let stage = Stage::start(Mood::Down, "EdDSA").await;
    stage.provider.lies("https://login.example.net/{tenantid}/v2.0");
    until("both are named", async || {
        let trouble = stage.status()["trouble"].as_str()?.to_owned();
        let both = trouble.contains("`https://login.example.net/{tenantid}/v2.0`")
            && trouble.contains(&format!("`{}`", stage.provider.issuer));
        both.then_some(())
    })
    .await;
}
