//! Operators have names: a token of an issuer, made for the control API, gives the rights of the roles of its owner.

mod softeners;

use std::time::Duration;

use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::process::Process;
use crate::support::tls::{Authority, address};
use crate::support::until;

const ROLES: &str = "
roles:
  - { name: viewer, permissions: [{ services: [offboard], methods: [read] }] }
  - { name: officer, permissions: [{ services: [offboard], methods: [read, revoke, restore, exempt] }] }
  - { name: reader, permissions: [{ methods: [GET] }] }
bindings:
  - { role: viewer, issuer: dev, groups: [on-call] }
  - { role: officer, issuer: dev, groups: [security] }
  - { role: viewer, issuer: dev, clients: [ci-bot] }
  - { role: reader, issuer: dev, groups: [developers] }
";

const PEOPLE: [&str; 4] = [
    "id: olga, username: olga, status: active, groups: [security]",
    "id: nick, username: nick, status: active, groups: [on-call]",
    "id: dora, username: dora, status: active, groups: [developers]",
    "id: mary, username: mary, status: active, groups: []",
];

/// An installation with operators in its directory.
struct Office {
    files: Installation,
    issuer: DevIssuer,
    offboard: Offboard,
}

impl Office {
    async fn open() -> Self {
        Self::open_with("", "").await
    }

    /// With further keys of the issuer, and further configuration.
    async fn open_with(of_issuer: &str, further: &str) -> Self {
        let issuer = DevIssuer::start().await;
        let files = Installation::new("");
        let people = files.path("people/people.yaml").display().to_string();
        files.write(
            "20-rules.yaml",
            &format!(
                "issuers: [{{ name: dev, issuer: '{}', audiences: [mesh], jwks: {{ discovery: true }}, \
                 machines: {{ when: client_is_subject }}{of_issuer} }}]\n\
                 sources: [{{ name: hr, kind: file, issuer: dev, path: {people} }}]\n\
                 server: {{ control: {{ audiences: [offboard-control] }} }}\n{ROLES}{further}",
                issuer.url
            ),
        );
        files.write_people(&PEOPLE);
        let offboard = files.start().await;
        offboard.has_keys("dev").await;
        offboard.knows("hr", 4).await;
        Self { files, issuer, offboard }
    }

    /// A command with a token for this query: exit code, and everything that it said.
    async fn run(&self, query: &str, args: &[&str]) -> (i32, String) {
        let token = self.issuer.token(query).await;
        let file = self.files.path("operator.token");
        std::fs::write(&file, token).unwrap();
        let (code, said, error) = self.offboard.run(&file, args);
        (code, said + &error)
    }

    /// The same with a token that was made for the control API.
    async fn run_as(&self, name: &str, args: &[&str]) -> (i32, String) {
        self.run(&format!("sub={name}&aud=offboard-control"), args).await
    }

    /// The records of calls in the trail.
    fn calls(&self) -> Vec<serde_json::Value> {
        let mut calls = Vec::new();
        for file in std::fs::read_dir(self.files.path("audit")).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap_or_default();
            let records = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            calls.extend(records.filter(|record| record["kind"] == "control"));
        }
        calls
    }

    async fn recorded(&self, what: &str, is: impl Fn(&serde_json::Value) -> bool) {
        until(what, async || self.calls().iter().any(&is).then_some(())).await;
    }
}

const REVOKE: [&str; 5] = ["revoke", "--person", "mary", "--reason", "HR-12"];

#[tokio::test]
async fn rights_come_from_roles_on_offboard_and_the_actor_stands_in_the_record() {
    let office = Office::open().await;
    let (code, said) = office.run_as("nick", &["people", "-o", "json"]).await;
    assert_eq!((code, said.lines().count()), (0, 4), "{said}");
    let (code, said) = office.run_as("nick", &REVOKE).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("no permission for this method"), "{said}");
    // A role in the mesh is no right here.
    assert_eq!(office.run_as("dora", &["people"]).await.0, 1);
    let (code, said) = office.run_as("olga", &REVOKE).await;
    assert_eq!(code, 0, "{said}");
    let (_, said) = office.run_as("nick", &["revocations", "-o", "json"]).await;
    assert!(said.contains("\"actor\":\"hr/olga\""), "{said}");
    office.recorded("olga's call", |call| call["actor"] == "hr/olga" && call["decision"] == "allow").await;
    office
        .recorded("nick's refusal", |call| {
            call["actor"] == "hr/nick" && call["reason"].as_str().unwrap_or_default().contains("no_permission")
        })
        .await;
}

#[tokio::test]
async fn the_same_revocation_of_two_operators_is_two() {
    let office = Office::open_with("", "  - { role: officer, issuer: dev, groups: [on-call] }\n").await;
    for (name, words) in [("olga", "revoked: r"), ("nick", "revoked: r"), ("olga", "by hr/olga; nothing was added")] {
        let (code, said) = office.run_as(name, &REVOKE).await;
        assert!(code == 0 && said.contains(words), "{name}: {said}");
    }
    let (_, said) = office.run_as("nick", &["revocations", "-o", "json"]).await;
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[tokio::test]
async fn a_machine_may_operate_by_its_client() {
    let office = Office::open().await;
    let query = "sub=ci-bot&azp=ci-bot&client_id=ci-bot&aud=offboard-control";
    let (code, said) = office.run(query, &["people"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(office.run(query, &REVOKE).await.0, 1);
    let client = format!("client {}|ci-bot", office.issuer.url);
    office.recorded("the machine's call", |call| call["actor"] == client.as_str()).await;
}

#[tokio::test]
async fn a_token_of_the_mesh_is_none_of_an_operator() {
    let office = Office::open().await;
    for query in ["sub=olga", "sub=olga&aud=offboard-control,mesh", "sub=olga&aud=elsewhere"] {
        let (code, said) = office.run(query, &["people"]).await;
        assert_eq!(code, 1, "{query}: {said}");
        assert!(said.contains("the token is not valid here"), "{query}: {said}");
    }
    office
        .recorded("whose it was", |call| {
            call["actor"] == "hr/olga" && call["reason"].as_str().unwrap_or_default().contains("in the mesh")
        })
        .await;
}

#[tokio::test]
async fn a_revoked_operator_is_out_at_once_and_the_stream_ends() {
    let office = Office::open().await;
    let token = office.files.path("nick.token");
    std::fs::write(&token, office.issuer.token("sub=nick&aud=offboard-control").await).unwrap();
    let stream = |name: &str, arguments: &[&str]| {
        let mut command = Offboard::command();
        command.args(arguments).arg("--server").arg(format!("http://{}", office.offboard.control));
        command.arg("--token-file").arg(&token);
        Process::start(name, &office.files.path(""), &mut command)
    };
    let mut streams = [stream("tail", &["audit", "tail"]), stream("watch", &["watch"])];
    for method in ["TailAudit", "Watch"] {
        let is_it = |call: &serde_json::Value| call["method"].as_str().unwrap_or_default().ends_with(method);
        until("the stream runs", async || office.calls().iter().any(is_it).then_some(())).await;
    }
    let (code, said) = office.run_as("olga", &["revoke", "--person", "nick", "--reason", "HR-13"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(office.run_as("nick", &["people"]).await.0, 1);
    for stream in &mut streams {
        let status = stream.wait(Duration::from_secs(10)).unwrap();
        assert_eq!(status.code(), Some(1), "{}", stream.output());
        assert!(stream.output().contains("the token is no longer valid here"), "{}", stream.output());
    }
}

#[tokio::test]
async fn the_directory_puts_an_operator_out_and_its_silence_does_not() {
    let office = Office::open().await;
    office.files.write_people(&PEOPLE.map(|row| match row {
        row if row.starts_with("id: nick") => "id: nick, username: nick, status: suspended, groups: [on-call]",
        row => row,
    }));
    until("nick is out", async || (office.run_as("nick", &["people"]).await.0 == 1).then_some(())).await;
    // The directory cannot be read any more: olga stays who she is.
    std::fs::remove_file(office.files.path("people/people.yaml")).unwrap();
    let (code, said) = office.run_as("olga", &["people"]).await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test]
async fn nobody_decides_what_concerns_themself() {
    let office = Office::open_with("", "  - { role: officer, issuer: dev, groups: [on-call] }\n").await;
    let cut_off = ["revoke", "--person", "nick", "--reason", "HR-14", "--issued-before", "1h"];
    let (code, said) = office.run_as("olga", &cut_off).await;
    assert_eq!(code, 0, "{said}");
    let (_, said) = office.run_as("olga", &["revocations", "-o", "json"]).await;
    let id = serde_json::from_str::<serde_json::Value>(said.lines().next().unwrap()).unwrap()["id"].clone();
    let id = id.as_str().unwrap().to_owned();
    let subject = format!("{}|nick", office.issuer.url);
    let own: [&[&str]; 3] = [
        &["restore", &id, "--reason", "I want it"],
        &["exempt", "nick", "--expires", "1h", "--reason", "I want it"],
        &["exempt", &subject, "--expires", "1h", "--reason", "I want it"],
    ];
    for args in own {
        let (code, said) = office.run_as("nick", args).await;
        assert_eq!(code, 1, "{args:?}: {said}");
        assert!(said.contains("nobody decides what concerns themself"), "{args:?}: {said}");
    }
    office
        .recorded("the attempt", |call| {
            call["actor"] == "hr/nick" && call["decision"] == "deny" && call["target"] == id.as_str()
        })
        .await;
    let (code, said) = office.run_as("nick", &["exempt", "mary", "--expires", "1h", "--reason", "of another"]).await;
    assert_eq!(code, 0, "{said}");
    let (code, said) = office.run_as("olga", &["restore", &id, "--reason", "a mistake"]).await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test]
async fn control_speaks_tls_to_a_client_that_names_its_authority() {
    let office = Office::open().await;
    let (files, authority) = (&office.files, Authority::new());
    authority.issue_to(&files.path(""), "server", vec![address("127.0.0.1")]);
    authority.issue_to(&files.path(""), "client", vec![address("127.0.0.1")]);
    std::fs::write(files.path("ca.crt"), authority.pem()).unwrap();
    let at = |name: &str| files.path(name).display().to_string();
    files.write(
        "30-tls.yaml",
        &format!(
            "server: {{ control: {{ tls: {{ cert_file: {}, key_file: {}, client_ca_file: {} }} }} }}\n",
            at("server.crt"),
            at("server.key"),
            at("ca.crt")
        ),
    );
    let Office { files, issuer, offboard } = office;
    drop(offboard);
    let offboard = files.start().await;
    offboard.has_keys("dev").await;
    std::fs::write(files.path("token2"), issuer.token("sub=nick&aud=offboard-control").await).unwrap();
    let run = |further: &[(&str, &str)]| {
        let mut command = Offboard::command();
        command.args(["people", "--server", &format!("https://{}", offboard.control)]);
        command.arg("--token-file").arg(files.path("token2"));
        for (name, file) in further {
            command.env(name, files.path(file));
        }
        let done = command.output().unwrap();
        (done.status.code().unwrap_or(-1), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let both =
        [("OFFBOARD_CA_FILE", "ca.crt"), ("OFFBOARD_CERT_FILE", "client.crt"), ("OFFBOARD_KEY_FILE", "client.key")];
    assert_eq!(run(&both), (0, String::new()));
    assert_eq!(run(&both[..1]).0, 3, "the server requires a certificate");
    assert_eq!(run(&[]).0, 3, "nobody of the system's authorities signed this");
    let (code, said) = run(&both[..2]);
    assert_eq!(code, 2, "a certificate without its key: {said}");
}
