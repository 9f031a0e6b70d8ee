//! A real OpenLDAP behind the service: who is locked, deleted, moved, renamed or out of a group is out of the mesh.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::envoy::{Envoy, asking, binary};
use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::proxy::Proxy;
use crate::support::slapd::{BASE, Choices, READER, Slapd, dn};
use crate::support::tls::{Authority, dns};
use crate::support::upstream::Upstream;
use crate::support::wire::Wire;
use crate::support::{ports, until, until_within};

/// Whoever is in `devs` may read.
const RULES: &str = "services: [{ name: payments }]\nroles: [{ name: reader, permissions: [{ methods: [GET] }] }]\n\
                     bindings: [{ role: reader, groups: [devs] }]\n";

const ACTIVE: &str = "offboard_people{source=\"ad\",status=\"active\"}";

pub struct Stage {
    files: Installation,
    pub offboard: Offboard,
    issuer: DevIssuer,
    proxy: Proxy,
}

/// `sources:` with this server; `more` is what stands behind.
fn source(files: &Installation, url: &str, more: &str) -> String {
    std::fs::write(files.path("ldap-password"), "syncsecret\n").unwrap();
    let password = files.path("ldap-password").display().to_string();
    format!(
        "sources:\n  - {{ name: ad, kind: ldap, issuer: dev, url: '{url}', base_dn: '{BASE}', people_dn: \
         'ou=people,{BASE}', bind_dn: '{READER}', bind_password_file: {password}, timeout: 5s, {more} }}\n"
    )
}

impl Stage {
    pub async fn start(port: u16, more: &str) -> Self {
        let (files, issuer) = (Installation::new(""), DevIssuer::start().await);
        let sources = source(&files, &format!("ldap://127.0.0.1:{port}"), more);
        files.write("20-rules.yaml", &format!("{RULES}{}{sources}", issuer.section()));
        let offboard = files.start().await;
        offboard.has_keys("dev").await;
        until("everybody is known", async || (offboard.metric(ACTIVE).await >= Some(3.0)).then_some(())).await;
        let proxy = Proxy::connect(offboard.authz).await;
        Self { files, offboard, issuer, proxy }
    }

    async fn restart(&mut self) {
        self.offboard.process.stop(Duration::from_secs(20));
        self.offboard = self.files.start().await;
        self.offboard.has_keys("dev").await;
        self.proxy = Proxy::connect(self.offboard.authz).await;
    }

    pub async fn token(&self, person: &str) -> String {
        self.issuer.token(&format!("sub=s-{person}&preferred_username={person}")).await
    }

    /// One for a name with characters that mean something elsewhere.
    async fn odd_token(&self, name: &str) -> String {
        let name: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        self.issuer.token(&format!("sub=odd&preferred_username={name}")).await
    }

    /// One from a little later: what happened until now cuts it off no more.
    async fn later_token(&self, person: &str) -> String {
        let iat = jiff::Timestamp::now().as_second() + 20;
        self.issuer.token(&format!("sub=s-{person}&preferred_username={person}&iat={iat}")).await
    }

    /// `allowed`, or why not.
    async fn verdict(&mut self, token: &str) -> String {
        let answer = self.proxy.ask(token).await.unwrap();
        if answer.allowed { "allowed".to_owned() } else { answer.metadata["reason"].clone() }
    }

    async fn becomes(&mut self, token: &str, verdict: &str) {
        let mut last = String::new();
        for _ in 0..1_500 {
            last = self.verdict(token).await;
            if last == verdict {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never {verdict}, but {last}; the source says: {}", self.source());
    }

    fn source(&self) -> String {
        let (_, out, error) = self.offboard.run(&self.files.token_file(), &["source", "show", "ad", "-o", "json"]);
        format!("{out}{error}")
    }

    fn sync(&self) -> (i32, String) {
        let (code, out, error) = self.offboard.run(&self.files.token_file(), &["source", "sync", "ad", "--full"]);
        (code, format!("{out}{error}"))
    }
}

#[tokio::test]
async fn leavers_and_movers_of_a_real_openldap() {
    let (Some(slapd), Some(envoy)) = (Slapd::start(Choices::default()).await, binary()) else { return };
    let mut stage = Stage::start(slapd.port, "").await;
    let upstream = Upstream::start().await;
    let envoy = Envoy::start(&envoy, &asking("envoy/envoy.yaml", stage.offboard.authz.port(), upstream.port)).await;
    let status = async |token: &str| {
        let request = reqwest::Client::new().get(format!("{}/v1", envoy.url)).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    assert_eq!((status(&alice).await, status(&bob).await, status(&carol).await), (200, 200, 200));
    let stranger = stage.token("mallory").await;
    assert_eq!(stage.verdict(&stranger).await, "unknown_person");

    slapd.set("alice", "pwdAccountLockedTime", Some("000001010000Z"));
    until("alice, who is locked, is out", async || (status(&alice).await == 403).then_some(())).await;
    assert_eq!(stage.verdict(&alice).await, "revoked_person");
    slapd.set("bob", "pwdAccountLockedTime", Some("20261101000000Z"));
    slapd.member("delete", "devs", "carol");
    until("carol, who left the group, is out", async || (status(&carol).await == 403).then_some(())).await;
    assert_eq!(stage.verdict(&carol).await, "no_permission");
    assert_eq!(status(&bob).await, 200, "a lock that guessing brought about is nobody's departure");

    slapd.set("alice", "pwdAccountLockedTime", None);
    let again = stage.later_token("alice").await;
    stage.becomes(&again, "allowed").await;
    assert_eq!(stage.verdict(&alice).await, "issued_before_cutoff", "what was issued before stays dead");

    slapd.delete("bob");
    until("bob, who is deleted, is out", async || (status(&bob).await == 403).then_some(())).await;
    assert_eq!(stage.verdict(&bob).await, "revoked_person");
    assert_eq!(status(&again).await, 200, "others go on");
}

#[tokio::test]
async fn names_places_passwords_and_nested_groups() {
    let Some(slapd) = Slapd::start(Choices::default()).await else { return };
    let mut stage = Stage::start(slapd.port, "").await;
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    assert_eq!(stage.verdict(&alice).await, "allowed");

    // Another name: what was issued under the old one is dead, for whoever may be called so next.
    slapd.modify(&format!("dn: {}\nchangetype: modrdn\nnewrdn: uid=alicia\ndeleteoldrdn: 1\n", dn("alice")));
    let alicia = stage.later_token("alicia").await;
    stage.becomes(&alicia, "allowed").await;
    assert_ne!(stage.verdict(&alice).await, "allowed");

    // Out of the tree of people, and back.
    slapd.move_to(&dn("bob"), "uid=bob", &format!("ou=attic,{BASE}"));
    stage.becomes(&bob, "revoked_person").await;
    slapd.move_to(&format!("uid=bob,ou=attic,{BASE}"), "uid=bob", &format!("ou=people,{BASE}"));
    let back = stage.later_token("bob").await;
    stage.becomes(&back, "allowed").await;
    assert_eq!(stage.verdict(&bob).await, "issued_before_cutoff", "what was issued before stays dead");

    slapd.set("carol", "userPassword", Some("an0therpw"));
    stage.becomes(&carol, "issued_before_cutoff").await;
    let carol = stage.later_token("carol").await;
    stage.becomes(&carol, "allowed").await;

    // Through a group in the group, in a circle.
    let group = |name: &str, member: &str| {
        format!(
            "dn: cn={name},ou=groups,{BASE}\nchangetype: add\nobjectClass: groupOfNames\ncn: {name}\nmember: {member}\n"
        )
    };
    slapd.modify(&group("inner", &dn("carol")));
    let circle =
        format!("dn: cn=inner,ou=groups,{BASE}\nchangetype: modify\nadd: member\nmember: cn=devs,ou=groups,{BASE}\n");
    slapd.modify(&circle);
    slapd.modify(&format!(
        "dn: cn=devs,ou=groups,{BASE}\nchangetype: modify\nadd: member\nmember: cn=inner,ou=groups,{BASE}\n"
    ));
    slapd.member("delete", "devs", "carol");
    stage.becomes(&carol, "allowed").await;
    slapd.member("delete", "inner", "carol");
    stage.becomes(&carol, "no_permission").await;
    // By user name.
    slapd.modify(&format!(
        "dn: cn=unix,ou=groups,{BASE}\nchangetype: add\nobjectClass: posixGroup\ncn: unix\ngidNumber: 7\nmemberUid: carol\n"
    ));
    let rules = format!(
        "roles: [{{ name: reader, permissions: [{{ methods: [GET] }}] }}]\n\
         bindings: [{{ role: reader, groups: [unix, 'cn=devs,ou=groups,{BASE}'] }}]\n{}{}",
        stage.issuer.section(),
        source(&stage.files, &format!("ldap://127.0.0.1:{}", slapd.port), "")
    );
    stage.files.write("20-rules.yaml", &rules);
    stage.becomes(&carol, "allowed").await;
    assert_eq!(stage.verdict(&alicia).await, "allowed", "by the name of the group's entry");
}

/// Each phase of RFC 4533, after a wire was cut: with the server's memory, explicit deletions; without it, whoever is
/// still there. Neither takes anybody else away.
#[tokio::test]
async fn both_phases_of_a_refresh_and_a_restart() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let wire = Wire::to(slapd.port).await;
    let mut stage = Stage::start(wire.port, "").await;
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    assert_eq!(stage.verdict(&carol).await, "allowed");

    wire.cut();
    slapd.delete("carol");
    until("it is noticed", async || stage.source().contains("connection was lost").then_some(())).await;
    assert_eq!(stage.verdict(&carol).await, "allowed", "nothing is concluded from silence");
    wire.mend();
    stage.becomes(&carol, "revoked_person").await;
    assert_eq!((stage.verdict(&alice).await, stage.verdict(&bob).await), ("allowed".into(), "allowed".into()));

    // The memory of what was deleted dies with the server.
    wire.cut();
    slapd.stop();
    let aside = ports::free();
    slapd.resume_on(aside).await;
    slapd.modify_on(aside, &format!("dn: {}\nchangetype: delete\n", dn("bob")));
    slapd.modify_on(aside, &format!("dn: {}\nchangetype: modify\nreplace: mail\nmail: a@example.org\n", dn("alice")));
    slapd.stop();
    slapd.resume().await;
    wire.mend();
    stage.becomes(&bob, "revoked_person").await;
    assert_eq!(stage.verdict(&alice).await, "allowed");

    // While Offboard was away.
    stage.offboard.process.stop(Duration::from_secs(20));
    slapd.set("alice", "pwdAccountLockedTime", Some("000001010000Z"));
    stage.restart().await;
    stage.becomes(&alice, "revoked_person").await;
}

/// A server whose data were put back from a backup refuses the cookie (e-syncRefreshRequired): everybody is listed, and
/// it is followed from there.
#[tokio::test]
async fn a_cookie_that_is_too_old() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let mut stage = Stage::start(slapd.port, "").await;
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    assert_eq!(stage.verdict(&alice).await, "allowed");
    stage.offboard.process.stop(Duration::from_secs(20));
    slapd.set("alice", "pwdAccountLockedTime", Some("000001010000Z"));
    slapd.stop();
    slapd.restore();
    slapd.resume().await;
    stage.restart().await;
    stage.becomes(&alice, "revoked_person").await;
    assert_eq!((stage.verdict(&bob).await, stage.verdict(&carol).await), ("allowed".into(), "allowed".into()));
    slapd.delete("bob");
    stage.becomes(&bob, "revoked_person").await;
    assert_eq!(stage.verdict(&carol).await, "allowed");
    assert!(stage.offboard.process.output().contains("does not know how far it told us"), "it was refused");
}

/// More people than a page has, all of them in one group: what it loses, its members lose at once.
#[tokio::test]
async fn a_large_directory_and_a_group_of_two_thousand() {
    let limits = "limits dn.exact=\"cn=sync,ou=svc,dc=example,dc=org\" size=unlimited time=unlimited";
    let Some(slapd) = Slapd::start(Choices { limits, ..Choices::default() }).await else { return };
    let names: Vec<String> = (0..2_000).map(|number| format!("p{number:04}")).collect();
    let people: String = names
        .iter()
        .map(|name| {
            let classes = "objectClass: inetOrgPerson";
            format!("dn: {}\nchangetype: add\n{classes}\nuid: {name}\ncn: {name}\nsn: {name}\n\n", dn(name))
        })
        .collect();
    slapd.modify(&people);
    let members: String = names.iter().map(|name| format!("member: {}\n", dn(name))).collect();
    let large = format!("cn=large,ou=groups,{BASE}");
    slapd.modify(&format!("dn: {large}\nchangetype: add\nobjectClass: groupOfNames\ncn: large\n{members}"));
    let devs = format!("dn: cn=devs,ou=groups,{BASE}\nchangetype: modify\nadd: member\nmember: {large}\n");
    slapd.modify(&devs);
    let mut stage = Stage::start(slapd.port, "").await;
    until("all are known", async || (stage.offboard.metric(ACTIVE).await == Some(2_003.0)).then_some(())).await;
    let (first, last, bob) = (stage.token("p0000").await, stage.token("p1999").await, stage.token("bob").await);
    stage.becomes(&last, "allowed").await;
    slapd.member("delete", "large", "p1999");
    stage.becomes(&last, "no_permission").await;
    assert_eq!(stage.verdict(&first).await, "allowed");
    slapd.modify(&format!("dn: {large}\nchangetype: delete\n"));
    stage.becomes(&first, "no_permission").await;
    assert_eq!(stage.verdict(&bob).await, "allowed");
}

/// What a token says is never read as a part of a filter; who has odd characters in their name is found by it.
#[tokio::test]
async fn names_that_look_like_filters() {
    let Some(slapd) = Slapd::start(Choices::default()).await else { return };
    let mut stage = Stage::start(slapd.port, "").await;
    for name in ["*", "al*", "*)(uid=*", "alice)(|(uid=*", "al\\69ce", "(alice)", "alicé"] {
        let token = stage.odd_token(name).await;
        assert_eq!(stage.verdict(&token).await, "unknown_person", "{name:?}");
    }
    let odd = "Zoë (*) \\ é";
    let rdn = "uid=Zoë (*) \\\\ é";
    slapd.modify(&format!(
        "dn: {rdn},ou=people,{BASE}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: {odd}\ncn: z\nsn: z\n\n\
         dn: cn=devs,ou=groups,{BASE}\nchangetype: modify\nadd: member\nmember: {rdn},ou=people,{BASE}\n"
    ));
    let token = stage.odd_token(odd).await;
    stage.becomes(&token, "allowed").await;
}

/// What is gone after a restart and was no person is recorded as nobody's departure.
#[tokio::test]
async fn a_group_that_was_deleted_meanwhile_was_nobody() {
    let Some(slapd) = Slapd::start(Choices::default()).await else { return };
    let ghosts = format!("dn: cn=ghosts,ou=groups,{BASE}\nchangetype:");
    slapd.modify(&format!("{ghosts} add\nobjectClass: groupOfNames\ncn: ghosts\nmember: {}\n", dn("nobody")));
    let mut stage = Stage::start(slapd.port, "").await;
    stage.offboard.process.stop(Duration::from_secs(20));
    slapd.modify(&format!("{ghosts} delete\n"));
    slapd.delete("bob");
    stage.restart().await;
    let departed = "offboard_people{source=\"ad\",status=\"departed\"}";
    until("bob has departed", async || stage.offboard.metric(departed).await.filter(|count| *count >= 1.0)).await;
    let (code, text) = stage.sync();
    assert_eq!((code, stage.offboard.metric(departed).await), (0, Some(1.0)), "{text}");
}

#[tokio::test]
async fn a_server_that_is_away_changes_no_answer() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let mut stage = Stage::start(slapd.port, "").await;
    let alice = stage.token("alice").await;
    slapd.stop();
    until("it is noticed", async || stage.source().contains("connect").then_some(())).await;
    assert_eq!(stage.verdict(&alice).await, "allowed");
    stage.restart().await;
    assert_eq!(stage.verdict(&alice).await, "allowed", "ready from disk");
    slapd.resume().await;
    slapd.set("alice", "pwdEndTime", Some("20260101000000Z"));
    stage.becomes(&alice, "revoked_person").await;
}

/// A right that is taken away makes listings empty, with success: nobody leaves by that.
#[tokio::test]
async fn a_right_that_is_taken_away_is_no_departure() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let mut stage = Stage::start(slapd.port, "").await;
    let (alice, bob) = (stage.token("alice").await, stage.token("bob").await);
    slapd.stop();
    slapd.choices.access = "access to dn.base=\"dc=example,dc=org\" by * read\naccess to * by * none";
    slapd.resume().await;
    until("it is back", async || (!stage.source().contains("lost")).then_some(())).await;
    let (code, text) = stage.sync();
    assert_ne!(code, 0, "{text}");
    assert_eq!((stage.verdict(&alice).await, stage.verdict(&bob).await), ("allowed".into(), "allowed".into()));
    slapd.stop();
    slapd.choices.access = "access to * by * none";
    slapd.resume().await;
    let missing = async || stage.sync().1.contains("`base_dn` is wrong").then_some(());
    until_within(Duration::from_secs(30), "the base is missed", missing).await;
    assert_eq!((stage.verdict(&alice).await, stage.verdict(&bob).await), ("allowed".into(), "allowed".into()));
}

#[tokio::test]
async fn a_server_without_syncprov_is_polled() {
    let Some(slapd) = Slapd::start(Choices::default()).await else { return };
    let mut stage = Stage::start(slapd.port, "sync: poll, poll: 100ms").await;
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    slapd.set("alice", "pwdAccountLockedTime", Some("000001010000Z"));
    stage.becomes(&alice, "revoked_person").await;
    slapd.member("delete", "devs", "bob");
    stage.becomes(&bob, "no_permission").await;
    slapd.delete("carol");
    let (code, text) = stage.sync();
    assert_eq!(code, 0, "{text}");
    assert_eq!(stage.verdict(&carol).await, "revoked_person");
}

/// `source check`, of a configuration alone.
fn check(files: &Installation, url: &str, more: &str) -> (i32, String) {
    let issuer =
        "issuers: [{ name: dev, issuer: 'http://dev', audiences: [mesh], jwks: { uri: 'http://dev/jwks' } }]\n";
    files.write("20-rules.yaml", &format!("{issuer}{}", source(files, url, more)));
    checked(files)
}

fn checked(files: &Installation) -> (i32, String) {
    checked_at(&files.path("config"))
}

fn checked_at(config: &Path) -> (i32, String) {
    let mut command: Command = Offboard::command();
    let done = command.args(["source", "check", "ad", "--config"]).arg(config).output().unwrap();
    let text = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (done.status.code().unwrap(), text)
}

#[tokio::test]
async fn what_is_missing_is_said_in_words() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let files = Installation::new("");
    let url = format!("ldap://127.0.0.1:{}", slapd.port);
    let (code, text) = check(&files, &url, "");
    assert_eq!(code, 0, "{text}");
    for part in ["3 people can be listed", "1 groups can be listed", "the server tells of changes", "pwdChangedTime"] {
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

#[tokio::test]
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
