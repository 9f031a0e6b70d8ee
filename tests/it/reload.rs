//! Configurations that are bad, half there, swapped as the kubelet does it, or broken at the start.

use rustix::process::Signal;

use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::until;

const SUCCESSFUL: &str = "offboard_config_last_reload_successful";

/// The hash of the configuration in force, by `offboard status`.
fn in_force(files: &Installation, offboard: &Offboard) -> String {
    let (code, out, error) = offboard.run(&files.token_file(), &["status", "-o", "json"]);
    assert_eq!(code, 0, "{error}");
    let status: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    status["configuration"].as_str().unwrap_or_else(|| panic!("{status}")).to_owned()
}

async fn refused(offboard: &Offboard) {
    until("the reload is refused", async || (offboard.metric(SUCCESSFUL).await == Some(0.0)).then_some(())).await;
}

#[tokio::test]
async fn whatever_is_bad_changes_nothing_and_is_named() {
    let files = Installation::new("authorization: none\n");
    let offboard = files.start().await;
    let before = in_force(&files, &offboard);
    for (name, text, named) in [
        ("30-more.yaml", "rolls: []\nexemptions: { max: 3 }\n", &["rolls", "exemptions.max"][..]),
        ("30-more.yaml", "authorization: [\n", &["30-more.yaml"]),
        ("20-rules.yaml", "authorization: none\nenforcement: enforce\nauthorization: roles\n", &["authorization"]),
    ] {
        files.write(name, text);
        refused(&offboard).await;
        let said = offboard.process.output();
        for word in named {
            let found = said.lines().any(|line| line.contains("was not reloaded") && line.contains(word));
            assert!(found, "{text:?}: no error names {word}: {said}");
        }
        assert_eq!(in_force(&files, &offboard), before, "{text:?}");
        // Whole again.
        let _ = std::fs::remove_file(files.path("config/30-more.yaml"));
        files.write("20-rules.yaml", "authorization: none\n");
        until("it recovers", async || (offboard.metric(SUCCESSFUL).await == Some(1.0)).then_some(())).await;
    }
}

/// SIGHUP reads the files again, changed or not, and ends nothing.
#[tokio::test]
async fn a_hangup_reloads() {
    let files = Installation::new("authorization: none\n");
    let offboard = files.start().await;
    let reloads = || offboard.process.output().matches("configuration is in force").count();
    for round in 1..=2 {
        let before = reloads();
        offboard.process.signal(Signal::HUP);
        until("it is read again", async || (reloads() > before).then_some(())).await;
        assert_eq!(offboard.metric(SUCCESSFUL).await, Some(1.0), "round {round}");
    }
    std::fs::write(files.path("config/30-more.yaml"), "rolls: []\n").unwrap();
    offboard.process.signal(Signal::HUP);
    refused(&offboard).await;
    assert!(offboard.ops("/readyz").await.status().is_success());
}

/// What the configuration in force does not require is not waited for: no restart is needed to be ready.
#[tokio::test]
async fn a_required_source_that_is_taken_out_is_not_waited_for() {
    let issuer = DevIssuer::start().await;
    let files = Installation::new("");
    let absent = files.path("people/absent.yaml").display().to_string();
    let rules = |required: bool| {
        let sources = format!("[{{ name: hr, kind: file, issuer: dev, path: {absent}, required: {required} }}]");
        format!("authorization: none\n{}sources: {sources}\n", issuer.section())
    };
    files.write("20-rules.yaml", &rules(true));
    let offboard = Offboard::start(&files.path(""), &files.path("config"), &[]).await;
    until("only that sync is missing", async || {
        let body = offboard.ops("/readyz").await.text().await.unwrap();
        (body.contains("first sync of source hr") && !body.contains("replay")).then_some(())
    })
    .await;
    files.write("20-rules.yaml", &rules(false));
    until("it is ready", async || offboard.ops("/readyz").await.status().is_success().then_some(())).await;
}

/// A ConfigMap's volume, and the moment in which it is half there.
#[tokio::test]
async fn a_directory_is_swapped_whole_and_one_that_is_empty_is_no_configuration() {
    let files = Installation::new("authorization: none\n");
    let config = files.path("config");
    let server = std::fs::read_to_string(config.join("10-server.yaml")).unwrap();
    let swap = |version: &str, rules: Option<&str>| {
        let dir = config.join(format!("..{version}"));
        std::fs::create_dir(&dir).unwrap();
        if let Some(rules) = rules {
            std::fs::write(dir.join("20-rules.yaml"), rules).unwrap();
            std::fs::write(dir.join("10-server.yaml"), &server).unwrap();
        }
        std::os::unix::fs::symlink(format!("..{version}"), config.join("..data_tmp")).unwrap();
        std::fs::rename(config.join("..data_tmp"), config.join("..data")).unwrap();
    };
    swap("v1", Some("authorization: none\n"));
    for name in ["10-server.yaml", "20-rules.yaml"] {
        std::fs::remove_file(config.join(name)).unwrap();
        std::os::unix::fs::symlink(format!("..data/{name}"), config.join(name)).unwrap();
    }
    let offboard = files.start().await;
    let first = in_force(&files, &offboard);
    swap("v2", None);
    refused(&offboard).await;
    assert_eq!(in_force(&files, &offboard), first, "a link to nothing is an error, not less configuration");
    swap("v3", Some("authorization: roles\n"));
    until("the third is in force", async || (in_force(&files, &offboard) != first).then_some(())).await;
    until("the metric says so", async || (offboard.metric(SUCCESSFUL).await == Some(1.0)).then_some(())).await;
}

#[tokio::test]
async fn a_start_with_broken_files_goes_on_with_the_last_good_ones() {
    let files = Installation::new("authorization: none\n");
    let mut offboard = files.start().await;
    let good = in_force(&files, &offboard);
    offboard.process.stop(std::time::Duration::from_secs(20));
    files.write("20-rules.yaml", "authorization: nobody\n");
    let offboard = files.start().await;
    assert_eq!(in_force(&files, &offboard), good);
    let said = offboard.process.output();
    assert!(said.contains("last good configuration") && said.contains("20-rules.yaml:1"), "{said}");
    files.write("20-rules.yaml", "authorization: roles\n");
    until("mended files are in force", async || (in_force(&files, &offboard) != good).then_some(())).await;
}

/// The very file that says where the store is has an error elsewhere: that much of it is still read. Where it is no
/// YAML at all, the environment may say.
#[tokio::test]
async fn the_store_is_found_by_a_broken_file_or_by_the_environment() {
    let files = Installation::new("authorization: none\n");
    let mut offboard = files.start().await;
    let good = in_force(&files, &offboard);
    offboard.process.stop(std::time::Duration::from_secs(20));
    let server = std::fs::read_to_string(files.path("config/10-server.yaml")).unwrap();

    files.write("10-server.yaml", &format!("{server}rolls: []\nenforcement: maybe\n"));
    let mut offboard = files.start().await;
    assert_eq!(in_force(&files, &offboard), good);
    let said = offboard.process.output();
    assert!(said.contains("rolls") && said.contains("enforcement"), "every error is named: {said}");
    offboard.process.stop(std::time::Duration::from_secs(20));

    files.write("10-server.yaml", &format!("{server}rolls: [\n"));
    let serve = |store: &str| {
        let mut command = Offboard::command();
        command.args(["serve", "--config"]).arg(files.path("config")).env("OFFBOARD__STORE__PATH", files.path(store));
        command
    };
    let offboard = Offboard::started(&files.path(""), &mut serve("store")).await;
    assert!(offboard.process.output().contains("last good configuration"), "{}", offboard.process.output());
    drop(offboard);

    let done = serve("elsewhere").output().unwrap();
    assert_eq!(done.status.code(), Some(1), "nothing is kept there");
    let said = String::from_utf8_lossy(&done.stderr) + String::from_utf8_lossy(&done.stdout);
    assert!(said.contains("10-server.yaml"), "{said}");
}

#[test]
fn a_first_start_with_broken_files_names_every_error() {
    let files = Installation::new("authorization: nobody\nbindings: [{ role: nothing }]\n");
    let done = Offboard::command().args(["serve", "--config"]).arg(files.path("config")).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8_lossy(&done.stderr) + String::from_utf8_lossy(&done.stdout);
    assert!(said.contains("20-rules.yaml:1") && said.contains("20-rules.yaml:2"), "{said}");
}
