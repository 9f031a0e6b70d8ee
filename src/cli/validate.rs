//! `offboard validate` and `offboard schema`.

mod groups;

use clap::Args;

use super::client::{Access, Server};
use super::output::print;
use super::{Answer, ConfigPaths, Failure};
use crate::config;

/// Check a configuration: report every error at once and warn about dangerous settings.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  offboard validate --config k8s/base/config\n  \
    offboard validate --config k8s/base/config --against http://127.0.0.1:9192\n\n\
    Each line reads `file:line: key: what is wrong`; files that are named and do not exist here are warnings.\n\
    Exit codes: 0 valid, perhaps with warnings · 1 invalid or unreadable")]
pub(super) struct Validate {
    #[command(flatten)]
    config: ConfigPaths,
    /// Also compare it with a running server: warn about bound groups that have no members
    #[arg(long, value_name = "URL")]
    against: Option<String>,
    #[command(flatten)]
    access: Access,
}

impl Validate {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let environment = std::env::vars().collect();
        match config::load(&self.config.config, &environment) {
            Ok((inputs, configuration)) => {
                let mut warnings: Vec<String> = configuration.warnings.iter().map(ToString::to_string).collect();
                warnings.extend(config::absent_files(&inputs, &environment).iter().map(ToString::to_string));
                warnings.extend(match self.against {
                    Some(server) => {
                        let server = Server { server, access: self.access };
                        groups::by_server(&configuration.policy, &server)?
                    }
                    None => groups::by_files(&configuration.policy, &configuration.settings.sources)?,
                });
                let warnings = warnings.iter().map(|warning| format!("warning: {warning}\n"));
                let enforcement = configuration.policy.enforcement();
                print(&format!("{}enforcement: {enforcement}\nvalid\n", warnings.collect::<String>()))?;
                Ok(Answer::Yes)
            }
            Err(invalid) => {
                print(&format!("{invalid}\n"))?;
                Ok(Answer::No)
            }
        }
    }
}

/// Print the JSON Schema of the configuration.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  offboard schema >offboard.schema.json\n\n\
    Editors use it to complete and check: begin a file with `# yaml-language-server: $schema=offboard.schema.json`.")]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let text = serde_json::to_string_pretty(&config::schema::schema());
        print(&(text.map_err(|error| Failure::Unreachable(error.to_string()))? + "\n"))?;
        Ok(Answer::Yes)
    }
}
