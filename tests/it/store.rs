//! The store's directory is deleted, renamed or replaced under a service that runs (contract section 3, "The store").

use std::path::Path;
use std::process::Command;

use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::until;

const FAILURES: &str = "offboard_store_failures_total";

/// One Offboard with a people file, and tokens of two of its people.
struct Stage {
    files: Installation,
    issuer: DevIssuer,
}

impl Stage {
    async fn new() -> Self {
        let (issuer, files) = (DevIssuer::start().await, Installation::new(""));
        let path = files.path("people/people.yaml").display().to_string();
        let sources = format!("sources: [{{ name: staff, kind: file, issuer: dev, path: {path} }}]\n");
        files.write_people(&["id: ines", "id: omar", "id: yuki"]);
        files.write("20-rules.yaml", &format!("authorization: none\n{}{sources}", issuer.section()));
        Self { files, issuer }
    }

    async fn start(&self) -> Offboard {
        let offboard = self.files.start().await;
        offboard.knows("staff", 3).await;
        offboard.has_keys("dev").await;
        offboard
    }

    /// What becomes of a request of somebody.
    async fn asks(&self, offboard: &Offboard, who: &str) -> String {
        let token = self.issuer.token(&format!("sub={who}")).await;
        let header = format!("authorization: Bearer {token}");
        let explain = ["explain", "--method", "GET", "--host", "a.example.com", "--path", "/", "-H", &header];
        let (code, out, error) = offboard.run(&self.files.token_file(), &explain);
        assert!(code < 2, "{error}");
        out
    }

    fn revoke(&self, offboard: &Offboard, who: &str) -> (i32, String) {
        let revoke = ["revoke", "--person", who, "--reason", "left"];
        let (code, _, error) = offboard.run(&self.files.token_file(), &revoke);
        (code, error)
    }

    async fn denied(&self, offboard: &Offboard, who: &str) {
        until(&format!("{who} is out"), async || {
            self.asks(offboard, who).await.contains("revoked_person").then_some(())
        })
        .await;
    }
}

fn aside(store: &Path) -> std::path::PathBuf {
    store.with_file_name("aside")
}

#[tokio::test]
async fn what_a_restart_would_forget_is_refused_and_whoever_leaves_is_out() {
    let stage = Stage::new().await;
    let offboard = stage.start().await;
    let store = stage.files.path("store");
    assert_eq!(stage.revoke(&offboard, "omar").0, 0);
    assert_eq!(offboard.metric(FAILURES).await, Some(0.0));

    std::fs::rename(&store, aside(&store)).unwrap();
    let (code, error) = stage.revoke(&offboard, "ines");
    assert_eq!((code, error.contains("was deleted or moved") && error.contains("restart")), (3, true), "{error}");
    let (code, _, error) = offboard.run(&stage.files.token_file(), &["restore", "r1", "--reason", "back"]);
    assert_eq!(code, 3, "{error}");
    let ready = offboard.ops("/readyz").await;
    assert!(ready.status().is_success(), "checks go on");
    until("it is said to whoever asks", async || {
        offboard
            .ops("/readyz")
            .await
            .text()
            .await
            .unwrap()
            .contains("the store was moved, removed or replaced")
            .then_some(())
    })
    .await;
    assert!(offboard.metric(FAILURES).await > Some(0.0));
    let (_, out, _) = offboard.run(&stage.files.token_file(), &["status", "-o", "json"]);
    assert!(out.contains("no longer the one that was opened"), "{out}");
    let first = || offboard.run(&stage.files.token_file(), &["status", "-o", "table"]).1;
    assert!(first().starts_with("wrong now:\n  store: the store was moved, removed or replaced;"), "{}", first());
    let verbose = offboard.ops("/readyz?verbose").await.text().await.unwrap();
    assert_eq!(verbose.matches("the store was moved").count(), 1, "{verbose}");
    assert!(offboard.process.output().contains("store unavailable"), "an alarm in the log");
    assert!(stage.asks(&offboard, "ines").await.contains("allowed"));

    // Nobody asked to see the first of these changes alone: later ones are heard as well.
    stage.files.write_people(&["id: ines, status: suspended", "id: omar", "id: yuki"]);
    stage.denied(&offboard, "ines").await;
    assert!(stage.asks(&offboard, "ines").await.contains("not durable"), "marked");
    stage.files.write_people(&["id: ines, status: suspended", "id: omar", "id: yuki, status: departed", "id: zoe"]);
    stage.denied(&offboard, "yuki").await;
    assert!(stage.asks(&offboard, "zoe").await.contains("unknown_person"), "nobody joins meanwhile");

    // Back where it was: all of it is kept, and what was left out is heard again.
    std::fs::rename(aside(&store), &store).unwrap();
    until("zoe has joined", async || stage.asks(&offboard, "zoe").await.contains("allowed").then_some(())).await;
    assert_eq!(offboard.ops("/readyz").await.text().await.unwrap(), "ok\n");
    assert!(!stage.asks(&offboard, "ines").await.contains("not durable"));
    until("nothing is wrong", async || first().starts_with("nothing is wrong\n").then_some(())).await;
    drop(offboard);
    std::fs::remove_file(stage.files.path("people/people.yaml")).unwrap();
    let offboard = stage.files.start().await;
    offboard.has_keys("dev").await;
    for out in ["ines", "omar", "yuki"] {
        assert!(stage.asks(&offboard, out).await.contains("revoked_person"), "{out}");
    }
}

#[tokio::test]
async fn a_store_that_is_gone_for_good_stays_gone_until_a_restart() {
    for name in ["", "log.db"] {
        let stage = Stage::new().await;
        let mut offboard = stage.start().await;
        let (store, token) = (stage.files.path("store"), stage.files.token_file());
        if name.is_empty() {
            std::fs::remove_dir_all(&store).unwrap();
            std::fs::create_dir(&store).unwrap();
        } else {
            let copy = store.join("copy");
            std::fs::copy(store.join(name), &copy).unwrap();
            std::fs::rename(copy, store.join(name)).unwrap();
        }
        let (code, error) = stage.revoke(&offboard, "omar");
        assert_eq!((code, error.contains("is no longer the one that was opened")), (3, true), "{name}: {error}");
        assert!(stage.asks(&offboard, "omar").await.contains("allowed"), "{name}: nothing was changed");
        let changes = ["source", "expect", "staff", "--max", "60%", "--until", "1h"];
        assert_eq!(offboard.run(&token, &changes).0, 3, "{name}");
        offboard.process.stop(std::time::Duration::from_secs(20));
        if !name.is_empty() {
            std::fs::remove_dir_all(&store).unwrap();
        }
        let offboard = stage.start().await;
        assert_eq!(stage.revoke(&offboard, "omar").0, 0, "{name}");
        stage.denied(&offboard, "omar").await;
    }
}

/// The disk is unmounted, lazily: files stay open, and what stands at the path is the directory below.
#[tokio::test]
async fn a_store_whose_mount_is_gone_takes_nothing() {
    let stage = Stage::new().await;
    let (store, config) = (stage.files.path("store"), stage.files.path("config"));
    std::fs::create_dir(&store).unwrap();
    let works = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
    assert!(works || std::env::var_os("CI").is_none(), "a mount namespace needs root and `unshare`");
    if !works {
        eprintln!("\nskipped: a mount namespace needs root and `unshare`\n");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "mount -t tmpfs none \"$1\" && shift && exec \"$@\"", "sh"]).arg(&store);
    command.arg(env!("CARGO_BIN_EXE_offboard")).args(["serve", "--config"]).arg(config);
    let offboard = Offboard::started(&stage.files.path(""), &mut command).await;
    offboard.knows("staff", 3).await;
    assert_eq!(stage.revoke(&offboard, "omar").0, 0);
    let pid = offboard.process.id().to_string();
    let unmounted =
        Command::new("nsenter").args(["--mount", "--target", &pid, "umount", "--lazy"]).arg(&store).status();
    assert!(unmounted.unwrap().success());
    let (code, error) = stage.revoke(&offboard, "ines");
    assert_eq!((code, error.contains("is no longer the one that was opened")), (3, true), "{error}");
    assert_eq!(std::fs::read_dir(&store).unwrap().count(), 0, "nothing is put into what is below");
}
