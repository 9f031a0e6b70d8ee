//! `offboard source check`.

use std::process::Stdio;

use super::stage::{APP, GROUP};
use crate::support::installation::Installation;
use crate::support::offboard::Offboard;
use crate::support::okta::{Failure, Okta, TOKEN};

/// `offboard source check NAME --config …`: exit code and what it says.
fn check(files: &Installation) -> (i32, String) {
    let mut command = Offboard::command();
    command.args(["source", "check", "okta", "-o", "json", "--config"]).arg(files.path("config"));
    let done = command.stdin(Stdio::null()).output().unwrap();
    (done.status.code().unwrap(), String::from_utf8_lossy(&done.stdout).into_owned())
}

#[tokio::test]
async fn a_check_says_what_is_missing() {
    let okta = Okta::start();
    okta.org().add_user("alice");
    okta.org().add_group(GROUP, "OKTA_GROUP", "payments-eng");
    let files = Installation::new("");
    std::fs::write(files.path("okta-token"), TOKEN).unwrap();
    let source = format!("url: '{}', token_file: '{}'", okta.url, files.path("okta-token").display());
    let issuer = "issuers: [{ name: dev, issuer: https://idp, audiences: [mesh], jwks: { discovery: true } }]\n";
    let rules = format!("{issuer}sources: [{{ name: okta, kind: okta, issuer: dev, {source} }}]\n");
    files.write("20-rules.yaml", &rules);
    let (code, said) = check(&files);
    assert_eq!(code, 0, "{said}");
    for found in ["is an Okta organization", "the System Log can be followed", "2 can be listed", "at least 6000"] {
        assert!(said.contains(found), "{found}: {said}");
    }
    assert!(!said.contains("warning") && !said.contains(TOKEN), "{said}");

    let rights =
        [("logs", "may not read the System Log"), ("users", "may not read users"), ("groups", "may not read groups")];
    for (right, named) in rights {
        okta.org().denied = [right].into();
        let (code, said) = check(&files);
        assert!(code == 1 && said.contains(named), "{code}: {said}");
    }
    okta.org().denied.clear();
    files.write("20-rules.yaml", &rules.replace("kind: okta,", &format!("kind: okta, app: {APP},")));
    let (code, said) = check(&files);
    assert!(code == 1 && said.contains("there is no app `0oapayments`"), "{code}: {said}");
    okta.org().apps.insert(APP.into(), std::collections::BTreeMap::new());
    let (code, said) = check(&files);
    assert!(code == 1 && said.contains("nobody is assigned to app `0oapayments`"), "{code}: {said}");
    okta.org().set_assigned("alice", APP);
    let (code, said) = check(&files);
    let count =
        |all: &str| format!("{all} people who are active in Okta are not assigned to app `Payments` (0oapayments)");
    assert!(code == 0 && said.contains(&count("0 of 1")), "{code}: {said}");
    for name in ["bob", "carol", "dan"] {
        okta.org().add_user(name);
    }
    // Those who may not sign in to anything are in no count.
    okta.org().set_status("dan", "DEPROVISIONED");
    okta.org().rows = 1;
    let (code, said) = check(&files);
    assert!(code == 0 && said.contains(&count("2 of 3")) && said.contains("warning"), "{code}: {said}");
    // More than are read for a count: it says so.
    let users = okta.org().users.clone();
    (0..25).for_each(|number| okta.org().add_user(&format!("z{number:02}")));
    let (code, said) = check(&files);
    assert!(code == 0 && said.contains("listed first, are not assigned to app"), "{code}: {said}");
    (0..25).for_each(|number| okta.org().set_assigned(&format!("z{number:02}"), APP));
    let (code, said) = check(&files);
    assert!(code == 0 && said.contains("more people are assigned to it than are counted here"), "{code}: {said}");
    // Another application, to which nobody of those who are here is assigned.
    (okta.org().rows, okta.org().users) = (200, users);
    okta.org().apps.get_mut(APP).unwrap().remove("00ualice");
    let (code, said) = check(&files);
    assert!(code == 1 && said.contains(&count("3 of 3")), "{code}: {said}");
    okta.org().set_assigned("alice", APP);
    okta.org().denied = ["apps"].into();
    let (code, said) = check(&files);
    assert!(code == 1 && said.contains("may not read applications"), "{code}: {said}");
    okta.org().denied.clear();
    files.write("20-rules.yaml", &rules);
    okta.org().ahead = 3600;
    okta.org().limits = [("users", 2)].into();
    okta.org().spend_all();
    let (code, said) = check(&files);
    assert!(code == 1 && said.contains("s ahead of ours") && said.contains("too many requests"), "{code}: {said}");
    okta.org().limits.clear();
    okta.org().token = None;
    let (code, said) = check(&files);
    assert!(code == 1 && said.contains("is wrong, was revoked, or ended"), "{code}: {said}");
    okta.org().failures = vec![("/".into(), Failure::Html)];
    let (code, said) = check(&files);
    assert!(code == 1 && said.contains("not JSON"), "{code}: {said}");
    assert_eq!(okta.org().complaints, Vec::<String>::new());
    // Nobody is there, and it is said which way was tried.
    files.write("20-rules.yaml", &rules.replace(&okta.url, "http://127.0.0.1:1"));
    let (code, said) = check(&files);
    assert!(code == 1 && said.contains("asked directly: it is this machine"), "{code}: {said}");
}
