//! Reloads between two configurations with opposite verdicts, one upon the other, under load: each answer is right for the
//! configuration that it reports.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::proxy::Proxy;
use crate::support::until;

const RELOADS: usize = 30;
const CALLERS: usize = 4;

/// What a check ended with: the configuration that it says it went by, and whether it let the request through.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    configuration: String,
    allowed: bool,
}

/// Puts a version in force as the kubelet does: a directory of its own, and the `..data` link swapped to it.
fn swap(config: &Path, version: &str) {
    let staged = config.join("..data_tmp");
    std::os::unix::fs::symlink(format!("..{version}"), &staged).unwrap();
    std::fs::rename(&staged, config.join("..data")).unwrap();
}

/// Turns the directory into a ConfigMap's volume with two versions, of which `deny` is in force.
fn write_versions(config: &Path) {
    let server = std::fs::read_to_string(config.join("10-server.yaml")).unwrap();
    let rules = std::fs::read_to_string(config.join("20-rules.yaml")).unwrap();
    for (version, authorization) in [("deny", "roles"), ("allow", "none")] {
        let dir = config.join(format!("..{version}"));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("10-server.yaml"), &server).unwrap();
        std::fs::write(dir.join("20-rules.yaml"), format!("authorization: {authorization}\n{rules}")).unwrap();
    }
    swap(config, "deny");
    for name in ["10-server.yaml", "20-rules.yaml"] {
        std::fs::remove_file(config.join(name)).unwrap();
        std::os::unix::fs::symlink(format!("..data/{name}"), config.join(name)).unwrap();
    }
}

async fn ask(proxy: &mut Proxy, token: &str) -> Answer {
    let answer = proxy.ask(token).await.unwrap();
    Answer { configuration: answer.metadata["configuration"].clone(), allowed: answer.allowed }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_is_right_for_the_configuration_that_it_reports() {
    let issuer = DevIssuer::start().await;
    let files = Installation::new(&format!(
        "people: {{ unknown: allow }}\n\
         {}",
        issuer.section()
    ));
    let config = files.path("config");
    write_versions(&config);
    let offboard = files.start().await;
    offboard.has_keys("dev").await;
    let token = issuer.token("sub=alice&aud=mesh").await;
    let mut proxy = Proxy::connect(offboard.authz).await;

    let settled = async |proxy: &mut Proxy, allowed: bool| {
        until("the verdict of the configuration alone", async || {
            Some(ask(proxy, &token).await).filter(|answer| answer.allowed == allowed)
        })
        .await
    };
    let denies = settled(&mut proxy, false).await;
    swap(&config, "allow");
    let allows = settled(&mut proxy, true).await;
    assert_ne!(denies.configuration, allows.configuration);

    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (stop, seen, token, mut proxy) = (Arc::clone(&stop), Arc::clone(&seen), token.clone(), proxy.clone());
        callers.spawn(async move {
            while !stop.load(Ordering::Acquire) {
                let answer = ask(&mut proxy, &token).await;
                seen.lock().unwrap().push(answer);
            }
        });
    }
    for version in ["deny", "allow"].into_iter().cycle().take(RELOADS) {
        let expected = if version == "deny" { &denies } else { &allows };
        swap(&config, version);
        until("a check goes by the new configuration", async || {
            (seen.lock().unwrap().last() == Some(expected)).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Release);
    callers.join_all().await;

    let seen = seen.lock().unwrap();
    let wrong: Vec<&Answer> = seen.iter().filter(|answer| **answer != denies && **answer != allows).collect();
    assert!(wrong.is_empty(), "{} of {} answers are wrong, the first: {:?}", wrong.len(), seen.len(), wrong[0]);
    let in_force = offboard.process.output().matches("configuration is in force").count();
    assert!(in_force >= RELOADS, "they were reloads: {in_force}");
}
