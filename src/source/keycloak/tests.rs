//! The recorded acts of a real Keycloak (tests/vectors/keycloak), and a server that answers as it was seen to.

mod disabled;
mod fake;
mod listing;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::events::{EventCursor, Hints, Touched};
use super::shapes::{AdminEvent, UserEvent};
use crate::domain::command::Observation;
use crate::domain::source::SourceErrorKind;
use crate::source::directory::{Changes, Directory as _};
use fake::{Fake, Fixture, NOW, group, word, words};

fn acts() -> Vec<Value> {
    serde_json::from_str(include_str!("../../../tests/vectors/keycloak/events.json")).unwrap()
}

fn events<T: serde::de::DeserializeOwned>(act: &Value, kind: &str) -> Vec<T> {
    serde_json::from_value(act[kind].clone()).unwrap()
}

/// What the events of one recorded act point at.
fn hints_of(act: &Value) -> Hints {
    let (mut hints, mut seen) = (Hints::default(), EventCursor::from(0));
    hints.admin(&mut seen, &events::<AdminEvent>(act, "admin_events"), i64::MAX);
    hints.user_events(&mut seen, &events::<UserEvent>(act, "user_events"), i64::MAX);
    hints
}

/// In short: what is read again, and what is known without.
fn in_short(hints: &Hints) -> String {
    let mut words: Vec<String> = Vec::new();
    for touched in hints.users.values() {
        let off = touched.back_at().map(|_| "+disabled");
        let cut_off = touched.cut_off.map(|_| "+cut-off");
        words.push(["user"].into_iter().chain(off).chain(cut_off).collect());
    }
    words.extend(hints.sessions.keys().map(|_| "session".to_owned()));
    words.extend(hints.clients.keys().map(|_| "client".to_owned()));
    let flags = [(hints.realm, "realm"), (hints.groups, "groups"), (hints.resync, "resync")];
    words.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, word)| word.to_owned()));
    words.join(" ")
}

#[test]
fn every_recorded_act_points_at_what_it_changed() {
    let expected = [
        ("user_disable", "user+disabled"),
        ("user_enable", "user"),
        ("user_delete", "user"),
        ("user_logout", "user+cut-off"),
        ("session_delete", "session"),
        ("user_notbefore_put", "user"),
        ("password_reset", "user+cut-off"),
        ("credential_delete", "user+cut-off"),
        ("group_leave", "user"),
        ("group_join", "user"),
        ("realm_role_grant", "user"),
        ("realm_role_revoke", "user"),
        ("client_role_grant", "user"),
        ("client_role_revoke", "user"),
        // Roles are not followed, and nobody's groups are other ones.
        ("group_role_revoke", ""),
        ("group_delete", "groups"),
        ("composite_remove", ""),
        ("realm_role_delete", ""),
        ("consent_revoke", "user"),
        ("partial_import_overwrite", "user+disabled resync"),
        ("self_logout", "session"),
        ("browser_logout", "session"),
        ("browser_logout_redirect", "session"),
        ("self_password", "user+cut-off"),
        ("realm_notbefore", "realm"),
        ("realm_push_revocation", "realm"),
        ("realm_logout_all", "realm"),
        ("client_disable", "client"),
        ("client_notbefore", "client"),
        ("key_rotate", ""),
        ("brute_force_permanent", "user+disabled"),
    ];
    let found: Vec<(String, String)> =
        acts().iter().map(|act| (act["action"].as_str().unwrap().to_owned(), in_short(&hints_of(act)))).collect();
    let found: Vec<(&str, &str)> = found.iter().map(|(act, hints)| (act.as_str(), hints.as_str())).collect();
    assert_eq!(found, expected);
}

fn admin(time: i64, operation: &str, kind: &str, path: &str, sent: Option<Value>) -> Value {
    let sent = sent.map(|sent| sent.to_string());
    json!({ "id": format!("{time}-{path}-{operation}"), "time": time, "operationType": operation, "resourceType": kind,
        "resourcePath": path, "representation": sent })
}

fn update(time: i64, id: &str, sent: Option<Value>) -> Value {
    admin(time, "UPDATE", "USER", &format!("users/{id}"), sent)
}

fn touched(events: &[Value]) -> Touched {
    let events: Vec<AdminEvent> = events.iter().map(|event| serde_json::from_value(event.clone()).unwrap()).collect();
    let (mut hints, mut seen) = (Hints::default(), EventCursor::from(0));
    hints.admin(&mut seen, &events, i64::MAX);
    hints.users.into_values().next().unwrap()
}

#[test]
fn times_are_those_of_the_act_whatever_came_behind_it() {
    let (off, on) = (|| Some(json!({ "enabled": false })), || Some(json!({ "enabled": true, "firstName": "A" })));
    let edited = touched(&[update(10, "a", off()), update(20, "a", None), update(30, "a", off())]);
    assert_eq!(edited.disabled_at(), Some(10));
    let back = touched(&[update(10, "a", off()), update(20, "a", on()), update(30, "a", on())]);
    assert_eq!((back.back_at(), back.enabled_at()), (Some(20), Some(20)), "not when the profile was edited");
    let again = touched(&[update(10, "a", off()), update(20, "a", on()), update(30, "a", off())]);
    assert_eq!(again.disabled_at(), Some(30));
    let silent = touched(&[update(10, "a", None), update(20, "a", None)]);
    assert_eq!((silent.disabled_at(), silent.enabled_at(), silent.back_at()), (Some(10), None, None));
}

#[tokio::test]
async fn out_and_in_between_two_polls_is_a_cut_off_and_the_same_after_a_restart() {
    let mut one = Fixture::start(Fake::of(&["alice"])).await;
    let (off, on) = (json!({ "enabled": false }), json!({ "enabled": true }));
    let sent = [(100, off), (200, on.clone()), (300, on)];
    one.realm().admin_events = sent.into_iter().map(|(at, sent)| update(NOW + at, "id-alice", Some(sent))).collect();
    let changes = one.changes().await;
    assert_eq!(words(&changes), ["id-alice cut off 200", "id-alice active Some(200) "]);
    assert_eq!(words(&one.changes().await), Vec::<String>::new(), "known by their ids");
    one.source.open(changes.cursor.clone());
    let again = one.source.changes().await.unwrap();
    assert_eq!(words(&again), words(&changes), "at the same times");
}

/// An event that expired or was cleared is gone as well; but no older one is there then.
#[tokio::test]
async fn a_realm_that_was_restored_lacks_an_event_that_older_ones_outlived() {
    let went_back = |changes: &Changes| {
        let first = changes.observations.first();
        changes.resync && first.is_some_and(|first| matches!(first, Observation::RolledBack { .. }))
    };
    let (old, new) = (|| update(NOW - 90_000, "id-alice", None), || update(NOW + 400, "id-alice", None));
    for (left, older) in [
        (vec![old()], true),
        (vec![old(), update(NOW + 900, "id-bob", None)], true),
        (vec![], false),
        (vec![update(NOW + 900, "id-bob", None)], false),
        (vec![old(), new()], false),
    ] {
        let mut one = Fixture::start(Fake::of(&["alice", "bob"])).await;
        one.realm().admin_events = vec![old(), new()];
        let heard = one.changes().await;
        assert!(!went_back(&heard));
        one.realm().admin_events = left.clone();
        // The same after a restart.
        one.source.open(heard.cursor);
        let changes = one.changes().await;
        assert_eq!(went_back(&changes), older, "{left:?}");
        assert!(!went_back(&one.changes().await), "said once: {left:?}");
    }
}

#[tokio::test]
async fn who_is_named_by_an_event_is_read_again() {
    let mut one = Fixture::start(Fake::of(&["alice", "bob"])).await;
    {
        let mut realm = one.realm();
        realm.user("alice")["enabled"] = false.into();
        realm.users.retain(|user| user["username"] != "bob");
        realm.admin_events = vec![
            update(NOW + 100, "id-alice", Some(json!({ "enabled": false }))),
            update(NOW + 200, "id-alice", None),
            admin(NOW + 300, "DELETE", "USER", "users/id-bob", None),
            admin(NOW + 400, "DELETE", "USER_SESSION", "sessions/s1", Some(json!({ "offline": false }))),
        ];
        realm.user_events = vec![json!({ "id": "u1", "time": NOW + 500, "type": "LOGOUT", "sessionId": "s2" })];
    }
    let told = ["session s1 true", "session s2 true", "id-alice suspended Some(100) ", "id-bob gone Some(300)"];
    assert_eq!(words(&one.changes().await), told);
}

#[tokio::test]
async fn what_cannot_be_read_keeps_nothing_else_back_and_is_read_again() {
    let mut one = Fixture::start(Fake::of(&["alice"])).await;
    {
        let mut realm = one.realm();
        realm.blind = true;
        realm.admin_events =
            vec![update(NOW + 100, "id-alice", None), admin(NOW + 200, "DELETE", "USER_SESSION", "sessions/s1", None)];
    }
    let changes = one.changes().await;
    assert_eq!(words(&changes), ["session s1 true"]);
    let trouble = changes.trouble.unwrap().to_string();
    assert!(trouble.contains("give the service account of `sync` the role `view-users`"), "{trouble}");
    one.realm().blind = false;
    assert_eq!(words(&one.changes().await), ["session s1 true", "id-alice active None "]);
}

#[tokio::test]
async fn a_listing_without_the_right_is_none() {
    let mut one = Fixture::start(Fake::of(&["alice", "bob"])).await;
    assert_eq!(one.list().await.unwrap().0.len(), 2);
    one.realm().blind = true;
    let error = one.list().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Forbidden);
    assert!(error.to_string().contains("it has 0 rows, and the realm counts 2: give"), "{error}");
    one.realm().groups = vec![group("g", "/g", None)];
    let error = one.list().await.unwrap_err();
    assert!(error.to_string().starts_with("list groups: refused: it has 0 rows, and the realm counts 1"), "{error}");
}

#[tokio::test]
async fn nobody_is_skipped_where_rows_move() {
    let names: Vec<String> = (0..1_200).map(|number| format!("u{number:04}")).collect();
    let mut realm = Fake::of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    realm.leaves = Some("u0007".into());
    let mut one = Fixture::start(realm).await;
    let (people, _, count) = one.list().await.unwrap();
    let keys: BTreeSet<String> = people.into_iter().map(|person| person.id.key).collect();
    assert_eq!(keys.len(), 1_200, "one of them is gone, and was listed before");
    assert_eq!(count, Some(1_199), "which the writer compares");
}

#[tokio::test]
async fn members_are_read_in_pages_and_nested_groups_count() {
    let names: Vec<String> = (0..1_100).map(|number| format!("u{number:04}")).collect();
    let mut realm = Fake::of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    realm.groups = vec![group("g", "/eng", None), group("h", "/eng/leads", Some("g"))];
    realm.members.insert("g".into(), names.iter().map(|name| format!("id-{name}")).collect());
    realm.members.insert("h".into(), vec!["id-u1099".into()]);
    let mut one = Fixture::start(realm).await;
    let (people, ..) = one.list().await.unwrap();
    assert!(people.iter().all(|person| person.groups.iter().any(|group| group == "eng")));
    assert_eq!(people.last().unwrap().groups, ["/eng", "/eng/leads", "eng", "leads"]);

    // The tree changes: whoever is in what changed is read again, nobody else.
    {
        let mut realm = one.realm();
        realm.groups.pop();
        realm.members.remove("h");
        realm.admin_events = vec![admin(NOW + 100, "DELETE", "GROUP", "groups/h", None)];
        realm.asked.clear();
    }
    let changes = one.changes().await;
    let gone = |group: &str| format!("GroupDeleted {{ source: \"kc\", group: \"{group}\" }}");
    assert_eq!(words(&changes), [gone("/eng/leads"), gone("leads"), "id-u1099 active None /eng,eng".into()]);
    assert!(!changes.resync);
    // Too many for that: everybody is listed.
    one.realm().groups.clear();
    one.realm().admin_events.push(admin(NOW + 200, "DELETE", "GROUP", "groups/g", None));
    let changes = one.changes().await;
    assert!(changes.resync && words(&changes) == [gone("/eng"), gone("eng")], "{:?}", words(&changes));
}

#[tokio::test]
async fn a_client_that_is_deleted_and_made_again_is_not_blocked() {
    let client = |id: &str, enabled: bool| json!({ "id": id, "clientId": "app", "enabled": enabled });
    let mut realm = Fake::of(&["alice"]);
    realm.clients = vec![client("1", true)];
    let mut one = Fixture::start(realm).await;
    assert_eq!(one.list().await.unwrap().1.iter().map(word).collect::<Vec<_>>(), ["client app false"]);
    one.realm().clients = vec![client("0", true)];
    one.realm().admin_events = vec![
        admin(NOW + 100, "DELETE", "CLIENT", "clients/1", None),
        admin(NOW + 200, "CREATE", "CLIENT", "clients/0", None),
    ];
    assert_eq!(words(&one.changes().await), ["client app true", "client app false"], "in this order");
    assert_eq!(one.list().await.unwrap().1.iter().map(word).collect::<Vec<_>>(), ["client app false"]);
    // Gone without a word of it.
    one.realm().clients.clear();
    assert_eq!(one.list().await.unwrap().1.iter().map(word).collect::<Vec<_>>(), ["client app true"]);
    // Gone while nobody looked: the event says what it was called.
    let gone = admin(NOW + 300, "DELETE", "CLIENT", "clients/9", Some(json!({ "clientId": "other" })));
    one.realm().admin_events.push(gone);
    assert_eq!(words(&one.changes().await), ["client other true"]);
}

#[tokio::test]
async fn whoever_is_just_signing_in_is_not_taken_for_locked_out() {
    let mut one = Fixture::start(Fake::of(&["alice"])).await;
    one.realm().signing_in = true;
    one.realm().admin_events = vec![update(NOW + 100, "id-alice", None)];
    assert_eq!(words(&one.changes().await), ["id-alice active None "]);
    one.realm().user("alice")["enabled"] = false.into();
    one.realm().admin_events.push(update(NOW + 200, "id-alice", None));
    assert_eq!(words(&one.changes().await), ["id-alice suspended Some(200) "], "truly locked out");
}

#[tokio::test]
async fn a_record_that_does_not_say_whether_it_is_enabled_is_none() {
    let mut one = Fixture::start(Fake::of(&["alice"])).await;
    one.realm().user("alice").as_object_mut().unwrap().remove("enabled");
    assert_eq!(one.list().await.unwrap_err().kind(), SourceErrorKind::Malformed);
}

#[tokio::test]
async fn many_events_at_once_are_read_to_the_end() {
    let names: Vec<String> = (0..50).map(|number| format!("u{number:02}")).collect();
    let mut one = Fixture::start(Fake::of(&names.iter().map(String::as_str).collect::<Vec<_>>())).await;
    // All in one millisecond, which no page of the usual size can leave behind.
    one.realm().admin_events = (0..2_500)
        .map(|number| {
            let mut event = update(NOW + 100, &format!("id-u{:02}", number / 50), None);
            event["id"] = number.into();
            event["id"] = number.to_string().into();
            event
        })
        .collect();
    let mut found = BTreeSet::new();
    for _ in 0..10 {
        let changes = one.changes().await;
        found.extend(words(&changes));
        if !changes.more {
            assert_eq!(found.len(), 50);
            return;
        }
    }
    panic!("there is always more");
}

#[tokio::test]
async fn somebody_is_looked_up_by_name_and_never_a_service_account() {
    let mut one = Fixture::start(Fake::of(&["alice", "service-account-app"])).await;
    let found = one.source.look_up("username", "alice").await.unwrap();
    assert_eq!(found.map(|person| person.id.key).as_deref(), Some("id-alice"));
    for (attribute, value) in
        [("id", "id-nobody"), ("id", "id-service-account-app"), ("username", "service-account-app")]
    {
        assert_eq!(one.source.look_up(attribute, value).await.unwrap(), None, "{value}");
    }
}
