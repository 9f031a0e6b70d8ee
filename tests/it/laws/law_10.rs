//! Law 10: no secret, token, password, raw request or full header value reaches a log, a metric, an audit record or an
//! error text.

use std::io::Write;
use std::sync::{Arc, Mutex};

use offboard::domain::time::Now;
use offboard::envoy::{Answered, CheckHandler};
use offboard::request::Request;
use serde_json::json;
use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use super::holds;
use super::world::{Doors, Store, World, alice};
use crate::corp::ISSUER;
use crate::support::Scratch;

/// Part of everything that must not be seen.
const SECRET: &str = "s3cr3t-c4n4ry";

/// Collects what is logged.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Requests carry secrets wherever a request can: good and bad ones, allowed and refused. Then everything that is kept
/// or shown is searched for them.
pub async fn law_10_no_secret_leaves<S: Store>(store: S) {
    let logged = Kept::default();
    let subscriber = tracing_subscriber::registry()
        .with(tracing_subscriber::filter::LevelFilter::TRACE)
        .with(tracing_subscriber::fmt::layer().json().with_writer(logged.clone()));
    let _logging = tracing::subscriber::set_default(subscriber);
    let world = World::start(store).await;
    let scratch = Scratch::new();
    let Doors { handler, audit, .. } = world.handler(scratch.path());
    let now = handler.clock.now();

    let tokens = tokens(&world, now);
    for token in &tokens {
        ask(&handler, token).await;
    }
    world.revoke(alice(), now).await.unwrap();
    for token in &tokens {
        ask(&handler, token).await;
    }

    let metrics = handler.metrics.render();
    let writing = std::thread::spawn(move || audit.run());
    handler.recorder.close(now).await;
    writing.join().unwrap().unwrap();
    let mut trail = String::new();
    for file in std::fs::read_dir(scratch.path()).unwrap() {
        trail += &String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap());
    }
    assert!(trail.lines().count() > 2 * tokens.len(), "each decision is recorded: {trail}");
    assert!(metrics.contains(r#"reason="revoked_person""#), "{metrics}");
    let log = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    let state = format!("{:?}", world.published.snapshot().fold);
    for (what, text) in [("the audit trail", trail), ("the log", log), ("the metrics", metrics), ("the state", state)] {
        for secret in std::iter::once(SECRET).chain(tokens.iter().map(String::as_str)) {
            holds(!text.contains(secret), format!("{what} is without {secret}"));
            let signature = secret.rsplit('.').next().unwrap();
            holds(!text.contains(signature), format!("{what} is without the signature {signature}"));
        }
    }
}

/// A good token, an expired one, bad ones of several kinds, and something that is not a token.
fn tokens<S: Store>(world: &World<S>, now: Now) -> Vec<String> {
    let seconds = now.wall.as_millis() / 1000;
    let good = world.token_of(&json!({ "sub": "alice", "iat": seconds, "exp": seconds + 60, "private": SECRET }));
    let expired = world.token_of(&json!({ "sub": "alice", "iat": seconds - 900, "exp": seconds - 600 }));
    let forged = crate::support::provider::Signer::new("a", 7).sign(&json!({ "iss": ISSUER, "sub": SECRET }));
    let flawed =
        world.token_of(&json!({ "sub": "alice", "sid": { "x": SECRET }, "iat": seconds, "exp": seconds + 60 }));
    let elsewhere = world.token_of(&json!({ "sub": "alice", "aud": SECRET, "iat": seconds, "exp": seconds + 60 }));
    let claims = json!({ "iss": ISSUER, "sub": "alice" }).to_string();
    let odd = |header| crate::support::provider::Signer::new("a", 1).sign_as(&header, claims.as_bytes());
    let (algorithm, key) = (odd(json!({ "alg": SECRET })), odd(json!({ "alg": "EdDSA", "kid": SECRET })));
    vec![good, expired, forged, SECRET.to_owned(), flawed, elsewhere, algorithm, key]
}

/// Asks twice: with a request that is judged to the end, and with one that is refused for its form.
async fn ask(handler: &impl CheckHandler, token: &str) {
    for path in [format!("/v1/orders?token={SECRET}"), format!("/v1/orders?token={SECRET}#{SECRET}")] {
        ask_for(handler, token, &path).await;
    }
}

async fn ask_for(handler: &impl CheckHandler, token: &str, path: &str) {
    let bearer = format!("Bearer {token}");
    let cookie = format!("session={SECRET}");
    let headers = [
        ("authorization", bearer.as_bytes()),
        ("cookie", cookie.as_bytes()),
        ("x-api-key", SECRET.as_bytes()),
        ("proxy-authorization", SECRET.as_bytes()),
    ];
    let request = Request::synthetic("GET", "orders.example.com", path, headers);
    let arrived = Instant::now();
    let judged = handler.check(&request, arrived, None).await;
    handler.answered(Answered {
        outcome: &judged,
        request: Some(&request),
        failure: None,
        arrived,
        at: Instant::now(),
    });
}
