//! Random histories of events, checks, restarts, reloads and clock steps: after every step the answers are those of the
//! reference ([`crate::model`]), and the state in force, the one made from the empty log, and the one made from a
//! snapshot and what came after it have the same digest.

use std::collections::{BTreeMap, BTreeSet};

use offboard::domain::command::{Command, Observation, RevokeRequest};
use offboard::domain::id::RevocationId;
use offboard::domain::person::Person;
use offboard::domain::policy::Policy;
use offboard::domain::revocation::{Shape, Target};
use offboard::domain::time::{Now, Timestamp};
use offboard::state::snapshot;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::json;

use crate::corp::{self, ISSUER, configured};
use crate::laws::world::{InMemory, OnDisk, Store, World, person, request, suspended};
use crate::model::{About, By, Clocks, Model, Token};

const NAMES: [&str; 3] = ["alice", "bob", "carol"];
/// What each is called beside: the first two share a name.
const CALLED: [[&str; 2]; 3] = [["Desk", "A. Li"], ["DESK", "B\u{f6}b"], ["Caro", "C\u{f4}"]];
/// How people write them: an address, the address in capitals, a second name in another spelling.
const SPELT: [[&str; 3]; 3] = [
    ["alice@example.com", "ALICE@Example.com", "a. LI"],
    ["bob@example.com", "Bob@EXAMPLE.com", "bo\u{308}B"],
    ["carol@example.com", "CAROL@example.COM", "CO\u{302}"],
];

/// One step. Times are seconds from now on.
#[derive(Clone, Debug)]
enum Step {
    Revoke {
        about: About,
        cut_off: Option<i64>,
        effective: Option<i64>,
        expires: Option<i64>,
        spelling: usize,
    },
    Restore(prop::sample::Index),
    Undo(prop::sample::Index),
    /// An event of the source, which may come twice: `id` tells whom it is about and what it says.
    Event(u8),
    List {
        listed: [Option<bool>; 3],
        complete: bool,
    },
    Exempt {
        who: usize,
        until: i64,
    },
    Configure(Option<BTreeSet<About>>),
    Restart,
    Advance(i64),
    /// The wall clock is set back by so much, or forward again.
    Set(i64),
}

fn about() -> impl Strategy<Value = About> {
    prop_oneof![
        4 => (0..3_usize).prop_map(About::Person),
        2 => Just(About::Shared),
        2 => (0..3_usize).prop_map(About::Subject),
        2 => (0..2_usize).prop_map(About::Session),
        1 => Just(About::Issuer),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let soon = || prop::option::of(-30..60_i64);
    let configured = prop::option::of(prop::collection::btree_set(about(), 0..3));
    prop_oneof![
        4 => (about(), soon(), soon(), soon(), 0..3_usize).prop_map(|(about, cut_off, effective, expires, spelling)| {
            Step::Revoke { about, cut_off, effective, expires, spelling }
        }),
        4 => any::<prop::sample::Index>().prop_map(Step::Restore),
        2 => any::<prop::sample::Index>().prop_map(Step::Undo),
        4 => (0..30_u8).prop_map(Step::Event),
        4 => (any::<[Option<bool>; 3]>(), any::<bool>()).prop_map(|(listed, complete)| Step::List { listed, complete }),
        2 => (0..3_usize, 1..200_i64).prop_map(|(who, until)| Step::Exempt { who, until }),
        2 => configured.prop_map(Step::Configure),
        1 => Just(Step::Restart),
        6 => (1..40_i64).prop_map(Step::Advance),
        1 => (0..100_i64).prop_map(Step::Set),
    ]
}

fn target(about: About, spelling: usize) -> Target {
    let issuer = ISSUER.to_owned();
    match about {
        About::Person(who) => Target::Person { reference: SPELT[who][spelling].into() },
        About::Shared => Target::Person { reference: ["desk", "Desk", "dESK"][spelling].into() },
        About::Subject(who) => Target::Subject { issuer, subject: NAMES[who].into() },
        About::Session(session) => Target::Session { issuer, session: format!("s{session}") },
        About::Issuer => Target::Issuer { issuer },
    }
}

fn record(who: usize, active: bool) -> Person {
    let mut person = if active { person(NAMES[who]) } else { suspended(NAMES[who]) };
    person.set_values("username", CALLED[who].map(str::to_owned));
    person
}

/// The real one, the reference, and their clocks.
struct Both<S: Store> {
    real: World<S>,
    model: Model,
    /// Ids of the model's revocations by operators.
    ids: BTreeMap<usize, RevocationId>,
    /// What was asked for each of them, and when.
    asked: BTreeMap<usize, (RevokeRequest, i64)>,
    policy: Policy,
    wall: i64,
    steady: i64,
}

impl<S: Store> Both<S> {
    async fn start() -> Self {
        let (policy, ids, asked) = (corp::policy(), BTreeMap::new(), BTreeMap::new());
        let mut real = World::empty(S::new(), policy.clone()).await;
        real.configure(policy.clone(), corp::at(0)).await.unwrap();
        real.list(&[0, 1, 2].map(|who| record(who, true)), corp::at(0)).await.unwrap();
        Self { real, model: Model::default(), ids, asked, policy, wall: 100, steady: 100 }
    }

    fn clocks(&self) -> Clocks {
        Clocks { wall: self.wall, steady: self.steady }
    }

    fn now(&self) -> Now {
        Now { wall: time(self.wall), steady: time(self.steady) }
    }

    async fn take(mut self, step: &Step) -> Result<Self, TestCaseError> {
        let (clocks, now) = (self.clocks(), self.now());
        match step {
            Step::Revoke { about, cut_off, effective, expires, spelling } => {
                self.revoke((*about, *spelling), *cut_off, *effective, *expires).await?;
            }
            Step::Restore(index) if !self.model.rules.is_empty() => {
                let index = index.index(self.model.rules.len());
                let Some(id) = self.ids.get(&index).copied() else { return Ok(self) };
                let taken = self.real.restore(id, now).await.is_ok();
                prop_assert_eq!(taken, self.model.restore(index, clocks), "restore r{}", id);
            }
            Step::Undo(index) if !self.model.rules.is_empty() => {
                let index = index.index(self.model.rules.len());
                let Some(id) = self.ids.get(&index).copied() else { return Ok(self) };
                let undo = Command::Undo { id, reason: "wrong".into(), actor: "ops".into() };
                let taken = self.real.writer.ask(undo, now).await.is_ok();
                prop_assert_eq!(taken, self.model.undo(index), "undo r{}", id);
            }
            Step::Event(id) => {
                let (who, active) = (usize::from(id % 3), id % 2 == 0);
                let (person, event_id) = (record(who, active), Some(format!("e{id}")));
                let change = Observation::Change { person, at: None, event_id };
                self.real.writer.ask(Command::Observe(change), now).await.unwrap();
                self.model.event(*id, who, active, clocks);
            }
            Step::List { listed, complete } => {
                let listing: Vec<Person> =
                    (0..3).filter_map(|who| listed[who].map(|active| record(who, active))).collect();
                let taken = self.real.observe(&listing, *complete, now).await.is_ok();
                prop_assert_eq!(taken, self.model.list(*listed, *complete, clocks), "whether the listing is taken");
            }
            Step::Exempt { who, until } => {
                let expires = Now::at(time(self.wall + until));
                let taken = self.real.exempt(NAMES[*who], expires, now).await.is_ok();
                let expected = self.wall + until > self.steady && !self.model.blocked(*who, clocks);
                prop_assert_eq!(taken, expected, "it is over before it begins, or an exemption would not help");
                if taken {
                    self.model.exempted[*who] = self.wall + until;
                }
            }
            Step::Configure(list) => self.configure(list.as_ref()).await,
            Step::Restart => self.real = self.real.restart(self.policy.clone()).await,
            Step::Restore(_) | Step::Undo(_) | Step::Advance(_) | Step::Set(_) => {}
        }
        if let Step::Advance(seconds) = step {
            self.wall += seconds;
            self.steady = self.steady.max(self.wall);
            self.real.tick(self.now()).await;
            self.model.tick(self.clocks());
        }
        if let Step::Set(back) = step {
            self.wall = self.steady - back;
        }
        Ok(self)
    }

    async fn revoke(
        &mut self,
        (about, spelling): (About, usize),
        cut_off: Option<i64>,
        effective: Option<i64>,
        expires: Option<i64>,
    ) -> Result<(), TestCaseError> {
        let later = |seconds: i64| self.wall + seconds;
        let (cut_off, effective, expires) = (cut_off.map(later), effective.map(later), expires.map(later));
        let asked = RevokeRequest {
            shape: cut_off.map_or(Shape::Block, |at| Shape::CutOff { at: time(at) }),
            effective: effective.map(time),
            expires: expires.map(time),
            ..request(target(about, spelling))
        };
        let taken = self.real.writer.ask(Command::Revoke(asked.clone()), self.now()).await;
        let effective = effective.unwrap_or(self.wall);
        let pointless = expires.is_some_and(|expires| expires <= self.steady || expires <= effective);
        let refused = pointless || !self.model.means_one(about);
        prop_assert_eq!(taken.is_err(), refused, "it ends before it begins, or may mean either of two");
        if let Ok(done) = taken {
            let same = self.standing(&asked);
            if let Some(stood) = done.stood.first() {
                prop_assert!(same.contains(&stood.id), "what stood already is what was asked for: {:?}", asked);
                return Ok(());
            }
            // Whom a shared name means may have changed meanwhile.
            prop_assert!(same.is_empty() || about == About::Shared, "the same twice is one: {:?}", asked);
            self.ids.insert(self.model.rules.len(), done.revocation.unwrap());
            self.asked.insert(self.model.rules.len(), (asked, self.wall));
            self.model.revoke(about, cut_off, By::Operator, effective, expires);
        }
        Ok(())
    }

    /// What stands and is what is asked for: also in force by now, if it is to be so from now on.
    fn standing(&self, asked: &RevokeRequest) -> Vec<RevocationId> {
        let begins = |effective: i64, made: i64| match asked.effective {
            Some(wanted) => wanted == time(effective),
            None => effective == made && effective <= self.wall.min(self.steady),
        };
        let same = self.asked.iter().filter(|(index, (before, made))| {
            let alike = RevokeRequest { effective: asked.effective, ..before.clone() } == *asked;
            alike && self.model.begins(**index).is_some_and(|effective| begins(effective, *made))
        });
        same.filter_map(|(index, _)| self.ids.get(index).copied()).collect()
    }

    async fn configure(&mut self, list: Option<&BTreeSet<About>>) {
        let entries = |list: &BTreeSet<About>| list.iter().map(|about| configured(target(*about, 1))).collect();
        self.policy = Policy { revocations: list.map(entries), ..corp::policy() };
        self.real.configure(self.policy.clone(), self.now()).await.unwrap();
        if let Some(list) = list {
            self.model.configure(list, self.clocks());
        }
    }

    /// Every kind of token, old, middling and new.
    async fn compare(&self) -> Result<(), TestCaseError> {
        for (who, name) in NAMES.into_iter().enumerate() {
            for session in 0..2 {
                for issued in [0, self.steady - 20, self.wall] {
                    let claims = json!({ "sub": name, "sid": format!("s{session}"),
                        "iat": time(issued).as_millis() / 1000 });
                    let found = self.real.check(&self.real.token_of(&claims), self.now()).await.reason;
                    let expected = self.model.check(Token { who, session, issued }, self.clocks());
                    prop_assert_eq!(found, expected, "{} s{} issued {}", name, session, issued);
                }
            }
        }
        let [live, anew, kept] = self.real.digests().await;
        prop_assert_eq!(&live, &anew, "the live state is that of the whole log");
        prop_assert_eq!(&kept, &anew, "and so is what a snapshot of it reads back to");
        Ok(())
    }
}

fn time(seconds: i64) -> Timestamp {
    corp::at(seconds).wall
}

async fn follow<S: Store>(history: &[Step]) -> Result<(), TestCaseError> {
    let mut both = Both::<S>::start().await;
    let early = snapshot::write(&both.real.published.snapshot().fold).unwrap();
    let mut taken = early;
    for (number, step) in history.iter().enumerate() {
        both = both.take(step).await?;
        both.compare().await.map_err(|error| TestCaseError::fail(format!("after step {number}: {error}")))?;
        let fold = snapshot::read(&taken, both.real.keyer.clone()).unwrap();
        let caught_up = both.real.refold(fold).await;
        prop_assert_eq!(
            caught_up.digest(),
            both.real.refold_digest().await,
            "snapshot and tail, after step {}",
            number
        );
        if number % 7 == 6 {
            taken = snapshot::write(&caught_up).unwrap();
        }
    }
    Ok(())
}

fn histories<S: Store>(cases: u32, steps: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let history = prop::collection::vec(step(), 1..steps);
    TestRunner::new(config).run(&history, |history| runtime.block_on(follow::<S>(&history))).unwrap();
}

#[test]
fn the_real_one_does_what_the_reference_does() {
    histories::<InMemory>(150, 40);
}

#[test]
fn and_on_sqlite() {
    histories::<OnDisk>(15, 40);
}
