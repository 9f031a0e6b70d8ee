use super::*;
use crate::jose::provider::{Mood, Provider, Signer, jwks};

fn good() -> Mood {
    Mood::Says(jwks(&[&Signer::new("a", 1)]), "public, max-age=600")
}

async fn fails(mood: Mood) -> FetchError {
    let provider = Provider::start(mood).await;
    let fetcher = Fetcher::within(Duration::from_millis(200));
    let error = fetcher.fetch(&provider.issuer, &KeySource::Uri(provider.keys_uri())).await.unwrap_err();
    assert_eq!(provider.asked(), 1, "asked once, nothing followed");
    assert!(!error.to_string().contains("127.0.0.1"), "{error}");
    error
}

#[tokio::test]
async fn discovery_leads_to_the_keys() {
    let provider = Provider::start(good()).await;
    let fetched = Fetcher::new().fetch(&provider.issuer, &KeySource::Discovery).await.unwrap();
    assert_eq!(fetched.max_age, Some(Duration::from_secs(600)));
    assert!(fetched.document.starts_with(b"{"));
}

#[tokio::test]
async fn a_discovery_document_of_another_issuer_is_refused() {
    let provider = Provider::start(good()).await;
    for lie in [format!("{}/", provider.issuer), "https://evil.example".to_owned()] {
        provider.lies(&lie);
        let error = Fetcher::new().fetch(&provider.issuer, &KeySource::Discovery).await.unwrap_err();
        let error = error.to_string();
        assert!(error.contains(&format!("`{lie}`, where `issuer` is `{}`", provider.issuer)), "{error}");
        assert!(error.contains("exactly the `iss` of its tokens"), "{error}");
    }
    assert_eq!(provider.asked(), 0, "its keys are not even asked for");
}

#[test]
fn a_document_for_many_tenants_is_told_from_that_of_another_issuer() {
    let configured = "https://login.example/organizations/v2.0";
    let refused = |named: Value| {
        let document = serde_json::json!({ "issuer": named, "jwks_uri": "https://login.example/keys" }).to_string();
        keys_address(configured, &Url::parse(configured).unwrap(), document.as_bytes()).unwrap_err().to_string()
    };
    let error = refused("https://login.example/{tenantid}/v2.0".into());
    assert!(error.contains("`https://login.example/{tenantid}/v2.0`") && error.contains(configured), "{error}");
    assert!(error.contains("pattern for many tenants: configure the issuer of your tenant"), "{error}");
    assert!(refused(Value::Null).contains("another issuer: none, where"));
    let error = refused(format!("https://x/\u{1b}[31m{}", "x".repeat(900)).into());
    assert!(error.len() < 500 && !error.contains('\u{1b}') && error.contains('…'), "{error}");
}

#[tokio::test]
async fn a_byte_order_mark_before_a_document_is_ignored() {
    let provider = Provider::start(Mood::Says(format!("\u{feff}{}", jwks(&[&Signer::new("a", 1)])), "")).await;
    let fetched = Fetcher::new().fetch(&provider.issuer, &KeySource::Discovery).await.unwrap();
    assert!(crate::jose::jwks::KeySet::parse(&fetched.document).unwrap().knows("a"));
    let document = "\u{feff}{\"issuer\":\"https://i\",\"jwks_uri\":\"https://i/k\"}";
    assert!(keys_address("https://i", &Url::parse("https://i").unwrap(), document.as_bytes()).is_ok());
}

#[tokio::test]
async fn whatever_is_no_key_set_is_an_error_that_names_the_step() {
    assert!(matches!(fails(Mood::Down).await, FetchError::Status { what: KEYS, .. }));
    assert!(matches!(fails(Mood::Redirects).await, FetchError::Status { .. }));
    assert!(matches!(fails(Mood::Page).await, FetchError::NotJson(KEYS)));
    assert!(matches!(fails(Mood::Floods).await, FetchError::TooLarge(KEYS)));
    assert!(matches!(fails(Mood::Hangs).await, FetchError::Http { .. }));
    assert!(matches!(fails(Mood::Drips).await, FetchError::Http { .. }));
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_an_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/jwks", listener.local_addr().unwrap());
    drop(listener);
    let error = Fetcher::new().fetch("i", &KeySource::Uri(address)).await.unwrap_err();
    assert!(matches!(error, FetchError::Http { .. }), "{error}");
}

#[tokio::test]
async fn a_file_is_read_up_to_the_same_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let fetch = || async { Fetcher::new().fetch("i", &KeySource::File(path.clone())).await };
    assert!(matches!(fetch().await, Err(FetchError::File(_))));
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(fetch().await.unwrap().document, b"{}");
    std::fs::write(&path, " ".repeat(MAX_DOCUMENT + 1)).unwrap();
    assert!(matches!(fetch().await, Err(FetchError::TooLarge(_))));
}

#[test]
fn discovery_cannot_send_us_anywhere() {
    let issuer = "https://idp.example";
    let home = Url::parse(issuer).unwrap();
    let named = |uri: &str| {
        keys_address(issuer, &home, format!(r#"{{"issuer":"{issuer}","jwks_uri":"{uri}"}}"#).as_bytes()).is_ok()
    };
    assert!(named("https://keys.example/jwks"));
    for odd in [
        "http://idp.example/jwks",
        "https://169.254.169.254/latest",
        "https://[::1]/jwks",
        "https://2130706433/jwks",
        "https://user:word@idp.example/jwks",
        "file:///etc/passwd",
        "/jwks",
        "",
    ] {
        assert!(!named(odd), "{odd}");
    }
}

#[test]
fn cache_control_is_read() {
    for (value, age) in [
        ("public, max-age=60", Some(60)),
        ("Max-Age=\"7\"", Some(7)),
        ("no-store, max-age=60", Some(0)),
        ("public", None),
        ("max-age=soon", None),
    ] {
        assert_eq!(max_age(value), age.map(Duration::from_secs), "{value}");
    }
}
