//! Wiring: binds the listeners, connects the parts, supervises them, drains.
//!
//! ```text
//! start (store, configuration, replay) ─▶ Bound (every address known) ─▶ run ─SIGTERM─▶ drain ─▶ exit
//! ```

pub mod alarms;
pub mod audit_events;
pub mod bound_groups;
mod checks;
pub mod clock;
mod servers;
pub mod explain;
pub mod feeds;
pub mod check_handler;
pub mod on_demand_lookup;
pub mod listeners;
pub mod matches;
mod ops;
mod preface_timeout;
pub mod reload;
pub mod cut;
mod serve;
mod secret;
pub mod sources;
mod start;
pub mod store;
pub mod supervisor;
pub mod views;

pub use checks::{CheckThreads, take_all_descriptors};
pub use serve::{Addresses, Bound, stop_signals};
pub use start::{Start, StartError, bind};
