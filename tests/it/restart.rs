//! A restart under load, behind Envoy: whoever may is let in as long as anybody answers, who left never is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::envoy::{Envoy, asking, binary};
use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::upstream::Upstream;
use crate::support::{ports, until};

/// `server.drain`, which is left at its default.
const DRAIN: Duration = Duration::from_secs(20);
/// For a tenth of it the process still answers everything, so that whoever asks can see that it is no longer ready.
const STILL_ANSWERS: Duration = Duration::from_millis(1900);
/// Envoy waits this long for a check.
const TIMEOUT: Duration = Duration::from_millis(249);
const CALLERS_EACH: usize = 4;

/// One Offboard, and the port at which Envoy looks for it.
struct Replica {
    files: Installation,
    offboard: Offboard,
    port: u16,
}

impl Replica {
    /// It knows that bob is out.
    async fn start(issuer: &DevIssuer) -> Self {
        let files = Installation::new(&format!(
            "authorization: none\npeople: {{ unknown: allow }}\nservices: [{{ name: payments }}]\n\
             {}",
            issuer.section()
        ));
        let port = ports::free();
        files.listen_on(port);
        let offboard = files.start().await;
        offboard.has_keys("dev").await;
        let arguments = ["revoke", "--subject", &issuer.url, "bob", "--reason", "left"];
        let (code, _, error) = offboard.run(&files.token_file(), &arguments);
        assert_eq!(code, 0, "{error}");
        Self { files, offboard, port }
    }

    /// SIGTERM; returns when it has ended as it should.
    async fn stop(&mut self) -> Instant {
        let asked = Instant::now();
        self.offboard.process.signal(Signal::TERM);
        let ended = until("it has ended", async || self.offboard.process.wait(Duration::from_millis(10))).await;
        assert!(ended.success(), "{ended}");
        assert!(asked.elapsed() <= DRAIN, "drained for {:?}", asked.elapsed());
        asked
    }

    async fn start_again(&mut self) {
        self.offboard = self.files.start().await;
    }
}

/// When a request was sent, how long it took, and what came of it.
#[derive(Clone, Copy)]
struct Answer {
    sent: Instant,
    took: Duration,
    status: u16,
}

type Answers = Arc<Mutex<Vec<Answer>>>;

/// Requests without a pause, of one who works here and one who left.
struct Load {
    stop: Arc<AtomicBool>,
    callers: JoinSet<()>,
    alice: Answers,
    bob: Answers,
}

impl Load {
    async fn start(url: &str, issuer: &DevIssuer) -> Self {
        let (alice, bob) = (Answers::default(), Answers::default());
        let mut load = Self { stop: Arc::default(), callers: JoinSet::new(), alice, bob };
        for (person, answers) in [("alice", Arc::clone(&load.alice)), ("bob", Arc::clone(&load.bob))] {
            let token = issuer.token(&format!("sub={person}")).await;
            for _ in 0..CALLERS_EACH {
                let (stop, answers) = (Arc::clone(&load.stop), Arc::clone(&answers));
                let request = reqwest::Client::new().get(format!("{url}/v1")).bearer_auth(&token);
                load.callers.spawn(async move {
                    while !stop.load(Ordering::Acquire) {
                        let sent = Instant::now();
                        let status = request.try_clone().unwrap().send().await.unwrap().status().as_u16();
                        answers.lock().unwrap().push(Answer { sent, took: sent.elapsed(), status });
                    }
                });
            }
        }
        load.goes_on().await;
        load
    }

    /// Waits until both have been answered again, alice with a 200.
    async fn goes_on(&self) {
        let since = Instant::now();
        let answered = |answers: &Answers, wanted: u16| {
            let answers = answers.lock().unwrap();
            answers.iter().filter(|answer| answer.sent > since && answer.status == wanted).count() > 20
        };
        until("both are answered", async || (answered(&self.alice, 200) && answered(&self.bob, 403)).then_some(()))
            .await;
    }

    /// Stops it: what alice and bob were answered.
    async fn end(self) -> [Vec<Answer>; 2] {
        self.stop.store(true, Ordering::Release);
        self.callers.join_all().await;
        [self.alice, self.bob].map(|answers| answers.lock().unwrap().clone())
    }
}

fn counted(answers: &[Answer]) -> BTreeMap<u16, usize> {
    answers.iter().fold(BTreeMap::new(), |mut counts, answer| {
        *counts.entry(answer.status).or_default() += 1;
        counts
    })
}

/// `envoy.yaml` with all of these behind the name `offboard`.
fn before(replicas: &[&Replica], upstream: &Upstream) -> String {
    let config = asking("envoy/envoy.yaml", replicas[0].port, upstream.port);
    let mut config: Value = serde_saphyr::from_str(&config).unwrap();
    let cluster = &mut config["static_resources"]["clusters"][0];
    assert_eq!(cluster["name"], "offboard");
    let endpoints = &mut cluster["load_assignment"]["endpoints"][0]["lb_endpoints"];
    for replica in &replicas[1..] {
        let mut endpoint = endpoints[0].clone();
        endpoint["endpoint"]["address"]["socket_address"]["port_value"] = replica.port.into();
        endpoints.as_array_mut().unwrap().push(endpoint);
    }
    config.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_drains_and_the_next_start_forgets_nothing() {
    let Some(binary) = binary() else { return };
    let (issuer, upstream) = (DevIssuer::start().await, Upstream::start().await);
    let mut replica = Replica::start(&issuer).await;
    let envoy = Envoy::start(&binary, &before(&[&replica], &upstream)).await;
    let load = Load::start(&envoy.url, &issuer).await;
    let asked = replica.stop().await;
    replica.start_again().await;
    load.goes_on().await;
    let [alice, bob] = load.end().await;

    let (alices, bobs) = (counted(&alice), counted(&bob));
    assert!(alices.keys().all(|status| [200, 503].contains(status)), "let in, or an outage: {alices:?}");
    assert!(bobs.keys().all(|status| [403, 503].contains(status)), "not for one request: {bobs:?}");
    let early = |answer: &&Answer| answer.status == 503 && answer.sent < asked + STILL_ANSWERS;
    let early = alice.iter().chain(&bob).filter(early).count();
    assert_eq!(early, 0, "requests of which nobody took care while it was still there: {alices:?} {bobs:?}");
    assert_eq!(envoy.stat("ext_authz.failure_mode_allowed").await, 0);
}

/// A rolling restart: one after the other, and nobody notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_restart_one_after_the_other_and_nobody_notices() {
    let Some(binary) = binary() else { return };
    let (issuer, upstream) = (DevIssuer::start().await, Upstream::start().await);
    let mut replicas = [Replica::start(&issuer).await, Replica::start(&issuer).await];
    let envoy = Envoy::start(&binary, &before(&[&replicas[0], &replicas[1]], &upstream)).await;
    let healthy = async || (envoy.stat("cluster.offboard.membership_healthy").await == 2).then_some(());
    until("both are healthy", healthy).await;
    let load = Load::start(&envoy.url, &issuer).await;
    for replica in &mut replicas {
        replica.stop().await;
        load.goes_on().await;
        replica.start_again().await;
        until("both are healthy", healthy).await;
        load.goes_on().await;
    }
    for (answers, wanted) in load.end().await.iter().zip([200, 403]) {
        let counts = counted(answers);
        assert!(counts.keys().all(|status| [wanted, 503].contains(status)), "{counts:?}");
        let failed = |answer: &&Answer| answer.status == 503;
        let at_once = answers.iter().filter(failed).filter(|answer| answer.took < TIMEOUT).count();
        assert_eq!(at_once, 0, "of {counts:?}: asked nobody but the replica that was gone");
        // On a machine short of CPU, one that starts has connections waiting for longer than that before it answers.
        let late = answers.iter().filter(failed).count();
        assert!(late * 100 <= answers.len(), "{counts:?}: not now and then, but all the time");
    }
}
