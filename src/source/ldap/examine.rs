//! `offboard source check`: tries everything that a directory must allow, and says in words what is missing.

use super::entry::Entry;
use super::link::Link;
use super::{Client, Flavor, ROWS, Sync};
use crate::source::directory::{Finding, Grade};
use crate::source::error::SourceError;
use crate::source::report::CheckReport;

/// The control of RFC 4533.
const SYNC: &str = "1.3.6.1.4.1.4203.1.9.1.1";
/// The most pages that are counted: a million people.
const PAGES: usize = 2_000;

/// Appended to findings where only a listing reports something.
const FRESH: &str = ", and what is known is as old as the last listing: set `max_staleness` to at least 2x `reconcile`";

/// Runs all tests.
pub(super) async fn examine(client: &mut Client) -> Vec<Finding> {
    let mut report = CheckReport::default();
    let server = client.settings.server.clone();
    let safe = server.start_tls || server.url.starts_with("ldaps:");
    match Link::open(&server).await {
        Ok(_) if safe => report.good("connection", "TLS, and the bind succeeds"),
        Ok(_) => {
            report.warn("connection", "the bind succeeds, but in clear text: use ldaps:// or `start_tls: true`, or anybody in between can read the password")
        }
        Err(error) => {
            report.failed("connection", &error);
            return report.findings();
        }
    }
    if let Err(error) = client.link().await {
        report.failed("base", &error);
        return report.findings();
    }
    report.good("base", format!("`{}` is there", client.settings.base_dn));
    for outcome in
        [people(client, &mut report).await, groups(client, &mut report).await, changes(client, &mut report).await]
    {
        if let Err((what, error)) = outcome {
            report.failed(what, &error);
        }
    }
    report.findings()
}

type Outcome = Result<(), (&'static str, SourceError)>;

async fn people(client: &mut Client, report: &mut CheckReport) -> Outcome {
    let failed = |error| ("people", error);
    let (mut count, mut cookie, mut named) = (0_usize, Vec::new(), 0_usize);
    let mut locks = Locks::default();
    for _ in 0..PAGES {
        let search = client.search_people(None);
        let link = client.link().await.map_err(failed)?;
        let (entries, next) = link.page("list people", search, (ROWS, cookie)).await.map_err(failed)?;
        for entry in &entries {
            client.key(entry).map_err(failed)?;
            count += 1;
            let name = client.called("username");
            named += usize::from(entry.text(name).is_some());
            locks.count(entry);
        }
        let Some(next) = next else { break };
        cookie = next;
    }
    if count == 0 {
        let what = format!("nobody is found below `{}`: an empty listing is held back", client.settings.people_dn);
        report.bad("people", what);
        return Ok(());
    }
    report.good("people", format!("{count} people can be listed"));
    let name = client.called("username");
    if named < count {
        report.warn("names", format!("`{name}` cannot be read for {} of {count} people", count - named));
    }
    locks.report(client.settings.flavor, count, report);
    Ok(())
}

/// How many people have the attributes that show locks.
#[derive(Default)]
struct Locks {
    /// People with a `modifyTimestamp`; everybody has one.
    stamped: usize,
    /// People with a time of the last password change.
    changed: usize,
    /// People who are or were locked.
    locked: usize,
    /// People with a `userAccountControl`; everybody has one.
    controlled: usize,
}

impl Locks {
    fn count(&mut self, entry: &Entry) {
        let has = |name: &str| usize::from(entry.text(name).is_some());
        self.stamped += has("modifyTimestamp");
        self.changed += has("pwdChangedTime");
        self.locked += has("pwdAccountLockedTime");
        self.controlled += has("userAccountControl");
    }

    fn report(&self, flavor: Flavor, count: usize, report: &mut CheckReport) {
        let lacking = |name: &str, has: usize| format!("`{name}` cannot be read for {} of {count} people", count - has);
        match flavor {
            Flavor::OpenLdap if self.stamped < count => {
                let what = lacking("modifyTimestamp", self.stamped);
                let what = format!("{what}: `bind_dn` needs the right to read operational attributes of every entry");
                report.bad("locks", what);
            }
            Flavor::OpenLdap if self.locked > 0 => {
                let what = format!("`pwdAccountLockedTime` can be read: {} of {count} have one", self.locked);
                report.good("locks", what);
            }
            Flavor::OpenLdap if self.changed == 0 => report.warn(
                "locks",
                "`pwdChangedTime` cannot be read for anybody, so locks and new passwords are not noticed: load ppolicy, or \
                 let `bind_dn` read it",
            ),
            Flavor::OpenLdap => report.warn(
                "locks",
                "operational attributes can be read, but nobody has a `pwdAccountLockedTime`: either nobody is locked, or \
                 `bind_dn` may not read it; lock an account and check again",
            ),
            Flavor::Ad if self.controlled < count => {
                let what = lacking("userAccountControl", self.controlled);
                report.bad("locks", format!("{what}: disabled accounts are not noticed"));
            }
            Flavor::Ad => report.good("locks", "`userAccountControl` can be read for everybody"),
        }
    }
}

async fn groups(client: &mut Client, report: &mut CheckReport) -> Outcome {
    client.know_groups().await.map_err(|error| ("groups", error))?;
    let count = client.groups.counting().map_or(0, super::Tree::len);
    let grade = if count == 0 { Grade::Warning } else { Grade::Good };
    report.say(grade, "groups", format!("{count} groups can be listed below `{}`", client.settings.base_dn));
    Ok(())
}

async fn changes(client: &mut Client, report: &mut CheckReport) -> Outcome {
    let failed = |error| ("changes", error);
    let root = client.root(&["supportedControl", "currentTime", "highestCommittedUSN"]).await.map_err(failed)?;
    let knows = |control: &str| root.texts("supportedControl").any(|known| known == control);
    match (client.settings.sync, client.settings.flavor) {
        (Sync::Syncrepl, _) if !knows(SYNC) => report.bad(
            "changes",
            "the server does not offer syncrepl: load the overlay `syncprov` for this database, or set `sync: poll`",
        ),
        (Sync::Syncrepl, _) => {
            // Not paged, as a different limit applies to it.
            client.hear(None).await.map_err(failed)?;
            report.good("changes", "the server reports changes (syncrepl)");
        }
        (Sync::DirSync, _) if !knows(super::ber::DIRSYNC) => {
            report.bad(
                "changes",
                "the server does not support DirSync, so it is not a domain controller: set `sync: poll`",
            );
        }
        (Sync::DirSync, _) => {
            client.ask_dirsync(None).await.map_err(failed)?;
            report.good("changes", "changes can be read (DirSync)");
        }
        (Sync::Poll, Flavor::Ad) if root.number("highestCommittedUSN").is_none() => {
            report.bad(
                "changes",
                "the server has no `highestCommittedUSN`, so it is not a domain controller: check `flavor`",
            );
        }
        (Sync::Poll, Flavor::Ad) => {
            let context = client.naming_context().await.map_err(failed)?;
            client.sees_deletions(&context).await.map_err(failed)?;
            report.good("changes", "changes can be read by polling");
        }
        (Sync::Poll, Flavor::OpenLdap) => report.good("changes", "changes can be read by polling"),
    }
    if !client.tells_deletions() {
        let right = match client.settings.flavor {
            Flavor::Ad => "`bind_dn` may not read `CN=Deleted Objects`",
            Flavor::OpenLdap => "`sync: poll` does not report deletions",
        };
        let what = format!("{right}: deletions are found by full listings only{FRESH}");
        report.warn("deletions", what);
    }
    match root.time("currentTime") {
        Some(theirs) => {
            let ours = client.now();
            let off = ours.since(theirs).max(theirs.since(ours));
            let grade = if off.as_secs() > 5 { Grade::Warning } else { Grade::Good };
            report.say(grade, "clock", format!("the clocks are {} s apart", off.as_secs()));
        }
        None => report.good("clock", "the server does not tell its time: compare the clocks yourself"),
    }
    Ok(())
}
