//! Logs: JSON lines on standard error, with fixed field names.
//!
//! Whoever stores them reads `error.kind` as a member of an object `error`, so no name is that of another with a dot behind
//! it (`tests/it/log_fields.rs`).

use tracing_subscriber::EnvFilter;

/// Environment variable with the filter, such as `info,offboard::source=debug`.
pub const VARIABLE: &str = "OFFBOARD_LOG";

/// Field names; the same thing has the same name everywhere. Use as `tracing::info!({ SOURCE } = name)`.
pub mod fields {
    /// Reason code of a check.
    pub const REASON: &str = "check.reason";
    /// The detail behind it.
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
    /// A failure, with all its causes in one line.
    pub const ERROR: &str = "error.message";
    /// The caller of the control API.
    pub const ACTOR: &str = "call.actor";
    /// The method called on the control API.
    pub const METHOD: &str = "call.method";
}

/// A trouble that may last. It is logged when it begins and when it changes, not each time that somebody meets it.
#[derive(Debug, Default)]
pub struct Lasting(Option<String>);

impl Lasting {
    /// Whether `trouble` has not been said since it began.
    pub fn is_new(&mut self, trouble: &dyn std::fmt::Display) -> bool {
        let trouble = Some(trouble.to_string());
        let new = self.0 != trouble;
        self.0 = trouble;
        new
    }

    /// It is over; returns whether there was any.
    pub fn ended(&mut self) -> bool {
        self.0.take().is_some()
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is invalid.
    #[error("log filter `{0}` is not valid")]
    Filter(String),
    /// It was already set up.
    #[error("the log is already set up")]
    Twice,
}

/// Parses a filter; `None` means `info`.
///
/// # Errors
/// [`LoggingError::Filter`].
pub fn filter(text: Option<&str>) -> Result<EnvFilter, LoggingError> {
    let text = text.map(str::trim).filter(|text| !text.is_empty()).unwrap_or("info");
    EnvFilter::builder().parse(text).map_err(|_| LoggingError::Filter(text.to_owned()))
}

/// Sets up logging. `text` is the filter from the command line or [`VARIABLE`].
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

#[cfg(test)]
mod tests {
    use super::Lasting;

    #[test]
    fn a_lasting_trouble_is_new_until_it_was_said_and_when_it_changes() {
        let mut trouble = Lasting::default();
        assert!(!trouble.ended(), "there was none");
        let said: Vec<bool> = ["full", "full", "gone", "full"].iter().map(|text| trouble.is_new(text)).collect();
        assert_eq!(said, [true, false, true, true]);
        assert!(trouble.ended() && !trouble.ended());
        assert!(trouble.is_new(&"full"), "it came back");
    }
}
