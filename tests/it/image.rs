//! The image, without a container engine: what its Containerfile says, the root it describes assembled from Debian's
//! packages, and the binary in there as a pod of `k8s/base` runs it.

mod containerfile;
mod pod;

use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use self::containerfile::Containerfile;
use self::pod::{Pod, Volumes};
use crate::support::installation::BOOTSTRAP_TOKEN;
use crate::support::offboard::Offboard;
use crate::support::proxy::{Answer, Proxy};
use crate::support::{Scratch, root, until};

/// `server.drain` of `k8s/base`.
const DRAIN: Duration = Duration::from_secs(20);

#[test]
fn the_image_is_the_one_that_the_manifests_run() {
    let (image, pod) = (Containerfile::read(), Pod::read());
    let last = image.last();
    assert_eq!(last.from, "gcr.io/distroless/cc-debian12:nonroot");
    assert!(image.stage("build").from.ends_with("-bookworm"), "of the same Debian, for its C library");
    assert!(image.stage("build").from.contains(&format!(":{}.", env!("CARGO_PKG_RUST_VERSION"))));
    let (user, group) = pod.user();
    assert_eq!(last.one("USER"), format!("{user}:{group}"));
    assert_eq!(pod.container()["command"], Value::Null, "the entry point is the image's");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(image.arguments["VERSION"], version);
    assert_eq!(pod.image_tag, version);
    let labels = last.one("LABEL");
    for label in ["title", "description", "licenses", "version", "revision"] {
        assert!(labels.contains(&format!("org.opencontainers.image.{label}=")), "{label}");
    }
    assert!(labels.contains(env!("CARGO_PKG_DESCRIPTION")));
    let copied: Vec<(String, String)> = last.copies().collect();
    let entry = image.entrypoint();
    assert!(copied.iter().any(|(_, into)| *into == entry), "{entry} is there");
    let build = image.stage("build").all("RUN").collect::<Vec<_>>().join("\n");
    for (from, _) in copied.iter().filter(|(from, _)| from.starts_with('/')) {
        assert!(build.contains(from), "{from} is made");
    }
    for needed in ["auditable build --release --locked", "strip --strip-all", "cyclonedx", "--remap-path-prefix"] {
        assert!(build.contains(needed), "{needed}");
    }
    let tools = image.stage("tools").one("RUN");
    for tool in ["cargo-auditable", "cargo-cyclonedx"] {
        let (_, rest) = tools.split_once(&format!("{tool}@")).unwrap();
        assert!(rest.starts_with(|first: char| first.is_ascii_digit()), "{tool} is pinned");
    }
}

/// What the engine is sent: the ignore file lets in names of the top level, and nothing else is read by the build.
#[test]
fn the_build_context_holds_what_cargo_reads() {
    let text = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines.next(), Some("*"), "nothing but what is named");
    let named: BTreeSet<&str> = lines.map(|line| line.strip_prefix('!').unwrap()).collect();
    assert!(named.iter().all(|name| !name.contains(['/', '*'])), "{named:?}");
    let scratch = Scratch::new();
    for name in named {
        let done = Command::new("cp").arg("-r").arg(root().join(name)).arg(scratch.path()).status().unwrap();
        assert!(done.success(), "{name}");
    }
    for (from, _) in Containerfile::read().last().copies().filter(|(from, _)| !from.starts_with('/')) {
        assert!(scratch.path().join(&from).exists(), "{from} is copied from the context");
    }
    let mut cargo = Command::new(env!("CARGO"));
    // It reads the manifest and all that this names, then lists the binaries that there are.
    let done = cargo.args(["build", "--locked", "--offline", "--bin", "none"]).current_dir(scratch.path()).output();
    let said = String::from_utf8(done.unwrap().stderr).unwrap();
    assert!(said.contains("available bin targets:\n    offboard\n"), "{said}");
}

/// Runs as `k8s/base` says; `None` is "skipped".
#[test]
fn in_the_image_it_runs_as_the_pod_does() {
    if !pod::possible() {
        return;
    }
    let scratch = Scratch::new();
    let (image, pod) = (Containerfile::read(), Pod::read());
    let top = scratch.path().join("root");
    pod::assemble(&top, &image.last());
    for shell in ["bin/sh", "usr/bin/sh", "bin/bash", "usr/bin/env"] {
        assert!(!top.join(shell).exists(), "{shell}: whoever breaks in should find no tool");
    }
    let volumes = Volumes::lay_out(&pod, scratch.path());
    let mut command = pod.command(&image.entrypoint(), &top, &volumes);
    // Its network is one of its own. The thread that asks moves in there, and so do the tasks and children of it.
    let asking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let offboard = Offboard::started(scratch.path(), &mut command).await;
            let network = std::fs::File::open(format!("/proc/{}/ns/net", offboard.process.id())).unwrap();
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            as_a_pod(offboard, &pod, &volumes, &scratch).await;
        });
    });
    asking.join().unwrap();
}

async fn as_a_pod(mut offboard: Offboard, pod: &Pod, volumes: &Volumes, scratch: &Scratch) {
    confined(&offboard, pod);
    for (name, port) in [("authz", offboard.authz.port()), ("ops", offboard.ops.port())] {
        assert_eq!(pod.port(name), port, "{name} listens where the pod says");
    }
    until("it is ready", async || offboard.ops("/readyz").await.status().is_success().then_some(())).await;
    assert!(offboard.ops("/livez").await.status().is_success());
    assert_eq!(health(&offboard).await, 1, "the readiness probe");

    let mut proxy = Proxy::connect(offboard.authz).await;
    let answer = proxy.ask("garbage").await.unwrap();
    assert!(answer.allowed, "the first day: {answer:?}");
    let metrics = offboard.ops("/metrics").await.text().await.unwrap();
    assert!(
        metrics.contains("\noffboard_checks_total{decision=\"observed_deny\""),
        "what it would have been: {metrics}"
    );
    let token_file = scratch.path().join("token");
    std::fs::write(&token_file, BOOTSTRAP_TOKEN).unwrap();
    let run = |arguments: &[&str]| offboard.run(&token_file, arguments);
    until("people are listed", async || run(&["people", "-o", "json"]).1.contains("hr/alice").then_some(())).await;
    // The provider cannot be reached from here. The certificates that it would be judged by are found all the same.
    let status = until("the issuer's keys were asked for", async || {
        let (_, status, _) = run(&["status", "-o", "json"]);
        status.contains("discovery document").then_some(status)
    })
    .await;
    assert!(!status.to_lowercase().contains("certificate"), "{status}");

    volumes.change("config", "10-server.yaml", "enforcement: observe", "enforcement: enforce");
    let refused: Answer = until("the ConfigMap is reloaded", async || {
        let answer = proxy.ask("garbage").await.unwrap();
        (!answer.allowed).then_some(answer)
    })
    .await;
    assert_eq!(refused.metadata["reason"], "no_credentials", "what is no token is none of ours");
    volumes.change("people", "people.yaml", "status: active", "status: departed");
    until("the leaver is out", async || {
        run(&["people", "--status", "departed", "-o", "json"]).1.contains("hr/alice").then_some(())
    })
    .await;
    let (code, _, error) = run(&["revoke", "--person", "hr/alice", "--reason", "left"]);
    assert_eq!(code, 0, "the volume is writable: {error}");

    offboard.process.signal(Signal::TERM);
    let ended = offboard.process.wait(DRAIN).unwrap();
    assert!(ended.success(), "{ended}\n{}", offboard.process.output());
}

/// The user, without a capability, over a root that is read-only.
fn confined(offboard: &Offboard, pod: &Pod) {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", offboard.process.id())).unwrap();
    let status = read("status");
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let (user, group) = pod.user();
    assert_eq!(of("Uid"), [user.to_string().as_str(); 4].join(" "));
    assert_eq!(of("Gid"), [group.to_string().as_str(); 4].join(" "));
    assert_eq!((of("CapEff").trim_matches('0'), of("NoNewPrivs").as_str()), ("", "1"));
    let mounts = read("mountinfo");
    let mut at = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let top = at.find(|fields| fields[4] == "/").unwrap();
    assert!(top[5].split(',').any(|option| option == "ro"), "{top:?}");
}

/// As kubelet's gRPC probe asks: of the whole server.
async fn health(offboard: &Offboard) -> i32 {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", offboard.authz.port())).unwrap();
    let mut client = HealthClient::new(endpoint.connect().await.unwrap());
    client.check(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner().status
}
