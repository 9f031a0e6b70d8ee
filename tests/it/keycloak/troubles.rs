//! A right that is lost, and a server that is down.

use super::*;

/// With a right taken away listings are empty: nobody leaves, and it is said what is missing.
pub(super) async fn a_right_taken_away(site: &Site, alice: &str) {
    let before = site.shown()["active"].clone();
    site.keycloak.right(Method::DELETE, "view-users").await;
    let right = "the role `view-users` of `realm-management`";
    let (code, _, error) = site.run(&["source", "sync", "keycloak", "--full"]);
    assert!(code == 1 && error.contains(right), "{code} {error}");
    let shown = site.shown();
    assert!(shown["trouble"].as_str().unwrap().contains(right), "{shown}");
    assert_eq!((&shown["active"], &shown["held"]), (&before, &Value::Null), "void, not held back");
    let (code, out, _) = site.run(&["source", "check", "keycloak", "-o", "json"]);
    assert!(code == 1 && out.contains(right), "{code} {out}");
    assert_eq!(site.status("/v1", alice).await, 200);
    site.keycloak.right(Method::POST, "view-users").await;
    site.well().await;
    let (code, out, _) = site.run(&["source", "check", "keycloak", "-o", "json"]);
    assert!(code == 0 && !out.contains(right), "{code} {out}");
}

/// Answers stay as they were, across a restart too; it recovers by itself.
pub(super) async fn keycloak_goes_down(site: &mut Site, alice: &str) {
    let (id, token) = site.joins("zoe", &["payments-eng"], "/v1").await;
    let (_, out, _) = site.run(&["source", "list", "-o", "json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((listed["name"].as_str(), listed["stale"].as_bool()), (Some("keycloak"), Some(false)), "{out}");
    site.keycloak.kill();
    until("that is noticed", async || site.shown()["trouble"].is_string().then_some(())).await;
    assert_eq!((site.status("/v1", alice).await, site.status("/v1", &token).await), (200, 200));

    site.files.listen_on(site.offboard.authz.port());
    site.offboard.process.stop(std::time::Duration::from_secs(10));
    site.offboard = site.files.start().await;
    until("envoy has it again", async || (site.status("/v1", alice).await == 200).then_some(())).await;
    assert_eq!((site.status("/v1", &token).await, site.status("/orders", &token).await), (200, 403));

    site.keycloak.start_again().await;
    site.put(&format!("/users/{id}"), json!({ "enabled": false })).await;
    // A pause between two attempts is at most a minute.
    let patience = std::time::Duration::from_secs(90);
    until_within(patience, "zoe is out", async || (site.status("/v1", &token).await == 403).then_some(())).await;
    site.well().await;
}
