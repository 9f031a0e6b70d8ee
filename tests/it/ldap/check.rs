//! `offboard source check`: what is missing is said in words, and TLS is verified.

use std::path::Path;
use std::process::Command;

use super::stage::source;
use crate::support::installation::Installation;
use crate::support::offboard::Offboard;
use crate::support::slapd::{BASE, Choices, Slapd};
use crate::support::tls::{Authority, dns};

/// `source check`, of a configuration alone.
fn check(files: &Installation, url: &str, more: &str) -> (i32, String) {
    let issuer =
        "issuers: [{ name: dev, issuer: 'http://dev', audiences: [mesh], jwks: { uri: 'http://dev/jwks' } }]\n";
    files.write("20-rules.yaml", &format!("{issuer}{}", source(files, url, more)));
    checked(files)
}

pub fn checked(files: &Installation) -> (i32, String) {
    checked_at(&files.path("config"))
}

fn checked_at(config: &Path) -> (i32, String) {
    let mut command: Command = Offboard::command();
    let done = command.args(["source", "check", "ad", "--config"]).arg(config).output().unwrap();
    let text = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (done.status.code().unwrap(), text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_said_in_words() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let files = Installation::new("");
    let url = format!("ldap://127.0.0.1:{}", slapd.port);
    let (code, text) = check(&files, &url, "");
    assert_eq!(code, 0, "{text}");
    for part in ["3 people can be listed", "1 groups can be listed", "the server reports changes", "pwdChangedTime"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    std::fs::write(files.path("ldap-password"), "wrong").unwrap();
    let (code, text) = checked(&files);
    assert!(code == 1 && text.contains("`bind_password_file` is wrong"), "{text}");
    std::fs::write(files.path("ldap-password"), "\n").unwrap();
    assert!(checked(&files).1.contains("it is empty"), "never an anonymous bind");
    let config = source(&files, &url, "").replace(&format!("'{BASE}'"), "'dc=example,dc=net'");
    let config = config.replace(&format!("ou=people,{BASE}"), "ou=people,dc=example,dc=net");
    let rules = std::fs::read_to_string(files.path("config/20-rules.yaml")).unwrap();
    files.write("20-rules.yaml", &format!("{}{config}", rules.split("sources:").next().unwrap()));
    let (code, text) = checked(&files);
    assert!(code == 1 && text.contains("`base_dn` is wrong"), "{text}");

    slapd.stop();
    slapd.choices.limits = "limits dn.exact=\"cn=sync,ou=svc,dc=example,dc=org\" size=1";
    slapd.resume().await;
    let (code, text) = check(&files, &url, "");
    assert!(code == 1 && text.contains("size=unlimited"), "{text}");
    slapd.stop();
    let (code, text) = check(&files, &url, "");
    assert!(code != 0 && text.contains("refused"), "{text}");

    let garbage = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ldap://{}", garbage.local_addr().unwrap());
    let mut talker = tokio::task::JoinSet::new();
    talker.spawn(async move {
        for junk in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            b"0\x03\x02\x01",
            b"\x30\x05\x02\x01\x01\x61\x00",
            b"\x30\x00",
            b"\xff\xff\xff",
        ]
        .iter()
        .cycle()
        {
            let (mut stream, _) = garbage.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, junk).await;
        }
    });
    let issuer = rules.split("sources:").next().unwrap();
    files.write(
        "20-rules.yaml",
        &format!("{issuer}{}", source(&files, &url, "timeout: 2s").replace("timeout: 5s, ", "")),
    );
    for _ in 0..5 {
        let config = files.path("config");
        let (code, text) = tokio::task::spawn_blocking(move || checked_at(&config)).await.unwrap();
        assert!(code == 1 && text.contains("connection"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_verified_and_never_left_out() {
    let scratch = crate::support::Scratch::new();
    let (ours, other) = (Authority::new(), Authority::new());
    let local = rcgen::SanType::IpAddress([127, 0, 0, 1].into());
    ours.issue_to(scratch.path(), "server", vec![local, dns("elsewhere.example")]);
    std::fs::write(scratch.path().join("ours.pem"), ours.pem()).unwrap();
    std::fs::write(scratch.path().join("other.pem"), other.pem()).unwrap();
    let file = |name: &str| scratch.path().join(name);
    let tls = Some((file("server.crt"), file("server.key")));
    let Some(slapd) = Slapd::start(Choices { tls, ..Choices::default() }).await else { return };
    let files = Installation::new("");
    let trusting = |name: &str, more: &str| format!("ca_file: {}{more}", file(name).display());
    let plain = slapd.plain_port(slapd.port);
    let (ldaps, ldap) = (format!("ldaps://127.0.0.1:{}", slapd.port), format!("ldap://127.0.0.1:{plain}"));
    for (url, more) in [(&ldaps, ""), (&ldap, ", start_tls: true")] {
        let (code, text) = check(&files, url, &trusting("ours.pem", more));
        assert!(code == 0 && text.contains("TLS, and the bind succeeds"), "{text}");
        let (code, text) = check(&files, url, &trusting("other.pem", more));
        assert!(code != 0 && text.contains("invalid peer certificate"), "{text}");
        let (code, text) = check(&files, url, more.trim_start_matches(", "));
        assert!(code != 0 && text.contains("UnknownIssuer"), "{text}");
        let named = url.replace("127.0.0.1", "localhost");
        let (code, text) = check(&files, &named, &trusting("ours.pem", more));
        assert!(code != 0 && text.contains("not valid for name"), "{text}");
    }
    // One that has no TLS is not spoken to in the clear.
    let Some(slapd) = Slapd::start(Choices::default()).await else { return };
    let url = format!("ldap://127.0.0.1:{}", slapd.port);
    let (code, text) = check(&files, &url, &trusting("ours.pem", ", start_tls: true"));
    assert!(code != 0 && !text.contains("bind succeeds"), "{text}");
}
