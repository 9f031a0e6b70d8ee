//! What a reader is told, from which epoch on.

use super::*;
use crate::app::fixtures::writer_over;
use crate::corp::{ISSUER, at, person};
use crate::domain::command::{Command, Done, Observation, RevokeRequest, WhenAmbiguous, WhenUnknown, WriterHandle};
use crate::domain::id::RevocationId;
use crate::domain::person::Status;
use crate::domain::revocation::{Shape, Target};
use crate::log::memory::Memory;
use crate::log::{Cut, Snapshot};
use crate::state::snapshot;

struct Bench {
    log: Arc<Memory>,
    published: Arc<Published>,
    writer: WriterHandle,
}

fn session(name: &str) -> Target {
    Target::Session { issuer: ISSUER.into(), session: name.into() }
}

fn asked(target: Target) -> RevokeRequest {
    let (shape, reason, actor) = (Shape::Block, "HR-12".into(), "hr/olga".into());
    let (when_unknown, when_ambiguous) = (WhenUnknown::DenyName, WhenAmbiguous::Refuse);
    RevokeRequest { target, shape, reason, actor, effective: None, expires: None, when_unknown, when_ambiguous }
}

impl Bench {
    async fn start() -> Self {
        let log = Arc::new(Memory::default());
        let (writer, published) = writer_over(&log).await;
        Self { log, published, writer }
    }

    async fn ask(&self, command: Command) -> Done {
        self.writer.ask(command, at(5)).await.unwrap()
    }

    async fn revoke(&self, target: Target) -> RevocationId {
        self.ask(Command::Revoke(asked(target))).await.revocation.unwrap()
    }

    async fn restore(&self, id: RevocationId) {
        self.ask(Command::Restore { id, reason: "back".into(), actor: "hr/olga".into() }).await;
    }

    async fn list(&self, names: &[&str]) {
        let people = names.iter().map(|name| person(name, Status::Active)).collect();
        let listing = Observation::Listing { source: "hr".into(), people, complete: true, at: at(1).wall };
        self.ask(Command::Observe(listing)).await;
    }

    fn epoch(&self) -> Epoch {
        self.published.load().fold.epoch
    }

    fn watch(&self, since: Option<Epoch>) -> Watcher<Memory> {
        Watcher::new(Arc::clone(&self.log), Arc::clone(&self.published), since).unwrap()
    }

    async fn keep_snapshot(&self) {
        let fold = self.published.snapshot().fold.clone();
        let bytes = snapshot::write(&fold).unwrap();
        self.log.keep_snapshot(Snapshot { epoch: fold.epoch, bytes }).await.unwrap();
    }

    /// Cuts off everything so far, but for the records of these.
    async fn cut(&self, keep: &[RevocationId]) {
        let to = self.epoch().position;
        self.keep_snapshot().await;
        self.revoke(session("behind the cut")).await;
        self.keep_snapshot().await;
        let page = self.log.read(0, usize::MAX).await.unwrap();
        let named = page.iter().filter_map(|recorded| Some((recorded.position, recorded.revocation()?.0)));
        let keep = named.filter(|(_, id)| keep.contains(id)).collect();
        self.log.cut(Cut { to, keep, needless: vec![], ids_until: at(0).wall }).await.unwrap();
    }
}

/// What is told without waiting, up to what has this kind.
async fn told(watcher: &mut Watcher<Memory>, last: &str) -> Vec<Change> {
    let mut told = Vec::new();
    loop {
        let change = watcher.next().await.unwrap().unwrap();
        let is_last = change.kind == last;
        told.push(change);
        if is_last {
            return told;
        }
    }
}

fn kinds(changes: &[Change]) -> Vec<&str> {
    changes.iter().map(|change| change.standing.as_deref().unwrap_or(&change.kind)).collect()
}

fn at_epoch(epoch: Epoch) -> Option<crate::control::proto::Epoch> {
    change::epoch(epoch.generation, epoch.position)
}

#[tokio::test]
async fn changes_are_told_from_an_epoch_on_and_as_they_come() {
    let bench = Bench::start().await;
    bench.list(&["alice", "bob"]).await;
    let since = bench.epoch();
    let id = bench.revoke(session("s1")).await;
    let (mut from_then, mut from_now) = (bench.watch(Some(since)), bench.watch(None));
    assert_eq!(told(&mut from_now, "watching").await[0].epoch, at_epoch(bench.epoch()));
    let first = told(&mut from_then, "revoked").await;
    assert_eq!(kinds(&first), ["watching", "revoked"]);
    assert_eq!(first[0].epoch, at_epoch(since));
    let revoked = &first[1];
    assert_eq!((revoked.id.clone(), revoked.target_kind.as_deref()), (Some(id.to_string()), Some("session")));
    assert_eq!((revoked.actor.as_deref(), revoked.reason.as_deref()), (Some("hr/olga"), Some("HR-12")));
    assert_eq!((revoked.owner.as_deref(), revoked.shape.as_deref()), (Some("operator"), Some("block")));
    bench.restore(id).await;
    for watcher in [&mut from_then, &mut from_now] {
        let ended = told(watcher, "ended").await.pop().unwrap();
        assert_eq!((ended.cause.as_deref(), ended.left_cut_off), (Some("restored"), None));
        assert_eq!(ended.epoch, at_epoch(bench.epoch()));
    }
}

#[tokio::test]
async fn what_a_source_says_is_told_with_its_person() {
    let bench = Bench::start().await;
    let mut watcher = bench.watch(None);
    bench.list(&["alice", "bob"]).await;
    bench.list(&["alice"]).await;
    let changes = told(&mut watcher, "revoked").await;
    assert_eq!(kinds(&changes[..3]), ["watching", "person", "person"], "no heartbeat, no bookkeeping");
    assert_eq!(
        (changes[1].people.clone(), changes[1].status.as_deref()),
        (vec!["hr/alice".to_owned()], Some("active"))
    );
    let revoked = changes.last().unwrap();
    assert_eq!((revoked.people.clone(), revoked.source.as_deref()), (vec!["hr/bob".to_owned()], Some("hr")));
}

#[tokio::test]
async fn an_epoch_that_was_cut_off_is_answered_by_what_stands() {
    let bench = Bench::start().await;
    bench.list(&["alice", "bob"]).await;
    let alice = || Target::Person { reference: "alice@example.com".into() };
    let (standing, ended) = (bench.revoke(session("s1")).await, bench.revoke(alice()).await);
    let gone = bench.revoke(session("s2")).await;
    bench.restore(ended).await;
    bench.restore(gone).await;
    let bob = "bob".to_owned();
    let exempt = Command::Exempt { reference: bob, expires: at(99).wall, reason: "x".into(), actor: "ops".into() };
    bench.ask(exempt).await;
    bench.cut(&[standing, ended]).await;
    let older = Epoch { generation: 0, position: 0 };
    for since in [Epoch { position: 1, ..bench.epoch() }, older] {
        let mut watcher = bench.watch(Some(since));
        let changes = told(&mut watcher, "standing_complete").await;
        let expected = ["revoked", "cut_off", "revoked", "exempted", "person", "person", "standing_complete"];
        assert_eq!(kinds(&changes), expected, "{since}");
        assert!(changes[..6].iter().all(|change| change.kind == "standing" && change.time.is_none()));
        assert!(changes.iter().all(|change| change.epoch == at_epoch(bench.epoch())));
        let ids: Vec<_> = changes[1..3].iter().map(|change| change.id.clone().unwrap()).collect();
        assert_eq!(ids, [ended.to_string(), standing.to_string()], "newest first");
        assert!(changes[1].left_cut_off.is_some() && changes[2].left_cut_off.is_none());
        let later = bench.revoke(session(&format!("since {since}"))).await;
        assert_eq!(told(&mut watcher, "revoked").await[0].id, Some(later.to_string()), "and then the changes");
        bench.restore(later).await;
    }
}

#[tokio::test]
async fn an_epoch_that_is_still_to_come_is_refused() {
    let bench = Bench::start().await;
    let now = bench.epoch();
    for ahead in [Epoch { position: now.position + 1, ..now }, Epoch { generation: now.generation + 1, position: 0 }] {
        let refused = Watcher::new(Arc::clone(&bench.log), Arc::clone(&bench.published), Some(ahead)).err().unwrap();
        assert!(refused.contains(&format!("epoch {ahead} is not reached here")), "{refused}");
    }
}

#[tokio::test]
async fn a_slow_reader_holds_a_page_and_misses_nothing() {
    let bench = Bench::start().await;
    let mut watcher = bench.watch(None);
    told(&mut watcher, "watching").await;
    for part in 0..3 {
        let all = (0..1_000).map(|number| asked(session(&format!("{part}-{number}")))).collect();
        bench.ask(Command::RevokeAll(all)).await;
    }
    for number in 0..3_000 {
        let change = watcher.next().await.unwrap().unwrap();
        assert!(change.target.unwrap().ends_with(&format!("|{}-{}", number / 1_000, number % 1_000)));
        assert!(watcher.ready.len() <= PAGE);
    }
}
