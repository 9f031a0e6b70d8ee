use tokio::task::JoinSet;

use super::*;
use crate::jose::provider::{Mood, Provider, Signer, jwks};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn start() -> Now {
    Now::at(Timestamp::from_secs(1_700_000_000))
}

fn later(span: Duration) -> Now {
    Now::at(start().wall.plus(span))
}

fn says(keys: &[&Signer]) -> Mood {
    Mood::Says(jwks(keys), "")
}

fn rules(issuer: &str, keys: KeySource) -> IssuerRules {
    IssuerRules {
        name: "corp".into(),
        issuer: issuer.into(),
        audiences: None,
        keys,
        ca_file: None,
        algorithms: crate::domain::issuer::Algorithm::ALL.to_vec(),
        token_types: vec![],
        leeway: Duration::from_secs(30),
        accepts_id_tokens: false,
        claims: crate::domain::issuer::ClaimNames::default(),
        machines: crate::domain::issuer::MachineRule::ClientIsSubject,
    }
}

struct Setting {
    provider: Provider,
    ring: Arc<KeyRing>,
    fresh: mpsc::Receiver<FreshKeys>,
}

async fn setting(mood: Mood, kept: Option<&[u8]>) -> Setting {
    let provider = Provider::start(mood).await;
    let (sender, fresh) = mpsc::channel(1);
    let rules = rules(&provider.issuer, KeySource::Discovery);
    let ring = Arc::new(KeyRing::new(&rules, &Fetcher::new(), sender, kept));
    Setting { provider, ring, fresh }
}

fn background(ring: &Arc<KeyRing>) -> JoinSet<Infallible> {
    let ring = Arc::clone(ring);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { ring.refresh_forever(Arc::new(start)).await });
    tasks
}

/// Waits until the provider has given good keys in this process.
async fn loaded(ring: &KeyRing) {
    let mut over = ring.over.subscribe();
    over.wait_for(|count| *count > 0).await.unwrap();
    assert_eq!(ring.status().last_error, None);
}

#[tokio::test]
async fn a_ring_without_keys_stays_so_until_it_gets_one() {
    let at = setting(Mood::Down, Some(b"garbage")).await;
    let empty = Mood::Says(r#"{"keys":[]}"#.into(), "");
    let unusable = Mood::Says(r#"{"keys":[{"kty":"oct","k":"AA"}]}"#.into(), "");
    for mood in [Mood::Down, Mood::Page, Mood::Redirects, Mood::Floods, empty, unusable] {
        at.provider.becomes(mood);
        assert!(at.ring.refresh(start()).await.is_err());
        assert!(at.ring.keys().is_none());
        assert!(at.ring.status().last_error.is_some());
    }
    at.provider.becomes(says(&[&Signer::new("a", 1)]));
    at.ring.refresh(start()).await.unwrap();
    assert!(at.ring.keys().unwrap().knows("a"));
    let status = at.ring.status();
    assert_eq!((status.keys, status.last_error, status.last_success), (1, None, Some(start().wall)));
}

#[tokio::test]
async fn a_day_without_the_provider_changes_nothing() {
    let at = setting(says(&[&Signer::new("a", 1)]), None).await;
    at.ring.refresh(start()).await.unwrap();
    let before = at.ring.keys().unwrap();
    for (hour, mood) in [Mood::Down, Mood::Page, Mood::Says(r#"{"keys":[]}"#.into(), "")].into_iter().enumerate() {
        at.provider.becomes(mood);
        assert!(at.ring.refresh(later(DAY + Duration::from_secs(3600 * hour as u64))).await.is_err());
        assert!(Arc::ptr_eq(&before, &at.ring.keys().unwrap()));
    }
    assert_eq!(at.ring.status().last_success, Some(start().wall));
}

#[tokio::test]
async fn a_key_that_the_provider_withdrew_is_gone() {
    let at = setting(says(&[&Signer::new("a", 1), &Signer::new("b", 2)]), None).await;
    at.ring.refresh(start()).await.unwrap();
    at.provider.becomes(says(&[&Signer::new("b", 2)]));
    at.ring.refresh(start()).await.unwrap();
    assert!(!at.ring.keys().unwrap().knows("a"));
}

#[tokio::test]
async fn a_restart_while_the_provider_is_down_goes_on_with_kept_keys() {
    let document = jwks(&[&Signer::new("a", 1)]);
    let mut at = setting(Mood::Down, Some(document.as_bytes())).await;
    assert!(at.ring.keys().unwrap().knows("a"));
    at.provider.becomes(Mood::Says(document, ""));
    at.ring.refresh(start()).await.unwrap();
    assert!(at.fresh.try_recv().is_err(), "what is kept already is not offered again");
}

#[tokio::test]
async fn each_new_key_set_is_offered_once_and_again_only_while_nobody_took_it() {
    let mut at = setting(says(&[&Signer::new("a", 1)]), None).await;
    at.ring.refresh(start()).await.unwrap();
    at.provider.becomes(says(&[&Signer::new("b", 2)]));
    at.ring.refresh(start()).await.unwrap();
    let first = at.fresh.try_recv().unwrap();
    assert_eq!((&*first.issuer, first.origin.as_str()), (at.provider.issuer.as_str(), "discovery"));
    assert!(at.fresh.try_recv().is_err(), "the queue was full");
    at.ring.refresh(start()).await.unwrap();
    let second = at.fresh.try_recv().unwrap();
    assert!(KeySet::parse(&second.document).unwrap().knows("b"));
    at.ring.refresh(start()).await.unwrap();
    assert!(at.fresh.try_recv().is_err());
}

#[tokio::test]
async fn a_storm_of_unknown_keys_asks_once_in_an_interval() {
    let at = setting(says(&[&Signer::new("a", 1)]), None).await;
    let _tasks = background(&at.ring);
    loaded(&at.ring).await;
    let mut interval = 0;
    for now in [start(), later(Duration::from_secs(29)), later(ASK_INTERVAL), later(Duration::from_secs(59))] {
        let before = at.provider.asked();
        let mut storm = JoinSet::new();
        for number in 0..1000 {
            let ring = Arc::clone(&at.ring);
            storm.spawn(async move { ring.ask(Some(&format!("{interval}-{number}")), now).await });
        }
        storm.join_all().await;
        interval += 1;
        let expected = usize::from(now == start() || now == later(ASK_INTERVAL));
        assert_eq!(at.provider.asked() - before, expected, "interval {interval}");
    }
}

#[tokio::test]
async fn a_new_key_is_found_by_the_first_token_that_names_it() {
    let at = setting(says(&[&Signer::new("a", 1)]), None).await;
    let _tasks = background(&at.ring);
    loaded(&at.ring).await;
    at.provider.becomes(says(&[&Signer::new("a", 1), &Signer::new("b", 2)]));
    assert!(at.ring.ask(Some("b"), start()).await);
    assert!(at.ring.keys().unwrap().knows("b"));
}

#[tokio::test]
async fn a_key_that_the_provider_does_not_know_asks_again_only_after_a_while() {
    let at = setting(says(&[&Signer::new("a", 1)]), None).await;
    let _tasks = background(&at.ring);
    loaded(&at.ring).await;
    assert!(at.ring.ask(Some("x"), start()).await);
    assert!(!at.ring.ask(Some("x"), later(ASK_INTERVAL)).await);
    assert_eq!(at.provider.asked(), 2);
    assert!(at.ring.ask(Some("x"), later(UNKNOWN_FOR)).await);
    assert_eq!(at.provider.asked(), 3);
}

#[tokio::test]
async fn a_check_does_not_wait_for_a_provider_that_hangs() {
    let document = jwks(&[&Signer::new("a", 1)]);
    let at = setting(Mood::Hangs, Some(document.as_bytes())).await;
    let _tasks = background(&at.ring);
    assert!(!at.ring.ask(Some("x"), start()).await, "late is not fresh");
}

#[tokio::test]
async fn the_next_refresh_follows_the_provider_within_bounds() {
    let at = setting(Mood::Down, None).await;
    let minutes = |count: u64| Duration::from_secs(60 * count);
    assert!(at.ring.refresh(start()).await.is_err());
    assert_eq!(at.ring.pause(0), Duration::from_secs(1), "without keys it hurries");
    for (cache, pause) in [
        ("", minutes(15)),
        ("max-age=1", minutes(5)),
        ("no-store", minutes(5)),
        ("max-age=1200", minutes(20)),
        ("max-age=99999999", DAY),
    ] {
        at.provider.becomes(Mood::Says(jwks(&[&Signer::new("a", 1)]), cache));
        at.ring.refresh(start()).await.unwrap();
        assert_eq!(at.ring.pause(0), pause, "{cache}");
        assert!(at.ring.pause(99) < pause && at.ring.pause(99) > pause.mul_f64(0.9));
    }
    at.provider.becomes(Mood::Down);
    for seconds in [15, 30, 60, 120, 240, 300, 300] {
        assert!(at.ring.refresh(start()).await.is_err());
        assert_eq!(at.ring.pause(0), Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn a_reload_keeps_the_rings_of_issuers_that_did_not_change() {
    let document = jwks(&[&Signer::new("a", 1)]);
    let (fresh, _taken) = mpsc::channel(1);
    let fetcher = Fetcher::new();
    let issuers = [Arc::new(rules("https://one", KeySource::Discovery))];
    let first = KeyRings::build(&issuers, &KeyRings::default(), &fetcher, &fresh, |issuer, origin| {
        (issuer == "https://one" && origin == "discovery").then(|| document.clone().into_bytes())
    });
    let moved = Arc::new(rules("https://one", KeySource::Uri("https://two/jwks".into())));
    let second = KeyRings::build(&[Arc::clone(&issuers[0]), moved], &first, &fetcher, &fresh, |_, _| None);
    assert!(Arc::ptr_eq(first.at(0).unwrap(), second.at(0).unwrap()));
    assert!(second.at(1).unwrap().keys().is_none(), "keys of another place are not used");
    assert!(second.at(2).is_none());
}

fn p521(kid: &str) -> serde_json::Value {
    serde_json::json!({ "kty": "EC", "crv": "P-521", "kid": kid, "x": "AA", "y": "AA" })
}

fn set_of(keys: &[serde_json::Value]) -> Mood {
    Mood::Says(serde_json::json!({ "keys": keys }).to_string(), "")
}

#[tokio::test]
async fn keys_that_are_left_out_are_told_and_the_first_where_nothing_is_left() {
    let at = setting(set_of(&[p521("big"), Signer::new("a", 1).jwk()]), None).await;
    at.ring.refresh(start()).await.unwrap();
    let status = at.ring.status();
    assert_eq!((status.keys, status.left_out.len(), status.errors), (1, 1, 0));
    assert_eq!(status.left_out[0].to_string(), "key `big`: its curve `P-521` is not supported");

    at.provider.becomes(set_of(&[p521("huge"), p521("more")]));
    let error = at.ring.refresh(start()).await.unwrap_err().to_string();
    assert_eq!(error, "key set contains no usable key: key `huge`: its curve `P-521` is not supported");
    let status = at.ring.status();
    assert_eq!(
        (status.keys, status.left_out.len(), status.errors),
        (1, 2, 1),
        "the good key stays, the reasons are new"
    );

    let empty = setting(set_of(&[p521("only")]), None).await;
    assert_eq!(empty.ring.last_error(), "the keys of the issuer have not been fetched yet");
    assert!(empty.ring.refresh(start()).await.is_err());
    assert!(empty.ring.last_error().contains("key `only`: its curve `P-521`"), "{}", empty.ring.last_error());
    empty.provider.becomes(set_of(&[]));
    assert_eq!(empty.ring.refresh(start()).await.unwrap_err().to_string(), "key set contains no usable key");
}

#[tokio::test]
async fn errors_are_counted_on_by_name_where_a_reload_makes_a_new_ring() {
    let (fresh, _taken) = mpsc::channel(1);
    let build = |before: &KeyRings, ca_file: Option<&str>| {
        let of =
            IssuerRules { ca_file: ca_file.map(Into::into), ..rules("https://one", KeySource::File("none".into())) };
        KeyRings::build(&[Arc::new(of)], before, &Fetcher::new(), &fresh, |_, _| None)
    };
    let first = build(&KeyRings::default(), None);
    for _ in 0..3 {
        assert!(first.at(0).unwrap().refresh(start()).await.is_err());
    }
    let second = build(&first, Some("ca.pem"));
    assert!(!Arc::ptr_eq(first.at(0).unwrap(), second.at(0).unwrap()), "another authority, another ring");
    assert_eq!(second.at(0).unwrap().status().errors, 3);
}
