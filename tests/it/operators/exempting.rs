//! Break glass: for whom, until when, and against what it never helps.

use super::Stage;

impl Stage {
    /// Until when somebody is exempted.
    fn exempted(&self, person: &str) -> String {
        let row = self.rows(&["person", person]).pop().unwrap();
        row["exempted_until"].as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn a_new_exemption_replaces_the_old_and_one_can_be_ended() {
    let stage = Stage::start().await;
    let token = stage.token("e5").await;
    assert_eq!(stage.reason(&token).await, "revoked_person");
    stage.said(&["exempt", "hr/e5", "--expires", "4h", "--reason", "INC-9"]);
    assert_eq!(stage.reason(&token).await, "allowed");
    let long = stage.exempted("hr/e5");
    stage.said(&["exempt", "hr/e5", "--expires", "1h", "--reason", "INC-9"]);
    let short = stage.exempted("hr/e5");
    assert!(short < long, "{short}, and not {long}");
    let status = stage.rows(&["status"]).pop().unwrap();
    assert_eq!(status["exemptions"].as_array().unwrap().len(), 1, "{status}");
    assert_eq!(stage.reason(&token).await, "allowed");

    let told = stage.said(&["exempt", "hr/e5", "--end", "--reason", "INC-9 is over"]);
    assert_eq!(told, "exempted no longer: hr/e5\n");
    assert_eq!((stage.reason(&token).await, stage.exempted("hr/e5")), ("revoked_person".into(), String::new()));
    assert!(stage.refused(&["exempt", "hr/e5", "--end", "--reason", "x"]).contains("`hr/e5` is not exempted"));
    let trail = std::fs::read_dir(stage.files.path("audit")).unwrap().map(|file| file.unwrap().path());
    let trail: String =
        trail.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert!(trail.contains("replaced: INC-9") && trail.contains("restored: INC-9 is over"), "{trail}");
    let neither = stage.run(&["exempt", "hr/e5", "--reason", "x"]);
    assert_eq!(neither.0, 2, "{neither:?}");
}

#[tokio::test]
async fn an_exemption_is_refused_where_an_operators_or_configured_block_stands() {
    let stage = Stage::start().await;
    let exempt = |person: &str| ["exempt".to_owned(), person.to_owned()];
    let rest = ["--expires", "1h", "--reason", "INC-9"];
    let exempt = |person: &str| stage.run(&[&exempt(person).each_ref().map(String::as_str)[..], &rest].concat());
    let id = stage.revoke(&["--person", "hr/e5"]);
    let (code, told) = exempt("hr/e5");
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains(&format!("`hr/e5` is denied by revocation {id} of an operator (`offboard restore {id}`)")),
        "{told}"
    );
    stage.said(&["restore", &id, "--reason", "back"]);
    assert_eq!(exempt("hr/e5").0, 0, "a cut-off that is left does not count");
    stage.revoke(&["--person", "hr/e1", "--effective", "2h"]);
    let (code, told) = exempt("hr/e1");
    assert_eq!(code, 0, "nor does what is not in force yet: {told}");
    assert!(told.contains("note: hr/e1 is active in their source, so there is nothing to override now"), "{told}");

    stage.files.write("30-revocations.yaml", "revocations:\n- { person: MALLORY@example.com, reason: HR-12 }\n");
    stage.becomes(&stage.token("e4").await, "revoked_person").await;
    let (code, told) = exempt("hr/e4");
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("30-revocations.yaml:2 (take it out there)"), "{told}");
}
