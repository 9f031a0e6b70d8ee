//! The real providers start, and give tokens of the shape the other tests count on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::support::keycloak::Keycloak;
use crate::support::oidc::OidcProvider;

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn keycloak_gives_alice_a_token_of_its_realm() {
    let Some(keycloak) = Keycloak::start("").await else { return };
    let claims = claims(&keycloak.token("alice").await);
    assert_eq!(claims["iss"], keycloak.issuer);
    assert!(keycloak.issuer.starts_with(&keycloak.url));
    assert_eq!(claims["preferred_username"], "alice");
    assert!(claims["aud"].as_array().unwrap().contains(&"mesh".into()));
}

#[tokio::test]
async fn oidc_provider_gives_machines_jwts_and_opaque_tokens() {
    let Some(provider) = OidcProvider::start().await else { return };
    let claims = claims(&provider.machine_token(None).await);
    assert_eq!((&claims["iss"], &claims["sub"]), (&provider.issuer.as_str().into(), &"svc".into()));
    assert!(!provider.machine_token(Some("https://opaque.example.org")).await.contains('.'));
}
