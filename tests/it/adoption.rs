//! How a mesh adopts Offboard: on the first day nothing breaks and the metrics say what would, then only the leaver is
//! refused. Asked for everything at once, and for one service alone.

use reqwest::StatusCode;

use crate::support::envoy::{Envoy, asking, binary};
use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::until;
use crate::support::upstream::Upstream;

/// What a mesh sends that was there before Offboard.
struct Traffic {
    /// Nothing to show: calls that the mesh's mTLS protects, probes.
    anonymous: Option<String>,
    /// A token of an issuer that Offboard was not told of.
    foreign: Option<String>,
    /// A machine's own token.
    machine: Option<String>,
    /// Somebody who works here.
    user: Option<String>,
    /// Somebody whom the list of people does not have.
    unlisted: Option<String>,
    /// Somebody who left.
    leaver: Option<String>,
}

struct Stage {
    files: Installation,
    offboard: Offboard,
    envoy: Envoy,
    _upstream: Upstream,
    traffic: Traffic,
    issuer: DevIssuer,
}

impl Stage {
    /// `top` stands at the top of the configuration, `payments` in the service that the route names.
    async fn start(top: &str, payments: &str) -> Option<Self> {
        let binary = binary()?;
        let (issuer, stranger, upstream) =
            (DevIssuer::start().await, DevIssuer::start().await, Upstream::start().await);
        let traffic = Traffic {
            anonymous: None,
            foreign: Some(stranger.token("sub=alice").await),
            machine: Some(issuer.token("sub=ci-bot&client_id=ci-bot").await),
            user: Some(issuer.token("sub=alice").await),
            unlisted: Some(issuer.token("sub=carol").await),
            leaver: Some(issuer.token("sub=bob").await),
        };
        let files = Installation::new("");
        files.write_people(&["id: alice", "id: bob, status: departed"]);
        files.write("20-rules.yaml", &rules(&files, &issuer.url, top, payments));
        let offboard = files.start().await;
        offboard.knows("hr", 1).await;
        offboard.has_keys("dev").await;
        let config = asking("envoy/envoy.yaml", offboard.authz.port(), upstream.port);
        let envoy = Envoy::start(&binary, &config).await;
        Some(Self { files, offboard, envoy, _upstream: upstream, traffic, issuer })
    }

    async fn status(&self, token: Option<&String>) -> StatusCode {
        let request = reqwest::Client::new().get(format!("{}/v1/orders", self.envoy.url));
        let request = token.iter().fold(request, |request, token| request.bearer_auth(token));
        request.send().await.unwrap().status()
    }

    /// The answers to anonymous, foreign, machine, user, unlisted, leaver.
    async fn answers(&self) -> Vec<u16> {
        let traffic = &self.traffic;
        let all =
            [&traffic.anonymous, &traffic.foreign, &traffic.machine, &traffic.user, &traffic.unlisted, &traffic.leaver];
        let mut answers = Vec::new();
        for token in all {
            answers.push(self.status(token.as_ref()).await.as_u16());
        }
        answers
    }

    async fn would(&self, reason: &str) -> f64 {
        let series = format!("offboard_checks_total{{decision=\"observed_deny\",reason=\"{reason}\"}}");
        self.offboard.metric(&series).await.unwrap_or_default()
    }

    /// A reload to these.
    async fn becomes(&self, top: &str, payments: &str) {
        let before = self.reloads();
        self.files.write("20-rules.yaml", &rules(&self.files, &self.issuer.url, top, payments));
        until("the reload is in force", async || (self.reloads() > before).then_some(())).await;
    }

    fn reloads(&self) -> usize {
        self.offboard.process.output().matches("configuration is in force").count()
    }
}

fn rules(files: &Installation, issuer: &str, top: &str, payments: &str) -> String {
    let people = files.path("people/people.yaml");
    format!(
        "{top}\nissuers: [{{ name: dev, issuer: '{issuer}', audiences: [mesh], jwks: {{ discovery: true }} }}]\n\
         sources: [{{ name: hr, kind: file, issuer: dev, path: {} }}]\n\
         services: [{{ name: payments{payments} }}]\n",
        people.display()
    )
}

/// Day by day. The same settings stand at the top, or in the one service.
async fn adopts(set: impl Fn(&str, &str) -> (String, String)) {
    let (top, payments) = set("enforcement: observe, authorization: none", "");
    let Some(stage) = Stage::start(&top, &payments).await else { return };
    assert_eq!(stage.answers().await, [200; 6], "the first day: nothing is refused");
    for (reason, many) in [
        ("no_credentials", 1.0),
        ("unknown_issuer", 1.0),
        ("unknown_person", 1.0),
        ("revoked_person", 1.0),
        ("no_permission", 0.0),
    ] {
        assert_eq!(stage.would(reason).await, many, "what would have been: {reason}");
    }

    let lenient = "enforcement: enforce, authorization: none, no_credentials: pass, foreign_credentials: pass";
    let (top, payments) = set(lenient, "people: { unknown: allow }");
    stage.becomes(&top, &payments).await;
    assert_eq!(stage.answers().await, [200, 200, 200, 200, 200, 403], "enforced: only the leaver is refused");
    let allowed = |reason: &str| format!("offboard_checks_total{{decision=\"allow\",reason=\"{reason}\"}}");
    for reason in ["passed_without_credentials", "passed_foreign_credentials"] {
        assert_eq!(stage.offboard.metric(&allowed(reason)).await, Some(1.0), "{reason}");
    }

    let (top, payments) = set("enforcement: enforce, authorization: none", "");
    stage.becomes(&top, &payments).await;
    assert_eq!(stage.answers().await, [401, 401, 200, 200, 403, 403], "strict, still without roles");
    stage.becomes("", "").await;
    assert_eq!(stage.answers().await, [401, 401, 403, 403, 403, 403], "and with roles, of which there are none");
    let (top, payments) = set("enforcement: observe, authorization: none", "");
    stage.becomes(&top, &payments).await;
    assert_eq!(stage.answers().await, [200; 6], "and back, by a reload");
}

#[tokio::test]
async fn a_whole_mesh_adopts_it_and_only_the_leaver_notices() {
    adopts(|settings, others| (format!("{}\n{others}", settings.replace(", ", "\n")), String::new())).await;
}

#[tokio::test]
async fn one_service_adopts_it_and_only_the_leaver_notices() {
    adopts(|settings, others| (others.to_owned(), format!(", {settings}"))).await;
}
