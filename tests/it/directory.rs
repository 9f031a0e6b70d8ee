//! Random histories of a directory, told by events that are lost, doubled, late and out of order, and by listings in
//! pages: after the last listing the state is exactly what the directory says, and at no time is anybody let in whom
//! what was told of them had taken out.

mod bench;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use offboard::domain::command::Observation;
use offboard::domain::person::{Person, PersonId, Status};
use offboard::domain::reason::Reason;
use offboard::domain::time::Now;
use offboard::source::directory::{Changes, Directory, Finding, ListingOutcome};
use offboard::source::error::SourceError;
use offboard::source::page::{Page, PageToken};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use tokio::sync::Notify;

use crate::corp;
use crate::laws::world::{InMemory, Store, World};
use crate::support::polled::Polled;

const GROUPS: [&str; 3] = ["eng", "ops", "sales"];
/// Names that people come to share, each in several spellings.
const NAMES: [[&str; 3]; 3] =
    [["kim", "Kim", "KIM"], ["zo\u{eb}", "ZO\u{cb}", "zoe\u{308}"], ["a lee", "A Lee", "A LEE"]];
/// People on a page.
const PAGE: usize = 3;

/// Something that happens in the company. `who` is somebody who was there at some time.
#[derive(Clone, Debug)]
enum Act {
    Join,
    Leave(usize),
    Suspend(usize),
    Return(usize),
    Rename(usize),
    SwapEmails(usize, usize),
    /// The same human again, under a new id, with the old address.
    Rehire(usize),
    Move(usize, usize),
    /// They are called so from now on, each name in one of its spellings.
    Call(usize, Vec<(usize, usize)>),
}

/// What becomes of the event of an act.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Told,
    Lost,
    Doubled,
    /// Told behind what comes next.
    Late,
}

#[derive(Clone, Debug)]
enum Step {
    Act(Act, Fate),
    Poll,
    /// A full listing.
    List(Listing),
    Restart,
}

/// What is told of in the middle of a listing.
#[derive(Clone, Debug, Default)]
struct Listing {
    /// What happens between its pages.
    meanwhile: Vec<(Act, Fate)>,
    /// It is read from a copy that does not see that.
    behind: bool,
}

/// How a provider tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Events carry the record of their time, with its version (Okta).
    Versioned,
    /// Events name somebody, who is read again (Keycloak).
    ReadAgain,
}

/// What happened to somebody: their record then (nobody: deleted), and when.
type Event = (String, Option<Person>, i64);

/// The company, as its directory has it, and the events on their way.
#[derive(Debug)]
struct Company {
    style: Style,
    people: BTreeMap<String, Person>,
    /// Everybody who ever was there.
    ever: Vec<String>,
    events: VecDeque<Event>,
    late: Vec<Event>,
    /// Happens while a listing is read.
    meanwhile: VecDeque<(Act, Fate)>,
    /// What was told of each, by version: whether they are in.
    told: BTreeMap<String, (i64, bool)>,
    /// When each was last said to be out.
    out: BTreeMap<String, i64>,
    /// When somebody who is called so was last said to be out, by name.
    out_names: BTreeMap<usize, i64>,
    /// What the listing on its way says.
    listed: Vec<(Person, i64)>,
    /// The copy from which it is read, and of when that is.
    copy: Option<(BTreeMap<String, Person>, i64)>,
    /// A page was read.
    paged: Arc<Notify>,
    time: Arc<AtomicI64>,
}

impl Company {
    fn now(&self) -> i64 {
        self.time.load(Ordering::Relaxed)
    }

    fn name(&self, number: usize) -> Option<String> {
        self.ever.get(number.checked_rem(self.ever.len())?).cloned()
    }

    fn join(&mut self, email: Option<String>) -> String {
        let key = format!("p{}", self.ever.len());
        let email = email.or_else(|| Some(format!("{key}@example.com")));
        let groups = vec![GROUPS[self.ever.len() % 3].to_owned()];
        let person = Person { email, groups, ..corp::person(&key, Status::Active) };
        self.ever.push(key.clone());
        self.people.insert(key.clone(), person);
        key
    }

    /// Whom an act touches, once it is done.
    fn act(&mut self, act: &Act) -> Vec<String> {
        // No two things happen at the same time.
        self.time.fetch_add(2, Ordering::Relaxed);
        let status = |company: &mut Self, who: usize, status| {
            let key = company.name(who).filter(|key| company.people.contains_key(key));
            key.into_iter().inspect(|key| company.people.get_mut(key).unwrap().status = status).collect::<Vec<_>>()
        };
        let touched = match act {
            Act::Join => vec![self.join(None)],
            Act::Leave(who) => {
                let key = self.name(*who).filter(|_| self.people.len() > 2);
                key.into_iter().filter(|key| self.people.remove(key).is_some()).collect()
            }
            Act::Suspend(who) => status(self, *who, Status::Suspended),
            Act::Return(who) => status(self, *who, Status::Active),
            Act::Rename(who) => {
                let key = self.name(*who).filter(|key| self.people.contains_key(key));
                let email = Some(format!("n{}@example.com", self.now()));
                key.into_iter().inspect(|key| self.people.get_mut(key).unwrap().email = email.clone()).collect()
            }
            Act::SwapEmails(one, other) => {
                let both: Vec<String> = [one, other].into_iter().filter_map(|who| self.name(*who)).collect();
                let emails = both.iter().map(|key| self.people.get(key).map(|person| person.email.clone()));
                let Some(emails) = emails.collect::<Option<Vec<_>>>() else { return vec![] };
                for (key, email) in both.iter().zip(emails.into_iter().rev()) {
                    self.people.get_mut(key).unwrap().email = email;
                }
                both
            }
            Act::Rehire(who) => {
                let old = self.name(*who).and_then(|key| self.people.remove(&key).map(|person| (key, person.email)));
                let Some((old, email)) = old else { return vec![] };
                vec![old, self.join(email)]
            }
            Act::Move(who, group) => {
                let key = self.name(*who).filter(|key| self.people.contains_key(key));
                let groups = vec![GROUPS[group % 3].to_owned()];
                key.into_iter().inspect(|key| self.people.get_mut(key).unwrap().groups = groups.clone()).collect()
            }
            Act::Call(who, names) => {
                let key = self.name(*who).filter(|key| self.people.contains_key(key));
                let names = || names.iter().map(|(name, spelling)| NAMES[*name][*spelling].to_owned());
                let call = |key: &String| self.people.get_mut(key).unwrap().set_values("username", names());
                key.into_iter().inspect(call).collect()
            }
        };
        if self.style == Style::Versioned {
            let changed = Some(corp::at(self.now()).wall);
            touched.iter().for_each(|key| {
                self.people.entry(key.clone()).and_modify(|person| person.changed = changed);
            });
        }
        touched
    }

    fn happens(&mut self, act: &Act, fate: Fate) {
        for key in self.act(act) {
            let event = (key.clone(), self.people.get(&key).cloned(), self.now());
            match fate {
                Fate::Told => self.events.push_back(event),
                Fate::Doubled => self.events.extend([event.clone(), event]),
                Fate::Late => self.late.push(event),
                Fate::Lost => {}
            }
        }
    }

    /// What is told now of somebody, and when it was so.
    fn tell(&mut self, key: &str, person: Option<&Person>, version: i64) {
        let inside = person.is_some_and(|person| person.status == Status::Active);
        let told = self.told.entry(key.to_owned()).or_insert((version, inside));
        if version >= told.0 {
            *told = (version, inside);
            if let Some(person) = person.filter(|_| !inside) {
                let at = version.min(self.time.load(Ordering::Relaxed));
                for name in names(person) {
                    let out = self.out_names.entry(name).or_default();
                    *out = (*out).max(at);
                }
            }
        }
        if !inside {
            let out = self.out.entry(key.to_owned()).or_default();
            *out = (*out).max(version.min(self.time.load(Ordering::Relaxed)));
        }
    }
}

/// The numbers of the names that somebody has.
fn names(person: &Person) -> BTreeSet<usize> {
    let number = |name: &str| NAMES.iter().position(|spellings| spellings.contains(&name));
    person.values("username").filter_map(number).collect()
}

/// The provider's time of a record, or the time at which it is read.
fn version(person: &Person, now: i64) -> i64 {
    person.changed.map_or(now, |at| (at.as_millis() - corp::at(0).wall.as_millis()) / 1000)
}

/// The directory, as it is asked.
struct Asked(Arc<Mutex<Company>>);

#[async_trait::async_trait]
impl Directory for Asked {
    fn open(&mut self, _: Option<String>) {}

    async fn changes(&mut self) -> Result<Changes, SourceError> {
        let mut company = self.0.lock().unwrap();
        let now = company.now();
        let mut observations = Vec::new();
        for (key, told, at) in std::mem::take(&mut company.events) {
            let again = company.style == Style::ReadAgain;
            let person = if again { company.people.get(&key).cloned() } else { told };
            let then = match &person {
                Some(person) => version(person, now),
                // A deletion is final: nobody gets an id again.
                None => i64::MAX,
            };
            company.tell(&key, person.as_ref(), then);
            observations.push(match person {
                Some(person) => Observation::Change { person, at: None, event_id: None },
                None => Observation::Deleted {
                    person: PersonId { source: "hr".into(), key },
                    at: (!again).then(|| corp::at(at).wall),
                },
            });
        }
        let late = std::mem::take(&mut company.late);
        company.events.extend(late);
        Ok(Changes { observations, ..Changes::default() })
    }

    fn acknowledged(&mut self) {}

    async fn page(&mut self, token: Option<PageToken>) -> Result<Page, SourceError> {
        let mut company = self.0.lock().unwrap();
        let first = token.map_or(Ok(0), |token| token.read())?;
        let (people, now) = match &company.copy {
            Some((people, then)) => (people, *then),
            None => (&company.people, company.now()),
        };
        let people: Vec<Person> = people.values().skip(first).take(PAGE).cloned().collect();
        company.paged.notify_one();
        if first == 0 {
            company.listed.clear();
        }
        company.listed.extend(people.iter().map(|person| (person.clone(), version(person, now))));
        let next = (people.len() == PAGE).then_some(first + PAGE);
        let meanwhile = company.meanwhile.pop_front();
        if let Some((act, fate)) = meanwhile {
            company.happens(&act, fate);
        }
        Ok(Page::of(people, next))
    }

    fn listing_over(&mut self, _: ListingOutcome) {}

    async fn look_up(&mut self, attribute: &str, value: &str) -> Result<Option<Person>, SourceError> {
        assert_eq!(attribute, "id");
        let mut company = self.0.lock().unwrap();
        let (found, now) = (company.people.get(value).cloned(), company.now());
        company.listed.extend(found.clone().map(|person| (person.clone(), version(&person, now))));
        Ok(found)
    }

    async fn examine(&mut self) -> Vec<Finding> {
        vec![]
    }
}

fn act() -> impl Strategy<Value = Act> {
    let who = || 0..12_usize;
    prop_oneof![
        3 => Just(Act::Join),
        3 => who().prop_map(Act::Leave),
        4 => who().prop_map(Act::Suspend),
        4 => who().prop_map(Act::Return),
        2 => who().prop_map(Act::Rename),
        2 => (who(), who()).prop_map(|(one, other)| Act::SwapEmails(one, other)),
        2 => who().prop_map(Act::Rehire),
        3 => (who(), 0..3_usize).prop_map(|(who, group)| Act::Move(who, group)),
        6 => (who(), prop::collection::vec((0..3_usize, 0..3_usize), 0..3)).prop_map(|(who, names)| Act::Call(who, names)),
    ]
}

fn fated() -> impl Strategy<Value = (Act, Fate)> {
    let fate =
        prop_oneof![4 => Just(Fate::Told), 1 => Just(Fate::Lost), 1 => Just(Fate::Doubled), 1 => Just(Fate::Late)];
    (act(), fate)
}

fn listing() -> impl Strategy<Value = Listing> {
    (prop::collection::vec(fated(), 0..4), any::<bool>()).prop_map(|(meanwhile, behind)| Listing { meanwhile, behind })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => fated().prop_map(|(act, fate)| Step::Act(act, fate)),
        4 => Just(Step::Poll),
        2 => listing().prop_map(Step::List),
        1 => Just(Step::Restart),
    ]
}

fn histories(style: Style) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    let history = (listing(), prop::collection::vec(step(), 1..40));
    let run = |(first, history): (Listing, Vec<Step>)| runtime.block_on(bench::follow(style, &first, &history));
    TestRunner::new(config).run(&history, run).unwrap();
}

#[test]
fn a_directory_that_tells_records_with_their_versions() {
    histories(Style::Versioned);
}

#[test]
fn a_directory_whose_events_are_hints() {
    histories(Style::ReadAgain);
}
