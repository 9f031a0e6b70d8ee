//! The development issuer (envoy/dev_issuer.rs), as a process.

use std::path::Path;
use std::process::Command;

use super::Scratch;
use super::process::Process;

pub struct DevIssuer {
    pub url: String,
    _process: Process,
    _scratch: Scratch,
}

impl DevIssuer {
    pub async fn start() -> Self {
        let scratch = Scratch::new();
        // Cargo builds examples before it runs tests, beside the binaries.
        let binary = Path::new(env!("CARGO_BIN_EXE_offboard")).with_file_name("examples").join("dev_issuer");
        let mut process = Process::start("issuer", scratch.path(), &mut Command::new(binary));
        let url = process.announced("listening").await["issuer"].as_str().unwrap().to_owned();
        Self { url, _process: process, _scratch: scratch }
    }

    /// `issuers:` of a configuration that takes its tokens, under the name `dev`.
    pub fn section(&self) -> String {
        format!("issuers: [{{ name: dev, issuer: '{}', audiences: [mesh], jwks: {{ discovery: true }} }}]\n", self.url)
    }

    /// A token: `sub=alice&groups=a,b`, and what else envoy/dev_issuer.rs lists.
    pub async fn token(&self, query: &str) -> String {
        let answer = reqwest::get(format!("{}/token?{query}", self.url)).await.unwrap();
        answer.error_for_status().unwrap().text().await.unwrap()
    }
}
