//! `offboard serve`.

use std::io::Write as _;

use clap::Args;
use tokio::runtime::{Builder, Runtime};

use super::{Answer, ConfigPaths, Failure};
use crate::app::{self, Start, StartError};
use crate::telemetry::logging;

/// Run the service.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  offboard serve --config /etc/offboard\n  \
    OFFBOARD__SERVER__DRAIN=5s offboard serve --config envoy/offboard --config envoy/offboard-mtls\n\n\
    OFFBOARD__SECTION__KEY overrides any scalar outside a list. Changed files are reloaded automatically.\n\
    Prints one JSON line with the addresses once all listeners are bound; logs go to standard error.\n\
    OFFBOARD_LOG sets the log level, for example debug or offboard::writer=trace.")]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigPaths,
}

fn runtime(name: &str, threads: usize) -> Result<Runtime, Failure> {
    let built = Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build();
    built.map_err(|error| Failure::Unreachable(format!("start runtime `{name}`: {error}")))
}

impl Serve {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        logging::init(std::env::var("OFFBOARD_LOG").ok().as_deref())
            .map_err(|error| Failure::Usage(error.to_string()))?;
        self.run_logged().map_err(Failure::logged)
    }

    fn run_logged(self) -> Result<Answer, Failure> {
        app::take_all_descriptors();
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        // Dedicated threads: checks never wait for syncs, reports or listings.
        let started = app::CheckThreads::start(cores);
        let checks = started.map_err(|error| Failure::Unreachable(format!("start threads: {error}")))?;
        let work = runtime("work", cores.min(4))?;
        let outcome = work.block_on(self.serve(&checks, &work));
        work.shutdown_background();
        outcome
    }

    async fn serve(self, checks: &app::CheckThreads, work: &Runtime) -> Result<Answer, Failure> {
        let stop = app::stop_signals().map_err(|error| Failure::Unreachable(format!("listen for signals: {error}")))?;
        let start = Start { paths: self.config.config, environment: std::env::vars().collect() };
        let bound = app::bind(start).await.map_err(|error| match error {
            StartError::Configuration(_) => Failure::No(error.to_string()),
            other => Failure::Unreachable(logging::chain(&other)),
        })?;
        let addresses = bound.addresses();
        announce(&addresses)?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), config.hash = bound.configuration(),
            listener.authz = %addresses.authz, listener.control = %addresses.control, listener.ops = %addresses.ops,
            "offboard started");
        let ran = Box::pin(bound.run(checks.handles(), work.handle(), stop)).await;
        ran.map(|()| Answer::Yes).map_err(Failure::Unreachable)
    }
}

fn announce(addresses: &app::Addresses) -> Result<(), Failure> {
    let line = serde_json::to_string(addresses).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    written.map_err(|error| Failure::Unreachable(format!("print the addresses: {error}")))
}
