//! Offboard, the fake Okta, and people with tokens.

use rustix::process::Signal;

use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::okta::{Okta, Org, TOKEN};
use crate::support::proxy::Proxy;
use crate::support::until;

pub const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dan", "erin"];
pub const GROUP: &str = "00gpayments";
pub const APP: &str = "0oapayments";

/// What is asked often, so that nobody waits.
pub const QUICK: &str = "poll: 200ms, reconcile: 1h, timeout: 2s";

/// Offboard, the fake Okta, and tokens of its people. All of them are in `payments-eng`, which may do everything.
pub struct Stage {
    pub okta: Okta,
    pub issuer: DevIssuer,
    pub files: Installation,
    pub offboard: Offboard,
    pub proxy: Proxy,
}

fn rules(issuer: &DevIssuer, source: &str) -> String {
    format!(
        "response: {{ reveal_reason: true }}\nroles: [{{ name: payer, permissions: [{{}}] }}]\n\
         bindings: [{{ role: payer, groups: [payments-eng] }}]\n{}sources:\n  - {{ name: okta, kind: okta, issuer: dev, \
         {source} }}\n",
        issuer.section()
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
        let files = Installation::new("");
        std::fs::write(files.path("okta-token"), TOKEN).unwrap();
        let source = format!("url: '{}', token_file: '{}', {rhythm}", okta.url, files.path("okta-token").display());
        Self::begin(okta, files, &source).await
    }

    pub async fn begin(okta: Okta, files: Installation, source: &str) -> Self {
        let issuer = DevIssuer::start().await;
        files.write("20-rules.yaml", &rules(&issuer, source));
        let offboard = files.start().await;
        offboard.has_keys("dev").await;
        offboard.knows("okta", u32::try_from(PEOPLE.len()).unwrap()).await;
        let proxy = Proxy::connect(offboard.authz).await;
        let stage = Self { okta, issuer, files, offboard, proxy };
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

    /// `allowed`, or the reason of the denial.
    pub async fn asked(&self, token: &str) -> String {
        let answer = self.proxy.clone().ask(token).await.unwrap();
        if answer.allowed { "allowed".into() } else { answer.reason.unwrap() }
    }

    pub async fn becomes(&self, token: &str, wanted: &str) {
        let mut last = String::new();
        let what = format!("the answer is {wanted}");
        until(&what, async || {
            last = self.asked(token).await;
            (last == wanted).then_some(())
        })
        .await;
    }

    /// A token of a later second than any before.
    pub async fn works_anew(&self, name: &str) {
        until("a new token works", async || {
            let fresh = self.token(name).await;
            (self.asked(&fresh).await == "allowed").then_some(())
        })
        .await;
    }

    pub fn show(&self) -> String {
        let (code, out, error) = self.offboard.run(&self.files.token_file(), &["source", "show", "okta", "-o", "json"]);
        assert_eq!(code, 0, "{error}");
        out
    }

    /// Asks at once, and says what came of it: nothing, where it went well.
    pub fn sync(&self, full: bool) -> String {
        let arguments = ["source", "sync", "okta", "--full"];
        let arguments = if full { &arguments[..] } else { &arguments[..3] };
        let (code, _, error) = self.offboard.run(&self.files.token_file(), arguments);
        if code == 0 { String::new() } else { format!("{code}: {error}") }
    }

    /// Nothing was asked that Okta would not have answered.
    pub fn no_complaints(&self) {
        assert_eq!(self.okta.org().complaints, Vec::<String>::new());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // How it drains is another test's matter.
        self.offboard.process.signal(Signal::KILL);
    }
}
