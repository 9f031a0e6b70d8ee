use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::*;
use crate::corp;
use crate::domain::credential::{CredentialKind, Foreign, Identity};
use crate::domain::issuer::{Algorithm, IssuerRules};
use crate::domain::reason::Reason;
use crate::domain::source::SourceRules;
use crate::domain::time::Timestamp;
use crate::jose::fetch::Fetcher;
use crate::jose::keys::{ASK_INTERVAL, Clock};
use crate::jose::provider::{Mood, Provider, Signer, jwks};
use crate::jose::tests::vector;

mod istio;

pub(super) const ISSUER: &str = "https://idp.example/realms/corp";
pub(super) const NOW: i64 = 1_700_000_000;

pub(super) fn now() -> Now {
    Now::at(Timestamp::from_secs(NOW))
}

pub(super) fn issuer(name: &str, issuer: &str) -> IssuerRules {
    IssuerRules { name: name.into(), issuer: issuer.into(), ..corp::issuer() }
}

pub(super) fn policy(issuers: Vec<IssuerRules>, sources: Vec<SourceRules>) -> Policy {
    Policy { issuers: issuers.into_iter().map(Arc::new).collect(), sources, ..corp::policy() }
}

/// An authenticator whose issuers have kept keys, and whose providers nobody asks.
fn offline(policy: Policy, document: Option<&str>) -> (Authenticator, Arc<CacheCounters>) {
    let (fresh, _) = mpsc::channel(1);
    let kept = |_: &str, _: &str| document.map(|document| document.as_bytes().to_vec());
    let rings = KeyRings::build(&policy.issuers, &KeyRings::default(), &Fetcher::new(), &fresh, kept);
    let counters = Arc::new(CacheCounters::default());
    (Authenticator::new(Arc::new(policy), Keyer::new([7; 16]), rings, Arc::clone(&counters)), counters)
}

fn corp() -> (Authenticator, Arc<CacheCounters>) {
    offline(policy(vec![issuer("corp", ISSUER)], vec![]), Some(&jwks(&[&signer()])))
}

fn signer() -> Signer {
    Signer::new("a", 1)
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "alice", "aud": "mesh", "exp": NOW + 300, "iat": NOW })
}

async fn shown(by: &Authenticator, headers: &[(&str, &str)]) -> Vec<CredentialOutcome> {
    let headers = crate::request::Headers::from_pairs(headers.iter().map(|(name, value)| (*name, value.as_bytes())));
    by.authenticate(&Request { headers, ..Request::default() }, now()).await.to_vec()
}

/// What an `authorization` header comes to, in one word.
async fn verdict(by: &Authenticator, authorization: &str) -> &'static str {
    match shown(by, &[("authorization", authorization)]).await.as_slice() {
        [] => "nothing",
        [CredentialOutcome::Verified(verified)] => {
            verified.flaw.or(verified.dates(now())).map_or("verified", Reason::code)
        }
        [CredentialOutcome::Rejected { kind: CredentialKind::Bearer, reason, .. }] => reason.code(),
        [CredentialOutcome::Foreign { what: Foreign::Jwt, .. }] => "foreign jwt",
        [CredentialOutcome::Foreign { what: Foreign::Other, .. }] => "foreign",
        more => panic!("{more:?}"),
    }
}

#[tokio::test]
async fn what_stands_in_the_header_is_judged_whole() {
    let (by, _) = corp();
    let ours = signer().sign(&claims());
    let stranger = signer().sign(&json!({ "iss": "https://other.example", "sub": "alice" }));
    let nobody = signer().sign(&json!({ "sub": "alice" }));
    let odd_issuer = signer().sign(&json!({ "iss": [ISSUER] }));
    let twice = signer().sign_as(&json!({ "alg": "EdDSA" }), br#"{"iss":"https://other.example","iss":"x"}"#);
    let symmetric = signer().sign_as(&json!({ "alg": "HS256", "crit": [] }), br#"{"iss":"https://other.example"}"#);
    let encrypted = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aXY.Y3Q.dGFn";
    for (value, expected) in [
        (String::new(), "nothing"),
        ("  ".into(), "nothing"),
        (format!("Bearer {ours}"), "verified"),
        (format!("bEARER   {ours} "), "verified"),
        (format!("DPoP {ours}"), "verified"),
        (ours.clone(), "verified"),
        (format!("Bearer {ours},Bearer {ours}"), "malformed_credentials"),
        (format!("Bearer {stranger}, Bearer {ours}"), "malformed_credentials"),
        (format!("Basic YTpi, {ours}"), "malformed_credentials"),
        (format!("Basic YTpi,Bearer {ours}"), "malformed_credentials"),
        (format!("Basic {ours} Bearer x"), "malformed_credentials"),
        (format!("Bearer {ours} {ours}"), "malformed_credentials"),
        (format!("Token token=\"{ours}\""), "malformed_credentials"),
        (format!("Bearer {ours}="), "malformed_credentials"),
        (format!("Bearer {ours}\u{e9}"), "malformed_credentials"),
        (format!("Bearer {ours}\u{0}"), "malformed_credentials"),
        (format!("Bearer\t{ours}"), "malformed_credentials"),
        (format!("Bearer {}", ours.replacen("ey", "e,y", 1)), "malformed_credentials"),
        (format!("Bearer {}", ours.split_once('.').unwrap().1), "malformed_credentials"),
        (format!("Bearer {ours}.x.y"), "malformed_credentials"),
        (format!("Bearer {encrypted}"), "foreign jwt"),
        (format!("Bearer {encrypted}.x"), "malformed_credentials"),
        (format!("Bearer {}", "x".repeat(20_000)), "foreign"),
        (format!("Bearer {ours}{}", "A".repeat(17_000)), "malformed_credentials"),
        ("Bearer".into(), "malformed_credentials"),
        ("Bearer a b".into(), "malformed_credentials"),
        ("Bearer <script>".into(), "malformed_credentials"),
        ("Bearer 2YotnFZFEjr1zCsicMWpAA".into(), "foreign"),
        ("Basic dXNlcjpwYXNz".into(), "foreign"),
        ("Negotiate YII=".into(), "foreign"),
        ("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c".into(), "foreign"),
        (format!("Bearer {stranger}"), "foreign jwt"),
        (format!("Bearer {symmetric}"), "foreign jwt"),
        (format!("Bearer {nobody}"), "foreign jwt"),
        (format!("Hawk id=\"{stranger}\", mac=x"), "foreign jwt"),
        (format!("Bearer {odd_issuer}"), "malformed_credentials"),
        (format!("Bearer {twice}"), "malformed_credentials"),
    ] {
        assert_eq!(verdict(&by, &value).await, expected, "{value:.80}");
    }
}

#[tokio::test]
async fn nothing_but_a_good_signature_of_the_right_key_is_proof() {
    let (by, _) = corp();
    let payload = claims().to_string().into_bytes();
    let signed = |header: Value| signer().sign_as(&header, &payload);
    let other = |kid| Signer::new(kid, 2).sign(&claims());
    let unsigned = signed(json!({ "alg": "none" }));
    let stripped = unsigned.rsplit_once('.').unwrap().0.to_owned() + ".";
    for (token, expected) in [
        (signed(json!({ "alg": "EdDSA", "kid": "a" })), "verified"),
        (signed(json!({ "alg": "EdDSA" })), "verified"),
        (other("a"), "bad_signature"),
        (other("b"), "unknown_signing_key"),
        (unsigned, "bad_signature"),
        (stripped, "bad_signature"),
        (signed(json!({ "alg": "HS256", "kid": "a" })), "bad_signature"),
        (signed(json!({ "alg": "ES256", "kid": "a" })), "bad_signature"),
        (signed(json!({ "alg": "EdDSA", "kid": "a", "crit": ["exp"] })), "malformed_credentials"),
        (signed(json!({ "alg": "EdDSA", "kid": "a", "b64": false })), "malformed_credentials"),
        (signed(json!({ "alg": "EdDSA", "kid": "../../etc/passwd" })), "unknown_signing_key"),
        (signed(json!({ "alg": "EdDSA", "kid": "k".repeat(300) })), "malformed_credentials"),
    ] {
        assert_eq!(verdict(&by, &format!("Bearer {token}")).await, expected, "{token}");
    }
}

#[tokio::test]
async fn the_configuration_narrows_what_the_key_allows() {
    let mut rules = issuer("corp", ISSUER);
    rules.algorithms = vec![Algorithm::RS256];
    let (by, _) = offline(policy(vec![rules], vec![]), Some(&jwks(&[&signer()])));
    assert_eq!(verdict(&by, &signer().sign(&claims())).await, "bad_signature");
}

#[tokio::test]
async fn a_key_of_one_issuer_proves_nothing_for_another() {
    let policy = policy(vec![issuer("corp", ISSUER), issuer("other", "https://other.example")], vec![]);
    let (fresh, _) = mpsc::channel(1);
    let kept = |iss: &str, _: &str| Some(jwks(&[&Signer::new("a", if iss == ISSUER { 1 } else { 2 })]).into_bytes());
    let rings = KeyRings::build(&policy.issuers, &KeyRings::default(), &Fetcher::new(), &fresh, kept);
    let by = Authenticator::new(Arc::new(policy), Keyer::new([7; 16]), rings, Arc::default());
    assert_eq!(verdict(&by, &signer().sign(&claims())).await, "verified");
    assert_eq!(verdict(&by, &Signer::new("a", 2).sign(&claims())).await, "bad_signature");
}

#[tokio::test]
async fn an_issuer_without_keys_is_not_ready() {
    let (by, _) = offline(policy(vec![issuer("corp", ISSUER)], vec![]), None);
    assert_eq!(verdict(&by, &signer().sign(&claims())).await, "not_ready");
}

#[tokio::test]
async fn with_another_header_configured_authorization_counts_too() {
    let mut policy = policy(vec![issuer("corp", ISSUER)], vec![]);
    policy.bearer_header = "x-token".into();
    let (by, _) = offline(policy, Some(&jwks(&[&signer()])));
    let token = signer().sign(&claims());
    let forged = Signer::new("a", 2).sign(&claims());
    let found = shown(&by, &[("x-token", &token), ("authorization", &format!("Bearer {forged}"))]).await;
    assert!(
        matches!(
            &found[..],
            [CredentialOutcome::Verified(_), CredentialOutcome::Rejected { reason: Reason::BadSignature, .. }]
        ),
        "{found:?}"
    );
}

#[tokio::test]
async fn an_expired_or_flawed_token_is_still_proven() {
    let (by, _) = corp();
    let mut expired = claims();
    expired["exp"] = json!(NOW - 31);
    assert_eq!(verdict(&by, &signer().sign(&expired)).await, "expired");
    expired["exp"] = json!(NOW - 29);
    assert_eq!(verdict(&by, &signer().sign(&expired)).await, "verified");
    let mut flawed = claims();
    flawed["exp"] = json!("tomorrow");
    let found = shown(&by, &[("authorization", &signer().sign(&flawed))]).await;
    let [CredentialOutcome::Verified(verified)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((verified.flaw, verified.subject.as_deref()), (Some(Reason::BadClaims), Some("alice")));
}

#[tokio::test]
async fn a_second_look_comes_from_the_cache_and_dates_are_judged_again() {
    let (by, counters) = corp();
    let token = format!("Bearer {}", signer().sign(&claims()));
    for (hits, misses) in [(0, 1), (1, 1), (2, 1)] {
        assert_eq!(verdict(&by, &token).await, "verified");
        assert_eq!((counters.hits(), counters.misses()), (hits, misses));
    }
    let found = shown(&by, &[("authorization", &token)]).await;
    let [CredentialOutcome::Verified(verified)] = &found[..] else { panic!("{found:?}") };
    let later = Now::at(Timestamp::from_secs(NOW + 3600));
    assert_eq!(verified.dates(later), Some(Reason::Expired));
}

#[tokio::test]
async fn errors_are_not_cached() {
    let (by, counters) = corp();
    let token = Signer::new("a", 2).sign(&claims());
    for _ in 0..2 {
        assert_eq!(verdict(&by, &token).await, "bad_signature");
    }
    assert_eq!((counters.hits(), counters.misses()), (0, 2));
}

/// An authenticator with a provider, its keys loaded, and the task that keeps them fresh.
async fn online(mood: Mood) -> (Provider, Authenticator, JoinSet<std::convert::Infallible>) {
    let provider = Provider::start(mood).await;
    let policy = policy(vec![issuer("corp", &provider.issuer)], vec![]);
    let (fresh, _) = mpsc::channel(8);
    let rings = KeyRings::build(&policy.issuers, &KeyRings::default(), &Fetcher::new(), &fresh, |_, _| None);
    let ring = Arc::clone(rings.at(0).unwrap());
    ring.refresh(now()).await.unwrap();
    let mut tasks = JoinSet::new();
    let clock: Clock = Arc::new(now);
    tasks.spawn(async move { ring.refresh_forever(clock).await });
    (provider, Authenticator::new(Arc::new(policy), Keyer::new([7; 16]), rings, Arc::default()), tasks)
}

fn claims_of(provider: &Provider) -> Value {
    let mut claims = claims();
    claims["iss"] = json!(provider.issuer);
    claims
}

#[tokio::test]
async fn a_cached_token_dies_with_its_key_material_whatever_the_kid() {
    let (provider, by, _tasks) = online(Mood::Says(jwks(&[&Signer::new("a", 1)]), "")).await;
    let token = Signer::new("a", 1).sign(&claims_of(&provider));
    assert_eq!(verdict(&by, &token).await, "verified");
    provider.becomes(Mood::Says(jwks(&[&Signer::new("a", 2)]), ""));
    by.rings().at(0).unwrap().refresh(now()).await.unwrap();
    assert_eq!(verdict(&by, &token).await, "bad_signature");
}

#[tokio::test]
async fn new_material_under_an_old_kid_is_found_by_its_first_token() {
    let (provider, by, _tasks) = online(Mood::Says(jwks(&[&Signer::new("a", 1)]), "")).await;
    provider.becomes(Mood::Says(jwks(&[&Signer::new("a", 2)]), ""));
    let token = Signer::new("a", 2).sign(&claims_of(&provider));
    assert_eq!(verdict(&by, &token).await, "verified");
}

#[tokio::test]
async fn forged_tokens_do_not_make_us_storm_the_provider() {
    let (provider, by, _tasks) = online(Mood::Says(jwks(&[&Signer::new("a", 1)]), "")).await;
    // The task fetches once as it starts; one more may be asked for in the interval.
    for number in 0..200_u8 {
        let forged = Signer::new(if number % 2 == 0 { "a" } else { "b" }, 9).sign(&claims_of(&provider));
        assert!(matches!(verdict(&by, &forged).await, "bad_signature" | "unknown_signing_key"));
    }
    assert!(provider.asked() <= 3, "{} within {ASK_INTERVAL:?}", provider.asked());
}

#[tokio::test]
async fn an_outage_does_not_disturb_known_keys() {
    let (provider, by, _tasks) = online(Mood::Says(jwks(&[&Signer::new("a", 1)]), "")).await;
    provider.becomes(Mood::Down);
    assert!(by.rings().at(0).unwrap().refresh(now()).await.is_err());
    assert_eq!(verdict(&by, &Signer::new("a", 1).sign(&claims_of(&provider))).await, "verified");
}

/// The identity of a verified token with these claims.
pub(super) async fn identity(policy: Policy, header: Value, claims: &Value) -> Identity {
    let (by, _) = offline(policy, Some(&jwks(&[&signer()])));
    let token = signer().sign_as(&header, claims.to_string().as_bytes());
    let found = shown(&by, &[("authorization", &format!("Bearer {token}"))]).await;
    let [CredentialOutcome::Verified(verified)] = &found[..] else { panic!("{found:?}") };
    Identity::clone(verified)
}

#[tokio::test]
async fn a_cached_token_of_a_key_without_kid_dies_with_that_key() {
    let nameless = |seed| {
        let mut key = Signer::new("", seed).jwk();
        key.as_object_mut().unwrap().remove("kid");
        key
    };
    let says = |keys: &[Value]| Mood::Says(json!({ "keys": keys }).to_string(), "");
    let (provider, by, _tasks) = online(says(&[nameless(31), nameless(32)])).await;
    let token =
        |seed, header: Value| Signer::new("", seed).sign_as(&header, claims_of(&provider).to_string().as_bytes());
    let tokens = [token(31, json!({ "alg": "EdDSA" })), token(32, json!({ "alg": "Ed25519", "kid": "rotated" }))];
    for token in &tokens {
        assert_eq!(verdict(&by, token).await, "verified");
    }
    provider.becomes(says(&[nameless(32)]));
    by.rings().at(0).unwrap().refresh(now()).await.unwrap();
    assert_eq!(verdict(&by, &tokens[0]).await, "bad_signature", "withdrawn, though it was cached");
    assert_eq!(verdict(&by, &tokens[1]).await, "verified");
}

#[tokio::test]
async fn a_rejection_says_which_key_is_missing_and_marks_what_was_claimed() {
    let wide = json!({ "kty": "EC", "crv": "P-521", "kid": "wide", "x": "AA", "y": "AA" });
    let document = json!({ "keys": [wide, signer().jwk()] }).to_string();
    let (by, _) = offline(policy(vec![issuer("corp", ISSUER)], vec![]), Some(&document));
    let told = async |header: Value| {
        let token = signer().sign_as(&header, claims().to_string().as_bytes());
        match shown(&by, &[("authorization", &token)]).await.as_slice() {
            [CredentialOutcome::Rejected { detail: Some(detail), .. }] => (detail.words().to_owned(), detail.full()),
            other => panic!("{other:?}"),
        }
    };
    let (words, _) = told(json!({ "alg": "ES384", "kid": "wide" })).await;
    assert_eq!(words, "the key that the token names is left out: its curve `P-521` is not supported (issuer `corp`)");
    let (words, whole) = told(json!({ "alg": "ES256", "kid": "x\u{1b}]0;" })).await;
    assert_eq!(words, "no key has the `kid` of the token (issuer `corp`)", "nothing of the token");
    assert!(whole.contains("(claimed: alg ES256, kid x\\u{1b}]0;)"), "{whole}");
    let forged = Signer::new("a", 2).sign(&claims());
    let found = shown(&by, &[("authorization", &forged)]).await;
    let [CredentialOutcome::Rejected { detail: Some(detail), .. }] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(detail.words(), "the signature is not valid for the only matching key (issuer `corp`)");
    let (words, _) = told(json!({ "alg": "RS512" })).await;
    assert!(words.contains("there is no key for RS512; left out is key `wide`"), "{words}");
}
