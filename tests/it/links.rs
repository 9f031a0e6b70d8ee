//! Links that never match, and groups that nobody is in: a configuration that lets everybody stay does not stay silent.

use serde_json::Value;

use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::until;

const ROWS: [&str; 2] =
    ["id: Ruth.Okoye, username: rokoye, groups: [harbour]", "id: Sven.Lind, username: slind, groups: [harbour]"];

struct Stage {
    issuer: DevIssuer,
    files: Installation,
    offboard: Offboard,
}

impl Stage {
    async fn new() -> Self {
        let (issuer, files) = (DevIssuer::start().await, Installation::new(""));
        files.write_people(&ROWS);
        let path = files.path("people/people.yaml").display().to_string();
        let rules = format!(
            "{}sources: [{{ name: port, kind: file, issuer: dev, path: {path} }}]\nservices: [{{ name: cranes }}]\n\
             roles: [{{ name: crew, permissions: [{{ services: [cranes] }}] }}]\n\
             bindings:\n  - {{ role: crew, groups: [harbour, habour] }}\n",
            issuer.section()
        );
        files.write("20-rules.yaml", &rules);
        let offboard = files.start().await;
        offboard.knows("port", 2).await;
        offboard.has_keys("dev").await;
        Self { issuer, files, offboard }
    }

    fn check(&self, words: &[&str]) -> (i32, Vec<(String, String, String)>) {
        let words = [&["source", "check", "port", "-o", "json"], words].concat();
        let (code, out, error) = self.offboard.run(&self.files.token_file(), &words);
        assert!(code < 2, "{error}");
        let row = |line: &str| {
            let row: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            (text("grade"), text("what"), text("found"))
        };
        (code, out.lines().map(row).collect())
    }

    /// The only finding about this.
    fn found(&self, what: &str, words: &[&str]) -> (String, String) {
        let (_, found) = self.check(words);
        let mut of = found.into_iter().filter(|(_, of, _)| of == what);
        let (grade, _, text) = of.next().unwrap_or_else(|| panic!("nothing about {what}"));
        assert_eq!(of.next(), None);
        (grade, text)
    }

    async fn shows(&self, subject: &str) {
        let header = format!("authorization: Bearer {}", self.issuer.token(&format!("sub={subject}")).await);
        let explain = ["explain", "--method", "GET", "--host", "h", "--path", "/", "-H", &header];
        assert!(self.offboard.run(&self.files.token_file(), &explain).0 < 2);
    }

    async fn sample(&self, subject: &str) -> String {
        let path = self.files.path("sample.jwt");
        std::fs::write(&path, self.issuer.token(&format!("sub={subject}")).await + "\n").unwrap();
        path.display().to_string()
    }
}

#[tokio::test]
async fn a_check_says_how_links_fare() {
    let stage = Stage::new().await;
    let (grade, text) = stage.found("link", &[]);
    assert_eq!((grade.as_str(), text.contains("--token-sample")), ("warning", true), "{text}");

    stage.shows("nobody-here").await;
    let (grade, text) = stage.found("link", &[]);
    let says =
        text.contains("`sub` = `id`: 1 tokens") && text.contains("never matched") && text.contains("nobody-here");
    assert_eq!((grade.as_str(), says), ("warning", true), "{text}");
    stage.shows("slind").await;
    let (_, text) = stage.found("link", &[]);
    assert!(text.contains("2 tokens") && text.contains("`username`; link by that"), "{text}");
    stage.shows("ruth.okoye").await;
    let (_, text) = stage.found("link", &[]);
    assert!(text.contains("it would match `id` if case were ignored"), "{text}");
    stage.shows("Ruth.Okoye").await;
    let (grade, text) = stage.found("link", &[]);
    assert_eq!((grade.as_str(), text.contains("1 of 4 tokens matched somebody")), ("ok", true), "{text}");
    assert_eq!(stage.offboard.metric("offboard_issuer_unmatched{issuer=\"dev\"}").await, Some(0.0));
}

#[tokio::test]
async fn a_sample_says_whom_it_meets_by_a_server_and_without_one() {
    let stage = Stage::new().await;
    let config = stage.files.path("config").display().to_string();
    for here in [&[][..], &["--config", &config]] {
        let sample = stage.sample("Sven.Lind").await;
        let (grade, text) = stage.found("token sample", &[&["--token-sample", &sample], here].concat());
        assert_eq!((grade.as_str(), text.contains("port/Sven.Lind")), ("ok", true), "{text}");
        let sample = stage.sample("slind").await;
        let words = [&["--token-sample", &sample], here].concat();
        let (grade, text) = stage.found("token sample", &words);
        assert_eq!((grade.as_str(), text.contains("`sub` is `slind`")), ("error", true), "{text}");
        assert_eq!(stage.check(&words).0, 1);
        assert!(text.contains("nobody has this as `id`") && text.contains("`username`; link by that"), "{text}");
        let sample = stage.sample("SVEN.lind").await;
        let (_, text) = stage.found("token sample", &[&["--token-sample", &sample], here].concat());
        assert!(text.contains("nobody has this as `id`; it would match `id` if case were ignored"), "{text}");
        let path = stage.files.path("sample.jwt");
        std::fs::write(&path, "not-a-token").unwrap();
        assert_eq!(stage.found("token sample", &words).0, "error");
        std::fs::remove_file(path).unwrap();
        let (code, _, error) =
            stage.offboard.run(&stage.files.token_file(), &[&["source", "check", "port"][..], &words].concat());
        assert_eq!((code, error.contains("sample.jwt")), (3, true), "{error}");
    }
}

#[tokio::test]
async fn a_bound_group_that_nobody_is_in_is_named() {
    let stage = Stage::new().await;
    let log = || stage.offboard.process.output();
    until("the log names it", async || log().contains("bound group `habour` has no members").then_some(())).await;
    assert!(!log().contains("bound group `harbour` has no members"));
    let config = stage.files.path("config").display().to_string();
    let server = format!("http://{}", stage.offboard.control);
    let token = stage.files.token_file().display().to_string();
    let validate = |rest: &[&str]| {
        let done = Offboard::command().args(["validate", "--config", &config]).args(rest).output().unwrap();
        assert_eq!(done.status.code(), Some(0));
        String::from_utf8(done.stdout).unwrap()
    };
    // By the file of people, which is at hand; and where it is not, by the server.
    let named = |said: &str| {
        let line = |line: &str| line.contains("20-rules.yaml:6") && line.contains("group `habour` has no members");
        assert!(!said.contains("`harbour`"), "{said}");
        said.lines().any(line)
    };
    assert!(named(&validate(&[])));
    std::fs::rename(stage.files.path("people/people.yaml"), stage.files.path("people/elsewhere.yaml")).unwrap();
    assert!(!named(&validate(&[])), "nothing is concluded from what cannot be read");
    assert!(named(&validate(&["--against", &server, "--token-file", &token])));
}

#[test]
fn every_shell_has_its_completion() {
    for (shell, sign) in [("bash", "complete -F"), ("zsh", "#compdef offboard"), ("fish", "complete -c offboard")] {
        let done = Offboard::command().args(["completion", shell]).output().unwrap();
        let script = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success() && script.contains(sign) && script.contains("token-sample"), "{shell}");
    }
    let refused = Offboard::command().args(["completion", "cmd"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
