//! What `Directory` promises of positions, tried with a directory of each kind: what is not acknowledged is given again,
//! what is acknowledged is not; a round that fails loses nothing; another process goes on from the cursor that was kept.

mod providers;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use offboard::domain::command::Observation;
use offboard::domain::person::{Person, PersonId, Status};
use offboard::source::directory::{Changes, Directory, ListingOutcome};
use offboard::source::ldap::Sync;

/// Who is there at first. Nobody else is ever out.
const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dan", "erin"];
/// Longer than anything that was told is looked at once more (Keycloak: one second).
const ONCE_MORE: Duration = Duration::from_millis(1_500);

/// A provider with these people, and its directory.
#[async_trait(?Send)]
trait Provider {
    /// The directory as a process makes it.
    fn directory(&self) -> Box<dyn Directory>;
    /// The key or the user name of one of them.
    fn name(&self, person: &str) -> String;
    /// One of them may not sign in any more.
    async fn suspend(&mut self, person: &str);
    /// Whether it has nothing but clocks, so that what is near to the newest change is always told again.
    fn overlaps(&self) -> bool {
        false
    }
    /// From now on it answers, or does not.
    async fn answers(&mut self, answers: bool);
}

/// One process, and what is kept for the next one.
struct Process {
    directory: Box<dyn Directory>,
    kept: Option<String>,
}

fn is(id: &PersonId, username: Option<&str>, name: &str) -> bool {
    id.key == name || username == Some(name)
}

fn is_out(person: &Person, name: &str) -> bool {
    person.status != Status::Active && is(&person.id, person.username.as_deref(), name)
}

/// Whether somebody is told to be out.
fn tells(observation: &Observation, name: &str) -> bool {
    match observation {
        Observation::Change { person, .. } => is_out(person, name),
        Observation::PartialDisable { person, status } => *status != Status::Active && is(person, None, name),
        Observation::Listing { people, .. } => people.iter().any(|person| is_out(person, name)),
        _ => false,
    }
}

impl Process {
    fn start(provider: &dyn Provider, kept: Option<String>) -> Self {
        let mut directory = provider.directory();
        directory.open(kept.clone());
        Self { directory, kept }
    }

    fn acknowledge(&mut self, changes: Changes) {
        self.directory.acknowledged();
        self.kept = changes.cursor.or(self.kept.take());
    }

    /// Reads everybody; who is out.
    async fn lists(&mut self) -> Vec<Person> {
        let (mut people, mut token) = (Vec::new(), None);
        loop {
            let page = self.directory.page(token).await.unwrap();
            self.directory.acknowledged();
            people.extend(page.people);
            token = page.next;
            if token.is_none() {
                self.directory.listing_over(ListingOutcome::Accepted);
                return people;
            }
        }
    }

    /// Reads events, and lists where only a listing tells, until somebody is out; the changes by which, where it was by
    /// these. They are not acknowledged.
    async fn hears(&mut self, name: &str) -> Option<Changes> {
        let deadline = Instant::now() + crate::support::PATIENCE;
        while Instant::now() < deadline {
            // Whoever cannot be reached yet is asked again.
            let Ok(changes) = self.directory.changes().await else { continue };
            if changes.observations.iter().any(|observation| tells(observation, name)) {
                return Some(changes);
            }
            let resync = changes.resync;
            self.acknowledge(changes);
            if resync && self.lists().await.iter().any(|person| is_out(person, name)) {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} is never told to be out");
    }

    /// Acknowledges everything, for as long as something may be told once more.
    async fn settles(&mut self) {
        let began = Instant::now();
        while began.elapsed() < ONCE_MORE {
            let changes = self.directory.changes().await.unwrap();
            self.acknowledge(changes);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn fails(&mut self) {
        for _ in 0..20 {
            match self.directory.changes().await {
                Err(_) => return,
                Ok(changes) if changes.trouble.is_some() => return self.acknowledge(changes),
                Ok(changes) => self.acknowledge(changes),
            }
        }
        panic!("nothing fails");
    }
}

/// The contract, whatever the kind.
async fn conforms(provider: &mut dyn Provider) {
    let [alice, bob, carol, dan, erin] = PEOPLE.map(|person| provider.name(person));
    let mut process = Process::start(provider, None);
    let changes = process.directory.changes().await.unwrap();
    process.acknowledge(changes);
    let people = process.lists().await;
    assert!(PEOPLE.iter().all(|person| !people.iter().any(|listed| is_out(listed, &provider.name(person)))));
    process.settles().await;

    // Not acknowledged: the same again. Acknowledged: never again.
    provider.suspend("alice").await;
    let told = process.hears(&alice).await.unwrap();
    for _ in 0..2 {
        let again = process.directory.changes().await.unwrap();
        assert_eq!((again.observations, again.cursor), (told.observations.clone(), told.cursor.clone()));
        assert!(again.more, "what came since is asked for at once");
    }
    process.acknowledge(told);
    process.settles().await;
    for _ in 0..3 {
        let changes = process.directory.changes().await.unwrap();
        let again = changes.observations.iter().any(|observation| tells(observation, &alice));
        assert!(!again || provider.overlaps(), "{changes:?}");
        process.acknowledge(changes);
    }

    // A round that fails moves nothing.
    provider.answers(false).await;
    process.fails().await;
    provider.suspend("bob").await;
    process.fails().await;
    provider.answers(true).await;
    if let Some(changes) = process.hears(&bob).await {
        process.acknowledge(changes);
    }
    process.settles().await;

    // Another process goes on from what was kept; without cursors it lists, as after every start.
    let kept = process.kept.take();
    drop(process);
    provider.suspend("carol").await;
    let mut process = Process::start(provider, kept.clone());
    let by_events = kept.is_some();
    if by_events {
        let changes = process.hears(&carol).await.unwrap();
        process.acknowledge(changes);
    } else {
        assert!(process.lists().await.iter().any(|person| is_out(person, &carol)));
    }

    // What was given and not acknowledged, the next process hears again.
    process.settles().await;
    provider.suspend("dan").await;
    process.hears(&dan).await;
    let kept = process.kept.take();
    drop(process);
    let mut process = Process::start(provider, kept);
    if by_events {
        process.hears(&dan).await.unwrap();
    }
    let people = process.lists().await;
    let out: Vec<bool> =
        [alice, bob, carol, dan, erin].iter().map(|name| people.iter().any(|person| is_out(person, name))).collect();
    assert_eq!(out, [true, true, true, true, false]);
}

#[tokio::test]
async fn keycloak() {
    conforms(&mut providers::Realm::start().await).await;
}

#[tokio::test]
async fn okta() {
    conforms(&mut providers::Org::start()).await;
}

#[tokio::test]
async fn entra() {
    conforms(&mut providers::OfTenant::start().await).await;
}

#[tokio::test]
async fn active_directory_by_dirsync() {
    conforms(&mut providers::Domain::start(Sync::DirSync).await).await;
}

#[tokio::test]
async fn active_directory_by_usn() {
    conforms(&mut providers::Domain::start(Sync::Poll).await).await;
}

#[tokio::test]
async fn openldap_by_syncrepl() {
    let Some(mut server) = providers::OpenLdap::start(Sync::Syncrepl).await else { return };
    conforms(&mut server).await;
}

#[tokio::test]
async fn openldap_by_polling() {
    let Some(mut server) = providers::OpenLdap::start(Sync::Poll).await else { return };
    conforms(&mut server).await;
}

#[tokio::test]
async fn a_file() {
    conforms(&mut providers::File::start()).await;
}
