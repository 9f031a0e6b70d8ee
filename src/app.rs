//! Wiring: binds the listeners, connects the parts, supervises them, drains.
//!
//! ```text
//! start (store, configuration, replay) ─▶ Bound (every address known) ─▶ run ─SIGTERM─▶ drain ─▶ exit
//! ```

pub mod alarms;
pub mod audit_events;
pub mod authenticators;
pub mod bound_groups;
mod changed;
mod checks;
pub mod clock;
mod servers;
pub mod explain;
pub mod feeds;
#[cfg(test)]
mod fixtures;
mod gauges;
pub mod check_handler;
pub mod on_demand_lookup;
pub mod operators;
mod one_write;
pub mod observed;
pub mod listeners;
pub mod matches;
mod moved;
mod ops;
mod parts;
mod preface_timeout;
pub mod reload;
pub mod cut;
mod serve;
mod serve_checks;
mod secret;
pub mod seen_credentials;
mod signals;
pub mod sources;
mod start;
mod start_error;
pub mod store;
pub mod supervisor;
mod tail;
mod tasks;
pub mod troubles;
mod verifiers;
pub mod views;
mod watch;

pub use checks::{CheckThreads, take_all_descriptors};
pub use serve::{Addresses, Bound};
pub use signals::stop_signals;
pub use start::{Start, bind};
pub use start_error::StartError;
