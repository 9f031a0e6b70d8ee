//! Offboard: an Envoy external-authorization service that knows who has left.
//!
//! Two flows, one way each. Read the modules in this order and you follow them.
//!
//! ```text
//! check   Envoy ─CheckRequest─▶ request ─▶ authenticate ─▶ decide(&State, …, now) ─▶ envoy::response ─▶ Envoy
//! leave   provider ─▶ source ─observation─▶ writer ─event─▶ log ─▶ state (fold, epoch) ─▶ acknowledge
//! ```

pub mod domain;

pub mod request;
pub mod jose;
pub mod authenticate;
pub mod state;
pub mod decide;
pub mod envoy;

pub mod source;
pub mod writer;
pub mod log;

pub mod audit;
pub mod control;
pub mod config;
pub mod telemetry;
pub mod app;
pub mod cli;
