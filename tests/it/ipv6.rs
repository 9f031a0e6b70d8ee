//! `[::]` on machines that take it for IPv6 only, or have none (contract section 3, "The network").

use std::process::Command;

use crate::support::offboard::Offboard;
use crate::support::process::Process;
use crate::support::{Scratch, until};

/// A command in a network namespace of its own, once its loopback device is up and this was set. `None` without root,
/// loudly; in CI that is a failure.
fn namespace(settings: &str) -> Option<Command> {
    let mut command = Command::new("unshare");
    let set = format!("ip link set lo up && {settings} && exec \"$@\"");
    command.args(["--net", "sh", "-c", &set, "sh"]);
    let mut tried = Command::new("unshare");
    let works = tried.args(["--net", "ip", "link", "set", "lo", "up"]).status().is_ok_and(|status| status.success());
    assert!(works || std::env::var_os("CI").is_none(), "a network namespace needs root, `unshare` and `ip`");
    if !works {
        eprintln!("\nskipped: a network namespace needs root, `unshare` and `ip`\n");
    }
    works.then_some(command)
}

/// What `/livez` answers at an address of the namespace that a process is in.
fn livez(process: &Process, host: &str, port: u16) -> String {
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &process.id().to_string(), "bash", "-c"]);
    command.arg(format!(
        "exec 3<>/dev/tcp/{host}/{port} && printf 'GET /livez HTTP/1.0\\r\\n\\r\\n' >&3 && timeout 10 cat <&3"
    ));
    let done = command.output().unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
}

async fn serves_ipv4(settings: &str, also: &[&str]) {
    let Some(mut command) = namespace(settings) else { return };
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name).display().to_string();
    let text = format!(
        "authorization: none\nstore: {{ path: {} }}\naudit: {{ path: {} }}\n\
         server:\n  control: {{ listen: 127.0.0.1:0 }}\n  ops: {{ listen: '[::]:0' }}\n",
        at("store"),
        at("audit")
    );
    std::fs::write(at("offboard.yaml"), text).unwrap();
    command.arg(env!("CARGO_BIN_EXE_offboard")).args(["serve", "--config", &at("offboard.yaml")]);
    let offboard = Offboard::started(scratch.path(), &mut command).await;
    // `authz` stands at its default.
    assert_eq!(offboard.authz.port(), 9191);
    for host in [&["127.0.0.1"], also].concat() {
        until(&format!("{host} answers under {settings}"), async || {
            livez(&offboard.process, host, offboard.ops.port()).contains("200 OK").then_some(())
        })
        .await;
    }
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{}", offboard.authz.port());
    let mut authz = Command::new("nsenter");
    let pid = offboard.process.id().to_string();
    assert!(authz.args(["--net", "--target", &pid, "bash", "-c", &connect]).status().unwrap().success());
}

#[tokio::test]
async fn it_serves_ipv4_where_ipv6_sockets_do_not_by_default() {
    serves_ipv4("sysctl -qw net.ipv6.bindv6only=1", &["::1"]).await;
}

#[tokio::test]
async fn it_serves_ipv4_where_ipv6_is_disabled() {
    serves_ipv4("sysctl -qw net.ipv6.conf.all.disable_ipv6=1", &[]).await;
}
