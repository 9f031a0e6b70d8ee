//! `offboard validate` and `offboard schema`.

mod groups;

use clap::Args;
use serde_json::{Value, json};

use super::client::{Access, Server};
use super::output::{Report, print, text};
use super::{Answer, ConfigPaths, Failure};
use crate::config;
use crate::config::problem::Problem;

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
    output: Report,
    #[command(flatten)]
    access: Access,
}

impl Validate {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let environment = std::env::vars().collect();
        match config::load(&self.config.config, &environment) {
            Ok((inputs, configuration)) => {
                let mut warnings = configuration.warnings;
                warnings.extend(config::absent_files(&inputs, &environment));
                let groups = match self.against {
                    Some(server) => {
                        let server = Server { server, access: self.access };
                        groups::by_server(&configuration.policy, &server)?
                    }
                    None => groups::by_files(&configuration.policy, &configuration.settings.sources)?,
                };
                let enforcement = configuration.policy.enforcement().to_string();
                let told = warnings.iter().map(ToString::to_string).chain(groups.iter().cloned());
                let told: String = told.map(|warning| format!("warning: {warning}\n")).collect();
                let elsewhere =
                    groups.into_iter().map(|what| json!({ "file": null, "line": null, "key": null, "what": what }));
                let row = vec![
                    ("valid", Value::Bool(true)),
                    ("enforcement", text(enforcement.clone())),
                    ("errors", json!([])),
                    ("warnings", warnings.iter().map(placed).chain(elsewhere).collect()),
                ];
                self.output.told(&format!("{told}enforcement: {enforcement}\nvalid\n"), row)?;
                Ok(Answer::Yes)
            }
            Err(invalid) => {
                let row = vec![
                    ("valid", Value::Bool(false)),
                    ("enforcement", Value::Null),
                    ("errors", invalid.0.iter().map(placed).collect()),
                    ("warnings", json!([])),
                ];
                self.output.told(&format!("{invalid}\n"), row)?;
                Ok(Answer::No)
            }
        }
    }
}

/// A finding and where it is, for programs; the line is missing for what is no file.
fn placed(problem: &Problem) -> Value {
    let line = Some(problem.location.line).filter(|line| *line > 0);
    json!({ "file": problem.location.file, "line": line, "key": problem.key, "what": problem.what })
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
