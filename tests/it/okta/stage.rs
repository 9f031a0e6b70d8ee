//! Offboard, the fake Okta, and people with tokens.

use crate::support::installation::Installation;
use crate::support::okta::{Okta, Org, TOKEN};
use crate::support::scenario::{Scenario, stage};
use crate::support::until;

pub const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dan", "erin"];
pub const GROUP: &str = "00gpayments";
pub const APP: &str = "0oapayments";

/// What is asked often, so that nobody waits.
pub const QUICK: &str = "poll: 200ms, reconcile: 1h, timeout: 2s";

/// Offboard, the fake Okta, and tokens of its people. All of them are in `payments-eng`, which may do everything.
pub struct Stage {
    pub okta: Okta,
    scenario: Scenario,
}

stage!(Stage);

fn rules(source: &str) -> String {
    format!(
        "roles: [{{ name: payer, permissions: [{{}}] }}]\nbindings: [{{ role: payer, groups: [payments-eng] }}]\n\
         sources:\n  - {{ name: okta, kind: okta, issuer: dev, {source} }}\n"
    )
}

impl Stage {
    pub async fn start(rhythm: &str) -> Self {
        Self::start_with(rhythm, |_| {}).await
    }

    /// The same, with what else there is to be in the organization.
    pub async fn start_with(rhythm: &str, also: impl FnOnce(&mut Org)) -> Self {
        let okta = Okta::start();
        {
            let mut org = okta.org();
            org.add_group(GROUP, "OKTA_GROUP", "payments-eng");
            for name in PEOPLE {
                org.add_user(name);
                org.groups.get_mut(GROUP).unwrap().members.insert(format!("00u{name}"));
            }
            also(&mut org);
        }
        let url = okta.url.clone();
        let source = |files: &Installation| {
            std::fs::write(files.path("okta-token"), TOKEN).unwrap();
            format!("url: '{url}', token_file: '{}', {rhythm}", files.path("okta-token").display())
        };
        Self::begin(okta, source).await
    }

    /// With a source of these settings, which may name files of the installation.
    pub async fn begin(okta: Okta, source: impl FnOnce(&Installation) -> String) -> Self {
        let scenario = Scenario::start(|files| rules(&source(files))).await;
        scenario.offboard.knows("okta", u32::try_from(PEOPLE.len()).unwrap()).await;
        let stage = Self { okta, scenario };
        stage.synced().await;
        stage
    }

    /// Waits until the log was read to its end, behind the first listing.
    pub async fn synced(&self) {
        let asked = || self.okta.org().asked_for("/api/v1/logs");
        let before = asked();
        until("the log is read again", async || (asked() >= before + 2).then_some(())).await;
    }

    /// A token as Okta's authorization servers make them.
    pub async fn token(&self, name: &str) -> String {
        self.issuer.token(&format!("sub={name}@example.com&uid=00u{name}")).await
    }

    /// A token of a later second than any before.
    pub async fn works_anew(&self, name: &str) {
        until("a new token works", async || {
            let fresh = self.token(name).await;
            (self.reason(&fresh).await == "allowed").then_some(())
        })
        .await;
    }

    pub fn show(&self) -> String {
        let (code, said) = self.run(&["source", "show", "okta", "-o", "json"]);
        assert_eq!(code, 0, "{said}");
        said
    }

    /// Asks at once, and says what came of it: nothing, where it went well.
    pub fn sync(&self, full: bool) -> String {
        let arguments = ["source", "sync", "okta", "--full"];
        let arguments = if full { &arguments[..] } else { &arguments[..3] };
        let (code, said) = self.run(arguments);
        if code == 0 { String::new() } else { format!("{code}: {said}") }
    }

    /// Nothing was asked that Okta would not have answered.
    pub fn no_complaints(&self) {
        assert_eq!(self.okta.org().complaints, Vec::<String>::new());
    }
}
