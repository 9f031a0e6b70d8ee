//! Whoever is disabled without an event.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::super::status;
use super::fake::{Fake, Fixture, NOW, word};
use super::update;
use crate::domain::command::Observation;
use crate::domain::person::Status;

#[tokio::test]
async fn who_is_disabled_is_listed_where_no_event_tells() {
    let mut realm = Fake::of(&["alice", "bob"]);
    realm.admin_events_off = true;
    let mut one = Fixture::start(realm).await;
    one.list().await.unwrap();
    one.realm().user("bob")["enabled"] = false.into();
    one.source.status.is_due();
    let changes = one.changes().await;
    assert!(changes.silent, "what is known is as old as the last listing");
    let [Observation::Listing { people, complete: false, .. }] = changes.observations.as_slice() else {
        panic!("{:?}", changes.observations)
    };
    assert_eq!((people.len(), people[0].status), (1, Status::Suspended));
    one.realm().admin_events_off = false;
    one.source.status.is_due();
    let changes = one.changes().await;
    assert!(changes.resync && !changes.silent, "what happened meanwhile is in no event");
}

/// Twenty thousand leavers are forty pages: nobody's event waits for all of them, and Keycloak has its rest.
#[tokio::test]
async fn many_who_are_disabled_are_listed_in_pieces() {
    let names: Vec<String> = (0..1_200).map(|number| format!("u{number:04}")).collect();
    let mut one = Fixture::start(Fake::of(&names.iter().map(String::as_str).collect::<Vec<_>>())).await;
    one.realm().users.iter_mut().for_each(|user| user["enabled"] = false.into());
    one.source.status.is_due();
    let mut told = Vec::new();
    for round in 0..3 {
        one.realm().asked.clear();
        one.realm().admin_events.push(update(NOW + 100 + round, "id-u0000", None));
        let mut changes = one.changes().await;
        let asked = one.realm().asked.clone();
        assert_eq!(asked.iter().filter(|path| path.ends_with("/users")).count(), 1, "{asked:?}");
        assert!(asked.iter().any(|path| path == "in brief"), "{asked:?}");
        assert!(!changes.more && changes.trouble.is_none());
        let Some(Observation::Listing { people, complete: false, .. }) = changes.observations.pop() else {
            panic!("{changes:?}")
        };
        told.push(people.len());
        assert!(changes.observations.iter().any(|seen| word(seen).starts_with("id-u0000 suspended")), "{changes:?}");
    }
    assert_eq!(told, [500, 500, 200]);
    assert!(one.source.status.next > Instant::now() + Duration::from_secs(9), "and then a pause");
    assert_eq!(status::pause(Duration::from_secs(1), Duration::from_millis(300)), Duration::from_secs(10));
    assert_eq!(status::pause(Duration::from_secs(1), Duration::from_secs(4)), Duration::from_secs(40));
    assert_eq!(status::pause(Duration::from_secs(60), Duration::from_secs(4)), Duration::from_secs(60));
}

/// An attribute that links somebody is not lost by their being listed as disabled.
#[tokio::test]
async fn who_is_disabled_keeps_what_links_them() {
    let mut one = Fixture::start(Fake::of(&["alice"])).await;
    one.source.settings.attributes.insert("staff".to_owned());
    one.realm().user("alice")["attributes"] = json!({ "staff": ["4711"] });
    one.realm().user("alice")["enabled"] = false.into();
    one.source.status.is_due();
    let changes = one.changes().await;
    let [Observation::Listing { people, .. }] = changes.observations.as_slice() else { panic!("{changes:?}") };
    assert_eq!(people[0].attributes.get("staff").map(String::as_str), Some("4711"));
}
