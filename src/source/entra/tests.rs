use serde_json::json;

use super::*;

fn entra() -> Entra {
    let url = |text: &str| Url::parse(text).unwrap();
    let tenant = Tenant {
        login_url: url("https://login.microsoftonline.com"),
        graph_url: url("https://graph.microsoft.com"),
        tenant: "t".into(),
        client_id: "c".into(),
        client_secret_file: "/dev/null".into(),
    };
    let settings = Settings { name: "entra".into(), tenant, attributes: BTreeSet::new() };
    Entra::new(settings, Http::new(Duration::from_secs(1), None))
}

fn said(row: serde_json::Value) -> Hint {
    let mut hint = Hint::default();
    hint.said(serde_json::from_value(row).unwrap());
    hint
}

#[tokio::test]
async fn who_does_not_turn_up_is_for_a_listing_to_tell() {
    let mut entra = entra();
    let named = said(json!({ "id": "1", "mail": "a@x" }));
    assert_eq!(entra.settle("1", &named, None).unwrap(), vec![], "nobody said that they left");
    let now = Instant::now();
    assert!(!entra.ask_again(now) && entra.hints.contains_key("1"), "asked again meanwhile");
    let again = entra.hints.remove("1").unwrap();
    assert_eq!(entra.settle("1", &again, None).unwrap(), vec![]);
    assert!(entra.ask_again(now + DOUBT), "everybody is listed");
    assert!(!entra.ask_again(now + DOUBT * 2), "once");

    // Whoever turns up before is no reason.
    entra.settle("2", &named, None).unwrap();
    let user = json!({ "id": "2", "accountEnabled": true, "userPrincipalName": "a@x" });
    entra.settle("2", &again, Some(&serde_json::from_value(user).unwrap())).unwrap();
    assert!(!entra.ask_again(now + DOUBT * 4));
}

#[tokio::test]
async fn who_is_said_to_be_deleted_and_is_at_no_address_is_gone() {
    let mut entra = entra();
    let removed = said(json!({ "id": "1", "@removed": { "reason": "changed" } }));
    let gone = Observation::Deleted { person: entra.id("1"), at: None };
    assert_eq!(entra.settle("1", &removed, None).unwrap(), vec![gone.clone()]);
    assert!(entra.doubted.is_empty());
    // Restored, or that is what it looks like.
    let mut both = removed;
    both.said(serde_json::from_value(json!({ "id": "1", "mail": "a@x" })).unwrap());
    assert_eq!(entra.settle("1", &both, None).unwrap(), vec![gone]);
    assert!(entra.doubted.contains_key(&Doubted::User("1".into())));
    assert_eq!(entra.settle("1", &Hint::moved(), None).unwrap(), vec![]);
}

#[tokio::test]
async fn a_place_is_written_down_once_everybody_was_read() {
    let mut entra = entra();
    entra.users.link = Some(Url::parse("https://graph.microsoft.com/v1.0/users/delta?$deltatoken=1").unwrap());
    entra.hints.insert("1".into(), said(json!({ "id": "1", "accountEnabled": false })));
    entra.recent.insert("1".into(), Instant::now());
    assert_eq!(entra.place(), None, "1 is known by an older place alone");
    entra.hints.clear();
    let kept = entra.place().unwrap();
    let mut next = self::entra();
    next.open(Some(kept));
    assert_eq!(next.users.link, entra.users.link);
    assert!(next.out.contains("1"), "a listing alone does not bring them back");
    // As an older release wrote it.
    let older = json!({ "select": entra.select, "users": entra.users.link.as_ref().map(Url::to_string) });
    let mut next = self::entra();
    next.open(Some(older.to_string()));
    assert_eq!(next.users.link, entra.users.link);
}
