//! Tests of the writer and of what decisions make of its work.

mod backwards;
mod conflict;
mod followed;
mod guard;
mod in_steps;
mod listings;
mod named;
mod names;
mod once;
mod owners;
mod passed_on;
mod role;
mod unsettled;
mod upgrade;
mod volatile;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::corp::{ISSUER, at, configured, person, policy};
use crate::decide::decide;
use crate::domain::command::{Observation, RevokeRequest, WhenAmbiguous, WhenUnknown, WriterHandle};
use crate::domain::credential::{CredentialKind, CredentialOutcome, Identity, LinkKeys, Principal, Verified};
use crate::domain::event::{EventFormat, Position, Recorded};
use crate::domain::id::RevocationId;
use crate::domain::key::{Key, KeyKind, Keyer, LinkKey, NameKey};
use crate::domain::name::Compare;
use crate::domain::person::{Person, Status};
use crate::domain::reason::Reason;
use crate::domain::revocation::{Shape, Target, TargetKind};
use crate::domain::source::Link;
use crate::domain::time::Now;
use crate::log::memory::Memory;
use crate::request::Request;
use crate::state::revocations::EntryKind;
use crate::state::snapshot;

struct Silent;

impl EventObserver for Silent {
    fn enforced(&self, _: &Recorded, _: &[Key], _: Around<'_>) {}

    fn store_failed(&self, _: &str) {}
}

fn token(keyer: &Keyer, subject: &str, issued: Now) -> CredentialOutcome {
    let link = LinkKeys {
        source: 0,
        person: LinkKey::of(keyer, "hr", "id", (Compare::Exact, subject)),
        claim: [keyer.key(KeyKind::LinkClaim, &[ISSUER, "sub", subject]); 2],
        link: 0,
        value: subject.into(),
    };
    let name = format!("{ISSUER}|{subject}");
    let owner = Principal {
        look_ups: vec![
            (TargetKind::Subject, keyer.key(KeyKind::Subject, &[ISSUER, subject])),
            (TargetKind::Session, keyer.key(KeyKind::Session, &[ISSUER, "s1"])),
        ],
        names: NameKey::of(keyer, Compare::Exact, &name).collect(),
        links: vec![link],
        retired: vec![],
    };
    CredentialOutcome::Verified(Arc::new(Verified::attest(Identity {
        kind: CredentialKind::Bearer,
        digest: [0; 32],
        issuer_index: 0,
        issuer: ISSUER.into(),
        subject: Some(subject.into()),
        session: Some("s1".into()),
        token_id: None,
        client: None,
        client_key: None,
        audiences: vec![],
        key_id: None,
        beside_audiences: None,
        required_audiences: None,
        issued: Some(issued.wall),
        not_before: None,
        expires: None,
        leeway: Duration::from_secs(30),
        machine: false,
        groups: vec![],
        flaw: None,
        detail: None,
        owner,
        actors: vec![],
    })))
}

/// What an operator asks for who revokes this.
fn asked(target: Target) -> RevokeRequest {
    RevokeRequest {
        target,
        shape: Shape::Block,
        reason: "left".into(),
        actor: "ops".into(),
        effective: None,
        expires: None,
        when_unknown: WhenUnknown::DenyName,
        when_ambiguous: WhenAmbiguous::Refuse,
    }
}

struct Bench {
    log: Arc<Memory>,
    keyer: Keyer,
    writer: WriterHandle,
    published: Arc<Published>,
}

impl Bench {
    /// A writer on an empty log, with alice and bob in the people file.
    async fn start() -> Self {
        let bench = Self::over(Arc::new(Memory::default()), policy()).await;
        bench.list(&[person("alice", Status::Active), person("bob", Status::Active)], at(0)).await.unwrap();
        bench
    }

    async fn over(log: Arc<Memory>, policy: Policy) -> Self {
        Self::writing_to(log, policy, EventFormat::default()).await
    }

    async fn writing_to(log: Arc<Memory>, policy: Policy, format: EventFormat) -> Self {
        Self::of(WriterIdentity::alone("test", Ids::from_system().unwrap()).writing(format), log, policy).await
    }

    async fn of(identity: WriterIdentity, log: Arc<Memory>, policy: Policy) -> Self {
        Self::with(identity, Box::new(Silent), log, policy).await
    }

    async fn observed(observer: Box<dyn EventObserver>, log: Arc<Memory>, policy: Policy) -> Self {
        Self::with(WriterIdentity::alone("test", Ids::from_system().unwrap()), observer, log, policy).await
    }

    async fn with(
        identity: WriterIdentity,
        observer: Box<dyn EventObserver>,
        log: Arc<Memory>,
        policy: Policy,
    ) -> Self {
        let keyer = Keyer::new([1; 16]);
        let fold = replay(log.as_ref(), keyer.clone()).await.unwrap();
        let (writer_loop, published) = Writer::new(Arc::clone(&log), fold, Arc::new(policy), vec![observer], identity);
        let (writer, envelopes) = WriterHandle::new();
        #[expect(clippy::disallowed_methods, reason = "a test owns its tasks")]
        tokio::spawn(writer_loop.run(envelopes, std::future::pending()));
        Self { log, keyer, writer, published }
    }

    async fn list(&self, people: &[Person], now: Now) -> Result<Done, Refused> {
        let listing =
            Observation::Listing { source: "hr".into(), people: people.to_vec(), complete: true, at: now.wall };
        self.writer.ask(Command::Observe(listing), now).await
    }

    async fn revoke(&self, target: Target, now: Now) -> Result<Done, Refused> {
        self.writer.ask(Command::Revoke(asked(target)), now).await
    }

    /// Name of what stands of a target.
    fn standing(&self, target: &Target) -> RevocationId {
        let fold = &self.published.load().fold;
        let mut under = fold.revocations.under(target.key(&fold.keyer)).iter();
        under.find(|entry| entry.effect != EntryKind::ResidualCutoff).expect("something stands").id
    }

    async fn restore(&self, id: RevocationId, now: Now) -> Result<Done, Refused> {
        let command = Command::Restore { id, reason: "back".into(), actor: "ops".into() };
        self.writer.ask(command, now).await
    }

    async fn configure(&self, policy: Policy, now: Now) -> Result<Done, Refused> {
        self.writer.ask(Command::Configure(Arc::new(policy)), now).await
    }

    fn ask(&self, subject: &str, issued: Now, now: Now) -> Reason {
        let shown = [token(&self.keyer, subject, issued)];
        decide(&self.published.load(), &Request::default(), &shown, now).reason
    }

    /// The fold of the log from its very beginning has the digest of the one in force.
    async fn folds_agree(&self) {
        let live = self.published.snapshot().fold.digest();
        let anew = replay(&self.log.without_snapshot(), self.keyer.clone()).await.unwrap().fold;
        assert_eq!(anew.digest(), live);
        let bytes = snapshot::write(&anew).unwrap();
        let kept = snapshot::read(&bytes, self.keyer.clone()).unwrap();
        assert_eq!(kept.digest(), live, "and so has its snapshot");
        for kind in TargetKind::ALL {
            assert_eq!(kept.live(kind), anew.live(kind), "{kind:?}: counted at once and one by one");
        }
    }
}

fn session(name: &str) -> Target {
    Target::Session { issuer: ISSUER.into(), session: name.into() }
}

fn alice() -> Target {
    Target::Person { reference: "Alice@example.com".into() }
}

#[tokio::test]
async fn an_acknowledged_revocation_is_enforced_and_a_restored_one_leaves_a_cut_off() {
    let bench = Bench::start().await;
    assert_eq!(bench.ask("alice", at(1), at(2)), Reason::Allowed);
    let done = bench.revoke(alice(), at(3)).await.unwrap();
    assert_eq!(done.persons, vec![person("alice", Status::Active).id]);
    assert_eq!(bench.ask("alice", at(1), at(3)), Reason::RevokedPerson);
    assert_eq!(bench.ask("bob", at(1), at(3)), Reason::Allowed);
    bench.restore(done.revocation.unwrap(), at(10)).await.unwrap();
    assert_eq!(bench.ask("alice", at(10), at(11)), Reason::IssuedBeforeCutoff);
    assert_eq!(bench.ask("alice", at(11), at(11)), Reason::Allowed);
    assert_eq!(bench.restore(done.revocation.unwrap(), at(12)).await, Err(Refused::NotFound(done.revocation.unwrap())));
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_restored_session_is_simply_lifted() {
    let bench = Bench::start().await;
    let session = Target::Session { issuer: "corp".into(), session: "s1".into() };
    let done = bench.revoke(session, at(3)).await.unwrap();
    assert_eq!(bench.ask("alice", at(1), at(4)), Reason::RevokedSession, "an issuer may be given by its name");
    bench.restore(done.revocation.unwrap(), at(5)).await.unwrap();
    assert_eq!(bench.ask("alice", at(1), at(6)), Reason::Allowed);
    bench.folds_agree().await;
}

#[tokio::test]
async fn who_leaves_the_file_is_out_and_who_comes_back_needs_a_new_token() {
    let bench = Bench::start().await;
    bench.list(&[person("alice", Status::Suspended), person("bob", Status::Active)], at(5)).await.unwrap();
    assert_eq!(bench.ask("alice", at(1), at(6)), Reason::RevokedPerson);
    bench.list(&[person("alice", Status::Active)], at(10)).await.unwrap();
    assert_eq!(bench.ask("alice", at(10), at(11)), Reason::IssuedBeforeCutoff);
    assert_eq!(bench.ask("alice", at(11), at(12)), Reason::Allowed);
    assert_eq!(bench.ask("bob", at(1), at(12)), Reason::RevokedPerson, "absent from a full listing is departed");
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_ref_means_whom_it_resolved_to_and_whoever_takes_the_name() {
    let bench = Bench::start().await;
    bench.revoke(alice(), at(3)).await.unwrap();
    let mut renamed = person("alice", Status::Active);
    renamed.email = Some("a.smith@example.com".into());
    let mut carol = person("carol", Status::Active);
    carol.email = Some("alice@example.com".into());
    bench.list(&[renamed.clone(), person("bob", Status::Active), carol.clone()], at(5)).await.unwrap();
    assert_eq!(bench.ask("alice", at(6), at(6)), Reason::RevokedPerson, "she, by another name");
    assert_eq!(bench.ask("carol", at(6), at(6)), Reason::RevokedPerson, "the name, by another holder");
    carol.email = None;
    bench.list(&[renamed, person("bob", Status::Active), carol], at(7)).await.unwrap();
    assert_eq!(bench.ask("carol", at(8), at(8)), Reason::RevokedPerson, "whom it meant once it means still");
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_source_and_an_operator_each_end_only_their_own() {
    let bench = Bench::start().await;
    let done = bench.revoke(alice(), at(3)).await.unwrap();
    bench.list(&[person("alice", Status::Suspended), person("bob", Status::Active)], at(4)).await.unwrap();
    bench.list(&[person("alice", Status::Active), person("bob", Status::Active)], at(5)).await.unwrap();
    assert_eq!(bench.ask("alice", at(6), at(6)), Reason::RevokedPerson);
    bench.restore(done.revocation.unwrap(), at(7)).await.unwrap();
    let suspended = [person("alice", Status::Suspended), person("bob", Status::Active)];
    bench.list(&suspended, at(8)).await.unwrap();
    let by_source = bench.standing(&Target::DirectoryPerson { person: suspended[0].id.clone() });
    let refused = bench.restore(by_source, at(9)).await;
    assert!(matches!(refused, Err(Refused::NotYours { .. })), "{refused:?}");
    let mut without = policy();
    without.sources.clear();
    bench.configure(without, at(10)).await.unwrap();
    bench.restore(by_source, at(11)).await.unwrap();
}

#[tokio::test]
async fn a_future_revocation_denies_by_itself_and_an_expired_one_ends_by_an_event() {
    let bench = Bench::start().await;
    let request = RevokeRequest {
        target: alice(),
        shape: Shape::Block,
        reason: "leaves friday".into(),
        actor: "ops".into(),
        effective: Some(at(100).wall),
        expires: Some(at(200).wall),
        when_unknown: WhenUnknown::DenyName,
        when_ambiguous: WhenAmbiguous::Refuse,
    };
    bench.writer.ask(Command::Revoke(request), at(3)).await.unwrap();
    assert_eq!(bench.ask("alice", at(1), at(99)), Reason::Allowed);
    assert_eq!(bench.ask("alice", at(1), at(100)), Reason::RevokedPerson);
    let back = Now { wall: at(50).wall, steady: at(100).wall };
    assert_eq!(bench.ask("alice", at(1), back), Reason::RevokedPerson, "a clock set back weakens nothing");
    assert_eq!(bench.ask("alice", at(1), at(201)), Reason::RevokedPerson, "only an event ends it");
    bench.writer.ask(Command::Tick, at(201)).await.unwrap();
    assert_eq!(bench.ask("alice", at(200), at(201)), Reason::IssuedBeforeCutoff);
    assert_eq!(bench.ask("alice", at(201), at(201)), Reason::Allowed);
    bench.folds_agree().await;
}

#[tokio::test]
async fn what_the_configuration_revokes_stands_until_a_configuration_says_otherwise() {
    let bench = Bench::start().await;
    let mut with = policy();
    with.revocations = Some(vec![configured(alice())]);
    let mut without = policy();
    without.revocations = Some(vec![]);

    bench.configure(with.clone(), at(3)).await.unwrap();
    assert_eq!(bench.ask("alice", at(1), at(3)), Reason::RevokedPerson);
    let Err(Refused::NotYours { advice, .. }) = bench.restore(bench.standing(&alice()), at(4)).await else { panic!() };
    assert!(advice.contains("offboard.yaml:9"), "{advice}");
    bench.configure(policy(), at(5)).await.unwrap();
    assert_eq!(bench.ask("alice", at(5), at(5)), Reason::RevokedPerson, "without the key all that stood stays");
    let again = Bench::over(Arc::clone(&bench.log), policy()).await;
    assert_eq!(again.ask("alice", at(5), at(5)), Reason::RevokedPerson, "across a restart too");
    bench.configure(without, at(6)).await.unwrap();
    assert_eq!(bench.ask("alice", at(6), at(7)), Reason::IssuedBeforeCutoff);
    assert_eq!(bench.ask("alice", at(7), at(7)), Reason::Allowed);
    bench.folds_agree().await;
}

#[tokio::test]
async fn what_the_log_does_not_take_is_not_acknowledged_but_configured_revocations_deny_all_the_same() {
    let bench = Bench::start().await;
    bench.log.refuses.store(true, std::sync::atomic::Ordering::Release);
    assert!(matches!(bench.revoke(alice(), at(3)).await, Err(Refused::Log(_))));
    assert_eq!(bench.ask("alice", at(1), at(3)), Reason::Allowed, "nothing was changed");
    let mut with = policy();
    with.revocations = Some(vec![configured(alice())]);
    assert!(bench.configure(with, at(4)).await.is_err());
    assert_eq!(bench.ask("alice", at(1), at(4)), Reason::RevokedPerson);
}

#[tokio::test]
async fn break_glass_lifts_what_a_source_says_and_nothing_else() {
    let bench = Bench::start().await;
    bench.list(&[person("alice", Status::Suspended), person("bob", Status::Active)], at(3)).await.unwrap();
    let exempt = |expires: Now| Command::Exempt {
        reference: "alice".into(),
        expires: expires.wall,
        reason: "directory is wrong".into(),
        actor: "ops".into(),
    };
    assert!(bench.writer.ask(exempt(at(9 * 3600)), at(4)).await.is_err(), "longer than exemptions.max");
    bench.writer.ask(exempt(at(100)), at(4)).await.unwrap();
    assert_eq!(bench.ask("alice", at(1), at(5)), Reason::Exempted);
    assert_eq!(bench.ask("alice", at(1), at(100)), Reason::RevokedPerson, "it ends by itself");
    let done = bench.revoke(alice(), at(6)).await.unwrap();
    assert_eq!(bench.ask("alice", at(1), at(7)), Reason::RevokedPerson, "never an operator's");
    bench.restore(done.revocation.unwrap(), at(8)).await.unwrap();
    bench.writer.ask(Command::Tick, at(101)).await.unwrap();
    assert!(bench.published.snapshot().fold.exemptions.is_empty());
    bench.folds_agree().await;
}

#[tokio::test]
async fn an_identifier_that_passes_to_another_is_cut_off() {
    let mut by_email = policy();
    by_email.sources[0].link = vec![Link { claim: "email".into(), attribute: "email".into() }];
    let bench = Bench::over(Arc::new(Memory::default()), by_email).await;
    bench.list(&[person("alice", Status::Active), person("bob", Status::Active)], at(0)).await.unwrap();
    let mut renamed = person("alice", Status::Active);
    renamed.email = Some("a.smith@example.com".into());
    bench.list(&[renamed, person("bob", Status::Active)], at(10)).await.unwrap();
    let key = bench.keyer.key(KeyKind::LinkClaim, &[ISSUER, "email", "alice@example.com"]);
    let state = bench.published.snapshot();
    let [entry] = state.fold.revocations.under(key) else { panic!("no cut-off") };
    assert_eq!(entry.at, at(15).wall, "five seconds of skew, for we dated it ourselves");
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_stop_keeps_a_snapshot_from_which_the_next_start_goes_on() {
    let Bench { log, keyer, writer, .. } = Bench::start().await;
    assert_eq!(replay(log.as_ref(), keyer.clone()).await.unwrap().kept, 0, "none yet");
    let head = log.head().await.unwrap();
    drop(writer);
    let kept = loop {
        let replayed = replay(log.as_ref(), keyer.clone()).await.unwrap();
        if replayed.kept > 0 {
            break replayed;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((kept.kept, kept.fold.epoch), (head.position, head));
}
