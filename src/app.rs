//! Wiring: binds the listeners, connects the parts, supervises them, drains.

pub mod clock;
pub mod supervisor;
