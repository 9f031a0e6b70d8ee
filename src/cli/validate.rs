//! `offboard validate` and `offboard schema`.

use clap::Args;

use super::output::print;
use super::{Answer, ConfigPaths, Failure};
use crate::config;

/// Report every error of a configuration at once, and warn about dangerous settings.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  offboard validate --config k8s/base/config\n\n\
    Exit code 0: valid (warnings may be printed); 1: invalid, or it cannot be read.")]
pub(super) struct Validate {
    #[command(flatten)]
    config: ConfigPaths,
}

impl Validate {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match config::load(&self.config.config, &std::env::vars().collect()) {
            Ok((_, configuration)) => {
                let warnings = configuration.warnings.iter().map(|warning| format!("warning: {warning}\n"));
                print(&(warnings.collect::<String>() + "valid\n"))?;
                Ok(Answer::Yes)
            }
            Err(invalid) => {
                print(&format!("{invalid}\n"))?;
                Ok(Answer::No)
            }
        }
    }
}

/// Prints the JSON Schema.
pub(super) fn schema() -> Result<Answer, Failure> {
    let text = serde_json::to_string_pretty(&config::schema::schema());
    print(&(text.map_err(|error| Failure::Unreachable(error.to_string()))? + "\n"))?;
    Ok(Answer::Yes)
}
