//! Providers that are down, slow or lie when they are asked for keys: who was verified yesterday is verified today.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::installation::Installation;
use crate::support::offboard::Offboard;
use crate::support::provider::{Mood, Provider, Signer, jwks};
use crate::support::proxy::{Answer, Proxy};
use crate::support::until;

/// Checks together may ask a provider once in this time.
const ASK_INTERVAL: Duration = Duration::from_secs(30);
/// A flood of 100 MB must not be held in memory.
const GROWTH: f64 = 32.0 * 1024.0 * 1024.0;

fn says(keys: &[&Signer]) -> Mood {
    Mood::Says(jwks(keys), "max-age=300")
}

fn claims(provider: &Provider) -> Value {
    let now = jiff::Timestamp::now().as_second();
    json!({ "iss": provider.issuer, "aud": "mesh", "sub": "alice", "iat": now, "exp": now + 900 })
}

/// A token that is well made but for its key, which nobody has ever heard of.
fn unknown(provider: &Provider, kid: &str) -> String {
    let header = json!({ "alg": "EdDSA", "kid": kid, "typ": "at+jwt" });
    Signer::new("", 99).sign_as(&header, claims(provider).to_string().as_bytes())
}

/// An Offboard that takes tokens of all of these, each an issuer `iN`.
fn files(providers: &[&Provider]) -> Installation {
    let issuer = |(index, provider): (usize, &&Provider)| {
        let issuer = &provider.issuer;
        format!("- {{ name: i{index}, issuer: '{issuer}', audiences: [mesh], jwks: {{ discovery: true }} }}\n")
    };
    let issuers: String = providers.iter().enumerate().map(issuer).collect();
    Installation::new(&format!("authorization: none\npeople: {{ unknown: allow }}\nissuers:\n{issuers}"))
}

async fn ask(proxy: &mut Proxy, token: &str) -> Answer {
    proxy.ask(token).await.unwrap()
}

/// What the service said of the keys that it could not refresh.
fn complaint(offboard: &Offboard, issuer: usize) -> Option<String> {
    let said = offboard.process.output();
    let name = format!("\"i{issuer}\"");
    said.lines().find(|line| line.contains("failed to refresh signing keys") && line.contains(&name)).map(str::to_owned)
}

/// Every way to fail, each at a provider of its own; a token with an unknown key makes the service ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_provider_answers_the_last_good_keys_stay() {
    let good = Signer::new("good", 1);
    let moods = [
        (Mood::Down, "answered 503"),
        (Mood::Page, "not a JSON object"),
        (Mood::Redirects, "answered 302"),
        (Mood::Floods, "longer than 1 MiB"),
        (Mood::Hangs, "timed out"),
        (Mood::Drips, "timed out"),
        (Mood::Says(json!({ "keys": [] }).to_string(), ""), "no usable key"),
        (Mood::Says(json!({ "error": "maintenance" }).to_string(), ""), "key set"),
        (Mood::Says(json!([good.jwk()]).to_string(), ""), "not a JSON object"),
        (Mood::Says(r#"{"keys":["#.into(), ""), "key set"),
    ];
    let mut providers = Vec::new();
    for _ in &moods {
        providers.push(Provider::start(says(&[&good])).await);
    }
    let liar = Provider::start(says(&[&good])).await;
    let all: Vec<&Provider> = providers.iter().chain([&liar]).collect();
    let files = files(&all);
    let offboard = files.start().await;
    for index in 0..all.len() {
        offboard.has_keys(&format!("i{index}")).await;
    }
    let mut proxy = Proxy::connect(offboard.authz).await;
    let tokens: Vec<String> = all.iter().map(|provider| good.sign(&claims(provider))).collect();
    let memory = offboard.metric("process_resident_memory_bytes").await.unwrap();

    for (provider, (mood, _)) in providers.iter().zip(&moods) {
        provider.becomes(mood.clone());
    }
    liar.lies("https://somebody.else.example.com");
    for provider in &all {
        assert_eq!(proxy.reason(&unknown(provider, "new")).await, "unknown_signing_key");
    }
    let named = moods.iter().map(|(_, named)| *named).chain(["names another issuer"]);
    for (index, named) in named.enumerate() {
        let said = until(&format!("i{index} fails: {named}"), async || complaint(&offboard, index)).await;
        assert!(said.contains(named), "{named:?} is not in {said}");
        assert!(ask(&mut proxy, &tokens[index]).await.allowed, "{named}: the key of yesterday still counts");
        // Not from the cache of verified tokens either.
        let fresh = good.sign(&json!({ "jti": "fresh", "iss": all[index].issuer, "aud": "mesh", "sub": "alice",
            "iat": jiff::Timestamp::now().as_second(), "exp": jiff::Timestamp::now().as_second() + 60 }));
        assert!(ask(&mut proxy, &fresh).await.allowed, "{named}: a new token of it too");
        let keys = offboard.metric(&format!("offboard_jwks_keys{{issuer=\"i{index}\"}}")).await;
        assert_eq!(keys, Some(1.0), "{named}");
    }
    let grown = offboard.metric("process_resident_memory_bytes").await.unwrap() - memory;
    assert!(grown < GROWTH, "100 MB were sent, and memory grew by {grown} bytes");
}

/// Made-up key ids come by the thousand: the provider hears of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_unknown_keys_is_one_question() {
    const CALLERS: usize = 8;
    const EACH: usize = 250;
    for hangs in [false, true] {
        let (good, began) = (Signer::new("good", 1), Instant::now());
        let provider = Provider::start(says(&[&good])).await;
        let files = files(&[&provider]);
        let offboard = files.start().await;
        offboard.has_keys("i0").await;
        let mut proxy = Proxy::connect(offboard.authz).await;
        let before = provider.asked();
        if hangs {
            provider.becomes(Mood::Hangs);
        }
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let tokens: Vec<String> = (0..EACH).map(|n| unknown(&provider, &format!("{caller}-{n}"))).collect();
            let mut proxy = proxy.clone();
            callers.spawn(async move {
                for token in tokens {
                    assert_eq!(proxy.reason(&token).await, "unknown_signing_key");
                }
            });
        }
        let asked = Instant::now();
        assert!(ask(&mut proxy, &good.sign(&claims(&provider))).await.allowed);
        assert!(asked.elapsed() < Duration::from_secs(1), "a known key waits for nobody: {:?}", asked.elapsed());
        callers.join_all().await;
        let most = 1 + began.elapsed().as_secs() / ASK_INTERVAL.as_secs();
        let asked = provider.asked() - before;
        assert!(asked >= 1 && asked as u64 <= most, "asked {asked} times in {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_is_taken_by_the_first_token_that_bears_it() {
    let (old, new) = (Signer::new("old", 1), Signer::new("new", 2));
    let provider = Provider::start(says(&[&old])).await;
    let files = files(&[&provider]);
    let offboard = files.start().await;
    offboard.has_keys("i0").await;
    let mut proxy = Proxy::connect(offboard.authz).await;
    provider.becomes(says(&[&new]));
    let token = new.sign(&claims(&provider));
    // The first check waits for the answer, but not for long; on a busy machine the second has it.
    until("the new key counts", async || ask(&mut proxy, &token).await.allowed.then_some(())).await;
    assert_eq!(proxy.reason(&old.sign(&claims(&provider))).await, "unknown_signing_key", "the old one is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_while_every_provider_is_down_is_ready_from_disk() {
    let good = Signer::new("good", 1);
    let (one, other) = (Provider::start(says(&[&good])).await, Provider::start(says(&[&good])).await);
    let files = files(&[&one, &other]);
    let mut offboard = files.start().await;
    offboard.has_keys("i0").await;
    offboard.has_keys("i1").await;
    let tokens = [good.sign(&claims(&one)), good.sign(&claims(&other))];
    let mut proxy = Proxy::connect(offboard.authz).await;
    assert!(ask(&mut proxy, &tokens[0]).await.allowed);
    offboard.process.stop(Duration::from_secs(20));
    one.becomes(Mood::Hangs);
    drop(other);

    let offboard = files.start().await;
    let mut proxy = Proxy::connect(offboard.authz).await;
    for token in &tokens {
        assert!(ask(&mut proxy, token).await.allowed, "the first check after the start");
    }
    assert_eq!(proxy.reason(&unknown(&one, "new")).await, "unknown_signing_key");
}

/// The very first start, and one provider is not there: its people wait, the others do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_without_any_keys_is_not_ready_for_its_own_tokens_only() {
    let good = Signer::new("good", 1);
    let (up, down) = (Provider::start(says(&[&good])).await, Provider::start(Mood::Down).await);
    let files = files(&[&up, &down]);
    let offboard = files.start().await;
    offboard.has_keys("i0").await;
    let mut proxy = Proxy::connect(offboard.authz).await;
    let token = good.sign(&claims(&down));
    assert!(ask(&mut proxy, &good.sign(&claims(&up))).await.allowed);
    assert_eq!(proxy.reason(&token).await, "not_ready");
    assert!(offboard.ops("/readyz").await.status().is_success(), "it says nothing of the replica");
    down.becomes(says(&[&good]));
    until("its keys have come", async || ask(&mut proxy, &token).await.allowed.then_some(())).await;
}
