//! Law 9: every decision names its cause, and the same inputs give the same decision.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use offboard::app::authenticators::Active;
use offboard::app::explain::{Knowledge, Story, recalled};
use offboard::audit::ring::Recent;
use offboard::control::views::StepView;
use offboard::decide::decide;
use offboard::domain::binding::{Binding, Permission, Role};
use offboard::domain::command::Command;
use offboard::domain::decision::{Decision, Determining};
use offboard::domain::issuer::KeySource;
use offboard::domain::person::Person;
use offboard::domain::policy::{Authorization, Policy, Service};
use offboard::domain::reason::Reason;
use offboard::domain::revocation::Target;
use offboard::domain::source::WhenStale;
use offboard::jose::keys::KeyRings;
use offboard::request::Request;
use offboard::state::State;
use serde_json::json;

use super::world::{Doors, Store, World, alice, authenticator, person, suspended};
use super::{holds, same};
use crate::corp::{self, ISSUER, at, configured};
use crate::support::Scratch;
use crate::support::provider::{Signer, jwks};

/// Each kind of cause. Deciding again on a state made from the log alone gives the same, to the last field.
pub async fn law_9_every_decision_names_its_cause_and_is_the_same_again<S: Store>(store: S) {
    let mut world = World::start(store).await;
    let by_operator = world.revoke(alice(), at(1)).await.unwrap();
    let subject = Target::Subject { issuer: ISSUER.into(), subject: "bob".into() };
    let with = Policy { revocations: Some(vec![configured(subject.clone())]), ..corp::policy() };
    world.configure(with.clone(), at(2)).await.unwrap();
    world.list(&[person("alice"), person("bob"), suspended("carol"), person("dave")], at(3)).await.unwrap();
    let of_carol = Target::DirectoryPerson { person: person("carol").id };
    let (by_source, by_configuration) = (world.standing(&of_carol), world.standing(&subject));
    let exempted = world.exempt("carol", at(100), at(4)).await.unwrap().exemption.unwrap();

    let noted = |reason| (reason, Determining::Revocation(by_configuration));
    for (who, now, expected) in [
        ("alice", 5, (Reason::RevokedPerson, Determining::Revocation(by_operator.revocation.unwrap()))),
        ("bob", 5, noted(Reason::RevokedSubject)),
        ("carol", 5, (Reason::Exempted, Determining::Exemption(exempted))),
        ("carol", 101, (Reason::RevokedPerson, Determining::Revocation(by_source))),
        ("dave", 5, (Reason::Allowed, Determining::None)),
    ] {
        let decision = world.check(&world.token(who, at(0)), at(now)).await;
        same(&(decision.reason, decision.determining), &expected, format!("{who} at {now}"));
        again(&world, who, now).await;
    }
    let mut strict = with;
    strict.sources[0].when_stale = WhenStale::Deny;
    world.configure(strict, at(5)).await.unwrap();
    let decision = world.check(&world.token("dave", at(0)), at(2000)).await;
    same(&decision.determining, &Determining::Source(0), "which source is stale");
}

/// Decides twice in this process, and once on a fold of the log from its beginning.
async fn again<S: Store>(world: &World<S>, who: &str, now: i64) {
    let bearer = format!("Bearer {}", world.token(who, at(0)));
    let request = Request::synthetic("GET", "orders.example.com", "/v1/orders", [("authorization", bearer.as_bytes())]);
    let shown = world.authenticator.authenticate(&request, at(now)).await;
    let live = world.published.snapshot();
    let first = decide(&live, &request, &shown, at(now));
    same(&decide(&live, &request, &shown, at(now)), &first, "the same again");
    let empty = offboard::state::fold::Fold::empty(world.keyer.clone(), 1);
    let anew = State { fold: world.refold(empty).await, rules: live.rules.clone() };
    same(&decide(&anew, &request, &shown, at(now)), &first, "the same on a state made from the log");
}

/// `explain` tells the decision's own steps, in the words of the configuration that it was made under, even when that
/// is gone.
pub async fn law_9_explain_tells_the_steps_of_a_decision_also_after_a_reload<S: Store>(store: S) {
    let mut world = World::start(store).await;
    let reader = Role { name: "reader".into(), permissions: vec![Permission::default()], rights: vec![] };
    let binding = Binding {
        role: 0,
        issuer: Some(0),
        groups: vec!["eng".into()],
        people: vec![],
        clients: vec![],
        everyone: false,
        expires: None,
        place: "rules.yaml:5".into(),
    };
    let service = Service { authorization: Authorization::Roles, ..corp::service("default") };
    let policy = Policy { services: vec![service], roles: vec![reader], bindings: vec![binding], ..corp::policy() };
    world.configure(policy, at(1)).await.unwrap();
    let alice_in_eng = Person { groups: vec!["eng".into()], ..person("alice") };
    world.list(&[alice_in_eng, person("bob")], at(2)).await.unwrap();
    let allowed = world.check(&world.token("alice", at(0)), at(3)).await;
    same(&allowed.determining, &Determining::Binding(0), "the binding that allows");
    let revoked = world.revoke(Target::Person { reference: "hr/bob".into() }, at(3)).await.unwrap();
    let denied = world.check(&world.token("bob", at(0)), at(4)).await;
    let allowed_before = told(&allowed);
    world.configure(Policy { hash: "next".into(), ..corp::policy() }, at(5)).await.unwrap();

    same(&told(&allowed), &allowed_before, "the same after a reload");
    let answers = |question: &str, told: &[StepView]| {
        let step = told.iter().find(|step| step.question == question).unwrap();
        (step.answer.clone(), step.cause.clone())
    };
    let expected = |answer: &str, cause: String| (answer.to_owned(), cause);
    let roles = answers("which roles does the caller hold?", &told(&allowed));
    same(&roles, &expected("reader", "binding at rules.yaml:5".into()), "the roles, and what gives them");
    let who = answers("who is it in the directory?", &told(&allowed));
    same(&who, &expected("hr/alice, active", String::new()), "the status at the time of the decision");
    let found = answers("is anything about it revoked?", &told(&denied));
    same(&found, &expected("yes", format!("revocation {}", revoked.revocation.unwrap())), "the revocation");
}

/// The steps of a decision as `explain --decision` tells them. `explain` of the request tells the same ones.
fn told(decision: &Decision) -> Vec<StepView> {
    let decision = Arc::new(decision.clone());
    let id = "00000000000000000000000000000001".parse().unwrap();
    let (method, path) = ("GET".into(), "/v1/orders".to_owned());
    let recent = Recent { id, time: at(4).wall, method, path, decision: Arc::clone(&decision) };
    let rings = KeyRings::default();
    let recalled = recalled(&recent, &rings).steps;
    let (at, rings) = (recent.time, &rings);
    let story = Story { decision: &decision, at, destination: None, knowledge: Knowledge::Live, rings };
    same(&recalled.get(1..), &Some(&story.tell().steps[..]), "a recent decision and a live one are told alike");
    recalled
}

/// The check waits for keys. Meanwhile a configuration that trusts another issuer comes into force. The keys come, the
/// token is good by the old rules, and the answer is that of the configuration that it reports.
pub async fn law_9_a_check_is_judged_by_the_configuration_that_it_reports<S: Store>(store: S) {
    let scratch = Scratch::new();
    let file = scratch.path().join("jwks.json");
    let mut issuer = corp::issuer();
    issuer.keys = KeySource::File(file.clone());
    let trusts = |issuer| Policy { issuers: vec![Arc::new(issuer)], ..corp::policy() };
    let world = World::with(store, trusts(issuer.clone())).await;
    let (known, new) = (Signer::new("a", 1), Signer::new("b", 2));
    std::fs::write(&file, jwks(&[&known, &new])).unwrap();
    let Doors { handler, .. } = world.handler(scratch.path());
    let now = handler.clock.now();
    let seconds = now.wall.as_millis() / 1000;
    let claims = json!({ "iss": ISSUER, "aud": "mesh", "sub": "alice", "iat": seconds, "exp": seconds + 600 });
    let bearer = format!("Bearer {}", new.sign(&claims));
    let asked = Request::synthetic("GET", "orders.example.com", "/v1/orders", [("authorization", bearer.as_bytes())]);

    let mut check = pin!(handler.decide(&asked, now, None));
    let ended = poll_fn(|context| Poll::Ready(check.as_mut().poll(context).is_ready())).await;
    assert!(!ended, "it waits for the new key");
    issuer.issuer = "https://other.example.com".into();
    let policy = Arc::new(Policy { hash: "other".into(), ..trusts(issuer) });
    let before = Arc::clone(&handler.published.load().rules.policy);
    let authenticator = authenticator(&policy, &world.cache, &[&known]);
    handler.authenticators.add(Active { policy: Arc::clone(&policy), authenticator, control: None }, &before);
    world.writer.ask(Command::Configure(Arc::clone(&policy)), now).await.unwrap();

    let (state, _, raced) = check.await.unwrap();
    holds(Arc::ptr_eq(&state.rules.policy, &policy), "it is judged on the newest state");
    let (_, _, after) = handler.decide(&asked, now, None).await.unwrap();
    same(&raced, &after, "judged while the configuration changed, and afterwards");
    same(&after.reason, &Reason::UnknownIssuer, "nobody trusts the issuer any more");
}
