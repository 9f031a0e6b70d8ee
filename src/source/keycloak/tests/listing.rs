//! Groups of a listing count once it was taken, and not before.

use serde_json::json;

use super::fake::{Fake, Fixture, NOW, group, words};
use super::{admin, update};
use crate::source::directory::{Directory as _, ListingOutcome};

async fn eng() -> Fixture {
    let mut realm = Fake::of(&["alice", "bob"]);
    realm.groups = vec![group("g", "/eng", None), group("h", "/ops", None)];
    realm.members.insert("g".into(), vec!["id-alice".into()]);
    realm.members.insert("h".into(), vec![]);
    let mut one = Fixture::start(realm).await;
    one.list().await.unwrap();
    one
}

fn gone(group: &str) -> String {
    format!("GroupDeleted {{ source: \"kc\", group: \"{group}\" }}")
}

/// The listing reads the groups first: a deletion that its events still have to tell is in them already.
#[tokio::test]
async fn a_group_that_is_deleted_as_a_listing_begins_ends_at_once() {
    let mut one = eng().await;
    one.realm().groups.remove(0);
    one.realm().members.remove("g");
    let page = one.source.page(None).await.unwrap();
    one.realm().admin_events.push(admin(NOW + 100, "DELETE", "GROUP", "groups/g", None));
    let told = [gone("/eng"), gone("eng"), "id-alice active None ".into()];
    assert_eq!(words(&one.changes().await), told);
    one.source.page(page.next).await.unwrap();
    one.source.listing_over(ListingOutcome::Dropped);
}

/// Nor does somebody who is looked up meanwhile, and is in a group that nobody heard of yet.
#[tokio::test]
async fn a_group_that_is_deleted_before_somebody_is_looked_up_ends_by_its_event() {
    let mut one = eng().await;
    {
        let mut realm = one.realm();
        realm.groups[0] = group("n", "/new", None);
        realm.members.remove("g");
        realm.members.insert("n".into(), vec!["id-bob".into()]);
    }
    let bob = one.source.look_up("id", "id-bob").await.unwrap().unwrap();
    assert_eq!(bob.groups, ["/new", "new"]);
    one.realm().admin_events.push(admin(NOW + 100, "DELETE", "GROUP", "groups/g", None));
    assert_eq!(words(&one.changes().await), [gone("/eng"), gone("eng"), "id-alice active None ".into()]);
}

/// What a listing says of groups gives nobody anything before it was taken, and nothing if it never is.
#[tokio::test]
async fn groups_of_a_listing_that_is_held_back_do_not_count() {
    for outcome in [ListingOutcome::Dropped, ListingOutcome::Accepted] {
        let mut one = eng().await;
        one.realm().groups[0] = group("g", "/admins", None);
        let (people, ..) = one.read_listing().await.unwrap();
        assert_eq!(people[0].groups, ["/admins", "admins"], "for the listing itself they do");
        one.realm().admin_events = vec![update(NOW + 100, "id-alice", Some(json!({ "firstName": "A" })))];
        assert_eq!(words(&one.changes().await), ["id-alice active None /eng,eng"], "it was not taken yet");
        one.source.listing_over(outcome);
        // Whoever was told by other groups than those that count by now is read again.
        let now = match outcome {
            ListingOutcome::Accepted => "id-alice active None /admins,admins",
            ListingOutcome::Dropped => "id-alice active None /eng,eng",
        };
        assert_eq!(words(&one.changes().await).first().map(String::as_str), Some(now));
    }
}

/// After a restart nothing is known that could count in their place.
#[tokio::test]
async fn groups_of_the_first_listing_count_though_it_was_held_back() {
    let mut realm = Fake::of(&["alice"]);
    realm.groups = vec![group("g", "/eng", None)];
    realm.members.insert("g".into(), vec!["id-alice".into()]);
    let mut one = Fixture::start(realm).await;
    one.read_listing().await.unwrap();
    one.source.listing_over(ListingOutcome::Dropped);
    one.realm().groups.clear();
    one.realm().members.clear();
    one.realm().admin_events = vec![admin(NOW + 100, "DELETE", "GROUP", "groups/g", None)];
    let changes = one.changes().await;
    assert_eq!(words(&changes), [gone("/eng"), gone("eng"), "id-alice active None ".into()]);
    assert!(!changes.resync, "nobody else was in it");
}
