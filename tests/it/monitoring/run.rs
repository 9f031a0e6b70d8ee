//! A run in which everything happens that a dashboard shows, in front of a real Prometheus.

use std::path::PathBuf;

use reqwest::{Client, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::envoy::{self, Envoy};
use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::okta::{Okta, TOKEN};
use crate::support::prometheus::{self, Prometheus, Target, seconds};
use crate::support::troubled::{Trouble, Troubled};
use crate::support::upstream::Upstream;
use crate::support::{Scratch, ports, until};

/// How often a proxy adds up its histograms; by default they are older than the run is long.
const HISTOGRAMS: &str = "0.5s";
const AUTHZ_SERVICE: &str = "offboard-authz.offboard.svc";
const SERVICES: [&str; 3] = ["payments", "orders", "wiki"];

/// Whose tokens there are, by what they show.
const PEOPLE: [(&str, &str); 5] = [
    ("stays", "sub=x&uid=00ualice"),
    ("left", "sub=x&uid=00ubob"),
    ("exempted", "sub=x&uid=00ucarol"),
    ("revoked", "sub=x&uid=00udan"),
    ("left by file", "sub=e2"),
];

pub struct Run {
    pub prometheus: Prometheus,
    pub offboard: Offboard,
    pub began: f64,
    files: Installation,
    issuer: DevIssuer,
    okta: Okta,
    keycloak: Troubled,
    proxies: Vec<Envoy>,
    tokens: Vec<(&'static str, String)>,
    _upstream: Upstream,
    _scratch: Scratch,
}

/// The directory in which what Prometheus knows is kept for `tests/monitoring/draw.py`, if it is to be.
pub fn kept() -> Option<PathBuf> {
    let dir = PathBuf::from(std::env::var_os("OFFBOARD_DRAW")?);
    std::fs::create_dir_all(&dir).unwrap();
    Some(dir)
}

impl Run {
    /// Everything is up, nothing has happened.
    pub async fn start() -> Option<Self> {
        let (envoy, binary) = (envoy::binary()?, prometheus::binary()?);
        let (issuer, okta, keycloak) = (DevIssuer::start().await, okta(), Troubled::start(20).await);
        keycloak.enable(1, false);
        let files = Installation::new("");
        let (authz, ops) = (ports::free(), ports::free());
        files.listen_on(authz);
        let server = std::fs::read_to_string(files.path("config/10-server.yaml")).unwrap();
        let fixed = server.replace("ops: { listen: 127.0.0.1:0 }", &format!("ops: {{ listen: 127.0.0.1:{ops} }}"));
        files.write("10-server.yaml", &fixed);
        std::fs::write(files.path("secret"), TOKEN).unwrap();
        files.write_people(&["id: e1, status: active", "id: e2, status: active"]);
        files.write("20-rules.yaml", &rules(&files, &issuer, &okta, &keycloak));
        let offboard = files.start().await;
        for (source, people) in [("okta", 4), ("keycloak", 19), ("hr", 2)] {
            offboard.knows(source, people).await;
        }
        offboard.has_keys("dev").await;
        let upstream = Upstream::start().await;
        let mut proxies = vec![];
        for config in [edge(authz, upstream.port), sidecar(authz, upstream.port)] {
            proxies.push(Envoy::start(&envoy, &config).await);
        }
        let scratch = Scratch::new();
        let dir = kept().unwrap_or_else(|| scratch.path().to_owned());
        let began = seconds();
        let prometheus = Prometheus::start(&binary, &dir, &targets(ops, &proxies)).await;
        let mut tokens = vec![];
        for (name, claims) in PEOPLE {
            tokens.push((name, issuer.token(claims).await));
        }
        let (_upstream, _scratch) = (upstream, scratch);
        Some(Self { prometheus, offboard, began, files, issuer, okta, keycloak, proxies, tokens, _upstream, _scratch })
    }

    /// All of it, from the first request to the last scrape.
    pub async fn happens(&mut self) {
        self.traffic().await;
        self.people_leave().await;
        self.traffic().await;
        self.sources_fail().await;
        self.a_reload_is_refused().await;
        self.offboard_is_away().await;
        self.traffic().await;
    }

    fn token(&self, name: &str) -> &str {
        &self.tokens.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Requests of everybody to every service, twice and with a scrape between: a reason is there from its first use on.
    async fn traffic(&self) {
        let mut shown: Vec<String> = self.tokens.iter().map(|(_, token)| token.clone()).collect();
        let gone = "iss=https://gone.example.com&sub=x";
        for odd in [gone, "sub=x&uid=00ualice&aud=other", "sub=x&uid=00ualice&ttl=-600", "sub=x&uid=00unobody"] {
            shown.push(self.issuer.token(odd).await);
        }
        for _ in 0..2 {
            for token in &shown {
                for service in SERVICES {
                    self.status(&self.proxies[0].url, service, Some(token)).await;
                }
                self.status(&self.proxies[1].url, "", Some(token)).await;
            }
            self.status(&self.proxies[0].url, "payments/healthz", None).await;
            self.status(&self.proxies[0].url, "payments", None).await;
            self.status(&self.off().await, "payments", None).await;
            self.prometheus.scraped().await;
        }
    }

    async fn status(&self, url: &str, path: &str, token: Option<&str>) -> StatusCode {
        let mut request = Client::new().get(format!("{url}/{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap().status()
    }

    /// The listener whose filter is switched off.
    async fn off(&self) -> String {
        let text = reqwest::get(format!("{}/listeners?format=json", self.proxies[0].admin)).await.unwrap();
        let listeners: Value = text.json().await.unwrap();
        let listeners = listeners["listener_statuses"].as_array().unwrap();
        let off = listeners.iter().find(|listener| listener["name"] == "off").unwrap();
        format!("http://127.0.0.1:{}", off["local_address"]["socket_address"]["port_value"])
    }

    /// Waits until somebody gets this at `payments`.
    async fn becomes(&self, who: &str, status: StatusCode) {
        let what = format!("{who} gets {status}");
        let token = self.token(who);
        until(&what, async || {
            (self.status(&self.proxies[0].url, "payments", Some(token)).await == status).then_some(())
        })
        .await;
    }

    fn run(&self, arguments: &[&str]) -> i32 {
        self.offboard.run(&self.files.token_file(), arguments).0
    }

    /// By what a provider tells, by file, and by an operator; one of them is let in again.
    async fn people_leave(&self) {
        self.okta.org().lifecycle("bob", "deactivate");
        self.okta.org().lifecycle("carol", "suspend");
        self.files.write_people(&["id: e1, status: active", "id: e2, status: departed"]);
        assert_eq!(self.run(&["revoke", "--person", "00udan", "--reason", "left"]), 0);
        for who in ["left", "exempted", "revoked", "left by file"] {
            self.becomes(who, StatusCode::FORBIDDEN).await;
        }
        self.offboard.measures("okta", &["provider", "receipt"]).await;
        let session = ["revoke", "--session", &self.issuer.url, "s-none", "--reason", "by mistake"];
        let (_, told, _) = self.offboard.run(&self.files.token_file(), &session);
        let id = told.lines().find_map(|line| line.strip_prefix("revoked: ")?.split(' ').next()).unwrap();
        assert_eq!(self.run(&["restore", id, "--undo", "--reason", "by mistake"]), 0);
        assert_eq!(self.run(&["exempt", "00ucarol", "--expires", "1h", "--reason", "payroll"]), 0);
        self.becomes("exempted", StatusCode::OK).await;
    }

    /// A provider's own error, a listing that is held back, and a rate limit.
    async fn sources_fail(&self) {
        let troubles =
            [(Trouble::Status(500), "provider_error"), (Trouble::Half, "guarded"), (Trouble::Busy, "rate_limited")];
        for (trouble, kind) in troubles {
            self.keycloak.set(trouble);
            let series = format!("offboard_source_errors_total{{kind=\"{kind}\",source=\"keycloak\"}}");
            until(&series, async || (self.offboard.metric(&series).await > Some(0.0)).then_some(())).await;
            self.prometheus.scraped().await;
        }
        // Over again, before the next start.
        self.keycloak.set(Trouble::Half);
    }

    async fn a_reload_is_refused(&self) {
        self.files.write("30-more.yaml", "rolls: []\n");
        let successful = async |wanted| {
            let found = self.offboard.metric("offboard_config_last_reload_successful").await;
            (found == Some(wanted)).then_some(())
        };
        until("the reload is refused", async || successful(0.0).await).await;
        self.prometheus.scraped().await;
        std::fs::remove_file(self.files.path("config/30-more.yaml")).unwrap();
        until("it recovers", async || successful(1.0).await).await;
    }

    /// It hangs, then it is gone, then it is there again. The strict proxies refuse, the lenient one lets everybody in.
    async fn offboard_is_away(&mut self) {
        self.offboard.process.signal(Signal::STOP);
        self.becomes("stays", StatusCode::SERVICE_UNAVAILABLE).await;
        self.offboard.process.signal(Signal::CONT);
        self.becomes("stays", StatusCode::OK).await;
        self.prometheus.scraped().await;
        self.offboard.process.signal(Signal::KILL);
        self.becomes("stays", StatusCode::SERVICE_UNAVAILABLE).await;
        let lenient = self.status(&self.proxies[1].url, "payments", Some(self.token("left"))).await;
        assert_eq!(lenient, StatusCode::OK, "what `failure_mode_allow` does");
        self.offboard = self.files.start().await;
        self.becomes("stays", StatusCode::OK).await;
        self.becomes("left", StatusCode::FORBIDDEN).await;
        self.prometheus.scraped().await;
    }
}

fn okta() -> Okta {
    let okta = Okta::start();
    let mut org = okta.org();
    ["alice", "bob", "carol", "dan"].iter().for_each(|name| org.add_user(name));
    drop(org);
    okta
}

fn rules(files: &Installation, issuer: &DevIssuer, okta: &Okta, keycloak: &Troubled) -> String {
    let (secret, people) = (files.path("secret"), files.path("people/people.yaml"));
    let (secret, people) = (secret.display(), people.display());
    format!(
        "roles: [{{ name: staff, permissions: [{{ services: [payments, wiki] }}] }}]\n\
         bindings: [{{ role: staff, everyone: true }}]\n\
         services: [{{ name: payments }}, {{ name: orders }}, {{ name: wiki, enforcement: observe }}]\n\
         public: [{{ services: [payments], methods: [GET], paths: [/payments/healthz] }}]\n\
         issuers:\n  - {{ name: dev, issuer: '{dev}', audiences: [mesh], jwks: {{ discovery: true }} }}\n  \
         - {{ name: gone, issuer: https://gone.example.com, audiences: [mesh], jwks: {{ uri: 'http://127.0.0.1:1/' }} }}\n\
         sources:\n  - {{ name: okta, kind: okta, issuer: dev, url: '{okta}', token_file: {secret}, poll: 200ms }}\n  \
         - {{ name: keycloak, kind: keycloak, issuer: dev, url: '{keycloak}', realm: corp, client_id: sync, \
         client_secret_file: {secret}, reconcile: 1s, max_change: {{ share: 20%, from: 2 }} }}\n  \
         - {{ name: hr, kind: file, issuer: dev, path: {people} }}\n",
        dev = issuer.url,
        okta = okta.url,
        keycloak = keycloak.url,
    )
}

fn targets(ops: u16, proxies: &[Envoy]) -> Vec<Target> {
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let (namespace, pod, path) = ("offboard", "offboard-0", "/metrics");
    let ours = Target { job: "offboard/offboard", namespace, pod, address: format!("127.0.0.1:{ops}"), path };
    let path = "/stats/prometheus";
    let edge =
        Target { job: "edge", namespace: "gateway", pod: "edge-7c9d", address: address(&proxies[0].admin), path };
    let mesh =
        Target { job: "mesh", namespace: "payments", pod: "api-5f64", address: address(&proxies[1].admin), path };
    vec![ours, edge, mesh]
}

/// Envoy as `envoy/envoy.yaml` has it, and a listener whose filter is switched off.
fn edge(authz: u16, application: u16) -> String {
    let mut config: Value = serde_saphyr::from_str(&envoy::asking("envoy/envoy.yaml", authz, application)).unwrap();
    let listeners = config["static_resources"]["listeners"].as_array_mut().unwrap();
    each_service_by_path(manager(&mut listeners[0]));
    let mut off = listeners[0].clone();
    off["name"] = "off".into();
    let manager = manager(&mut off);
    manager["stat_prefix"] = "off".into();
    manager["http_filters"][0]["typed_config"]["filter_enabled"] = json!({ "default_value": { "numerator": 0 } });
    listeners.push(off);
    config["stats_flush_interval"] = HISTOGRAMS.into();
    config.to_string()
}

/// A sidecar of Istio, whose statistics bear the labels that Istio gives them. It lets everybody in while there is no answer.
fn sidecar(authz: u16, application: u16) -> String {
    let chain = envoy::mesh_chain("istio-sidecar", authz, application).replace("offboard.offboard.svc", AUTHZ_SERVICE);
    let lenient = r#""failure_mode_allow":true,"status_on_error""#;
    let mut config: Value = serde_json::from_str(&chain.replace(r#""status_on_error""#, lenient)).unwrap();
    config["stats_flush_interval"] = HISTOGRAMS.into();
    config["stats_config"] = json!({ "use_all_default_tags": false, "stats_tags": [
        { "tag_name": "cluster_name", "regex": r"^cluster\.((.+);\.)" },
        { "tag_name": "http_conn_manager_prefix", "regex": r"^http\.((.+);\.)" } ] });
    config.to_string()
}

fn manager(listener: &mut Value) -> &mut Value {
    &mut listener["filter_chains"][0]["filters"][0]["typed_config"]
}

fn each_service_by_path(manager: &mut Value) {
    let routes = manager["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().unwrap();
    let route = routes.remove(0);
    for service in SERVICES {
        let mut route = route.clone();
        route["match"]["prefix"] = format!("/{service}").into();
        let settings = &mut route["typed_per_filter_config"]["envoy.filters.http.ext_authz"]["check_settings"];
        settings["context_extensions"]["service"] = service.into();
        routes.push(route);
    }
}
