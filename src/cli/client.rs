//! A connection to the control API.

use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Response, Status};

use super::Failure;
use crate::control::convert::OUTCOME_KEY;
use crate::control::once::IDEMPOTENCY_KEY;
use crate::control::proto::control_client::ControlClient;
use crate::domain::time::Timestamp;
use crate::telemetry::logging::chain;

/// Which server, and how to authenticate.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub(super) struct Server {
    /// Address of the control API
    #[arg(
        long,
        value_name = "URL",
        env = "OFFBOARD_SERVER",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9192"
    )]
    pub(super) server: String,
    #[command(flatten)]
    pub(super) access: Access,
}

/// A server, for commands that may also do without: one in the environment is no reason against that.
#[derive(Clone, Debug)]
pub(super) struct NamedServer {
    pub(super) server: Server,
    /// The command line names it.
    pub(super) by_flag: bool,
}

impl FromArgMatches for NamedServer {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let by_flag = matches.value_source("server") == Some(ValueSource::CommandLine);
        Ok(Self { server: Server::from_arg_matches(matches)?, by_flag })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for NamedServer {
    fn augment_args(command: Command) -> Command {
        Server::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Server::augment_args_for_update(command)
    }
}

/// How to authenticate, and whom to trust.
#[derive(Clone, Debug, Args)]
pub(super) struct Access {
    /// File with the token that authenticates you
    #[arg(long, value_name = "FILE", env = "OFFBOARD_TOKEN_FILE", hide_env_values = true)]
    pub(super) token_file: Option<PathBuf>,
    /// PEM file with the CAs that may have signed the server's certificate [default: those of the system]
    #[arg(long, value_name = "FILE", env = "OFFBOARD_CA_FILE", hide_env_values = true)]
    pub(super) ca_file: Option<PathBuf>,
    /// PEM file with a client certificate, if the server requires one
    #[arg(long, value_name = "FILE", env = "OFFBOARD_CERT_FILE", hide_env_values = true, requires = "key_file")]
    pub(super) cert_file: Option<PathBuf>,
    /// PEM file with the private key of that certificate
    #[arg(long, value_name = "FILE", env = "OFFBOARD_KEY_FILE", hide_env_values = true, requires = "cert_file")]
    pub(super) key_file: Option<PathBuf>,
}

/// Sends the token with every call.
#[derive(Clone)]
pub(super) struct ShowToken(Option<MetadataValue<Ascii>>);

impl Interceptor for ShowToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

pub(super) type Client = ControlClient<InterceptedService<Channel, ShowToken>>;

/// How often a change is asked for again, and how long apart.
const AGAIN: u32 = 5;
const BETWEEN: Duration = Duration::from_secs(1);
/// Timeout of a call; a response waits for one fsync.
const PATIENCE: Duration = Duration::from_secs(30);

impl Server {
    /// Connects, calls `what` with a client on its own runtime, and translates refusals.
    pub(super) fn ask<T, F>(&self, what: impl FnOnce(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Unreachable(format!("start: {error}")))?;
        runtime.block_on(async {
            let client = self.connect().await?;
            what(client).await.map_err(|status| self.failure(&status))
        })
    }

    /// Asks for a change. It bears an idempotency key, so that it may be asked for again where no answer comes: it is made
    /// once, and the answer is the first one.
    pub(super) fn change<M, T, F>(&self, message: M, what: impl Fn(Client, Request<M>) -> F) -> Result<T, Failure>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let key = draw_key()?;
        self.ask(|client| async move {
            let (mut left, mut is_lost) = (AGAIN, false);
            loop {
                let mut request = Request::new(message.clone());
                request.metadata_mut().insert(IDEMPOTENCY_KEY, key.clone());
                let answer = what(client.clone(), request).await;
                is_lost |= answer.as_ref().is_err_and(lost);
                // While nobody knows what became of it, a server that answers nothing else is asked again too.
                let later = |status: &Status| match status.code() {
                    Code::Unavailable => is_lost,
                    code => code == Code::ResourceExhausted || lost(status),
                };
                if left == 0 || !answer.as_ref().is_err_and(later) {
                    return answer.map(Response::into_inner);
                }
                left -= 1;
                tokio::time::sleep(BETWEEN).await;
            }
        })
    }

    async fn connect(&self) -> Result<Client, Failure> {
        let token = match &self.access.token_file {
            None => None,
            Some(path) => {
                let named = |what: String| Failure::Unreachable(format!("token file `{}`: {what}", path.display()));
                let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
                let value = format!("Bearer {}", text.trim()).parse();
                let mut value: MetadataValue<Ascii> =
                    value.map_err(|_| named("it does not contain a token".to_owned()))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let endpoint = Endpoint::from_shared(self.server.clone());
        let endpoint = endpoint.map_err(|_| Failure::Usage(format!("`{}` is not a URL", self.server)))?;
        let endpoint = endpoint.connect_timeout(Duration::from_secs(5)).timeout(PATIENCE);
        let endpoint = match endpoint.uri().scheme_str() {
            Some("https") => {
                let encrypted = endpoint.tls_config(self.access.tls()?);
                encrypted.map_err(|error| Failure::Unreachable(format!("TLS: {}", chain(&error))))?
            }
            _ => endpoint,
        };
        let channel = endpoint.connect().await;
        let channel =
            channel.map_err(|error| Failure::Unreachable(format!("connect to {}: {}", self.server, chain(&error))))?;
        Ok(ControlClient::with_interceptor(channel, ShowToken(token)))
    }

    /// What a refusal means for whoever called.
    pub(super) fn failure(&self, status: &Status) -> Failure {
        let text = status.message().to_owned();
        match status.code() {
            Code::InvalidArgument => Failure::Usage(text),
            Code::NotFound | Code::FailedPrecondition => {
                let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
                let commands = super::ambiguous::commands(status, arguments);
                Failure::No(text + &commands.unwrap_or_default())
            }
            Code::Unauthenticated | Code::PermissionDenied => {
                Failure::No(format!("{} refused: {text} (see --token-file)", self.server))
            }
            _ => Failure::Unreachable(format!("{}: {text}", self.server)),
        }
    }
}

impl Access {
    /// How an https:// server is recognized, and the client certificate.
    fn tls(&self) -> Result<ClientTlsConfig, Failure> {
        let read = |path: &PathBuf| {
            let failed = |error| Failure::Unreachable(format!("read `{}`: {error}", path.display()));
            std::fs::read(path).map_err(failed)
        };
        let config = ClientTlsConfig::new();
        let config = match &self.ca_file {
            Some(path) => config.ca_certificate(Certificate::from_pem(read(path)?)),
            None => config.with_native_roots(),
        };
        Ok(match self.cert_file.as_ref().zip(self.key_file.as_ref()) {
            Some((certificate, key)) => config.identity(Identity::from_pem(read(certificate)?, read(key)?)),
            None => config,
        })
    }
}

/// Whether nobody knows what became of a change: no answer came, or the server does not know.
fn lost(status: &Status) -> bool {
    // The status of a connection that broke has a source; one that a server sent has none.
    std::error::Error::source(status).is_some() || status.metadata().contains_key(OUTCOME_KEY)
}

/// A key for one change.
fn draw_key() -> Result<MetadataValue<Ascii>, Failure> {
    let failed = |what: String| Failure::Unreachable(format!("draw an idempotency key: {what}"));
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| failed(error.to_string()))?;
    hex::encode(random).parse().map_err(|_| failed("it is no metadata".to_owned()))
}

/// A timestamp (RFC 3339), or a duration from now such as `15m`: forwards if `ahead`, else backwards.
pub(super) fn time(text: &str, ahead: bool) -> Result<Timestamp, Failure> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let span = humantime::parse_duration(text).map_err(|_| {
        Failure::Usage(format!(
            "`{text}` is neither a timestamp with its zone, such as {}, nor a duration such as 15m",
            super::when::example()
        ))
    })?;
    let now = super::when::now();
    Ok(if ahead { now.plus(span) } else { now.minus(span) })
}
