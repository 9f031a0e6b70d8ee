//! The service with one provider behind it and a proxy before it: everything that a test of a provider needs. Why a check
//! ends as it does is learnt in one way, from the dynamic metadata of its answer.

use std::time::Duration;

use rustix::process::Signal;

use super::installation::Installation;
use super::issuer::DevIssuer;
use super::offboard::Offboard;
use super::proxy::Proxy;
use super::until;

pub struct Scenario {
    pub issuer: DevIssuer,
    pub files: Installation,
    pub offboard: Offboard,
    pub proxy: Proxy,
}

impl Scenario {
    /// Issuer `dev` and these rules, which may name files of the installation.
    pub async fn start(rules: impl FnOnce(&Installation) -> String) -> Self {
        let (files, issuer) = (Installation::new(""), DevIssuer::start().await);
        let rules = format!("{}{}", rules(&files), issuer.section());
        files.write("20-rules.yaml", &rules);
        let (offboard, proxy) = begin(&files).await;
        Self { issuer, files, offboard, proxy }
    }

    pub async fn restart(&mut self) {
        self.offboard.process.stop(Duration::from_secs(20));
        (self.offboard, self.proxy) = begin(&self.files).await;
    }

    /// `allowed`, or the reason of the denial.
    pub async fn reason(&self, token: &str) -> String {
        self.proxy.clone().reason(token).await
    }

    /// Waits until a token is let through (`allowed`), or refused for this reason.
    pub async fn becomes(&self, token: &str, reason: &str) {
        let mut last = String::new();
        until(&format!("the answer is {reason}"), async || {
            let now = self.reason(token).await;
            if now != last {
                eprintln!("the answer is {now}, where {reason} is wanted");
                last = now;
            }
            (last == reason).then_some(())
        })
        .await;
    }

    /// A client command: exit code, and both outputs.
    pub fn run(&self, arguments: &[&str]) -> (i32, String) {
        let (code, out, error) = self.offboard.run(&self.files.token_file(), arguments);
        (code, format!("{out}{error}"))
    }
}

async fn begin(files: &Installation) -> (Offboard, Proxy) {
    let offboard = files.start().await;
    offboard.has_keys("dev").await;
    let proxy = Proxy::connect(offboard.authz).await;
    (offboard, proxy)
}

impl Drop for Scenario {
    fn drop(&mut self) {
        // How it drains is another test's matter.
        self.offboard.process.signal(Signal::KILL);
    }
}

/// A test's stage is a scenario with more in it.
macro_rules! stage {
    ($stage:ty) => {
        impl std::ops::Deref for $stage {
            type Target = $crate::support::scenario::Scenario;

            fn deref(&self) -> &Self::Target {
                &self.scenario
            }
        }

        impl std::ops::DerefMut for $stage {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.scenario
            }
        }
    };
}
pub(crate) use stage;
