//! Somebody else appends right before each append: what was planned is planned again, and comes to the same.

use std::sync::atomic::Ordering;

use super::listings::{in_group, many};
use super::*;
use crate::domain::command::{Command, Verdict};
use crate::domain::person::PersonId;
use crate::domain::policy::Policy;

/// Each kind of command and observation, with listings that come into force at once and in steps.
async fn history(bench: &Bench) {
    let hr = || "hr".to_owned();
    let id = |key: &str| PersonId { source: hr(), key: key.to_owned() };
    let change = |person: Person, event: &str| Observation::Change {
        person,
        at: Some(at(1).wall),
        event_id: (!event.is_empty()).then(|| event.to_owned()),
    };
    let mut all = many(2_600);
    all.iter_mut().take(30).for_each(|person| person.groups = vec!["eng".into()]);
    bench.list(&all, at(1)).await.unwrap();

    let done = bench.revoke(Target::Person { reference: "p001@example.com".into() }, at(2)).await.unwrap();
    bench.restore(done.revocation.unwrap(), at(3)).await.unwrap();
    bench.revoke(Target::Session { issuer: ISSUER.into(), session: "s1".into() }, at(4)).await.unwrap();
    let revocations = Some(vec![configured(Target::Person { reference: "p002@example.com".into() })]);
    bench.configure(Policy { revocations, ..policy() }, at(5)).await.unwrap();
    bench.configure(Policy { revocations: Some(vec![]), ..policy() }, at(6)).await.unwrap();

    for person in [person("p003", Status::Suspended), person("p003", Status::Suspended), person("new", Status::Active)]
    {
        bench.observe(change(person, "e1"), at(7)).await.unwrap();
    }
    bench.observe(change(person("p004", Status::Suspended), ""), at(7)).await.unwrap();
    bench.observe(Observation::Deleted { person: id("p005"), at: None }, at(7)).await.unwrap();
    bench.observe(Observation::UnknownDeleted { person: id("p006") }, at(7)).await.unwrap();
    bench.observe(Observation::PartialDisable { person: id("p007"), status: Status::Suspended }, at(7)).await.unwrap();
    bench.observe(Observation::GroupDeleted { source: hr(), group: "eng".into() }, at(8)).await.unwrap();
    let (target, reason) = (Target::Subject { issuer: ISSUER.into(), subject: "p008".into() }, "logout".to_owned());
    bench.observe(Observation::CutOff { source: hr(), target, at: at(8).wall, reason }, at(8)).await.unwrap();
    let heard = Observation::Heartbeat { source: hr(), at: at(9).wall, cursor: Some("c".into()) };
    bench.observe(heard, at(9)).await.unwrap();
    let (reference, actor) = ("p003@example.com".to_owned(), "ops".to_owned());
    let exempt = Command::Exempt { reference, expires: at(100).wall, reason: "payday".into(), actor };
    bench.writer.ask(exempt, at(10)).await.unwrap();

    // In pages, with rows that cannot be read, and more than one step to come into force.
    let moved: Vec<Person> = all.iter().skip(20).map(|person| in_group(&person.id.key, "ops")).collect();
    let people = moved[..1_300].iter().cloned().map(Arc::new).collect();
    let unread = (8..20).map(|number| all[number].id.clone()).collect();
    let page = Observation::ListingPage { source: hr(), listing: 1, people, doubted: vec![], unread };
    bench.observe(page, at(20)).await.unwrap();
    bench.page(1, &moved[1_300..], at(20)).await.unwrap();
    bench.page(1, &all[..5], at(20)).await.unwrap();
    assert!(!bench.swept(1, None, true, at(21)).await.unwrap().persons.is_empty(), "who is missing is looked up");
    while bench.swept(1, None, false, at(21)).await.unwrap().more {}

    // Held back, announced, discarded, confirmed in steps.
    bench.list(&moved[..100], at(30)).await.unwrap_err();
    bench.judge(Verdict::Discard, at(31)).await.unwrap();
    bench.list(&moved[..90], at(32)).await.unwrap_err();
    bench.judge(Verdict::Confirm, at(33)).await.unwrap();
    let actor = "ops".to_owned();
    let expect = Command::Expect { source: hr(), share: 5_000, until: at(50).wall, actor };
    bench.writer.ask(expect, at(34)).await.unwrap();
    bench.list(&moved[..60], at(35)).await.unwrap();
    bench.page(2, &[], at(36)).await.unwrap();
    assert!(matches!(bench.swept(2, Some(7), false, at(36)).await, Err(Refused::Void { .. })));
    bench.observe(Observation::RolledBack { source: hr(), because: "a backup".into() }, at(40)).await.unwrap();
    bench.list(&moved[..59], at(41)).await.unwrap_err();
    bench.writer.ask(Command::Tick, at(200)).await.unwrap();
}

/// What is known and denied, without positions.
fn account(bench: &Bench) -> Vec<String> {
    let state = bench.published.snapshot();
    let fold = &state.fold;
    let mut account: Vec<String> = fold.people.iter().map(|known| format!("{:?}", known.person)).collect();
    account.sort();
    account.extend(TargetKind::ALL.map(|kind| format!("{kind:?}: {}", fold.live(kind))));
    account.push(format!("{:?} {:?} {:?}", fold.sources, fold.feeds, fold.exemptions.len()));
    account
}

#[tokio::test]
async fn each_command_that_is_overtaken_comes_to_the_same() {
    let bench = Bench::over(Arc::new(Memory::default()), policy()).await;
    history(&bench).await;
    let overtaken = Bench::over(Arc::new(Memory::default()), policy()).await;
    overtaken.log.overtaken.store(true, Ordering::Release);
    history(&overtaken).await;
    for (one, other) in account(&bench).iter().zip(account(&overtaken)) {
        assert_eq!(*one, other);
    }
    let head = async |bench: &Bench| bench.log.head().await.unwrap().position;
    assert!(head(&overtaken).await > head(&bench).await + 20, "somebody else did append");
    bench.folds_agree().await;
    overtaken.folds_agree().await;
}
