//! What a revocation says that it does.

use super::Stage;
use crate::support::offboard::Offboard;

#[tokio::test]
async fn keys_and_certificates_are_refused_while_nothing_reads_them() {
    let stage = Stage::start().await;
    for dry in [&["--dry-run"][..], &[]] {
        for (target, what) in
            [(["--key", "k1"], "API keys"), (["--certificate", &"ab".repeat(32)], "client certificates")]
        {
            let told = stage.refused(&[&["revoke"], &target[..], &["--reason", "lost"], dry].concat());
            assert!(told.contains(&format!("no scheme of this version reads {what}")), "{told}");
        }
    }
    assert!(stage.revoked().is_empty());
}

#[tokio::test]
async fn a_dry_run_says_what_dies_for_each_kind_of_target() {
    let stage = Stage::start().await;
    let issuer = stage.issuer.url.clone();
    let nothing = stage.said(&["revoke", "--person", "hr/e1", "--reason", "left", "--dry-run"]);
    assert!(nothing.contains("dies with it: nothing that this replica has seen in use"), "{nothing}");
    for query in ["sub=e1&sid=s1&jti=t1&azp=web", "sub=e1&sid=s2&jti=t2&azp=web", "sub=e9&sid=s3&jti=t3&azp=cli"] {
        assert_eq!(stage.reason(&stage.issuer.token(query).await).await, "allowed");
    }
    for (target, count, tokens) in [
        (&["--person", "ann@example.com"][..], "2 tokens seen in use, of 2 sessions", &["t1", "t2"][..]),
        (&["--subject", &issuer, "e9"], "1 token seen in use, of 1 session", &["t3"]),
        (&["--session", &issuer, "s2"], "1 token seen in use, of 1 session", &["t2"]),
        (&["--token", &issuer, "t1"], "1 token seen in use, of 1 session", &["t1"]),
        (&["--client", &issuer, "web"], "2 tokens seen in use, of 2 sessions", &["t1", "t2"]),
        (&["--issuer", &issuer], "3 tokens seen in use, of 3 sessions", &["t1", "t2", "t3"]),
    ] {
        let told = stage.said(&[&["revoke"], target, &["--reason", "left", "--dry-run"]].concat());
        assert!(told.contains(&format!("dies with it: {count}; last used 2")), "{target:?}: {told}");
        assert!(told.contains("services: default"), "{told}");
        for token in ["t1", "t2", "t3"] {
            assert_eq!(told.contains(&format!("  token {token}; session ")), tokens.contains(&token), "{told}");
        }
        assert!(told.ends_with("dry run: nothing was revoked\n"), "{told}");
    }
    assert!(stage.revoked().is_empty());
}

#[tokio::test]
async fn a_dry_run_refuses_what_the_revocation_would() {
    let stage = Stage::start().await;
    for (arguments, code, why) in [
        (&["--person", "smith"][..], 1, "matches several people"),
        (&["--person", "nobody"], 1, "matches nobody"),
        (&["--person", "hr/e1", "--effective", "2h", "--expires", "1h"], 2, "would expire before it takes effect"),
    ] {
        for dry in [&["--dry-run"][..], &[]] {
            let (found, told) = stage.run(&[&["revoke", "--reason", "left"], arguments, dry].concat());
            assert_eq!((found, told.contains(why)), (code, true), "{arguments:?}: {told}");
        }
    }
}

#[tokio::test]
async fn a_cut_off_says_what_it_leaves_alive() {
    let stage = Stage::start().await;
    let stolen = stage.issuer.token("sub=e1&sid=s-old&jti=t-old&iat=1700000000").await;
    let fresh = stage.issuer.token("sub=e1&sid=s-new&jti=t-new").await;
    for token in [&stolen, &fresh] {
        assert_eq!(stage.reason(token).await, "allowed");
    }
    let told = stage.said(&["revoke", "--person", "hr/e1", "--issued-before", "30m", "--reason", "stolen laptop"]);
    let (dies, stays) = told.split_once("leaves alive: what is issued after 2").unwrap();
    assert!(dies.contains("token t-old; session s-old") && !dies.contains("t-new"), "{told}");
    assert!(stays.contains("leaves alive: 1 token seen in use, of 1 session"), "{told}");
    assert!(stays.contains("token t-new; session s-new") && !stays.contains("t-old"), "{told}");
    assert_eq!(stage.reason(&stolen).await, "issued_before_cutoff");
    assert_eq!(stage.reason(&fresh).await, "allowed");
}

#[tokio::test]
async fn a_future_revocation_says_when_in_the_callers_zone_and_in_utc() {
    let stage = Stage::start().await;
    let token = stage.token("e9").await;
    let url = format!("http://{}", stage.offboard.control);
    let said = |arguments: &[&str]| {
        let mut command = Offboard::command();
        command
            .env("TZ", "CET-1")
            .args(arguments)
            .args(["--server", &url, "--token-file"])
            .arg(stage.files.token_file());
        let done = command.output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let at = "2098-12-01T17:00:00+01:00";
    let told = said(&["revoke", "--person", "hr/e9", "--effective", at, "--reason", "last day"]);
    let words = "2098-12-01 17:00:00 CET (+01:00) = 2098-12-01T16:00:00.000Z, in ";
    assert!(told.contains(&format!("comes into force {words}")), "{told}");
    assert!(told.contains("denies nothing yet") && !told.contains("durable and enforced"), "{told}");
    assert_eq!(stage.reason(&token).await, "allowed");
    for listing in [&["revocations"][..], &["person", "hr/e9"]] {
        assert!(said(listing).contains(words), "{listing:?}: {}", said(listing));
    }
    let now = said(&["revoke", "--person", "hr/e1", "--reason", "left"]);
    assert!(now.contains("(durable and enforced; epoch "), "{now}");
    let rows = stage.rows(&["revocations", "--person", "hr/e1"]);
    assert!(rows[0]["begins"].is_null() && rows[0]["effective"].is_string(), "{rows:?}");
}
