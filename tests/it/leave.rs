//! How long somebody gets in who has left: from the answer to what was done at the provider to the first refusal by Envoy.
//! `benches/leave.sh` runs this, and says how often; without it nothing is measured. No time is asserted.

use std::time::{Duration, Instant};

use reqwest::Method;

use crate::keycloak::Site;
use crate::support::until;

/// How often each act is measured; `None`: nobody wants to know.
fn times() -> Option<u32> {
    std::env::var("OFFBOARD_LEAVES").ok()?.parse().ok()
}

fn head(provider: &str, poll: &str) {
    println!("| {provider}, asked every {poll} | p50 | max |\n|---|---|---|");
}

/// One row of the table.
fn row(act: &str, mut took: Vec<Duration>) {
    took.sort();
    let shown = |took: Duration| format!("{:.2} s", took.as_secs_f64());
    println!("| {act} | {} | {} |", shown(took[(took.len() - 1) / 2]), shown(took[took.len() - 1]));
}

#[tokio::test]
async fn keycloak() {
    let Some(times) = times() else { return };
    let poll = Duration::from_secs(1);
    let Some(site) = Site::asked_every("1s").await else { return };
    head("Keycloak", "1 s");
    let disabled = serde_json::json!({ "enabled": false });
    let acts = [
        ("person disabled", Method::PUT, "", Some(disabled)),
        ("person deleted", Method::DELETE, "", None),
        // `orders-eng` in tests/peers/keycloak/realm.json.
        ("taken out of a group", Method::DELETE, "/groups/0ff60a2d-0000-4000-8000-000000000030", None),
        ("signed out by an administrator", Method::POST, "/logout", None),
    ];
    for (number, (act, method, path, body)) in acts.into_iter().enumerate() {
        let mut people = Vec::new();
        for time in 0..times {
            let name = format!("leaver-{number}-{time}");
            let id = site.keycloak.create_person(&name, &["orders-eng"]).await;
            people.push((id, site.signs_in(&name).await));
        }
        let mut took = Vec::new();
        for (time, (id, token)) in (0..times).zip(people) {
            until("the token works", async || (site.status("/orders", &token).await == 200).then_some(())).await;
            // At another point between two polls each time: what came before ended with one.
            tokio::time::sleep(poll * time / times).await;
            site.keycloak.admin(method.clone(), &format!("/users/{id}{path}"), body.clone()).await;
            let done = Instant::now();
            until("the token is refused", async || (site.status("/orders", &token).await != 200).then_some(())).await;
            took.push(done.elapsed());
        }
        row(act, took);
    }
}
