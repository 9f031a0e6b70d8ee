//! The log: JSON lines on standard error, fields by fixed names.

use tracing_subscriber::EnvFilter;

/// Environment variable that holds the filter, such as `info,offboard::source=debug`.
pub const VARIABLE: &str = "OFFBOARD_LOG";

/// Names of fields; the same thing has the same name everywhere. Use as `tracing::info!({ SOURCE } = name)`.
pub mod fields {
    /// Reason code of a check.
    pub const REASON: &str = "check.reason";
    /// What is behind it, in words.
    pub const DETAIL: &str = "check.detail";
    /// Name of a source.
    pub const SOURCE: &str = "source.name";
    /// Name of an issuer.
    pub const ISSUER: &str = "issuer.name";
    /// Name of a service.
    pub const SERVICE: &str = "service.name";
    /// Id of a revocation.
    pub const REVOCATION: &str = "revocation.id";
    /// Up to where the log is enforced.
    pub const EPOCH: &str = "log.epoch";
    /// Hash of a configuration.
    pub const CONFIGURATION: &str = "config.hash";
    /// The whole chain of causes of a failure, in one line.
    pub const CAUSE: &str = "error.cause";
    /// Who asked, on the control API.
    pub const ACTOR: &str = "control.actor";
    /// What was asked, on the control API.
    pub const METHOD: &str = "control.method";
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is none.
    #[error("log filter `{0}` is not valid")]
    Filter(String),
    /// It was set up before.
    #[error("the log is already set up")]
    Twice,
}

/// The filter that a text means; `None`: `info`.
///
/// # Errors
/// [`LoggingError::Filter`].
pub fn filter(text: Option<&str>) -> Result<EnvFilter, LoggingError> {
    let text = text.map(str::trim).filter(|text| !text.is_empty()).unwrap_or("info");
    EnvFilter::builder().parse(text).map_err(|_| LoggingError::Filter(text.to_owned()))
}

/// Sets up the log of this process. `text` is the filter of the command line or of [`VARIABLE`].
///
/// # Errors
/// [`LoggingError`].
pub fn init(text: Option<&str>) -> Result<(), LoggingError> {
    let filter = filter(text)?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .try_init()
        .map_err(|_| LoggingError::Twice)
}

/// An error with all its causes, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
