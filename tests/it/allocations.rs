//! What a check costs, as a count: times differ from machine to machine, these do not.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::proxy::Proxy;
use crate::support::{Scratch, root, until};

/// The most allocations of one check with a token that was seen before; there are some 20, half of them of HTTP/2. More
/// headers cost none of their own.
const MOST: u64 = 22;
/// Checks that are counted.
const CHECKS: u64 = 500;

const RULES: &str = "
services: [{ name: orders, hosts: [orders.example.com] }]
roles: [{ name: reader, permissions: [{ services: [orders], methods: [GET] }] }]
bindings: [{ role: reader, groups: [staff] }]
response: { headers: { x-offboard-person: person, x-offboard-roles: roles } }
";

/// `tests/shim/allocations.c`, compiled.
fn shim(scratch: &Path) -> PathBuf {
    let library = scratch.join("allocations.so");
    let source = root().join("tests/shim/allocations.c");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source);
    assert!(cc.status().unwrap().success(), "the shim does not compile");
    library
}

#[tokio::test]
async fn a_check_of_a_known_token_allocates_little() {
    let scratch = Scratch::new();
    let issuer = DevIssuer::start().await;
    let files = Installation::new(&issuer.section());
    files.write(
        "30-rules.yaml",
        &format!(
            "sources: [{{ name: hr, kind: file, issuer: dev, path: {} }}]\n{RULES}",
            files.path("people/people.yaml").display()
        ),
    );
    files.write_people(&["id: alice, email: alice@example.com, status: active, groups: [staff]"]);
    let count = scratch.path().join("count");
    std::fs::write(&count, [0; 8]).unwrap();
    let mut command = Offboard::command();
    command.args(["serve", "--config"]).arg(files.path("config"));
    command.env("LD_PRELOAD", shim(scratch.path())).env("ALLOCATIONS", &count);
    let offboard = Offboard::started(scratch.path(), &mut command).await;
    until("it is ready", async || offboard.ops("/readyz").await.status().is_success().then_some(())).await;
    offboard.knows("hr", 1).await;
    offboard.has_keys("dev").await;
    let token = issuer.token("sub=alice&email=alice@example.com&ttl=3600").await;
    let mut proxy = Proxy::connect(offboard.authz).await;
    let counted = || u64::from_ne_bytes(std::fs::read(&count).unwrap().try_into().unwrap());
    for _ in 0..CHECKS {
        assert_eq!(proxy.reason(&token).await, "allowed");
    }
    let before = counted();
    for _ in 0..CHECKS {
        assert_eq!(proxy.reason(&token).await, "allowed");
    }
    let each = (counted() - before) / CHECKS;
    assert!(each > 0, "nothing was counted");
    assert!(each <= MOST, "{each} allocations for each check");
}
