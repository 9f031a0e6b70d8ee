//! What clients of the mesh see while Offboard is slow, hangs, drains or comes back.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::envoy::{Envoy, asking, binary};
use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::upstream::Upstream;
use crate::support::{ports, until};

struct Stage {
    files: Installation,
    offboard: Offboard,
    upstream: Upstream,
    envoy: Envoy,
    token: String,
    issuer: DevIssuer,
}

impl Stage {
    async fn start() -> Option<Self> {
        let binary = binary()?;
        let issuer = DevIssuer::start().await;
        let files = Installation::new(&format!(
            "authorization: none\npeople: {{ unknown: allow }}\nservices: [{{ name: payments }}]\n\
             {}",
            issuer.section()
        ));
        let port = ports::free();
        files.listen_on(port);
        let (offboard, upstream) = (files.start().await, Upstream::start().await);
        offboard.has_keys("dev").await;
        let envoy = Envoy::start(&binary, &asking("envoy/envoy.yaml", port, upstream.port)).await;
        let token = issuer.token("sub=alice").await;
        Some(Self { files, offboard, upstream, envoy, token, issuer })
    }

    async fn status(&self) -> u16 {
        let request = reqwest::Client::new().get(format!("{}/v1", self.envoy.url)).bearer_auth(&self.token);
        request.send().await.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn one_that_hangs_is_a_503_within_the_timeout_and_never_an_allow() {
    let Some(stage) = Stage::start().await else { return };
    assert_eq!(stage.status().await, 200);
    stage.offboard.process.signal(Signal::STOP);
    let (reached, asked) = (stage.upstream.seen().len(), Instant::now());
    assert_eq!(stage.status().await, 503);
    assert!(asked.elapsed() >= Duration::from_millis(200), "Envoy's timeout, not a refused connection");
    assert_eq!(stage.upstream.seen().len(), reached, "nothing was let through");
    stage.offboard.process.signal(Signal::CONT);
    until("it answers again", async || (stage.status().await == 200).then_some(())).await;
}

/// SIGTERM while requests come: none is refused by a process that still answers, and the next one knows everything.
#[tokio::test]
async fn a_restart_drains_and_forgets_nothing() {
    let Some(mut stage) = Stage::start().await else { return };
    assert_eq!(stage.status().await, 200);
    let arguments = ["revoke", "--subject", &stage.issuer.url.clone(), "bob", "--reason", "left"];
    let (code, _, error) = stage.offboard.run(&stage.files.token_file(), &arguments);
    assert_eq!(code, 0, "{error}");
    stage.offboard.process.signal(Signal::TERM);
    let draining = async || stage.offboard.process.output().contains("\"draining\"").then_some(());
    until("it drains", draining).await;
    assert_eq!(stage.status().await, 200, "who still asks is still answered");
    let ended = stage.offboard.process.wait(Duration::from_secs(20));
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    assert_eq!(stage.status().await, 503);

    stage.offboard = stage.files.start().await;
    stage.token = stage.issuer.token("sub=bob").await;
    until("envoy has found it again", async || Some(stage.status().await).filter(|status| *status != 503)).await;
    assert_eq!(stage.status().await, 403, "revoked before the restart");
}
