//! Wiring: binds the listeners, connects the parts, supervises them, drains.

pub mod clock;
pub mod books;
pub mod explain;
pub mod feeds;
pub mod gate;
pub mod listeners;
pub mod reload;
pub mod store;
pub mod supervisor;
pub mod views;
