//! Tokens of real providers, through a real Envoy: let in as they are, refused when their owner is gone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::support::envoy::{Envoy, asking, binary};
use crate::support::installation::Installation;
use crate::support::keycloak::Keycloak;
use crate::support::offboard::Offboard;
use crate::support::oidc::OidcProvider;
use crate::support::until;
use crate::support::upstream::Upstream;

/// Envoy and Offboard for the tokens of one issuer, named `corp`.
struct CheckHandler {
    files: Installation,
    offboard: Offboard,
    upstream: Upstream,
    envoy: Envoy,
}

impl CheckHandler {
    /// `issuer`: what the configuration says of it besides its name and keys. `None` is "skipped".
    async fn start(issuer: &str, people: &[&str]) -> Option<Self> {
        let binary = binary()?;
        let files = Installation::new("");
        files.write_people(people);
        let path = files.path("people/people.yaml").display().to_string();
        let sources = if people.is_empty() {
            String::new()
        } else {
            format!("sources: [{{ name: hr, kind: file, issuer: corp, path: {path} }}]\n")
        };
        let rules = format!(
            "authorization: none\nissuers: [{{ name: corp, jwks: {{ discovery: true }}, {issuer} }}]\n{sources}\
             response: {{ headers: {{ x-offboard-person: person, x-offboard-client: client }} }}\n\
             services: [{{ name: payments }}]\n"
        );
        files.write("20-rules.yaml", &rules);
        let (offboard, upstream) = (files.start().await, Upstream::start().await);
        offboard.has_keys("corp").await;
        let config = asking("envoy/envoy.yaml", offboard.authz.port(), upstream.port);
        let envoy = Envoy::start(&binary, &config).await;
        Some(Self { files, offboard, upstream, envoy })
    }

    async fn status(&self, token: &str) -> u16 {
        let request = reqwest::Client::new().get(format!("{}/v1", self.envoy.url)).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    }

    async fn refused(&self, token: &str, status: u16, reason: &str) {
        let series = format!("offboard_checks_total{{decision=\"deny\",reason=\"{reason}\"}}");
        let before = self.offboard.metric(&series).await.unwrap_or_default();
        assert_eq!(self.status(token).await, status, "{reason}");
        assert_eq!(self.offboard.metric(&series).await, Some(before + 1.0), "refused as {reason}");
    }

    fn revoke(&self, target: &[&str]) {
        let arguments = [&["revoke"], target, &["--reason", "left"]].concat();
        let (code, _, error) = self.offboard.run(&self.files.token_file(), &arguments);
        assert_eq!(code, 0, "{error}");
    }
}

pub fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn people_of_a_real_keycloak() {
    let Some(keycloak) = Keycloak::start("").await else { return };
    let (alice, bob) = (keycloak.sign_in("alice").await, keycloak.sign_in("bob").await);
    let text = |tokens: &Value, name: &str| tokens[name].as_str().unwrap().to_owned();
    let (alices, bobs) = (text(&alice, "access_token"), text(&bob, "access_token"));
    let row = |token: &str, rest: &str| format!("id: {}{rest}", claims(token)["sub"].as_str().unwrap());
    let people = [row(&alices, ", email: alice@example.com"), row(&bobs, "")];
    let issuer = format!("issuer: '{}', audiences: [mesh]", keycloak.issuer);
    let Some(handler) = CheckHandler::start(&issuer, &[&people[0], &people[1]]).await else { return };
    handler.offboard.knows("hr", 2).await;

    assert_eq!((handler.status(&alices).await, handler.status(&bobs).await), (200, 200));
    let seen = handler.upstream.seen().pop().unwrap();
    assert_eq!(seen.headers["x-offboard-person"], format!("hr/{}", claims(&bobs)["sub"].as_str().unwrap()));
    handler.refused(&text(&alice, "id_token"), 401, "bad_claims").await;
    handler.refused(&text(&alice, "refresh_token"), 401, "bad_signature").await;
    let carol = text(&keycloak.sign_in("carol").await, "access_token");
    handler.refused(&carol, 403, "unknown_person").await;

    handler.revoke(&["--person", "alice@example.com"]);
    handler.refused(&alices, 403, "revoked_person").await;
    let again = text(&keycloak.sign_in("alice").await, "access_token");
    handler.refused(&again, 403, "revoked_person").await;
    handler.files.write_people(&[&people[0], &format!("{}, status: suspended", people[1])]);
    until("bob is out", async || (handler.status(&bobs).await == 403).then_some(())).await;
    let session = claims(&carol)["sid"].as_str().unwrap().to_owned();
    // A Keycloak's session ids are base64url: one in 64 begins with a hyphen.
    handler.revoke(&["--session", &keycloak.issuer, "-f00"]);
    handler.revoke(&["--session", &keycloak.issuer, &session]);
    handler.refused(&carol, 401, "revoked_session").await;
}

#[tokio::test]
async fn machines_of_a_real_openid_provider() {
    let Some(provider) = OidcProvider::start().await else { return };
    let machine = provider.machine_token(None).await;
    let issuer = format!("issuer: '{}', audiences: ['https://api.example.org']", provider.issuer);
    let Some(handler) = CheckHandler::start(&issuer, &[]).await else { return };
    assert_eq!(handler.status(&machine).await, 200, "nobody lists machines");
    let seen = handler.upstream.seen().pop().unwrap();
    assert_eq!(seen.headers["x-offboard-client"], "svc");
    let opaque = provider.machine_token(Some("https://opaque.example.org")).await;
    assert!(!opaque.contains('.'));
    handler.refused(&opaque, 401, "no_credentials").await;

    handler.revoke(&["--token", &provider.issuer, claims(&machine)["jti"].as_str().unwrap()]);
    handler.refused(&machine, 401, "revoked_token").await;
    let next = provider.machine_token(None).await;
    assert_eq!(handler.status(&next).await, 200, "only that one");
    handler.revoke(&["--client", &provider.issuer, "svc"]);
    handler.refused(&next, 403, "revoked_client").await;
}

#[tokio::test]
async fn people_of_a_real_openid_provider() {
    let Some(provider) = OidcProvider::start().await else { return };
    let (alice, bob) = (provider.sign_in("alice").await, provider.sign_in("bob").await);
    let text = |tokens: &Value, name: &str| tokens[name].as_str().unwrap().to_owned();
    let (alices, bobs) = (text(&alice, "access_token"), text(&bob, "access_token"));
    // Both audiences are configured: its ID token, which has the client's, is refused for what it is.
    let issuer = format!("issuer: '{}', audiences: ['https://api.example.org', web]", provider.issuer);
    let people = ["id: alice, email: alice@example.org", "id: bob, email: bob@example.org"];
    let Some(handler) = CheckHandler::start(&issuer, &people).await else { return };
    handler.offboard.knows("hr", 2).await;

    assert_eq!((handler.status(&alices).await, handler.status(&bobs).await), (200, 200));
    assert_eq!(handler.upstream.seen().pop().unwrap().headers["x-offboard-person"], "hr/bob");
    handler.refused(&text(&alice, "id_token"), 401, "bad_claims").await;
    handler.refused(&text(&alice, "refresh_token"), 401, "no_credentials").await;
    handler.revoke(&["--person", "alice@example.org"]);
    handler.refused(&alices, 403, "revoked_person").await;
    handler.refused(&text(&provider.sign_in("alice").await, "access_token"), 403, "revoked_person").await;
    assert_eq!(handler.status(&bobs).await, 200, "others go on");
}
