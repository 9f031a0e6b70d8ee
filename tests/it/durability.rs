//! Law 5 over the whole service: what was acknowledged survives `kill -9` under load, and is enforced at once after.
//!
//! `OFFBOARD_KILLS` says how often it is killed (10); `benches/kill.sh` says 200.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use offboard::control::proto::control_client::ControlClient;
use offboard::control::proto::{IssuerValue, ListRevocationsRequest, RevokeRequest, Target, target};
use rustix::process::Signal;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::support::installation::{BOOTSTRAP_TOKEN, Installation};
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::proxy::Proxy;

const CALLERS: usize = 8;

/// The ids that were acknowledged, each with its turn and the session that it revokes.
type Acknowledged = Arc<Mutex<BTreeMap<String, (usize, String)>>>;

async fn control(offboard: &Offboard) -> ControlClient<Channel> {
    ControlClient::connect(format!("http://{}", offboard.control)).await.unwrap()
}

fn authorized<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {BOOTSTRAP_TOKEN}").parse().unwrap());
    request
}

async fn revoke(control: &mut ControlClient<Channel>, issuer: &str, session: &str) -> Result<String, Status> {
    let session = IssuerValue { issuer: issuer.to_owned(), value: session.to_owned() };
    let target = Some(Target { target: Some(target::Target::Session(session)) });
    let request = RevokeRequest { target, reason: "left".into(), ..RevokeRequest::default() };
    Ok(control.revoke(authorized(request)).await?.into_inner().id)
}

/// Revokes one session after the other until nobody answers any more; notes what is acknowledged when it is.
async fn load(
    mut control: ControlClient<Channel>,
    issuer: String,
    name: String,
    acknowledged: Acknowledged,
    many: Arc<Notify>,
) {
    for number in 0.. {
        let session = format!("{name}-{number}");
        let Ok(id) = revoke(&mut control, &issuer, &session).await else { return };
        let mut acknowledged = acknowledged.lock().unwrap();
        let turn = acknowledged.len();
        let twice = acknowledged.insert(id, (turn, session));
        assert!(twice.is_none(), "one id was acknowledged twice");
        many.notify_one();
    }
}

/// Every revocation that stands, by id.
async fn standing(offboard: &Offboard) -> BTreeSet<String> {
    let (mut control, mut ids, mut page_token) = (control(offboard).await, BTreeSet::new(), String::new());
    loop {
        let asked = authorized(ListRevocationsRequest { page_token, ..ListRevocationsRequest::default() });
        let page = control.list_revocations(asked).await.unwrap().into_inner();
        ids.extend(page.revocations.into_iter().map(|revocation| revocation.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return ids;
        }
    }
}

/// How many records of its beginning each revocation has in the audit trail, by id.
fn recorded(files: &Installation) -> BTreeMap<String, usize> {
    let mut records = BTreeMap::new();
    for file in std::fs::read_dir(files.path("audit")).unwrap().map(|file| file.unwrap().path()) {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        for line in text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
            if line["kind"] == "revocation" {
                let id = line["target"].as_str().unwrap().split(' ').next().unwrap().to_owned();
                *records.entry(id).or_default() += 1;
            }
        }
    }
    records
}

/// One life: load from all sides, killed after so many acknowledgements.
async fn live(offboard: &mut Offboard, issuer: &str, round: usize, acknowledged: &Acknowledged) {
    let (many, mut callers) = (Arc::new(Notify::new()), JoinSet::new());
    for caller in 0..CALLERS {
        let (control, name) = (control(offboard).await, format!("{round}-{caller}"));
        callers.spawn(load(control, issuer.to_owned(), name, Arc::clone(acknowledged), Arc::clone(&many)));
    }
    let before = acknowledged.lock().unwrap().len();
    // Differs from life to life, so that the kill meets every step of a commit.
    let enough = before + 20 + round * 37 % 101;
    while acknowledged.lock().unwrap().len() < enough {
        many.notified().await;
    }
    offboard.process.signal(Signal::KILL);
    callers.join_all().await;
    assert!(offboard.process.wait(Duration::from_secs(5)).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_under_load() {
    let kills: usize = std::env::var("OFFBOARD_KILLS").map_or(10, |kills| kills.parse().unwrap());
    let issuer = DevIssuer::start().await;
    let files = Installation::new(&format!(
        "authorization: none\npeople: {{ unknown: allow }}\n\
         {}",
        issuer.section()
    ));
    let acknowledged = Acknowledged::default();
    let mut offboard = files.start().await;
    offboard.has_keys("dev").await;
    for round in 0..kills {
        live(&mut offboard, &issuer.url, round, &acknowledged).await;
        offboard = files.start().await;
        let known = acknowledged.lock().unwrap().clone();
        let standing = standing(&offboard).await;
        let lost: Vec<_> = known.keys().filter(|id| !standing.contains(*id)).collect();
        assert!(lost.is_empty(), "kill {round}: of {} acknowledged {lost:?} are lost", known.len());
        let (_, session) = known.values().max().unwrap();
        let token = issuer.token(&format!("sub=alice&sid={session}")).await;
        let mut proxy = Proxy::connect(offboard.authz).await;
        let answer = proxy.ask(&token).await.unwrap();
        assert_eq!(answer.metadata.get("reason").map(String::as_str), Some("revoked_session"), "kill {round}");
    }
    offboard.process.stop(Duration::from_secs(20));
    let audit = files.path("audit");
    let done = Offboard::command().args(["audit", "verify", "--path"]).arg(audit).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    let acknowledged = acknowledged.lock().unwrap();
    let recorded = recorded(&files);
    for id in acknowledged.keys() {
        assert_eq!(recorded.get(id), Some(&1), "{id} stands in the trail once, however the process ended");
    }
    let many = acknowledged.len();
    println!("{{\"kills\":{kills},\"acknowledged\":{many},\"lost\":0}}");
}
