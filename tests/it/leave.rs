//! How long somebody gets in who has left: from the answer to what was done at the provider to the first refusal by Envoy.
//! `benches/leave.sh` runs this, and says how often; without it nothing is measured. No time is asserted.

use std::time::{Duration, Instant};

use reqwest::Method;

use crate::keycloak::Site;
use crate::ldap::stage::Stage;
use crate::support::envoy::{Envoy, asking, binary};
use crate::support::slapd::{Choices, Slapd, dn};
use crate::support::until;
use crate::support::upstream::Upstream;

/// How often each act is measured; `None`: nobody wants to know.
fn times() -> Option<u32> {
    std::env::var("OFFBOARD_LEAVES").ok()?.parse().ok()
}

fn head(provider: &str) {
    println!("| {provider} | p50 | max |\n|---|---|---|");
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
    head("Keycloak, asked every 1 s");
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

#[tokio::test]
async fn ldap() {
    let Some(times) = times() else { return };
    let (Some(slapd), Some(binary)) = (Slapd::start(Choices::default()).await, binary()) else { return };
    let acts = ["person locked", "person deleted", "taken out of a group"];
    let name = |act: usize, time: u32| format!("leaver-{act}-{time}");
    for (act, time) in (0..acts.len()).flat_map(|act| (0..times).map(move |time| (act, time))) {
        let name = name(act, time);
        let classes = "objectClass: inetOrgPerson";
        slapd.modify(&format!("dn: {}\nchangetype: add\n{classes}\nuid: {name}\ncn: {name}\nsn: {name}\n", dn(&name)));
        slapd.member("add", "devs", &name);
    }
    let (stage, upstream) = (Stage::start(slapd.port, "").await, Upstream::start().await);
    let envoy = Envoy::start(&binary, &asking("envoy/envoy.yaml", stage.offboard.authz.port(), upstream.port)).await;
    let http = reqwest::Client::new();
    let status = async |token: &str| {
        http.get(format!("{}/v1", envoy.url)).bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    head("OpenLDAP, which tells (syncrepl)");
    for (number, act) in acts.into_iter().enumerate() {
        let mut took = Vec::new();
        for time in 0..times {
            let name = name(number, time);
            let token = stage.token(&name).await;
            until("the token works", async || (status(&token).await == 200).then_some(())).await;
            // At another point of the second for which it is waited each time.
            tokio::time::sleep(Duration::from_secs(1) * time / times).await;
            match number {
                0 => slapd.set(&name, "pwdAccountLockedTime", Some("000001010000Z")),
                1 => slapd.delete(&name),
                _ => slapd.member("delete", "devs", &name),
            }
            let done = Instant::now();
            until("the token is refused", async || (status(&token).await != 200).then_some(())).await;
            took.push(done.elapsed());
        }
        row(act, took);
    }
}
