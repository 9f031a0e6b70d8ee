//! A server that limits, or does not let us in any more: what is wrong is said, and nobody leaves by it.

use super::stage::Stage;
use crate::support::slapd::{Choices, READER, Slapd};
use crate::support::until;

/// A size limit cuts off what a stream tells, and each listing that is not read in pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_size_limit_is_named_with_its_remedy() {
    for more in ["", "sync: poll, poll: 100ms"] {
        let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
        slapd.add_people(3);
        let mut stage = Stage::start(slapd.port, more).await;
        let alice = stage.token("alice").await;
        stage.becomes(&alice, "allowed").await;
        slapd.stop();
        slapd.choices.limits = "limits dn.exact=\"cn=sync,ou=svc,dc=example,dc=org\" size=2";
        slapd.resume().await;
        stage.restart().await;
        until("the limit is named", async || {
            let text = stage.source();
            (text.contains("sizeLimitExceeded") && text.contains("size=unlimited")).then_some(())
        })
        .await;
        let (code, text) = stage.sync();
        assert!(code != 0 && text.contains("sizeLimitExceeded") && !text.contains("connection was lost"), "{text}");
        assert_eq!(stage.reason(&alice).await, "allowed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_password_is_wrong_until_the_file_has_it() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let stage = Stage::start(slapd.port, "").await;
    let alice = stage.token("alice").await;
    slapd.modify(&format!("dn: {READER}\nchangetype: modify\nreplace: userPassword\nuserPassword: rotated-1\n"));
    slapd.stop();
    slapd.resume().await;
    let said = async || stage.source().contains("`bind_password_file` is wrong").then_some(());
    until("the password is said to be wrong", said).await;
    assert_eq!(stage.reason(&alice).await, "allowed");
    std::fs::write(stage.files.path("ldap-password"), "rotated-1\n").unwrap();
    slapd.set("alice", "pwdAccountLockedTime", Some("000001010000Z"));
    stage.becomes(&alice, "revoked_person").await;
}

/// A listing that is cut off behind its first piece: what comes of that is not that its connection is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_size_limit_is_named_in_the_middle_of_a_listing() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let stage = Stage::start(slapd.port, "").await;
    let alice = stage.token("alice").await;
    slapd.add_people(640);
    slapd.stop();
    slapd.choices.limits = "limits dn.exact=\"cn=sync,ou=svc,dc=example,dc=org\" size=600";
    slapd.resume().await;
    let (code, text) = stage.sync();
    let said = |text: &str| text.contains("sizeLimitExceeded") && text.contains("size=unlimited");
    assert!(code != 0 && said(&text), "{text}");
    // It is tried again by itself, which is no better.
    let errors = "offboard_source_errors_total{kind=\"configuration\",source=\"ad\"}";
    let before = stage.offboard.metric(errors).await.unwrap_or(0.0);
    let again = async || (stage.offboard.metric(errors).await >= Some(before + 2.0)).then_some(());
    until("it fails twice more", again).await;
    assert!(said(&stage.source()), "{}", stage.source());
    assert_eq!(stage.reason(&alice).await, "allowed");
}
