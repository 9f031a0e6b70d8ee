//! What operators see of a running service: [`metrics`], [`logging`], [`health`], and [`ops`], the listener
//! that serves them.

pub mod checks;
pub mod health;
pub mod logging;
pub mod metrics;
pub mod ops;

#[cfg(test)]
mod tests;
