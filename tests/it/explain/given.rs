//! How a request is given to `explain`: headers from a file or standard input, the service of a route, the server of the
//! environment. No credential is printed.

use std::io::Write as _;
use std::process::{Output, Stdio};

use super::{Stage, line};
use crate::support::offboard::Offboard;

const REQUEST: [&str; 6] = ["--method", "GET", "--host", "elsewhere.example.com", "--path", "/v1/orders"];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Stage {
    /// `explain` with these words and variables, and this on standard input.
    fn given(&self, words: &[&str], variables: &[(&str, &str)], input: &str) -> Output {
        let mut command = Offboard::command();
        command.arg("explain").args(words).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Nobody reads it where the arguments are refused.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn server(&self) -> String {
        format!("http://{}", self.offboard.control)
    }

    /// Asks the server with these headers on standard input.
    fn asked(&self, words: &[&str], input: &str) -> Output {
        let (server, token) = (self.server(), self.files.token_file().display().to_string());
        let variables = [("OFFBOARD_SERVER", server.as_str()), ("OFFBOARD_TOKEN_FILE", token.as_str())];
        self.given(&[&REQUEST[..], words].concat(), &variables, input)
    }

    /// What `explain --config` prints as JSON, with a server in the environment that is not asked.
    pub(super) fn json_offline(&self, words: &[&str]) -> serde_json::Value {
        let done = self.given(&[words, &["-o", "json"]].concat(), &[("OFFBOARD_SERVER", "http://127.0.0.1:1")], "");
        assert!(done.stderr.is_empty(), "{}", text(&done.stderr));
        serde_json::from_slice(&done.stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_come_from_a_file_or_standard_input_and_no_credential_is_printed() {
    let stage = Stage::start().await;
    let token = stage.issuer.token("sub=alice").await;
    let headers = format!("X-Env: prod\r\n\nAuthorization: Bearer {token}\n");
    let file = stage.files.path("headers");
    std::fs::write(&file, &headers).unwrap();
    let service = ["--service", "orders", "--header-file"];
    for (from, input) in [(file.to_str().unwrap(), ""), ("-", headers.as_str())] {
        let done = stage.asked(&[&service[..], &[from]].concat(), input);
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
        let told = text(&done.stdout);
        assert!(line(&told, "which credential").contains("bearer of alice by "), "{told}");
        assert!(!told.contains(&token), "{told}");
    }
    // What is no header may be a credential that was pasted.
    for (words, input, place) in [
        (vec!["--header-file", "-"], format!("x-env: prod\n{token}\n"), "line 2 of `-`"),
        (vec!["-H", "x: y", "-H", token.as_str()], String::new(), "header 2"),
        (vec!["-H", ": value"], String::new(), "header 1"),
    ] {
        let done = stage.asked(&words, &input);
        let error = text(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{error}");
        assert!(error.contains(&format!("{place} is not `NAME: VALUE`")) && !error.contains(&token), "{error}");
    }
    let absent = stage.asked(&["--header-file", "/nowhere"], "");
    assert_eq!(absent.status.code(), Some(3), "{}", text(&absent.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_names_the_service_and_an_unknown_one_is_refused_with_those_there_are() {
    let stage = Stage::start().await;
    let told = text(&stage.asked(&[], "").stdout);
    assert!(line(&told, "which service").ends_with("default (enforce) (host elsewhere.example.com)"), "{told}");
    let told = text(&stage.asked(&["--service", "orders"], "").stdout);
    assert!(line(&told, "which service").ends_with("orders (enforce) (the route names it)"), "{told}");
    let config = stage.files.path("config").display().to_string();
    let offline = stage.given(&[&["--config", &config, "--service", "orders"], &REQUEST[..]].concat(), &[], "");
    let offline = text(&offline.stdout);
    assert!(line(&offline, "which service").ends_with("orders (enforce) (the route names it)"), "{offline}");

    let unknown = "unknown service `order`; configured are: default, orders";
    let refused = stage.asked(&["--service", "order"], "");
    assert_eq!((refused.status.code(), text(&refused.stderr).contains(unknown)), (Some(1), true));
    let refused = stage.given(&[&["--config", &config, "--service", "order"], &REQUEST[..]].concat(), &[], "");
    assert_eq!((refused.status.code(), text(&refused.stderr).contains(unknown)), (Some(1), true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_win_over_a_server_that_only_the_environment_names() {
    let stage = Stage::start().await;
    let config = stage.files.path("config").display().to_string();
    let words = [&["--config", &config, "--service", "orders"], &REQUEST[..]].concat();
    let done = stage.given(&words, &[("OFFBOARD_SERVER", "http://127.0.0.1:1")], "");
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("not consulted"), "{}", text(&done.stdout));
    let both = stage.given(&[&words[..], &["--server", &stage.server()]].concat(), &[], "");
    let error = text(&both.stderr);
    assert_eq!(
        (both.status.code(), error.contains("--config decides here, --server asks there")),
        (Some(2), true),
        "{error}"
    );
    let recent = stage.given(&["--config", &config, "--decision", "ce0131fa88f25cdc0000000000000000"], &[], "");
    assert_eq!(recent.status.code(), Some(2), "only a server remembers decisions");
}
