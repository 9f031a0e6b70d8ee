//! The files of one Offboard: its configuration, a list of people, the bootstrap token; and the service started on them.

use std::path::PathBuf;

use super::offboard::Offboard;
use super::{Scratch, until};

/// What stands behind `bootstrap_token_sha256_file`.
pub const BOOTSTRAP_TOKEN: &str = "sealed-emergency-token";

/// A directory with `config/*.yaml`, `people/people.yaml` and the token; `store/` and `audit/` come with the service.
pub struct Installation {
    scratch: Scratch,
}

impl Installation {
    /// Listens on free ports, and goes by `rules` besides.
    pub fn new(rules: &str) -> Self {
        let installation = Self { scratch: Scratch::new() };
        for directory in ["config", "people"] {
            std::fs::create_dir(installation.path(directory)).unwrap();
        }
        std::fs::write(installation.token_file(), BOOTSTRAP_TOKEN).unwrap();
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, BOOTSTRAP_TOKEN.as_bytes());
        std::fs::write(installation.path("bootstrap.sha256"), hex::encode(hash)).unwrap();
        installation.listen_on(0);
        installation.write("20-rules.yaml", rules);
        installation
    }

    /// A place in it, by its path from the top.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The token that the control API takes.
    pub fn token_file(&self) -> PathBuf {
        self.path("token")
    }

    /// Writes a file of the configuration, whole before it has its name.
    pub fn write(&self, name: &str, text: &str) {
        // An empty file is an error.
        let text = if text.is_empty() { "# nothing\n" } else { text };
        let staged = self.path("config/.staged");
        std::fs::write(&staged, text).unwrap();
        std::fs::rename(&staged, self.path("config").join(name)).unwrap();
    }

    /// Writes the list of people, whole before it has its name.
    pub fn write_people(&self, rows: &[&str]) {
        let rows: String = rows.iter().map(|row| format!("  - {{ {row} }}\n")).collect();
        let staged = self.path("people/.staged");
        std::fs::write(&staged, format!("people:\n{rows}")).unwrap();
        std::fs::rename(&staged, self.path("people/people.yaml")).unwrap();
    }

    /// The port for proxies at its next start; 0: any.
    pub fn listen_on(&self, authz: u16) {
        let at = |name: &str| self.path(name).display().to_string();
        let (bootstrap, store, audit) = (at("bootstrap.sha256"), at("store"), at("audit"));
        let text = format!(
            "server:\n  authz: {{ listen: 127.0.0.1:{authz} }}\n  ops: {{ listen: 127.0.0.1:0 }}\n  \
             control: {{ listen: 127.0.0.1:0, bootstrap_token_sha256_file: {bootstrap} }}\n\
             store: {{ path: {store} }}\naudit: {{ path: {audit} }}\n"
        );
        self.write("10-server.yaml", &text);
    }

    /// Starts the service, and waits until it is ready.
    pub async fn start(&self) -> Offboard {
        self.start_with(&[]).await
    }

    /// The same with these variables in its environment.
    pub async fn start_with(&self, variables: &[(&str, &str)]) -> Offboard {
        let mut command = Offboard::command();
        command.arg("serve").arg("--config").arg(self.path("config")).envs(variables.iter().copied());
        let offboard = Offboard::started(self.scratch.path(), &mut command).await;
        until("offboard is ready", async || offboard.ops("/readyz").await.status().is_success().then_some(())).await;
        offboard
    }
}

impl Offboard {
    /// Waits until it knows this many active people of a source.
    pub async fn knows(&self, source: &str, people: u32) {
        let series = format!("offboard_people{{source=\"{source}\",status=\"active\"}}");
        until("people are known", async || (self.metric(&series).await == Some(f64::from(people))).then_some(())).await;
    }

    /// Waits until it has keys of an issuer.
    pub async fn has_keys(&self, issuer: &str) {
        let series = format!("offboard_jwks_keys{{issuer=\"{issuer}\"}}");
        until("keys are there", async || (self.metric(&series).await > Some(0.0)).then_some(())).await;
    }
}
