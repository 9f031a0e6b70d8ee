mod listing;

use serde_json::{Value, json};

use super::again::{Times, is_older, since};
use super::events::{DeliveredIds, Hints, Touched, Wanted};
use super::*;

fn event(id: &str, kind: &str, second: u32, targets: &[(&str, &str)]) -> Value {
    let targets: Vec<Value> = targets.iter().map(|(kind, id)| json!({ "type": kind, "id": id })).collect();
    json!({ "uuid": id, "published": format!("2023-03-26T21:05:{second:02}.159Z"), "eventType": kind,
        "actor": { "id": "00uadmin", "type": "User" }, "target": targets, "outcome": { "result": "SUCCESS" } })
}

/// 2023-03-26T21:05:SECOND.159Z
fn at(second: i64) -> i64 {
    1_679_864_700_159 + second * 1000
}

fn hints(page: Vec<Value>) -> Hints {
    Hints::of(page, &DeliveredIds::default(), &Wanted::default())
}

#[test]
fn the_documented_event_is_understood() {
    let text = r#"{"uuid":"f1d0b993-cc19-11ed-a688-db22c99ef6c4","published":"2023-03-26T21:05:32.159Z",
        "eventType":"user.lifecycle.suspend","version":"0","severity":"INFO","displayMessage":"Suspend Okta user",
        "actor":{"id":"00uAdmin","type":"User","alternateId":"admin@example.com","detailEntry":null},
        "target":[{"id":"00uLeaver","type":"User","alternateId":"jo@example.com","detailEntry":null}],
        "outcome":{"result":"SUCCESS","reason":null},"transaction":{"type":"WEB","id":"ZCCz","detail":{}},
        "authenticationContext":{"externalSessionId":"idx"},"legacyEventType":"core.user.config.user_status.suspended"}"#;
    let found = hints(vec![serde_json::from_str(text).unwrap()]);
    let touched = Touched { at: at(32), blocked: Some(at(32)), ..Touched::default() };
    assert_eq!(found.users, [("00uLeaver".to_owned(), touched)].into());
    assert_eq!(found.ended.len(), 1, "what was issued before is dead whatever the record says by now");
    assert_eq!((found.ended[0].user.as_str(), found.ended[0].at), ("00uLeaver", at(32)));
    assert_eq!((found.newest, found.resync), (Some(at(32)), false));
}

#[test]
fn what_says_nothing_of_anybody_is_passed_over() {
    let user = [("User", "00u1")];
    let mut failed = event("1", "user.lifecycle.deactivate", 1, &user);
    failed["outcome"]["result"] = "FAILURE".into();
    let mut untold = event("2", "user.lifecycle.deactivate", 1, &user);
    untold["outcome"] = Value::Null;
    let page = vec![
        failed,
        untold,
        event("3", "user.lifecycle.unheard_of", 1, &user),
        event("4", "user.session.clear", 1, &[("AppInstance", "0oa1"), ("SomethingNew", "x")]),
        event("5", "group.user_membership.add", 1, &[("UserGroup", "00g1")]),
    ];
    let found = hints(page);
    assert!(found.users.is_empty() && found.ended.is_empty() && !found.resync, "{found:?}");
    assert_eq!(found.ids.len(), 5);
}

#[test]
fn whoever_signs_out_is_the_actor_and_nobody_else_ever_is() {
    let found = hints(vec![event("1", "user.session.end", 1, &[]), event("2", "user.account.lock", 2, &[])]);
    assert_eq!(found.ended.iter().map(|ended| ended.user.as_str()).collect::<Vec<_>>(), ["00uadmin"]);
    assert!(found.users.is_empty(), "an admin who locks somebody is not locked");
    let found = hints(vec![event("1", "user.session.clear", 1, &[("User", "00u1")])]);
    assert_eq!(found.ended[0].user, "00u1");
}

#[test]
fn what_cannot_be_told_is_left_to_a_listing() {
    let cases = [
        json!({ "uuid": 1 }),
        json!("event"),
        event("1", "user.lifecycle.deactivate", 1, &[("AppUser", "0ua1")]),
        event("1", "group.lifecycle.delete", 1, &[("UserGroup", "00g1")]),
        event("1", "group.profile.update", 1, &[("UserGroup", "00g1")]),
    ];
    for case in &cases {
        assert!(hints(vec![case.clone()]).resync, "{case}");
    }
    assert_eq!(hints(vec![cases[3].clone()]).dissolved, ["00g1"], "that it is gone is told, and who was in it is known")
}

#[test]
fn doubled_and_disordered_events_amount_to_the_same() {
    let user = [("UserGroup", "00g1"), ("User", "00u1")];
    let page = [
        event("1", "user.lifecycle.suspend", 10, &user),
        event("2", "user.lifecycle.unsuspend", 20, &user),
        event("3", "group.user_membership.remove", 30, &user),
    ];
    let forward = hints(page.iter().chain(&page).cloned().collect());
    let backward = hints(page.iter().rev().cloned().collect());
    assert_eq!(forward.users, backward.users);
    assert_eq!(forward.ended, backward.ended);
    let touched = forward.users["00u1"];
    assert_eq!((touched.at, touched.still_blocked()), (at(30), None));
    let mut seen = DeliveredIds::default();
    seen.add(forward.ids);
    assert!(Hints::of(page.to_vec(), &seen, &Wanted::default()).users.is_empty(), "taken in before");
    let again = hints(vec![page[1].clone(), event("4", "user.lifecycle.deactivate", 40, &user)]);
    assert_eq!(again.users["00u1"].still_blocked(), Some(at(40)));
}

#[test]
fn only_assignments_to_the_application_matter() {
    let about =
        |app: &str| event("1", "application.user_membership.remove", 1, &[("AppInstance", app), ("User", "00u1")]);
    let hints = |app: Option<&str>, event: Value| {
        Hints::of(vec![event], &DeliveredIds::default(), &Wanted { app: app.map(str::to_owned) })
    };
    let found = hints(Some("0oa1"), about("0oa1"));
    assert_eq!(found.users["00u1"].still_unassigned(), Some(at(1)));
    assert_eq!(found.ended[0].at, at(1), "and again between two looks: what was issued before is dead");
    let unsaid = event("1", "application.user_membership.remove", 1, &[("User", "00u1")]);
    assert_eq!(hints(Some("0oa1"), unsaid).users.len(), 1, "it does not say from which");
    for app in [Some("0oa2"), None] {
        let found = hints(app, about("0oa1"));
        assert!(found.users.is_empty() && found.ended.is_empty() && !found.resync, "{found:?}");
    }
    assert!(
        hints(Some("0oa1"), event("1", "application.user_membership.remove", 1, &[])).resync,
        "somebody, and not who"
    );
    let mut touched = found_in("application.user_membership.add", 2);
    touched.and(found.users["00u1"]);
    assert_eq!(touched.still_unassigned(), None);
    touched.and(found_in("application.user_membership.remove", 3));
    assert!(touched.is_out() && touched.still_unassigned() == Some(at(3)));
}

fn found_in(kind: &str, second: u32) -> Touched {
    let event = event("1", kind, second, &[("AppInstance", "0oa1"), ("User", "00u1")]);
    Hints::of(vec![event], &DeliveredIds::default(), &Wanted { app: Some("0oa1".into()) }).users["00u1"]
}

#[test]
fn the_filter_names_every_type_once() {
    let filter = Wanted { app: Some("0oa1".into()) }.filter();
    let mut names: Vec<&str> = filter.split(" or ").collect();
    assert!(names.iter().all(|name| name.starts_with("eventType eq \"") && name.ends_with('"')));
    let many = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), many);
    assert!(!filter.contains("published"), "Okta refuses that");
}

#[test]
fn a_record_is_older_than_an_event_by_whole_seconds() {
    let second = |second| Some(at(second) - 159);
    assert!(is_older(second(9), at(10)));
    assert!(!is_older(second(10), at(10)), "out and in again within a second");
    assert!(!is_older(second(11), at(10)));
    assert!(is_older(None, at(10)));
}

#[test]
fn what_else_happened_since_does_not_count() {
    let touched = |at, blocked, unblocked| Touched { at, blocked, unblocked, ..Touched::default() };
    let times = |status, assigned, updated| Times { status, assigned, updated };
    let here = |touched, times| since(Status::Active, &touched, times);
    // Suspended, let in again, and then into a group.
    let back = touched(30, Some(10), Some(20));
    assert_eq!(here(back, Times::default()), 20, "tokens issued between 20 and 30 live");
    assert_eq!(here(back, times(Some(20), Some(28), Some(20))), 20, "whatever became of the assignment");
    assert_eq!(here(back, times(Some(25), None, Some(25))), 25, "out and in again, and no event yet");
    assert_eq!(here(back, times(Some(20), None, Some(29))), 29, "they may be called something else since");
    assert_eq!(here(Touched { renamed: Some(27), ..back }, times(Some(20), None, Some(20))), 27);
    // The event that let them in is late.
    let grouped = touched(30, None, None);
    assert_eq!(here(grouped, times(Some(20), None, Some(20))), 20);
    assert_eq!(here(grouped, times(Some(5), Some(20), Some(5))), 20, "assigned again");
    assert_eq!(here(grouped, Times::default()), 30);
    let assigned = Touched { at: 30, assigned: Some(20), ..Touched::default() };
    assert_eq!(here(assigned, times(Some(5), Some(25), Some(5))), 20);
    let out = |touched| since(Status::Suspended, &touched, times(Some(5), None, None));
    assert_eq!(out(touched(30, Some(20), Some(10))), 20);
    assert_eq!(out(touched(30, None, None)), 30, "no event said so");
}

#[tokio::test]
async fn only_what_looks_like_an_id_is_looked_up_as_one() {
    // Nothing answers there, and nothing is asked.
    for claimed in ["", "..", "alice@example.com", "a/b", "00u1 ", &"0".repeat(65), &"0".repeat(10_000)] {
        assert!(matches!(okta().look_up("id", claimed).await, Ok(None)), "{claimed}");
    }
    for id in ["00ub0oNGTSWTBKOLGLNR", "00u-x_1", &"0".repeat(64)] {
        assert!(is_id(id), "{id}");
    }
    let nobody = person("ACTIVE", json!({ "id": "a/b" }));
    assert!(nobody.is_err(), "whom nobody could look up nobody knows either");
}

fn okta() -> Okta {
    let settings = Settings {
        name: "okta".into(),
        url: Url::parse("https://x.okta.com").unwrap(),
        credential: Credential::Token { file: "token".into() },
        attributes: ["login".to_owned(), "employeeNumber".to_owned()].into(),
        app: None,
    };
    let now = || crate::domain::time::Now::at(Timestamp::MIN);
    Okta::new(settings, Http::new(Duration::from_secs(1), None), std::sync::Arc::new(now))
}

fn person(status: &str, rest: Value) -> Result<Person, SourceError> {
    let mut user = json!({ "id": "00u1", "status": status, "lastUpdated": "2023-03-26T21:05:32.000Z",
        "profile": { "login": "jo@example.com", "email": "jo.ann@example.com", "employeeNumber": 47, "title": "x" } });
    for (name, value) in rest.as_object().unwrap() {
        user[name] = value.clone();
    }
    okta().person(serde_json::from_value(user).unwrap())
}

#[test]
fn a_user_is_a_person() {
    let found = person("ACTIVE", json!({})).unwrap();
    assert_eq!((found.id.key.as_str(), found.username.as_deref()), ("00u1", Some("jo@example.com")));
    assert_eq!(
        (found.values("login").next(), found.values("employeeNumber").next()),
        (Some("jo@example.com"), Some("47"))
    );
    assert_eq!(found.values("title").next(), None, "nobody asked for it");
    assert_eq!(found.changed, Some(Timestamp::from_millis(at(32) - 159)));
}

#[test]
fn only_a_status_that_is_known_lets_anybody_in() {
    // `LOCKED_OUT` is somebody whose password is being guessed.
    let here = ["ACTIVE", "ACTIVATING", "LOCKED_OUT", "PASSWORD_EXPIRED", "PROVISIONED", "RECOVERY", "STAGED"];
    for status in here {
        assert_eq!(person(status, json!({})).unwrap().status, Status::Active, "{status}");
    }
    for (status, is) in
        [("SUSPENDED", Status::Suspended), ("DEPROVISIONED", Status::Departed), ("SOMETHING_NEW", Status::Suspended)]
    {
        assert_eq!(person(status, json!({})).unwrap().status, is, "{status}");
    }
    let leaving = person("ACTIVE", json!({ "transitioningToStatus": "DEPROVISIONED" })).unwrap();
    assert_eq!(leaving.status, Status::Departed);
    assert!(person("", json!({})).is_err(), "a record without a status is none");
}
