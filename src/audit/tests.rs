use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use crate::corp;
use crate::domain::credential::{CredentialKind, CredentialOutcome, Identity, Principal, Verified};
use crate::domain::decision::steps::Steps;
use crate::domain::decision::{Decision, Determining};
use crate::domain::detail::Detail;
use crate::domain::event::{Epoch, Event, NewEvent, Recorded};
use crate::domain::id::RevocationId;
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::policy::Enforcement;
use crate::domain::reason::Reason;
use crate::domain::revocation::{Owner, Revocation, Shape, Target};
use crate::domain::time::{Now, Timestamp};

use super::AuditError;
use super::chain::Head;
use super::entry::{Entry, Facts};
use super::files::{self, Side};
use super::open::{Options, open};
use super::read::{Filter, query};
use super::record::{DecisionId, Kind, Record};
use super::sink::{Recorder, Shared, Stopped, WAITING};
use super::verify::{Wrong, verify};
use super::writer::{Resumed, TrailWriter};
use crate::domain::settings::audit::{Decisions, TrailSettings};

/// 2026-03-01T12:00:00Z
const NOON: i64 = 1_772_366_400;
const DAY: i64 = 86_400;

mod reading;
mod trail;
mod tried;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(NOON + seconds)
}

fn now(seconds: i64) -> Now {
    Now::at(at(seconds))
}

fn options(dir: &Path) -> Options {
    options_with(dir, Decisions::Denied, 400)
}

fn options_with(dir: &Path, decisions: Decisions, days: u64) -> Options {
    let retention = Duration::from_secs(days * 86_400);
    let settings = TrailSettings { path: dir.to_owned(), decisions, retention };
    // Each trail has its own.
    let salt = digest(&SHA256, dir.as_os_str().as_encoded_bytes()).as_ref().try_into().unwrap();
    Options { settings, replica: "r-0".to_owned(), salt }
}

fn started(dir: &Path, seconds: i64) -> (Recorder, TrailWriter) {
    open(options(dir), now(seconds)).unwrap()
}

fn records(dir: &Path) -> Vec<Record> {
    query(dir, Filter::default()).unwrap().map(Result::unwrap).collect()
}

fn of(dir: &Path, kind: Kind) -> Vec<Record> {
    records(dir).into_iter().filter(|record| record.kind == kind).collect()
}

fn alice() -> PersonId {
    PersonId { source: "hr".into(), key: "alice".into() }
}

fn token(digest: u8) -> Arc<Verified> {
    Arc::new(Verified::attest(Identity {
        kind: CredentialKind::Bearer,
        digest: [digest; 32],
        issuer_index: 0,
        issuer: "https://idp".into(),
        subject: Some("alice".into()),
        session: None,
        token_id: None,
        client: None,
        client_key: None,
        audiences: vec![],
        key_id: None,
        beside_audiences: None,
        required_audiences: None,
        issued: None,
        not_before: None,
        expires: None,
        leeway: Duration::ZERO,
        machine: false,
        groups: vec![],
        flaw: None,
        detail: None,
        owner: Principal::default(),
        actors: vec![],
    }))
}

fn decided(reason: Reason, credential: Option<u8>) -> Decision {
    let credentials = credential.map(|number| CredentialOutcome::Verified(token(number)).into());
    let steps = Steps { credentials: credentials.into_iter().collect(), ..Steps::default() };
    let epoch = Epoch { generation: 1, position: 7 };
    let decision = Decision::new(reason, Arc::new(corp::policy()), &corp::service("payments"), epoch, steps);
    let person = Arc::new(Person::new(alice(), Status::Active));
    Decision { credential: credential.map(|_| 0), person: credential.map(|_| person), ..decision }
}

async fn decide(recorder: &Recorder, decision: Decision, seconds: i64) -> DecisionId {
    let id = recorder.draw_id();
    let facts = Facts { id, time: at(seconds), method: "GET", path: "/v1/orders?token=hunter2", address: None };
    recorder.decision(&Arc::new(decision), facts);
    id
}

/// Runs a closure against a writer, closes it, and writes everything.
async fn session<F: AsyncFnOnce(&Recorder)>(dir: &Path, seconds: i64, work: F) {
    let (recorder, writer) = started(dir, seconds);
    let thread = std::thread::spawn(move || writer.run());
    work(&recorder).await;
    recorder.close(now(seconds + 100)).await;
    thread.join().unwrap().unwrap();
}

async fn reload(recorder: &Recorder, seconds: i64, reason: &str) {
    recorder.record(Entry { reason: Some(reason.into()), ..Entry::new(Kind::Reload, at(seconds)) }).await.unwrap();
}

/// A trail of two days: start, reload 1 to 4, stop.
async fn trail(dir: &Path) {
    session(dir, 0, async |recorder| {
        for (seconds, name) in [(0, "one"), (1, "two"), (DAY, "three"), (DAY + 1, "four")] {
            reload(recorder, seconds, name).await;
        }
    })
    .await;
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let mut lines: Vec<String> = fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(path, lines.join("\n") + "\n").unwrap();
}

#[tokio::test]
async fn repeats_of_a_denial_are_one_record_a_minute_with_a_count() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 0, async |recorder| {
        for second in 0..50 {
            decide(recorder, decided(Reason::RevokedPerson, Some(1)), second).await;
        }
        recorder.tick(now(60));
        recorder.durable().await.unwrap();
        for second in 60..70 {
            decide(recorder, decided(Reason::RevokedPerson, Some(1)), second).await;
        }
        decide(recorder, decided(Reason::RevokedPerson, Some(2)), 70).await;
    })
    .await;
    let found: Vec<_> = of(dir.path(), Kind::Decision).iter().map(|r| (r.count, r.since, r.time)).collect();
    let expected =
        [(None, None, at(0)), (Some(49), Some(at(1)), at(49)), (None, None, at(70)), (Some(10), Some(at(60)), at(69))];
    assert_eq!(found, expected);
}

fn detailed(reason: Reason, credential: Option<u8>, words: &'static str) -> Decision {
    let detail = Detail::new(words).found("cl4imed");
    Decision { detail: Some(Arc::new(detail)), ..decided(reason, credential) }
}

#[tokio::test]
async fn a_denial_is_recorded_with_what_is_behind_it_and_nothing_that_was_claimed() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 0, async |recorder| {
        decide(recorder, detailed(Reason::BadClaims, Some(1), "claim `sid` is no text"), 1).await;
        for (reason, words) in [
            (Reason::BadSignature, "no key fits"),
            (Reason::BadSignature, "no key fits"),
            (Reason::MalformedCredentials, "too long"),
            (Reason::MalformedCredentials, "two tokens"),
            (Reason::MalformedCredentials, "too long"),
        ] {
            decide(recorder, detailed(reason, None, words), 2).await;
        }
    })
    .await;
    let known = of(dir.path(), Kind::Decision);
    let line = serde_json::to_string(&known[0]).unwrap();
    assert!(line.contains(r#""reason":"bad_claims","detail":"claim `sid` is no text","decision_id":"#), "{line}");
    let sums = of(dir.path(), Kind::Summary);
    let found: Vec<_> = sums.iter().map(|sum| (sum.reason.as_deref().unwrap(), sum.detail.as_deref())).collect();
    assert!(found.contains(&("bad_signature", Some("no key fits"))), "{found:?}");
    assert!(found.contains(&("malformed_credentials", None)), "not all that it counts have one: {found:?}");
    let written = serde_json::to_string(&(known, sums)).unwrap();
    assert!(!written.contains("cl4imed"), "{written}");
}

#[tokio::test]
async fn denials_of_nobody_known_are_summed_by_service_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 0, async |recorder| {
        for second in 0..5 {
            decide(recorder, decided(Reason::BadSignature, None), second).await;
        }
        decide(recorder, decided(Reason::NoCredentials, None), 5).await;
    })
    .await;
    let sums = of(dir.path(), Kind::Summary);
    let found: Vec<_> = sums.iter().map(|r| (r.reason.as_deref().unwrap(), r.count.unwrap())).collect();
    assert_eq!(found, [("bad_signature", 5), ("no_credentials", 1)]);
    assert!(sums.iter().all(|r| r.person.is_none() && r.credential.is_none() && r.path.is_none()));
}

#[tokio::test]
async fn plain_allows_leave_no_record_but_the_last_is_known() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 0, async |recorder| {
        for second in 0..5 {
            decide(recorder, decided(Reason::Allowed, Some(1)), second).await;
        }
        assert_eq!(recorder.last_allows(&alice())[0].time, at(4));
        assert_eq!(recorder.counts().waiting, 0, "nothing was put in the channel");
    })
    .await;
    assert!(of(dir.path(), Kind::Decision).is_empty());

    // It survives a restart, and enters the chain when the person is revoked.
    session(dir.path(), 200, async |recorder| {
        let revocation = Revocation {
            id: None,
            target: Target::DirectoryPerson { person: alice() },
            shape: Shape::Block,
            reason: "departed".into(),
            owner: Owner::Source("hr".into()),
            actor: "hr".into(),
            effective: at(199),
            expires: None,
            persons: vec![],
            by_rule: false,
        };
        let new = NewEvent { time: at(200), happened: None, id: None, event: Event::Revoked(revocation) };
        recorder.enforced(&Recorded { position: 8, new }, 1, at(200), None).await.unwrap();
    })
    .await;
    let last = of(dir.path(), Kind::LastAllow);
    assert_eq!((last[0].person.clone(), last[0].since), (Some(alice()), Some(at(4))));
    let revoked = of(dir.path(), Kind::Revocation);
    assert_eq!(revoked[0].target.as_deref(), Some("r8 block on person hr/alice"));
    assert_eq!(revoked[0].epoch, Some(Epoch { generation: 1, position: 8 }));
}

#[tokio::test]
async fn notable_allows_are_recorded_once_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 0, async |recorder| {
        for second in 0..4 {
            decide(recorder, Decision { notable: true, ..decided(Reason::Allowed, Some(1)) }, second).await;
        }
    })
    .await;
    let found: Vec<_> = of(dir.path(), Kind::Decision).iter().map(|r| (r.decision.clone().unwrap(), r.count)).collect();
    assert_eq!(found, [("allow".to_owned(), None), ("allow".to_owned(), Some(3))]);
}

#[tokio::test]
async fn observed_denials_say_so() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 0, async |recorder| {
        let observed = Decision {
            enforcement: Enforcement::Observe,
            determining: Determining::Revocation(RevocationId::of_position(3)),
            ..decided(Reason::RevokedPerson, Some(1))
        };
        decide(recorder, observed, 0).await;
        assert_eq!(recorder.last_allows(&alice()).len(), 1, "the request went on");
    })
    .await;
    let record = &of(dir.path(), Kind::Decision)[0];
    assert_eq!(record.decision.as_deref(), Some("observed_deny"));
    assert_eq!(record.target.as_deref(), Some("revocation r3"));
}

#[tokio::test]
async fn all_adds_every_decision_and_a_sample_adds_its_share() {
    for (decisions, least, most) in [(Decisions::All, 1000, 1000), (Decisions::Sampled(0.1), 90, 110)] {
        let dir = tempfile::tempdir().unwrap();
        let options = options_with(dir.path(), decisions, 400);
        let (recorder, writer) = open(options, now(0)).unwrap();
        for _ in 0..1000 {
            decide(&recorder, decided(Reason::Allowed, Some(1)), 0).await;
        }
        drop(recorder);
        std::thread::spawn(move || writer.run()).join().unwrap().unwrap();
        let found = of(dir.path(), Kind::Decision).len();
        assert!((least..=most).contains(&found), "{decisions:?}: {found}");
    }
}

#[tokio::test]
async fn a_full_channel_loses_samples_but_no_denial() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = open(options_with(dir.path(), Decisions::All, 400), now(0)).unwrap();
    for _ in 0..WAITING + 3 {
        decide(&recorder, decided(Reason::Allowed, Some(1)), 0).await;
    }
    assert_eq!(recorder.counts().lost, 3);
    recorder.set_decisions(Decisions::Denied);
    decide(&recorder, decided(Reason::RevokedPerson, Some(9)), 1).await;
    assert_eq!(recorder.counts().lost, 3, "it is counted with the next sum");
    drop(recorder);
    std::thread::spawn(move || writer.run()).join().unwrap().unwrap();
    let denied: Vec<_> = of(dir.path(), Kind::Decision).into_iter().filter(|r| r.count.is_some()).collect();
    assert_eq!((denied.len(), denied[0].count), (1, Some(1)));
    assert_eq!(of(dir.path(), Kind::Lost)[0].count, Some(3));
    assert_eq!(verify(dir.path()).unwrap().lost, 3);
}

#[tokio::test]
async fn a_disk_that_refuses_is_counted_and_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Arc::new(Shared::new([7; 32], 1, Decisions::Denied));
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    let recorder = Recorder::new(shared.clone(), sender);
    let full = fs::OpenOptions::new().append(true).open("/dev/full").unwrap();
    let lock = files::lock(dir.path()).unwrap();
    let resumed =
        Resumed { lock, head: Head::default(), audited: None, day: "2026-03-01".into(), file: full, length: 0 };
    let writer = TrailWriter::new((options(dir.path()).settings, "r-0".to_owned()), resumed, shared, receiver, now(0));
    let thread = std::thread::spawn(move || writer.run());
    reload(&recorder, 1, "one").await;
    reload(&recorder, 2, "two").await;
    recorder.close(now(3)).await;
    assert!(thread.join().unwrap().is_err(), "the end was not written");
    let counts = recorder.counts();
    assert_eq!(counts.records, 0);
    assert!(counts.failures > 0);
    assert_eq!(counts.lost, 3, "two and `stop`");
    assert_eq!(reload_result(&recorder).await, Err(Stopped));
    assert_eq!(recorder.counts().lost, 4);
    decide(&recorder, decided(Reason::RevokedPerson, Some(1)), 4).await;
    assert_eq!(recorder.counts().lost, 5, "nobody will write it");
}

async fn reload_result(recorder: &Recorder) -> Result<(), Stopped> {
    recorder.record(Entry::new(Kind::Reload, at(4))).await
}

#[tokio::test]
async fn nothing_secret_and_no_control_character_gets_into_a_line() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), 0, async |recorder| {
        let id = recorder.draw_id();
        let facts =
            Facts { id, time: at(0), method: "GET\r\n", path: "/a\n{\"seq\":9}\u{0}?token=hunter2#x", address: None };
        recorder.decision(&Arc::new(decided(Reason::NoPermission, Some(0xAB))), facts);
    })
    .await;
    let text = fs::read_to_string(&files::list(dir.path()).unwrap()[0]).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(!text.contains("hunter2") && !text.contains(&"ab".repeat(32)), "{text}");
    assert!(text.bytes().all(|byte| byte == b'\n' || byte >= b' '), "{text}");
    assert_eq!(verify(dir.path()).unwrap().broken, None);
}
