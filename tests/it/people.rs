//! A file of people that somebody writes in place, slowly, or wrongly; read by the real service.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::installation::Installation;
use crate::support::offboard::Offboard;
use crate::support::until;

async fn serve(files: &Installation) -> Offboard {
    let path = files.path("people/people.yaml").display().to_string();
    files.write(
        "20-rules.yaml",
        &format!(
            "issuers: [{{ name: dev, issuer: 'https://idp.example.com', audiences: [mesh], jwks: {{ uri: 'http://127.0.0.1:9/' }} }}]\n\
             sources: [{{ name: hr, kind: file, issuer: dev, path: {path}, poll: 1s }}]\n"
        ),
    );
    files.start().await
}

async fn people(offboard: &Offboard, status: &str) -> Option<f64> {
    offboard.metric(&format!("offboard_people{{source=\"hr\",status=\"{status}\"}}")).await
}

/// Somebody at work on a file, who is never quiet for long.
struct Busy {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Busy {
    fn writing(path: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (path, stopped) = (path.to_owned(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                OpenOptions::new().append(true).open(&path).unwrap().write_all(b"# more to come\n").unwrap();
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

#[tokio::test]
async fn while_a_file_is_written_only_those_it_marks_out_leave() {
    let files = Installation::new("");
    files.write_people(&["id: ann, groups: [ops]", "id: bea", "id: mallory"]);
    let offboard = serve(&files).await;
    offboard.knows("hr", 3).await;

    let path = files.path("people/people.yaml");
    std::fs::write(&path, "people:\n- id: ann\n  status: departed\n- id: mallory\n").unwrap();
    let busy = Busy::writing(&path);
    until("ann is out", async || (people(&offboard, "departed").await == Some(1.0)).then_some(())).await;
    assert_eq!(people(&offboard, "active").await, Some(2.0), "bea is not written yet, and mallory's record may go on");
    let (_, shown, error) = offboard.run(&files.token_file(), &["person", "ann", "-o", "json"]);
    assert!(shown.contains("ops"), "no group goes either: {shown}{error}");
    drop(busy);
    OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"  status: suspended\n- id: bea\n- id: dot\n")
        .unwrap();
    until("all is read", async || (people(&offboard, "suspended").await == Some(1.0)).then_some(())).await;
    until("dot came", async || (people(&offboard, "active").await == Some(2.0)).then_some(())).await;
    assert_eq!(people(&offboard, "departed").await, Some(1.0));
}

#[tokio::test]
async fn whoever_a_file_marks_out_is_out_whatever_else_is_wrong() {
    let files = Installation::new("");
    let ids = ["ann", "bea", "cy", "dot", "eve", "flo"];
    files.write_people(&ids.map(|id| format!("id: {id}")).each_ref().map(String::as_str));
    let offboard = serve(&files).await;
    offboard.knows("hr", 6).await;

    let put = |bytes: &[u8]| {
        std::fs::write(files.path("people/.next"), bytes).unwrap();
        std::fs::rename(files.path("people/.next"), files.path("people/people.yaml")).unwrap();
    };
    for (out, text) in [
        (1.0, &b"people:\n- { id: ann, status: departed, since: 2026-12-24 }\n"[..]),
        (2.0, b"people:\n- { id: bea, status: departed }\n- { id: bea }\n"),
        (3.0, b"people:\n- { id: zo\xeb }\n- { id: cy, status: departed }\n"),
        (4.0, b"people:\n- { id: dot, status: departed }\n- { id: x }\n\0\0\0\0\0\0\0\0"),
        (5.0, b"people:\n- { id: eve, status: departed }\n- { id: x }\n---\npeople: []\n"),
    ] {
        put(text);
        until("one more is out", async || (people(&offboard, "departed").await == Some(out)).then_some(())).await;
        assert_eq!(people(&offboard, "active").await, Some(6.0 - out), "nobody comes or goes otherwise");
    }
}

#[tokio::test]
async fn a_mistake_is_logged_once_and_readable_leavers_are_out() {
    let files = Installation::new("");
    files.write_people(&["id: ann", "id: bea", "id: cy"]);
    let offboard = serve(&files).await;
    offboard.knows("hr", 3).await;

    files.write_people(&["id: ann, status: gone", "id: bea, status: departed"]);
    until("bea is out", async || (people(&offboard, "departed").await == Some(1.0)).then_some(())).await;
    let errors = "offboard_source_errors_total{kind=\"malformed\",source=\"hr\"}";
    until("it was tried again", async || (offboard.metric(errors).await >= Some(3.0)).then_some(())).await;
    assert_eq!(people(&offboard, "active").await, Some(2.0), "neither ann nor cy has left");
    let log = offboard.process.output();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("the source failed")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("people.yaml:2: record 1 (`ann`): `status` is `gone`"), "{told:?}");
    let (_, shown, _) = offboard.run(&files.token_file(), &["source", "show", "hr"]);
    assert!(shown.contains("`status` is `gone`"), "{shown}");

    files.write_people(&["id: ann, status: gne", "id: bea, status: departed"]);
    until("another one is told", async || offboard.process.output().contains("`gne`").then_some(())).await;
    files.write_people(&["id: ann", "id: bea, status: departed"]);
    until("cy left", async || (people(&offboard, "departed").await == Some(2.0)).then_some(())).await;
    assert!(offboard.process.output().contains("the source works again"));
}
