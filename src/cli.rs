//! The command line: one thin file per command.

mod ambiguous;
mod audit;
mod client;
mod completion;
mod explain;
mod lift;
mod listing;
mod many;
mod observed;
mod output;
mod preview;
mod revoke;
mod serve;
mod source;
mod status;
mod validate;
mod watch;
mod when;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Envoy external authorization that knows who has left.
///
/// Proxies ask it about every request. It verifies the token, checks that its owner has not left, applies roles,
/// and answers.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Start with `offboard validate --config DIR`, then `offboard serve --config DIR`. `offboard explain` shows why a\n\
        request is denied; `offboard revoke` cuts off access.\n\n\
        REF is any identifier of a person: SOURCE/KEY, e-mail, user name, IdP id, or `ISS|SUB`.\n\
        Exit codes: 0 done · 1 the answer is \"no\" · 2 usage · 3 could not reach, bind or read"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service.
    Serve(serve::Serve),
    /// Check a configuration: report every error at once and warn about dangerous settings.
    Validate(validate::Validate),
    /// Print the JSON Schema of the configuration.
    Schema(validate::Schema),
    /// Explain the decision on one request, step by step.
    Explain(explain::Explain),
    /// Revoke a person, subject, session, token, client, issuer, API key or certificate.
    Revoke(Box<revoke::Revoke>),
    /// End one revocation.
    Restore(lift::Restore),
    /// Break glass: override what a source says about a person, for a limited time.
    Exempt(lift::Exempt),
    /// List revocations.
    Revocations(listing::Revocations),
    /// Show one person: identifiers, status, groups, roles, revocations, last seen.
    Person(listing::Person),
    /// List people.
    People(listing::People),
    /// Show what would be refused if services that observe enforced, and what to add if it is meant to pass.
    Observed(observed::Observed),
    /// Show and manage the sources of people.
    Source(source::Source),
    /// Print changes as they come into force, as JSON lines.
    Watch(watch::Watch),
    /// Show what is wrong now, and the state of a server: sources, issuers, configuration, enforcement.
    Status(status::Status),
    /// Read and verify the audit trail.
    Audit(audit::Audit),
    /// Print a shell completion script.
    Completion(completion::Completion),
}

/// Files of the configuration.
#[derive(Clone, Debug, Args)]
struct ConfigPaths {
    /// A file, or a directory of *.yaml files read in name order; repeatable
    #[arg(long = "config", value_name = "PATH", required = true, num_args = 1..)]
    config: Vec<PathBuf>,
}

/// Outcome of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Yes,
    /// The answer is "no": invalid, denied, broken.
    No,
}

impl Answer {
    /// Exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The answer is "no", and this is why.
    #[error("{0}")]
    No(String),
    /// The arguments make no sense.
    #[error("{0}")]
    Usage(String),
    /// Something could not be reached, bound or read.
    #[error("{0}")]
    Unreachable(String),
    /// One of these, which the log of the service has already.
    #[error(transparent)]
    Logged(Box<Self>),
}

impl Failure {
    /// Exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Logged(failure) => failure.code(),
            Self::No(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
        }
    }

    /// Whether the log has it already.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        matches!(self, Self::Logged(_))
    }

    /// Logs it, one line for each of its own: a service's output is JSON from the first line to the last.
    fn logged(self) -> Self {
        for line in self.to_string().lines() {
            tracing::error!(exit.code = self.code(), "offboard ends: {line}");
        }
        Self::Logged(Box::new(self))
    }
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(self) -> Result<Answer, Failure> {
        // rustls needs one provider, chosen before anything else chooses one. A second call changes nothing.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        match self.command {
            Command::Serve(command) => command.run(),
            Command::Validate(command) => command.run(),
            Command::Schema(command) => command.run(),
            Command::Explain(command) => command.run(),
            Command::Revoke(command) => command.run(),
            Command::Restore(command) => command.run(),
            Command::Exempt(command) => command.run(),
            Command::Revocations(command) => command.run(),
            Command::Person(command) => command.run(),
            Command::People(command) => command.run(),
            Command::Observed(command) => command.run(),
            Command::Source(command) => command.run(),
            Command::Watch(command) => command.run(),
            Command::Status(command) => command.run(),
            Command::Audit(command) => command.run(),
            Command::Completion(command) => command.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Cli;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn identifiers_may_begin_with_a_hyphen_and_are_no_options() {
        let parses = |id: &str, rest: &[&str]| {
            let words = ["offboard", "revoke", "--token", "https://idp.example.com", id];
            Cli::try_parse_from([&words[..], rest].concat()).is_ok()
        };
        for id in ["-7Yc2hCz0lqB", "--7Yc2hCz0lqB", "8f2c", "-"] {
            assert!(parses(id, &["--reason", "left"]), "{id}");
        }
        for slip in ["--dry-run", "--reason", "-h"] {
            assert!(!parses(slip, &["--reason", "left"]), "{slip}");
        }
    }
}
