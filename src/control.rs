//! The control API: what operators ask of a running service.
//!
//! Every call passes [`guard`], which authenticates the caller ([`admission`]) and looks up in [`rights`] what the method needs. Then
//! [`service`] answers it: changes go through the writer's handle ([`once`]: also if they are sent again), reads come from
//! [`views`]; [`mod@input`] and [`convert`] translate.

pub mod admission;
pub mod convert;
pub mod guard;
pub mod input;
pub mod once;
pub mod own;
pub mod rights;
pub mod service;
pub mod sources;
pub mod views;

/// Generated from `proto/offboard/v1/control.proto` by `build.rs`.
pub mod proto {
    #![allow(missing_docs, clippy::all, clippy::pedantic, clippy::allow_attributes, reason = "generated code")]

    tonic::include_proto!("offboard.v1");

    /// Descriptors of this API, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/offboard.v1.bin"));
}

#[cfg(test)]
mod tests;
