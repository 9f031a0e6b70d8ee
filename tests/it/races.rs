//! Reloads between two configurations with opposite verdicts, ten times a second, under load: each answer is right for
//! the configuration that it reports.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as Attributes};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use envoy_types::pb::google::protobuf::Struct;
use envoy_types::pb::google::protobuf::value::Kind;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::{Scratch, until};

const RELOADS: usize = 30;
const CALLERS: usize = 4;

/// What a check ended with: the configuration that it says it went by, and whether it let the request through.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    configuration: String,
    allowed: bool,
}

fn common(dir: &Path, issuer: &str) -> String {
    let dir = dir.display();
    format!(
        "server:\n  authz: {{ listen: 127.0.0.1:0 }}\n  control: {{ listen: 127.0.0.1:0 }}\n  ops: {{ listen: 127.0.0.1:0 }}\n\
         store: {{ path: {dir}/store }}\naudit: {{ path: {dir}/audit }}\npeople: {{ unknown: allow }}\n\
         issuers:\n  - {{ name: dev, issuer: {issuer}, audiences: [mesh], jwks: {{ discovery: true }} }}\n"
    )
}

/// Puts a version in force as the kubelet does: a directory of its own, and the `..data` link swapped to it.
fn swap(config: &Path, version: &str) {
    let staged = config.join("..data_tmp");
    std::os::unix::fs::symlink(format!("..{version}"), &staged).unwrap();
    std::fs::rename(&staged, config.join("..data")).unwrap();
}

fn write_versions(config: &Path, common: &str) {
    for (version, authorization) in [("deny", "roles"), ("allow", "none")] {
        let dir = config.join(format!("..{version}"));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("offboard.yaml"), format!("{common}authorization: {authorization}\n")).unwrap();
    }
    swap(config, "deny");
    std::os::unix::fs::symlink("..data/offboard.yaml", config.join("offboard.yaml")).unwrap();
}

async fn ask(client: &mut AuthorizationClient<Channel>, token: &str) -> Answer {
    let http = HttpRequest {
        method: "GET".into(),
        host: "orders.example.com".into(),
        path: "/v1/orders".into(),
        headers: HashMap::from([("authorization".to_owned(), format!("Bearer {token}"))]),
        ..HttpRequest::default()
    };
    let request = Some(Attributes { time: None, http: Some(http) });
    let asked = CheckRequest { attributes: Some(AttributeContext { request, ..AttributeContext::default() }) };
    let answer = client.check(asked).await.unwrap().into_inner();
    let metadata = answer.dynamic_metadata.unwrap();
    let configuration = text(&metadata, "configuration");
    Answer { configuration, allowed: answer.status.unwrap().code == 0 }
}

fn text(metadata: &Struct, key: &str) -> String {
    let Some(Kind::StructValue(fields)) = metadata.fields["offboard"].kind.clone() else { panic!("{metadata:?}") };
    let Some(Kind::StringValue(text)) = fields.fields[key].kind.clone() else { panic!("{metadata:?}") };
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_is_right_for_the_configuration_that_it_reports() {
    let scratch = Scratch::new();
    let config = scratch.path().join("config");
    let issuer = DevIssuer::start().await;
    write_versions(&config, &common(scratch.path(), &issuer.url));
    let offboard = Offboard::start(scratch.path(), &config, &[]).await;
    let token = issuer.token("sub=alice&aud=mesh").await;
    let mut client = AuthorizationClient::connect(format!("http://{}", offboard.authz)).await.unwrap();

    let settled = async |client: &mut AuthorizationClient<Channel>, allowed: bool| {
        until("the verdict of the configuration alone", async || {
            Some(ask(client, &token).await).filter(|answer| answer.allowed == allowed)
        })
        .await
    };
    let denies = settled(&mut client, false).await;
    until("keys are there, so that it is roles that deny", async || {
        (offboard.metric("offboard_jwks_keys{issuer=\"dev\"}").await > Some(0.0)).then_some(())
    })
    .await;
    swap(&config, "allow");
    let allows = settled(&mut client, true).await;
    assert_ne!(denies.configuration, allows.configuration);

    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (stop, seen, token, mut client) = (Arc::clone(&stop), Arc::clone(&seen), token.clone(), client.clone());
        callers.spawn(async move {
            while !stop.load(Ordering::Acquire) {
                let answer = ask(&mut client, &token).await;
                seen.lock().unwrap().push(answer);
            }
        });
    }
    let mut tenths = tokio::time::interval(Duration::from_millis(100));
    for version in ["deny", "allow"].into_iter().cycle().take(RELOADS) {
        tenths.tick().await;
        swap(&config, version);
    }
    stop.store(true, Ordering::Release);
    callers.join_all().await;

    let seen = seen.lock().unwrap();
    let wrong: Vec<&Answer> = seen.iter().filter(|answer| **answer != denies && **answer != allows).collect();
    assert!(wrong.is_empty(), "{} of {} answers are wrong, the first: {:?}", wrong.len(), seen.len(), wrong[0]);
    for answer in [&denies, &allows] {
        let many = seen.iter().filter(|other| *other == answer).count();
        assert!(
            many > RELOADS,
            "both were in force under load, but only {many} answers of {} are {answer:?}",
            seen.len()
        );
    }
    let in_force = offboard.process.output().matches("configuration is in force").count();
    assert!(in_force > RELOADS / 3, "they were reloads: {in_force}");
}
