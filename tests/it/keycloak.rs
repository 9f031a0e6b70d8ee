//! A real Keycloak as the directory, behind a real Envoy: whoever leaves there, or moves, is out here. `reconcile` is an
//! hour, so that nothing is found out by a listing that nobody asked for.

mod troubles;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::envoy::{Envoy, asking, binary};
use crate::support::installation::Installation;
use crate::support::keycloak::Keycloak;
use crate::support::offboard::Offboard;
use crate::support::upstream::Upstream;
use crate::support::{until, until_within};

/// Everything, at work. `/v1` wants `payments-eng`, `/leads` its subgroup, `/orders` `orders-eng`, `/guests` `guests`.
pub struct Site {
    pub keycloak: Keycloak,
    files: Installation,
    offboard: Offboard,
    envoy: Envoy,
    http: reqwest::Client,
    _upstream: Upstream,
}

fn rules(keycloak: &Keycloak, secret: &str, poll: &str) -> String {
    let role = |name: &str, path: &str| format!("  - {{ name: {name}, permissions: [{{ paths: [{path}] }}] }}\n");
    let binding = |role: &str, group: &str| format!("  - {{ role: {role}, groups: [{group}] }}\n");
    let parts = [("payments", "/v1", "payments-eng"), ("leads", "/leads", "/payments-eng/payments-leads")];
    let parts = [&parts[..], &[("orders", "/orders", "orders-eng"), ("guests", "/guests", "guests")]].concat();
    let roles: String = parts.iter().map(|(name, path, _)| role(name, path)).collect();
    let bindings: String = parts.iter().map(|(name, _, group)| binding(name, group)).collect();
    format!(
        "issuers: [{{ name: corp, issuer: '{}', audiences: [mesh], jwks: {{ discovery: true }} }}]\n\
         sources: [{{ name: keycloak, kind: keycloak, issuer: corp, url: '{}', realm: corp, client_id: offboard-sync,\n  \
         client_secret_file: {secret}, required: true, poll: {poll}, reconcile: 1h }}]\n\
         services: [{{ name: payments }}]\nroles:\n{roles}bindings:\n{bindings}",
        keycloak.issuer, keycloak.url
    )
}

fn access(tokens: &Value) -> String {
    tokens["access_token"].as_str().unwrap().to_owned()
}

impl Site {
    /// A Keycloak of its own, asked so often.
    pub async fn asked_every(poll: &str) -> Option<Self> {
        let (keycloak, files) = (Keycloak::start("").await?, Installation::new(""));
        let secret = files.path("secret").display().to_string();
        std::fs::write(&secret, "offboard-sync-secret\n").unwrap();
        files.write("20-rules.yaml", &rules(&keycloak, &secret, poll));
        Self::start(keycloak, files).await
    }

    async fn start(keycloak: Keycloak, files: Installation) -> Option<Self> {
        let binary = binary()?;
        let (offboard, upstream) = (files.start().await, Upstream::start().await);
        offboard.has_keys("corp").await;
        let envoy = Envoy::start(&binary, &asking("envoy/envoy.yaml", offboard.authz.port(), upstream.port)).await;
        Some(Self { keycloak, files, offboard, envoy, http: reqwest::Client::new(), _upstream: upstream })
    }

    pub async fn status(&self, path: &str, token: &str) -> u16 {
        let request = self.http.get(format!("{}{path}", self.envoy.url)).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    }

    /// Somebody of this name comes, in these groups, and gets a token that works at `path`; the id and the token.
    async fn joins(&self, name: &str, groups: &[&str], path: &str) -> (String, String) {
        let id = self.keycloak.create_person(name, groups).await;
        // Keycloak has answered 400 to somebody who had just come, under load: this is about what comes after.
        let first = async || self.keycloak.sign_in_at("web", name).await.ok();
        let token = access(&until("keycloak lets them sign in", first).await);
        until("it works", async || (self.status(path, &token).await == 200).then_some(())).await;
        (id, token)
    }

    pub async fn signs_in(&self, name: &str) -> String {
        access(&self.keycloak.sign_in(name).await)
    }

    /// New tokens work. Keycloak's `notBefore` has seconds, as tokens have: whoever is too quick signs in once more.
    async fn works_again(&self, name: &str, path: &str) -> String {
        let what = format!("{name} signs in again");
        until(&what, async || {
            let token = access(&self.keycloak.sign_in_at("web", name).await.ok()?);
            (self.status(path, &token).await == 200).then_some(token)
        })
        .await
    }

    /// The token is refused for this reason, soon, and stays so.
    async fn refused(&self, token: &str, path: &str, status: u16, reason: &str) {
        let series = format!("offboard_checks_total{{decision=\"deny\",reason=\"{reason}\"}}");
        until(reason, async || (self.status(path, token).await == status).then_some(())).await;
        let before = self.offboard.metric(&series).await.unwrap_or_default();
        assert_eq!(self.status(path, token).await, status, "{reason}");
        assert_eq!(self.offboard.metric(&series).await, Some(before + 1.0), "refused as {reason}");
    }

    async fn put(&self, path: &str, body: Value) {
        self.keycloak.admin(Method::PUT, path, Some(body)).await;
    }

    async fn delete(&self, path: &str) {
        self.keycloak.admin(Method::DELETE, path, None).await;
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        self.offboard.run(&self.files.token_file(), arguments)
    }

    fn shown(&self) -> Value {
        let (code, out, error) = self.run(&["source", "show", "keycloak", "-o", "json"]);
        assert_eq!(code, 0, "{error}");
        serde_json::from_str(&out).unwrap()
    }

    /// Nothing is wrong with the source (any more).
    async fn well(&self) {
        until("the source is well", async || self.shown()["trouble"].is_null().then_some(())).await;
    }
}

#[tokio::test]
async fn whoever_leaves_a_real_keycloak_is_out() {
    let Some(keycloak) = Keycloak::start("").await else { return };
    let files = Installation::new("");
    let secret = files.path("secret").display().to_string();
    std::fs::write(&secret, "offboard-sync-secret\n").unwrap();
    files.write("20-rules.yaml", &rules(&keycloak, &secret, "200ms"));
    before_going_live(&keycloak, &files, &secret).await;
    keycloak.right(Method::POST, "view-clients").await;

    let Some(mut site) = Site::start(keycloak, files).await else { return };
    let alice = site.signs_in("alice").await;
    until("alice's groups are known", async || (site.status("/leads", &alice).await == 200).then_some(())).await;
    assert_eq!((site.status("/v1", &alice).await, site.status("/orders", &alice).await), (200, 403), "nested groups");

    people_who_are_disabled(&site).await;
    site.offboard.measures("keycloak", &["receipt", "provider"]).await;
    people_who_are_gone(&site).await;
    movers(&site).await;
    sessions(&site).await;
    clients(&site).await;
    assert_eq!(site.status("/v1", &alice).await, 200, "others went on");
    site.keycloak.admin(Method::POST, "/logout-all", None).await;
    site.refused(&alice, "/v1", 401, "issued_before_cutoff").await;
    let alice = site.works_again("alice", "/v1").await;
    without_events(&site).await;
    troubles::a_right_taken_away(&site, &alice).await;
    troubles::keycloak_goes_down(&mut site, &alice).await;
    assert_eq!(site.status("/v1", &alice).await, 200, "others went on");
}

/// `source check` from the configuration alone says in plain words what is missing.
async fn before_going_live(keycloak: &Keycloak, files: &Installation, secret: &str) {
    let check = |text: &str| {
        files.write("20-rules.yaml", text);
        let mut command = Offboard::command();
        command.args(["source", "check", "keycloak", "-o", "json", "--config"]).arg(files.path("config"));
        let done = command.output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap())
    };
    let good = rules(keycloak, secret, "200ms");
    let (code, text) = check(&good);
    assert_eq!(code, Some(0), "{text}");
    let clients = "give the service account of `offboard-sync` the role `view-clients` of `realm-management`";
    for said in
        [clients, "4 users can be listed", "3 groups can be listed", "on, with representations", "the provider's clock"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    let wrong = |old: &str, new: &str| {
        assert!(good.contains(old));
        let (code, text) = check(&good.replace(old, new));
        assert_eq!(code, Some(1), "{text}");
        text
    };
    let file = files.path("other").display().to_string();
    std::fs::write(&file, "not-the-secret").unwrap();
    let text = wrong(secret, &file);
    assert!(text.contains("secret in `client_secret_file` is not the one of client `offboard-sync`"), "{text}");
    assert!(!text.contains("not-the-secret"));
    let text = wrong("realm: corp", "realm: nope");
    assert!(text.contains("there is no realm `nope` under this `url`"), "{text}");
    let text = wrong("client_id: offboard-sync", "client_id: nobody");
    assert!(text.contains("no client `nobody` in realm `corp`, or it is disabled"), "{text}");
    std::fs::write(&file, "web-secret").unwrap();
    let text =
        wrong(&format!("offboard-sync,\n  client_secret_file: {secret}"), &format!("web, client_secret_file: {file}"));
    assert!(text.contains("`web` has no service account: switch on \\\"Service accounts roles\\\""), "{text}");
    std::fs::write(&file, "no-roles-secret").unwrap();
    let text = wrong(
        &format!("offboard-sync,\n  client_secret_file: {secret}"),
        &format!("no-roles, client_secret_file: {file}"),
    );
    for right in ["view-users", "view-events"] {
        let said = format!("give the service account of `no-roles` the role `{right}` of `realm-management`");
        assert!(text.contains(&said), "{text}");
    }

    let config = async |body: Value| keycloak.admin(Method::PUT, "/events/config", Some(body)).await;
    config(json!({ "adminEventsDetailsEnabled": false, "eventsEnabled": false })).await;
    let (code, text) = check(&good);
    assert!(text.contains("\\\"Include representation\\\" is off") && text.contains("logouts by the people"), "{text}");
    assert_eq!(code, Some(0), "slower, not broken");
    config(json!({ "adminEventsEnabled": false })).await;
    assert!(check(&good).1.contains("they are off (realm settings, Events, Admin events settings)"));
    config(json!({ "adminEventsEnabled": true, "adminEventsDetailsEnabled": true, "eventsEnabled": true })).await;
    keycloak.right(Method::DELETE, "view-users").await;
    let text = check(&good).1;
    assert!(text.contains("it has 0 rows, and the realm counts 4: give the service account"), "{text}");
    keycloak.right(Method::POST, "view-users").await;
    assert_eq!(check(&good).0, Some(0));
}

async fn people_who_are_disabled(site: &Site) {
    let (id, token) = site.joins("dora", &["payments-eng"], "/v1").await;
    site.put(&format!("/users/{id}"), json!({ "enabled": false })).await;
    site.refused(&token, "/v1", 403, "revoked_person").await;
    site.put(&format!("/users/{id}"), json!({ "enabled": true })).await;
    // At Keycloak the old token lives again.
    site.refused(&token, "/v1", 401, "issued_before_cutoff").await;
    let token = site.works_again("dora", "/v1").await;
    // Between two polls, or nearly.
    site.put(&format!("/users/{id}"), json!({ "enabled": false })).await;
    site.put(&format!("/users/{id}"), json!({ "enabled": true })).await;
    site.refused(&token, "/v1", 401, "issued_before_cutoff").await;

    let (id, token) = site.joins("lotte", &["payments-eng"], "/v1").await;
    let protection = json!({ "bruteForceProtected": true, "bruteForceStrategy": "MULTIPLE", "permanentLockout": true,
        "failureFactor": 2, "maxTemporaryLockouts": 0 });
    site.put("", protection).await;
    until("she is locked out", async || {
        let form = [("grant_type", "password"), ("client_id", "web"), ("client_secret", "web-secret")];
        let form = form.iter().chain(&[("username", "lotte"), ("password", "wrong")]);
        let form: Vec<String> = form.map(|(name, value)| format!("{name}={value}")).collect();
        let request = site.http.post(format!("{}/protocol/openid-connect/token", site.keycloak.issuer));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.join("&"));
        request.send().await.unwrap();
        let user = site.keycloak.admin(Method::GET, &format!("/users/{id}"), None).await;
        (user["enabled"] == false).then_some(())
    })
    .await;
    site.refused(&token, "/v1", 403, "revoked_person").await;
}

async fn people_who_are_gone(site: &Site) {
    let (id, token) = site.joins("greta", &["payments-eng"], "/v1").await;
    site.delete(&format!("/users/{id}")).await;
    site.refused(&token, "/v1", 403, "revoked_person").await;
    let (_, again) = site.joins("greta", &["payments-eng"], "/v1").await;
    assert_eq!((site.status("/v1", &again).await, site.status("/v1", &token).await), (200, 403), "a new life");
}

async fn movers(site: &Site) {
    let group = async |path: &str| {
        let found = site.keycloak.admin(Method::GET, &format!("/group-by-path{path}"), None).await;
        found["id"].as_str().unwrap().to_owned()
    };
    let (id, token) = site.joins("mona", &["orders-eng", "payments-eng/payments-leads"], "/orders").await;
    assert_eq!((site.status("/v1", &token).await, site.status("/leads", &token).await), (200, 200));
    let (orders, leads) = (group("/orders-eng").await, group("/payments-eng/payments-leads").await);
    site.delete(&format!("/users/{id}/groups/{orders}")).await;
    site.refused(&token, "/orders", 403, "no_permission").await;
    assert_eq!(site.status("/v1", &token).await, 200, "the other role stays");
    site.delete(&format!("/users/{id}/groups/{leads}")).await;
    site.refused(&token, "/leads", 403, "no_permission").await;
    site.refused(&token, "/v1", 403, "no_permission").await;
    site.put(&format!("/users/{id}/groups/{orders}"), Value::Null).await;
    until("mona is back in orders", async || (site.status("/orders", &token).await == 200).then_some(())).await;

    site.keycloak.admin(Method::POST, "/groups", Some(json!({ "name": "guests" }))).await;
    let (_, token) = site.joins("gina", &["guests", "orders-eng"], "/guests").await;
    site.delete(&format!("/groups/{}", group("/guests").await)).await;
    site.refused(&token, "/guests", 403, "no_permission").await;
    assert_eq!(site.status("/orders", &token).await, 200, "the other role stays");
}

async fn sessions(site: &Site) {
    let (id, token) = site.joins("sara", &["payments-eng"], "/v1").await;
    let other = site.signs_in("sara").await;
    let sessions = site.keycloak.admin(Method::GET, &format!("/users/{id}/sessions"), None).await;
    let newest = sessions.as_array().unwrap().iter().max_by_key(|session| session["start"].as_i64()).unwrap();
    assert_eq!(sessions.as_array().unwrap().len(), 2);
    let named = |token: &str| crate::providers::claims(token)["sid"].as_str().unwrap().to_owned();
    let (gone, stays) = if named(&other) == newest["id"] { (&other, &token) } else { (&token, &other) };
    site.delete(&format!("/sessions/{}", newest["id"].as_str().unwrap())).await;
    site.refused(gone, "/v1", 401, "revoked_session").await;
    assert_eq!(site.status("/v1", stays).await, 200, "her other session");

    // By herself.
    let tokens = site.keycloak.sign_in("sara").await;
    let own = access(&tokens);
    assert_eq!(site.status("/v1", &own).await, 200);
    let form =
        format!("client_id=web&client_secret=web-secret&refresh_token={}", tokens["refresh_token"].as_str().unwrap());
    let request = site.http.post(format!("{}/protocol/openid-connect/logout", site.keycloak.issuer));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    assert!(request.send().await.unwrap().status().is_success());
    site.refused(&own, "/v1", 401, "revoked_session").await;
    assert_eq!(site.status("/v1", stays).await, 200, "her other session");

    // By an administrator, everywhere; that is her `notBefore`.
    site.keycloak.admin(Method::POST, &format!("/users/{id}/logout"), None).await;
    site.refused(stays, "/v1", 401, "issued_before_cutoff").await;
    site.works_again("sara", "/v1").await;
}

async fn clients(site: &Site) {
    let web = site.keycloak.client("web").await;
    let mut other = site.keycloak.admin(Method::GET, &format!("/clients/{web}"), None).await;
    let client = other.as_object_mut().unwrap();
    client.remove("id");
    client.insert("clientId".to_owned(), "app".into());
    client.insert("secret".to_owned(), "app-secret".into());
    client["protocolMappers"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .for_each(|one| _ = one.as_object_mut().unwrap().remove("id"));
    site.keycloak.admin(Method::POST, "/clients", Some(other)).await;
    let sign_in = async || access(&site.keycloak.sign_in_at("app", "carol").await.unwrap());
    let (at_app, at_web) = (sign_in().await, site.signs_in("carol").await);
    assert_eq!((site.status("/v1", &at_app).await, site.status("/v1", &at_web).await), (200, 200));
    let id = site.keycloak.client("app").await;
    site.put(&format!("/clients/{id}"), json!({ "clientId": "app", "enabled": false })).await;
    site.refused(&at_app, "/v1", 403, "revoked_client").await;
    assert_eq!(site.status("/v1", &at_web).await, 200, "by another application");
    site.put(&format!("/clients/{id}"), json!({ "clientId": "app", "enabled": true })).await;
    site.refused(&at_app, "/v1", 401, "issued_before_cutoff").await;
    let again = until("app works again", async || {
        let token = sign_in().await;
        (site.status("/v1", &token).await == 200).then_some(token)
    })
    .await;
    site.delete(&format!("/clients/{id}")).await;
    site.refused(&again, "/v1", 403, "revoked_client").await;
}

/// Admin events are switched off: whoever is disabled is noticed all the same, who moves by a listing.
async fn without_events(site: &Site) {
    let (id, token) = site.joins("nora", &["payments-eng"], "/v1").await;
    let (moved, mover) = site.joins("nele", &["payments-eng"], "/v1").await;
    site.put("/events/config", json!({ "adminEventsEnabled": false })).await;
    until("that is known", async || site.offboard.process.output().contains("were switched off").then_some(())).await;
    site.put(&format!("/users/{id}"), json!({ "enabled": false })).await;
    site.refused(&token, "/v1", 403, "revoked_person").await;
    // In brief, as she was found, she is still who she is.
    let brief = site.keycloak.admin(Method::GET, "/users?enabled=false&briefRepresentation=true", None).await;
    let nora = brief.as_array().unwrap().iter().find(|user| user["id"] == id.as_str()).unwrap();
    let shape = json!([nora["username"], nora["email"], nora["emailVerified"], nora["enabled"]]);
    assert_eq!(shape, json!(["nora", "nora@example.com", true, false]), "{nora}");

    // A joiner whom neither an event nor a listing told of.
    site.keycloak.create_person("jule", &["payments-eng"]).await;
    let joiner = site.signs_in("jule").await;
    until("she is looked up", async || (site.status("/v1", &joiner).await == 200).then_some(())).await;

    let groups = site.keycloak.admin(Method::GET, &format!("/users/{moved}/groups"), None).await;
    site.delete(&format!("/users/{moved}/groups/{}", groups[0]["id"].as_str().unwrap())).await;
    assert_eq!(site.status("/v1", &mover).await, 200, "nobody said so");
    let (code, out, error) = site.run(&["source", "sync", "keycloak", "--full", "-o", "json"]);
    assert_eq!(code, 0, "{error}");
    assert!(serde_json::from_str::<Value>(&out).unwrap()["trouble"].is_null(), "{out}");
    assert_eq!(site.status("/v1", &mover).await, 403, "enforced when the command is done");
    site.put("/events/config", json!({ "adminEventsEnabled": true })).await;
}
