//! What ends with a revocation, what stays denied, and how a mistake is taken back.

use super::Stage;

impl Stage {
    fn restore(&self, id: &str) -> String {
        self.said(&["restore", id, "--reason", "back"])
    }

    fn undo(&self, id: &str) -> String {
        self.said(&["restore", id, "--undo", "--reason", "wrong person"])
    }
}

#[tokio::test]
async fn a_restore_says_what_stays_dead_and_every_listing_says_whence() {
    let stage = Stage::start().await;
    let old = stage.token("e1").await;
    let id = stage.revoke(&["--person", "ann@example.com"]);
    let told = stage.restore(&id);
    assert!(told.contains("what was issued at or before 2") && told.contains("stays denied"), "{told}");
    assert!(told.contains(&format!("`offboard restore {id} --undo`")), "{told}");
    assert!(!told.contains("still in force"), "{told}");
    assert_eq!(stage.reason(&old).await, "issued_before_cutoff");

    let person = stage.rows(&["person", "hr/e1"]).pop().unwrap();
    let left = person["cut_offs"][0].as_str().unwrap();
    assert!(left.ends_with(&format!("(left by {id} of operator: HR-12)")), "{person}");
    assert!(person["revocations"] == serde_json::json!([]), "{person}");
    let of_person = stage.rows(&["revocations", "--person", "hr/e1"]);
    let all = stage.rows(&["revocations", "--all"]);
    for rows in [&of_person, &all] {
        let row = rows.iter().find(|row| row["id"] == *id).unwrap();
        assert!(left.contains(row["left_cut_off"].as_str().unwrap()), "{row}");
        assert_eq!(row["ended"], row["left_cut_off"], "{row}");
    }
    let standing = stage.rows(&["revocations"]);
    assert!(standing.iter().all(|row| row["owner"] != "operator"), "it has ended: {standing:?}");
    let bearer = format!("authorization: Bearer {old}");
    let ask = ["explain", "--method", "GET", "--host", "orders.example.com", "--path", "/v1/orders", "-H", &bearer];
    let told = stage.refused(&ask);
    let words = format!("revocation {id} has ended, and left that what was issued at or before 2");
    assert!(told.contains(&words) && told.contains("stays denied: HR-12, by bootstrap"), "{told}");

    let session = stage.revoke(&["--session", &stage.issuer.url.clone(), "s1"]);
    assert!(!stage.restore(&session).contains("stays denied"), "a session leaves nothing");
}

#[tokio::test]
async fn a_mistake_is_undone_with_the_one_cut_off_that_it_left() {
    let mut stage = Stage::start().await;
    let old = stage.token("e1").await;
    let (first, second) = (stage.revoke(&["--person", "hr/e1"]), stage.revoke(&["--person", "ann@example.com"]));
    let third = stage.revoke(&["--person", "hr/e1", "--issued-before", "1m"]);
    stage.restore(&first);
    let told = stage.undo(&second);
    assert!(told.contains(&format!("note: {third} is still in force")), "{told}");
    assert!(told.contains(&format!("note: {first} has ended, and what was issued at or before 2")), "{told}");
    assert!(told.contains(&format!("undone: {second}")), "{told}");
    assert_eq!(stage.reason(&old).await, "issued_before_cutoff", "by the first, whose cut-off is its own");
    stage.restart().await;
    assert_eq!(stage.reason(&old).await, "issued_before_cutoff", "after a restart too");
    stage.undo(&third);
    stage.undo(&first);
    assert_eq!(stage.reason(&old).await, "allowed", "nothing is left of either");
    for id in [&first, &second, &third] {
        assert!(stage.refused(&["restore", id, "--undo", "--reason", "again"]).contains("nothing of revocation"));
    }
    let rows = stage.revoked();
    assert!(rows.iter().all(|row| row["ended_by"] == "undone" && row["left_cut_off"].is_null()), "{rows:?}");
    assert_eq!(stage.offboard.metric("offboard_revocations_undone_total").await, Some(2.0), "since the start");
    let trail = std::fs::read_dir(stage.files.path("audit")).unwrap().map(|file| file.unwrap().path());
    let trail: String =
        trail.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert!(trail.contains("undone: wrong person"), "{trail}");
    stage.restart().await;
    assert_eq!(stage.reason(&old).await, "allowed");
}

#[tokio::test]
async fn a_person_whom_a_name_came_to_mean_is_free_of_it_too() {
    let stage = Stage::start().await;
    let id = stage.revoke(&["--person", "hr/new", "--allow-unknown"]);
    stage.files.write_people(&[&super::PEOPLE[..], &["id: new"]].concat());
    stage.offboard.knows("hr", 6).await;
    let token = stage.token("new").await;
    assert_eq!(stage.reason(&token).await, "revoked_person");
    stage.restore(&id);
    assert_eq!(stage.reason(&token).await, "issued_before_cutoff");
    stage.undo(&id);
    assert_eq!(stage.reason(&token).await, "allowed");
}

#[tokio::test]
async fn nobody_undoes_what_a_source_or_the_configuration_says() {
    let stage = Stage::start().await;
    let suspended = stage.rows(&["revocations", "--person", "hr/e5"]).pop().unwrap();
    let id = suspended["id"].as_str().unwrap();
    let told = stage.refused(&["restore", id, "--undo", "--reason", "no"]);
    assert!(
        told.contains("belongs to source hr") && told.contains("only an operator's revocation can be undone"),
        "{told}"
    );
    assert!(stage.refused(&["restore", "r8f14e45fceea167a", "--undo", "--reason", "no"]).contains("no revocation"));
    assert_eq!(stage.reason(&stage.token("e5").await).await, "revoked_person");
}
