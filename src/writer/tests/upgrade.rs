//! A store whose names were compared byte by byte, and what a configuration makes of it that knows their rules.

use super::names::{bench, called, departed, linked};
use super::*;
use crate::domain::name::Directory;

/// A writer over this log, as an earlier version left it: nothing in it says how names compare.
async fn before(log: &Arc<Memory>) -> (Bench, Policy) {
    let policy = linked(Directory::Ldap, "uid");
    (Bench::over(Arc::clone(log), policy.clone()).await, policy)
}

#[tokio::test]
async fn names_compare_by_the_rules_in_force_at_once() {
    let log = Arc::new(Memory::default());
    let (bench, policy) = before(&log).await;
    let locked = Person { status: Status::Suspended, ..called("e1", "uid", &["JDoe"]) };
    bench.list(&[locked, called("e2", "uid", &["other"])], at(0)).await.unwrap();
    for configured in [false, true] {
        if configured {
            bench.configure(policy.clone(), at(3)).await.unwrap();
        }
        for login in ["JDoe", "jdoe", "JDOE"] {
            assert_eq!(bench.login(login, at(1), at(4)), Reason::RevokedPerson, "{login} {configured}");
        }
    }
    assert_eq!(bench.cut_off(&["JDoe", "jdoe", "other"]), [""; 0]);
    bench.folds_agree().await;
}

/// Departed as `JSmith`, and somebody else is here as `jsmith`: byte by byte they were two names.
#[tokio::test]
async fn a_departed_namesake_locks_nobody_out_and_stays_out() {
    for listed in [false, true] {
        let log = Arc::new(Memory::default());
        let (bench, policy) = before(&log).await;
        let (gone, here) = (called("e1", "uid", &["JSmith"]), called("e2", "uid", &["jsmith"]));
        let other = called("e3", "uid", &["other"]);
        // As the log of an earlier version has them.
        let mut exactly = policy.clone();
        exactly.sources[0].directory = Directory::File;
        bench.configure(exactly, at(0)).await.unwrap();
        bench.list(&[gone.clone(), other.clone()], at(1)).await.unwrap();
        let mut now = vec![here, other];
        if listed {
            now.push(departed(&gone));
        }
        bench.list(&now, at(10)).await.unwrap();
        assert_eq!(bench.login("jsmith", at(5), at(11)), Reason::Allowed);
        assert_eq!(bench.login("JSmith", at(5), at(11)), Reason::RevokedPerson);
        bench.configure(policy, at(20)).await.unwrap();
        for second in [21, 40] {
            assert_eq!(bench.login("jsmith", at(5), at(second)), Reason::Allowed, "never denied before");
            assert_eq!(bench.login("jsmith", at(30), at(41)), Reason::Allowed);
            assert_eq!(bench.login("JSmith", at(5), at(second)), Reason::IssuedBeforeCutoff, "the leaver's own");
            bench.list(&now, at(second + 5)).await.unwrap();
        }
        bench.folds_agree().await;
    }
}

#[tokio::test]
async fn what_was_cut_off_as_it_was_written_is_dead_in_every_spelling() {
    let log = Arc::new(Memory::default());
    let (bench, policy) = before(&log).await;
    let mut exactly = policy.clone();
    exactly.sources[0].directory = Directory::File;
    bench.configure(exactly, at(0)).await.unwrap();
    bench.list(&[called("e1", "uid", &["JSmith"]), called("e2", "uid", &["Kay"])], at(1)).await.unwrap();
    // The name leaves one and comes to another; `Kay` is left, and somebody was `kay` all the time.
    bench.list(&[called("e2", "uid", &["K."]), called("e3", "uid", &["kay"])], at(9)).await.unwrap();
    bench.change(&called("e4", "uid", &["JSmith"]), at(10)).await;
    bench.configure(policy, at(20)).await.unwrap();
    for login in ["JSmith", "jsmith", "JSMITH"] {
        assert_eq!(bench.login(login, at(5), at(30)), Reason::IssuedBeforeCutoff, "{login}");
        assert_eq!(bench.login(login, at(25), at(30)), Reason::Allowed, "{login}");
    }
    assert_eq!(bench.login("kay", at(5), at(30)), Reason::Allowed, "they were never denied");
    assert_eq!(bench.login("Kay", at(5), at(30)), Reason::IssuedBeforeCutoff);
    bench.folds_agree().await;
}

/// There, one version back, and here again: that one writes nought where it is said by which rules a REF stands.
#[tokio::test]
async fn a_snapshot_of_another_version_is_not_read() {
    let bench = bench(linked(Directory::Okta, "id")).await;
    bench.revoke(Target::Person { reference: "00uAb".into() }, at(5)).await.unwrap();
    let live = bench.published.snapshot();
    let text = String::from_utf8_lossy(&snapshot::write(&live.fold).unwrap()).into_owned();
    let of_version = |version: u32| text.replacen("\"version\":6", &format!("\"version\":{version}"), 1).into_bytes();
    for version in [3, 7] {
        let error = snapshot::read(&of_version(version), bench.keyer.clone()).unwrap_err().to_string();
        assert!(error.contains(&format!("it has version {version}; this offboard reads versions 4 to 6")), "{error}");
    }
}

/// Up to version 5, one cut-off stood for all of an operator's on a target: it cannot be told whose it was.
#[tokio::test]
async fn what_ended_under_an_earlier_version_is_not_undone() {
    let bench = Bench::start().await;
    let undo = async |bench: &Bench, id, second| {
        let command = Command::Undo { id, reason: "wrong".into(), actor: "ops".into() };
        bench.writer.ask(command, at(second)).await
    };
    let ended = bench.revoke(alice(), at(1)).await.unwrap().revocation.unwrap();
    bench.restore(ended, at(2)).await.unwrap();
    let stands = bench.revoke(session("s1"), at(3)).await.unwrap().revocation.unwrap();
    let fold = bench.published.snapshot().fold.clone();
    let text = String::from_utf8_lossy(&snapshot::write(&fold).unwrap()).into_owned();
    assert_eq!(text.matches("\"version\":6").count(), 1);
    let mut bytes = snapshot::write(&fold).unwrap();
    let at_version = bytes.windows(11).position(|part| part == b"\"version\":6").unwrap() + 10;
    bytes[at_version] = b'5';
    let snapshot = crate::log::Snapshot { epoch: fold.epoch, bytes };
    bench.log.keep_snapshot(snapshot).await.unwrap();
    let later = Bench::over(Arc::clone(&bench.log), policy()).await;
    assert_eq!(undo(&later, ended, 4).await, Err(Refused::Merged(ended)));
    undo(&later, stands, 5).await.unwrap();
    let fresh = later.revoke(alice(), at(6)).await.unwrap().revocation.unwrap();
    later.restore(fresh, at(7)).await.unwrap();
    undo(&later, fresh, 8).await.unwrap();
    assert_eq!(undo(&later, fresh, 9).await, Err(Refused::NothingLeft(fresh)));
    assert_eq!(later.ask("alice", at(1), at(10)), Reason::IssuedBeforeCutoff, "by the one before");
    assert_eq!(later.ask("alice", at(5), at(10)), Reason::Allowed);
}
