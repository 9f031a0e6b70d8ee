//! What a token costs: when it is first seen, beside the bare check of its signature; when it is known, beside moka and
//! SHA-256 alone.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it cannot go on")]

#[expect(dead_code, reason = "a bench needs a part of it")]
#[path = "../tests/fixture/corp.rs"]
mod corp;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use offboard::authenticate::Authenticator;
use offboard::authenticate::cache::CacheCounters;
use offboard::domain::credential::CredentialOutcome;
use offboard::domain::key::Keyer;
use offboard::domain::policy::Policy;
use offboard::jose::fetch::Fetcher;
use offboard::jose::keys::KeyRings;
use offboard::request::{Path, Request};

/// A key, as a JWKS has it, and different tokens that it signed.
struct Signed {
    algorithm: Algorithm,
    jwk: Value,
    tokens: Vec<String>,
}

/// Tokens of different people.
const TOKENS: usize = 1000;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An ordinary access token of one of many, but for its signature.
fn message(algorithm: &str, number: usize) -> String {
    let issued = corp::at(0).wall.as_millis() / 1000;
    let header = json!({ "alg": algorithm, "kid": "k", "typ": "at+jwt" });
    let claims = json!({ "iss": corp::ISSUER, "sub": format!("9f6f7f2a-1c0d-4b9e-8a36-{number:012}"), "aud": "mesh",
        "iat": issued, "exp": issued + 600, "jti": "5b1f", "azp": "web", "sid": "b7b0", "scope": "openid email",
        "email": "alice@example.com", "preferred_username": "alice", "groups": ["payments-eng", "on-call", "vpn"] });
    format!("{}.{}", encode(header.to_string()), encode(claims.to_string()))
}

fn rs256() -> Signed {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let sign = |number| {
        let message = message("RS256", number);
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", encode(signature))
    };
    let public = pair.public_key();
    let (n, e) = (public.modulus(), public.exponent());
    let (n, e) = (encode(n.big_endian_without_leading_zero()), encode(e.big_endian_without_leading_zero()));
    let jwk = json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k", "n": n, "e": e });
    Signed { algorithm: Algorithm::RS256, jwk, tokens: (0..TOKENS).map(sign).collect() }
}

fn es256() -> Signed {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let sign = |number| {
        let message = message("ES256", number);
        let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", encode(signature))
    };
    // An uncompressed point: 4, x, y.
    let (x, y) = pair.public_key().as_ref().split_at(33);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k",
        "x": encode(&x[1..]), "y": encode(y) });
    Signed { algorithm: Algorithm::ES256, jwk, tokens: (0..TOKENS).map(sign).collect() }
}

fn authenticator(signed: &Signed) -> Authenticator {
    let policy: Arc<Policy> = Arc::new(corp::policy());
    let document = json!({ "keys": [signed.jwk] }).to_string().into_bytes();
    let (fresh, _) = mpsc::channel(1);
    let fetcher = Fetcher::new();
    let rings = KeyRings::build(&policy.issuers, &KeyRings::default(), &fetcher, &fresh, |_, _| Some(document.clone()));
    Authenticator::new(policy, Keyer::new([3; 16]), rings, Arc::new(CacheCounters::default()))
}

fn request(token: &str) -> Request {
    let bearer = format!("Bearer {token}");
    Request::synthetic("GET", "orders.example.com", "/v1/orders", [("authorization", bearer.as_bytes())])
}

fn verified(by: &Authenticator, request: &Request) -> bool {
    let shown = by.authenticate(request, corp::at(1)).now_or_never();
    matches!(shown.as_deref(), Some([CredentialOutcome::Verified(_)]))
}

/// The time that `many` goes take; what each thousand of them begins with is not measured.
fn timed<S>(many: u64, mut begin: impl FnMut() -> S, mut go: impl FnMut(&S, usize)) -> Duration {
    let (mut took, mut left) = (Duration::ZERO, usize::try_from(many).unwrap());
    while left > 0 {
        let (goes, start) = (left.min(TOKENS), begin());
        let started = Instant::now();
        (0..goes).for_each(|number| go(&start, number));
        took += started.elapsed();
        left -= goes;
    }
    took
}

fn first_sight(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("first_sight");
    for signed in [rs256(), es256()] {
        let asked: Vec<Request> = signed.tokens.iter().map(|token| request(token)).collect();
        assert!(verified(&authenticator(&signed), &asked[0]));
        let name = format!("{:?}", signed.algorithm);
        let key = DecodingKey::from_jwk(&serde_json::from_value(signed.jwk.clone()).unwrap()).unwrap();
        let parts: Vec<(&str, &str)> = signed.tokens.iter().map(|token| token.rsplit_once('.').unwrap()).collect();
        group.bench_function(BenchmarkId::new("yardstick_bare_signature", &name), |bencher| {
            let verify = |(message, signature): (&str, &str)| {
                jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, signed.algorithm).unwrap()
            };
            bencher.iter_custom(|many| timed(many, || (), |(), number| assert!(verify(black_box(parts[number])))));
        });
        group.bench_function(BenchmarkId::new("offboard", &name), |bencher| {
            // A new authenticator has an empty cache.
            let go = |by: &Authenticator, number: usize| assert!(verified(by, black_box(&asked[number])));
            bencher.iter_custom(|many| timed(many, || authenticator(&signed), go));
        });
    }
    group.finish();
}

fn known(criterion: &mut Criterion) {
    let signed = es256();
    let (by, asked) = (authenticator(&signed), request(&signed.tokens[0]));
    assert!(verified(&by, &asked));
    let mut group = criterion.benchmark_group("known");
    let cache = moka::sync::Cache::<[u8; 32], Arc<str>>::new(100_000);
    let hash = |text: &str| <[u8; 32]>::try_from(digest(&SHA256, text.as_bytes()).as_ref()).unwrap();
    cache.insert(hash(&signed.tokens[0]), Arc::from("it"));
    group.bench_function("yardstick_moka_and_sha256", |bencher| {
        bencher.iter(|| cache.get(&hash(black_box(&signed.tokens[0]))).is_some());
    });
    group.bench_function("offboard", |bencher| bencher.iter(|| verified(&by, black_box(&asked))));
    group.finish();
}

/// Every reading of a path, beside one copy of its text.
fn paths(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("path_forms");
    for (name, path) in [
        ("plain", "/v1/orders/4711/items?page=2"),
        ("encoded", "/v1/orders/caf%C3%A9/items%20new"),
        ("hostile", "/v1//orders/..;x/%2e%2e/%5cadmin"),
    ] {
        group.bench_function(BenchmarkId::new("yardstick_copy", name), |bencher| {
            bencher.iter(|| black_box(path).split('?').next().map(str::to_owned));
        });
        group.bench_function(BenchmarkId::new("offboard", name), |bencher| {
            bencher.iter(|| Path::read("GET", black_box(path)));
        });
    }
    group.finish();
}

criterion_group!(benches, first_sight, known, paths);
criterion_main!(benches);
