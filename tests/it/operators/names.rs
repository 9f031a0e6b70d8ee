//! Whom a REF means, and what becomes of one that means nobody or several.

use super::{PEOPLE, Stage, rules};
use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;

#[tokio::test]
async fn the_id_that_listings_print_is_a_ref_everywhere() {
    let stage = Stage::start().await;
    let token = stage.token("e9").await;
    assert_eq!(stage.reason(&token).await, "allowed");
    let told = stage.said(&["revoke", "--person", "hr/e9", "--reason", "HR-12"]);
    assert!(told.contains("affects hr/e9 (active"), "{told}");
    assert_eq!(stage.reason(&token).await, "revoked_person");
    for command in [&["person", "hr/e9"][..], &["revocations", "--person", "hr/e9"], &["person", "zoe@example.com"]] {
        assert!(stage.said(command).contains("HR-12"), "{command:?}");
    }
    assert!(stage.said(&["exempt", "hr/e1", "--expires", "1h", "--reason", "INC-9"]).contains("hr/e1"));
}

#[tokio::test]
async fn a_name_that_nobody_has_is_refused_with_what_may_have_been_meant() {
    let stage = Stage::start().await;
    for (wrong, near) in [
        ("malory@example.com", "mallory@example.com (hr/e4)"),
        ("mallory", "mallory@example.com (hr/e4)"),
        ("hr/e10", "hr/e1"),
    ] {
        for command in [
            &["revoke", "--reason", "HR-12", "--person"][..],
            &["revoke", "--reason", "HR-12", "--dry-run", "--person"],
            &["exempt", "--reason", "HR-12", "--expires", "1h"],
            &["person"],
            &["revocations", "--person"],
        ] {
            let told = stage.refused(&[command, &[wrong]].concat());
            assert!(told.contains("matches nobody in any source; near it: ") && told.contains(near), "{told}");
        }
    }
    let told = stage.refused(&["revoke", "--person", "hr/nobody", "--reason", "HR-12"]);
    assert!(!told.contains("near it"), "{told}");
    assert!(stage.revoked().is_empty(), "nothing was revoked");

    let told = stage.said(&["revoke", "--person", "hr/nobody", "--reason", "HR-12", "--allow-unknown"]);
    assert!(told.contains("only the name itself is denied") && told.contains("durable and enforced"), "{told}");
    assert_eq!(stage.rows(&["revocations", "--person", "hr/nobody"]).len(), 1, "by the name that is denied");
    stage.files.write_people(&[&PEOPLE[..], &["id: nobody"]].concat());
    stage.offboard.knows("hr", 6).await;
    assert_eq!(stage.reason(&stage.token("nobody").await).await, "revoked_person", "and whoever has it later");
}

#[tokio::test]
async fn a_name_that_a_token_has_shown_is_somebody() {
    let stage = Stage::start().await;
    let token = stage.issuer.token("sub=x1&email=guest@example.net&aud=mesh").await;
    let revoke = ["revoke", "--person", "guest@example.net", "--reason", "HR-12"];
    assert!(stage.refused(&revoke).contains("matches nobody"));
    assert_eq!(stage.reason(&token).await, "unknown_person");
    let told = stage.said(&revoke);
    assert!(told.contains("verified tokens have shown this name"), "{told}");
    assert_eq!(stage.reason(&token).await, "revoked_person");
}

#[tokio::test]
async fn an_ambiguous_name_lists_its_candidates_as_commands_to_run() {
    let stage = Stage::start().await;
    for command in [&["person", "smith"][..], &["revocations", "--person", "smith"]] {
        let told = stage.refused(command);
        assert!(told.contains(&format!(" {} hr/e2 --server ", command[..command.len() - 1].join(" "))), "{told}");
    }
    let told = stage.refused(&["revoke", "--person", "smith", "--reason", "stolen laptop"]);
    for line in [
        "`smith` matches several people: hr/e2, hr/e3; say which:",
        " revoke --person hr/e2 --reason 'stolen laptop' --server ",
        " revoke --person hr/e3 --reason 'stolen laptop' --server ",
        "or deny all of them:",
        " --all-candidates",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(stage.revoked().is_empty(), "nothing was revoked");

    // The line that was printed, as a shell runs it.
    let line = told.lines().find(|line| line.contains("--person hr/e3")).unwrap();
    let done = std::process::Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let (second, third) = (stage.token("e2").await, stage.token("e3").await);
    assert_eq!((stage.reason(&second).await, stage.reason(&third).await), ("allowed".into(), "revoked_person".into()));
    stage.said(&["revoke", "--person", "smith", "--reason", "stolen laptop", "--all-candidates"]);
    assert_eq!(stage.reason(&second).await, "revoked_person");
}

#[tokio::test]
async fn before_the_first_listing_any_name_is_accepted_with_a_warning() {
    let (files, issuer) = (Installation::new(""), DevIssuer::start().await);
    files.write("20-rules.yaml", &format!("{}{}", rules(&files), issuer.section()));
    let offboard = files.start().await;
    let revoke = ["revoke", "--person", "mallory@example.com", "--reason", "HR-12"];
    let (code, told, warned) = offboard.run(&files.token_file(), &revoke);
    assert_eq!((code, told.contains("durable and enforced")), (0, true), "{told}{warned}");
    assert!(warned.contains("warning: no source has completed a listing"), "{warned}");
    let (code, _, error) = offboard.run(&files.token_file(), &["person", "mallory@example.com"]);
    assert_eq!((code, error.contains("no source has completed a listing")), (1, true), "{error}");
}
