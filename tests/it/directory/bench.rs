//! A company, the source that asks it, and what must be true after each step.

use offboard::domain::policy::Policy;
use offboard::domain::source::Link;
use serde_json::json;

use super::*;

/// A token is matched by a name, where it bears one.
fn policy() -> Policy {
    let mut policy = corp::policy();
    let by_name = Link { claim: "login".into(), attribute: "username".into() };
    policy.sources[0].link.insert(0, by_name);
    policy
}

struct Bench {
    world: World<InMemory>,
    company: Arc<Mutex<Company>>,
    source: Polled,
}

impl Bench {
    async fn start(style: Style, first: &Listing) -> Self {
        let time = Arc::new(AtomicI64::new(100));
        let company = Company {
            style,
            people: BTreeMap::new(),
            ever: vec![],
            events: VecDeque::new(),
            late: vec![],
            meanwhile: VecDeque::new(),
            told: BTreeMap::new(),
            out: BTreeMap::new(),
            out_names: BTreeMap::new(),
            listed: vec![],
            copy: None,
            paged: Arc::default(),
            time,
        };
        let company = Arc::new(Mutex::new(company));
        (0..6).for_each(|_| drop(company.lock().unwrap().join(None)));
        let mut world = World::empty(InMemory::new(), policy()).await;
        world.configure(policy(), corp::at(0)).await.unwrap();
        let source = Self::ask(&world, &company);
        let bench = Self { world, company, source };
        bench.list(first).await.unwrap();
        bench
    }

    fn ask(world: &World<InMemory>, company: &Arc<Mutex<Company>>) -> Polled {
        let time = Arc::clone(&company.lock().unwrap().time);
        let time = Arc::new(move || corp::at(time.load(Ordering::Relaxed)));
        Polled::start("hr", Asked(Arc::clone(company)), &world.writer, time)
    }

    /// Everybody, and in the middle of it what happens meanwhile.
    async fn list(&self, listing: &Listing) -> Result<(), String> {
        let paged = {
            let mut company = self.company.lock().unwrap();
            company.meanwhile = listing.meanwhile.iter().cloned().collect();
            company.copy = listing.behind.then(|| (company.people.clone(), company.now()));
            Arc::clone(&company.paged)
        };
        let events = async {
            paged.notified().await;
            self.source.sync(false).await
        };
        let (listed, polled) = tokio::join!(self.order(true), events);
        self.company.lock().unwrap().copy = None;
        polled.and(listed)
    }

    async fn order(&self, full: bool) -> Result<(), String> {
        self.source.sync(full).await?;
        let mut company = self.company.lock().unwrap();
        for (person, version) in std::mem::take(&mut company.listed) {
            company.tell(&person.id.key, Some(&person), version);
        }
        Ok(())
    }

    fn now(&self) -> Now {
        corp::at(self.company.lock().unwrap().now())
    }

    async fn take(mut self, step: &Step) -> Self {
        match step {
            Step::Act(act, fate) => self.company.lock().unwrap().happens(act, *fate),
            Step::Poll => self.order(false).await.unwrap(),
            Step::List(listing) => {
                // Held back where it leaves out all whom anybody knew.
                let _ = self.list(listing).await;
            }
            Step::Restart => {
                let Self { world, company, source } = self;
                source.stop().await;
                let world = world.restart(policy()).await;
                let source = Self::ask(&world, &company);
                self = Self { world, company, source };
            }
        }
        self.company.lock().unwrap().time.fetch_add(1, Ordering::Relaxed);
        self
    }

    /// Whoever was last said to be out is, whatever their token; whoever is back needs a new one (law 7).
    async fn nobody_slips_in(&self) -> Result<(), TestCaseError> {
        let told = self.company.lock().unwrap().told.clone();
        for (key, (_, inside)) in told {
            if !inside {
                let found = self.world.ask(&key, self.now(), self.now()).await;
                prop_assert_eq!(found, Reason::RevokedPerson, "{} was said to be out", key);
            }
        }
        let out = self.company.lock().unwrap().out.clone();
        for (key, at) in out {
            let found = self.world.ask(&key, corp::at(at), self.now()).await;
            prop_assert!(!found.allows(), "a token from before {} was out: {:?}", key, found);
        }
        let out = self.company.lock().unwrap().out_names.clone();
        for (name, at) in out {
            for spelling in NAMES[name] {
                let found = self.called(spelling, at).await;
                prop_assert!(!found.allows(), "a token from before one called {} was out: {:?}", spelling, found);
            }
        }
        Ok(())
    }

    /// Why a token that bears this name, issued then, ends now as it does.
    async fn called(&self, name: &str, issued: i64) -> Reason {
        let issued = corp::at(issued).wall.as_millis() / 1000;
        let token = self.world.token_of(&json!({ "sub": "somebody", "login": name, "iat": issued }));
        self.world.check(&token, self.now()).await.reason
    }

    /// A name means whoever has it in the directory, in each of its spellings; one that several have means nobody.
    async fn names_are_exact(&self) -> Result<(), TestCaseError> {
        let (people, now) = {
            let company = self.company.lock().unwrap();
            (company.people.clone(), company.now())
        };
        for (number, spellings) in NAMES.iter().enumerate() {
            let holders: Vec<Status> =
                people.values().filter(|person| names(person).contains(&number)).map(|person| person.status).collect();
            for spelling in spellings {
                let found = self.called(spelling, now).await;
                match holders.as_slice() {
                    [] => prop_assert!(!found.allows(), "{}: {:?}", spelling, found),
                    [Status::Active] => prop_assert_eq!(found, Reason::Allowed, "{}", spelling),
                    some if some.contains(&Status::Suspended) => {
                        prop_assert_eq!(found, Reason::RevokedPerson, "{}", spelling);
                    }
                    _ => prop_assert_eq!(found, Reason::MixedIdentities, "{}", spelling),
                }
            }
        }
        Ok(())
    }

    /// The state is what the directory says.
    async fn is_exact(&self) -> Result<(), TestCaseError> {
        let (people, ever) = {
            let company = self.company.lock().unwrap();
            (company.people.clone(), company.ever.clone())
        };
        let state = self.world.published.snapshot();
        for key in ever {
            let id = PersonId { source: "hr".into(), key: key.clone() };
            let known = state.fold.people.find(&self.world.keyer, &id);
            let reason = self.world.ask(&key, self.now(), self.now()).await;
            match people.get(&key) {
                Some(person) => {
                    prop_assert_eq!(known.map(|known| &*known.person), Some(person));
                    let expected =
                        if person.status == Status::Active { Reason::Allowed } else { Reason::RevokedPerson };
                    prop_assert_eq!(reason, expected, "{}", key);
                }
                None => {
                    prop_assert!(known.is_none_or(|known| known.person.status == Status::Departed), "{}", key);
                    // Who came and went unseen never was.
                    let expected = if known.is_some() { Reason::RevokedPerson } else { Reason::UnknownPerson };
                    prop_assert_eq!(reason, expected, "{}", key);
                }
            }
        }
        Ok(())
    }
}

pub(super) async fn follow(style: Style, first: &Listing, history: &[Step]) -> Result<(), TestCaseError> {
    let mut bench = Bench::start(style, first).await;
    bench.nobody_slips_in().await?;
    for (number, step) in history.iter().enumerate() {
        bench = bench.take(step).await;
        let checked = bench.nobody_slips_in().await;
        checked.map_err(|error| TestCaseError::fail(format!("after step {number}: {error}")))?;
    }
    // What is on its way arrives, nothing more happens, and then everybody is listed.
    bench.company.lock().unwrap().meanwhile.clear();
    for _ in 0..2 {
        bench.order(false).await.unwrap();
    }
    let listed = bench.order(true).await;
    prop_assert_eq!(listed, Ok(()), "somebody whom the source knew is there always");
    bench.nobody_slips_in().await?;
    // New tokens count: those of the last second may be cut off.
    bench.company.lock().unwrap().time.fetch_add(60, Ordering::Relaxed);
    bench.is_exact().await?;
    bench.names_are_exact().await?;
    let [live, anew, kept] = bench.world.digests().await;
    prop_assert_eq!(&live, &anew);
    prop_assert_eq!(&kept, &anew);
    Ok(())
}
