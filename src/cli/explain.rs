//! `offboard explain`: explains a decision step by step.

use clap::Args;

use super::client::Server;
use super::output::{print, shown};
use super::{Answer, Failure};
use crate::app::explain::offline::{Asked, by_configuration};
use crate::control::proto::{ExplainRequest, Header};

/// Explain the decision on one request, step by step.
#[derive(Debug, Args)]
#[command(
    override_usage = "offboard explain --config <PATH>... --method <M> --host <H> --path <P> [-H <NAME: VALUE>]...\n       \
        offboard explain [--server <URL>] --method <M> --host <H> --path <P> [-H <NAME: VALUE>]...\n       \
        offboard explain [--server <URL>] --decision <ID>",
    after_help = "Examples:\n  \
        offboard explain --config . --method GET --host payments --path /v1/orders -H \"authorization: Bearer $T\"\n  \
        offboard explain --server http://127.0.0.1:9192 --method GET --host payments --path /v1/orders\n  \
        offboard explain --decision ce0131fa88f25cdc0000000000000000\n\n\
        Without --config, the command asks a running server, which knows who has left. With --config, it decides from the\n\
        files alone and knows of nobody who has left: the best verdict is \"would be allowed by configuration only\".\n\
        Exit codes: 0 allowed · 1 anything else"
)]
pub(super) struct Explain {
    /// Decide from these files alone; fetches the issuers' keys
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with_all = ["server", "decision"])]
    config: Vec<std::path::PathBuf>,
    /// HTTP method, such as GET
    #[arg(long, required_unless_present = "decision")]
    method: Option<String>,
    /// Host of the request
    #[arg(long, required_unless_present = "decision")]
    host: Option<String>,
    /// Path, with query
    #[arg(long, required_unless_present = "decision")]
    path: Option<String>,
    /// A header, such as the one with the credential; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// A recent decision of the server, by its id from `x-offboard-decision` or the audit trail
    #[arg(long, value_name = "ID", conflicts_with_all = ["method", "host", "path", "headers"])]
    decision: Option<String>,
    #[command(flatten)]
    server: Server,
}

/// What is printed, from either side.
struct Told {
    allowed: bool,
    steps: Vec<(String, String, String)>,
}

impl Explain {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let headers = self.headers()?;
        let offline = !self.config.is_empty();
        let told = if offline { self.offline(headers)? } else { self.ask(headers)? };
        let width = told.steps.iter().map(|(question, _, _)| question.len()).max().unwrap_or(0);
        for (question, answer, cause) in &told.steps {
            let cause = if cause.is_empty() { String::new() } else { format!(" ({cause})") };
            print(&format!("{question:width$}  {}\n", shown(&format!("{answer}{cause}"))))?;
        }
        Ok(if told.allowed && !offline { Answer::Yes } else { Answer::No })
    }

    fn headers(&self) -> Result<Vec<(String, String)>, Failure> {
        let split = |header: &String| {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| Failure::Usage(format!("`{header}` is not a header: write NAME: VALUE")))?;
            Ok((name.trim().to_lowercase(), value.trim().to_owned()))
        };
        self.headers.iter().map(split).collect()
    }

    fn ask(self, headers: Vec<(String, String)>) -> Result<Told, Failure> {
        let request = ExplainRequest {
            decision_id: self.decision.unwrap_or_default(),
            method: self.method.unwrap_or_default(),
            host: self.host.unwrap_or_default(),
            path: self.path.unwrap_or_default(),
            headers: headers.into_iter().map(|(name, value)| Header { name, value }).collect(),
        };
        let found = self.server.ask(|mut client| async move { client.explain(request).await })?.into_inner();
        let steps = found.steps.into_iter().map(|step| (step.question, step.answer, step.cause));
        Ok(Told { allowed: found.allowed, steps: steps.collect() })
    }

    fn offline(self, headers: Vec<(String, String)>) -> Result<Told, Failure> {
        let (_, configuration) = crate::config::load(&self.config, &std::env::vars().collect())
            .map_err(|invalid| Failure::No(invalid.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Unreachable(format!("start: {error}")))?;
        let text = |text: Option<String>| text.unwrap_or_default();
        let asked = Asked { method: text(self.method), host: text(self.host), path: text(self.path), headers };
        let (told, notes) = runtime.block_on(by_configuration(configuration.policy, &asked));
        for note in notes {
            print(&format!("note: {note}\n"))?;
        }
        let steps = told.steps.into_iter().map(|step| (step.question, step.answer, step.cause));
        Ok(Told { allowed: told.allowed, steps: steps.collect() })
    }
}
