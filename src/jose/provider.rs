//! A provider for tests, here and in `tests/it`: keys that sign, and an HTTP server that may misbehave.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// A key with an id; `seed` tells keys apart.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    pub(crate) kid: &'static str,
}

impl Signer {
    pub(crate) fn new(kid: &'static str, seed: u8) -> Self {
        Self { pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap(), kid }
    }

    pub(crate) fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid, "x": x })
    }

    /// A token with this header and payload, whatever they are.
    pub(crate) fn sign_as(&self, header: &Value, payload: &[u8]) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// An access token.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "kid": self.kid, "typ": "at+jwt" });
        self.sign_as(&header, claims.to_string().as_bytes())
    }
}

/// A JWKS of these keys.
pub(crate) fn jwks(keys: &[&Signer]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

/// What the server does when it is asked for keys.
#[derive(Clone)]
pub(crate) enum Mood {
    /// Answers this, as JSON, with this `cache-control`.
    Says(String, &'static str),
    /// Answers a page.
    Page,
    /// Sends the caller elsewhere.
    Redirects,
    /// Answers 503.
    Down,
    /// Never answers.
    Hangs,
    /// Answers 100 MB without saying so first.
    Floods,
    /// Begins to answer, and goes on byte by byte without an end.
    Drips,
}

/// Between two bytes of [`Mood::Drips`].
const DRIP: Duration = Duration::from_millis(50);

struct Shared {
    mood: Mutex<Mood>,
    /// `issuer` of the discovery document; `None`: the truth.
    lie: Mutex<Option<String>>,
    asked: AtomicUsize,
}

/// The server. It stops when dropped.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Provider {
    pub(crate) async fn start(mood: Mood) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { mood: Mutex::new(mood), lie: Mutex::new(None), asked: AtomicUsize::new(0) });
        let router = Router::new().fallback(answer).with_state((issuer.clone(), Arc::clone(&shared)));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { issuer, shared, _tasks: tasks }
    }

    pub(crate) fn becomes(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    pub(crate) fn lies(&self, issuer: &str) {
        *self.shared.lie.lock().unwrap() = Some(issuer.to_owned());
    }

    /// How often it was asked for keys.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn keys_uri(&self) -> String {
        format!("{}/jwks", self.issuer)
    }
}

async fn answer(State((issuer, shared)): State<(String, Arc<Shared>)>, uri: Uri) -> Response<Body> {
    if uri.path() == "/.well-known/openid-configuration" {
        let claimed = shared.lie.lock().unwrap().clone().unwrap_or_else(|| issuer.clone());
        return Response::new(Body::from(
            json!({ "issuer": claimed, "jwks_uri": format!("{issuer}/jwks") }).to_string(),
        ));
    }
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let mood = shared.mood.lock().unwrap().clone();
    match mood {
        Mood::Says(body, cache) => Response::builder().header("cache-control", cache).body(Body::from(body)).unwrap(),
        Mood::Page => Response::builder()
            .header("content-type", "application/json")
            .body(Body::from("<!doctype html><title>Sign in</title>"))
            .unwrap(),
        Mood::Redirects => Response::builder().status(302).header("location", "/jwks").body(Body::empty()).unwrap(),
        Mood::Down => Response::builder().status(503).body(Body::empty()).unwrap(),
        Mood::Hangs => std::future::pending().await,
        Mood::Floods => {
            let chunk = Bytes::from(vec![b' '; 64 * 1024]);
            let chunks = std::iter::repeat_n(chunk, 1600).map(Ok::<_, std::convert::Infallible>);
            Response::new(Body::from_stream(futures_util::stream::iter(chunks)))
        }
        Mood::Drips => Response::new(Body::from_stream(futures_util::stream::unfold((), async |()| {
            tokio::time::sleep(DRIP).await;
            Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(b"{")), ()))
        }))),
    }
}
