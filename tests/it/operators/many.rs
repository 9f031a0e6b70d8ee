//! Several people at once: all of them or none, each with an id.

use super::{PEOPLE, Stage};

/// A firm of contractors, some of the company, and who they are.
async fn stage() -> (Stage, [String; 3]) {
    let stage = Stage::start().await;
    let firm =
        ["id: c1, groups: [firm]", "id: c2, email: c2@firm.example, groups: [firm, ops]", "id: c3, groups: [ops]"];
    stage.files.write_people(&[&PEOPLE[..], &firm].concat());
    stage.offboard.knows("hr", 8).await;
    let tokens = [stage.token("c1").await, stage.token("c2").await, stage.token("c3").await];
    (stage, tokens)
}

impl Stage {
    async fn reasons(&self, tokens: &[String; 3]) -> [String; 3] {
        [self.reason(&tokens[0]).await, self.reason(&tokens[1]).await, self.reason(&tokens[2]).await]
    }
}

#[tokio::test]
async fn several_people_are_revoked_together_or_not_at_all() {
    let (stage, tokens) = stage().await;
    let reason = ["--reason", "contract ended"];
    let people = ["revoke", "--person", "hr/c1", "--person", "c2@firm.example"];
    let told = stage.refused(&[&people[..], &["--person", "smith", "--person", "hr/c9"], &reason].concat());
    assert!(told.contains("nothing was revoked: 2 of 4 were refused (--keep-going revokes the others)"), "{told}");
    assert!(told.contains("`smith` matches several people") && told.contains("`hr/c9` matches nobody"), "{told}");
    let told = stage.said(&[&people[..], &reason, &["--dry-run"]].concat());
    assert!(told.ends_with("dry run: nothing was revoked; 2 of 2 would be\n"), "{told}");
    assert!(stage.revoked().is_empty());

    let told = stage.said(&[&people[..], &["--person", "hr/c1"], &reason].concat());
    assert!(told.contains("affects hr/c1 (active") && told.contains("affects hr/c2 (active"), "{told}");
    assert!(told.contains("2 revoked of 2 (durable and enforced; epoch "), "each once: {told}");
    let rows = stage.revoked();
    assert_eq!(rows.len(), 2, "{rows:?}");
    for row in &rows {
        assert!(told.contains(&format!("revoked: {} ", row["id"].as_str().unwrap())), "{told}");
    }
    assert_eq!(stage.reasons(&tokens).await, ["revoked_person", "revoked_person", "allowed"]);

    let told = stage.said(&["restore", "--person", "hr/c2", "--reason", "extended"]);
    assert!(told.contains("restored: r") && told.contains("stays denied"), "{told}");
    assert_eq!(stage.reasons(&tokens).await, ["revoked_person", "issued_before_cutoff", "allowed"]);
    let told = stage.refused(&["restore", "--person", "hr/c2", "--reason", "extended"]);
    assert!(told.contains("no revocation that an operator made of `hr/c2` is in effect"), "{told}");
}

#[tokio::test]
async fn a_group_means_its_members_now() {
    let (stage, tokens) = stage().await;
    assert!(stage.refused(&["revoke", "--group", "frim", "--reason", "x"]).contains("`frim` has no members"));
    let told = stage.said(&["revoke", "--group", "firm", "--reason", "contract ended"]);
    assert!(told.contains("2 revoked of 2"), "{told}");
    assert_eq!(stage.reasons(&tokens).await, ["revoked_person", "revoked_person", "allowed"]);
}

#[tokio::test]
async fn a_file_of_people_has_reasons_and_keeps_going_if_told_to() {
    let (stage, tokens) = stage().await;
    let path = stage.files.path("leavers.csv");
    std::fs::write(&path, "# the firm\nhr/c1, HR-7\nhr/c9\nhr/c3\n").unwrap();
    let revoke = ["revoke", "--people-file", path.to_str().unwrap(), "--reason", "contract ended"];
    assert!(stage.refused(&revoke).contains("1 of 3 were refused"));
    assert_eq!(stage.reasons(&tokens).await, ["allowed", "allowed", "allowed"]);
    let told = stage.refused(&[&revoke[..], &["--keep-going"]].concat());
    assert!(told.contains("2 revoked of 3") && told.contains("`hr/c9` matches nobody"), "{told}");
    assert_eq!(stage.reasons(&tokens).await, ["revoked_person", "allowed", "revoked_person"]);
    let mut reasons: Vec<String> = stage.revoked().iter().map(|row| row["reason"].to_string()).collect();
    reasons.sort();
    assert_eq!(reasons, ["\"HR-7\"", "\"contract ended\""]);
    let (code, told) = stage.run(&["revoke", "--people-file", "/nowhere", "--reason", "x"]);
    assert!(code == 3 && told.contains("people file `/nowhere`"), "{told}");
}

#[tokio::test]
async fn more_than_a_thousand_are_judged_first_and_then_revoked() {
    let stage = Stage::start().await;
    let many: Vec<String> = (0..1_205).map(|number| format!("id: m{number}, email: m{number}@firm.example")).collect();
    let rows: Vec<&str> = PEOPLE.iter().copied().chain(many.iter().map(String::as_str)).collect();
    stage.files.write_people(&rows);
    stage.offboard.knows("hr", 1_210).await;
    let path = stage.files.path("firm.csv");
    let list: String = (0..1_205).map(|number| format!("hr/m{number}\n")).collect();
    std::fs::write(&path, format!("{list}hr/nobody\n")).unwrap();
    let revoke = ["revoke", "--people-file", path.to_str().unwrap(), "--reason", "contract ended"];
    let told = stage.refused(&revoke);
    assert!(told.contains("nothing was revoked: 1 of 1206 were refused"), "{told}");
    assert!(stage.revoked().is_empty(), "also none of the first thousand");
    std::fs::write(&path, list).unwrap();
    let told = stage.said(&revoke);
    assert!(told.contains("[1000/1205] revoked"), "{told}");
    assert!(told.contains("1205 revoked of 1205 (durable and enforced; epoch "), "{told}");
    assert_eq!(stage.reason(&stage.token("m1204").await).await, "revoked_person");
    assert_eq!(stage.revoked().len(), 1_205);
    let told = stage.said(&revoke);
    assert!(told.contains("0 revoked of 1205, 1205 stood already"), "{told}");
}
