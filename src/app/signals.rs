//! The signals that the process follows.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGHUP, which asks for a reload. From the first call on it no longer ends the process.
///
/// # Errors
/// What the system said when it was asked for signals.
pub(super) fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// A token that is cancelled by SIGTERM or SIGINT. A SIGHUP that comes before the configuration is read ends nothing.
///
/// # Errors
/// What the system said when it was asked for signals.
pub fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    drop(hangups()?);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    })
}
