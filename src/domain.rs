//! The vocabulary: plain values that every other module speaks in.
//!
//! Nothing here waits, reads a file or looks at a clock. Reading order:
//! [`time`] → [`key`] → [`person`] → [`credential`] → [`revocation`] → [`guard`] → [`event`] → [`policy`] →
//! [`issuer`] → [`reason`] → [`detail`] → [`decision`] → [`inbox`].

pub mod binding;
pub mod credential;
pub mod decision;
pub mod destination;
pub mod detail;
pub mod event;
pub mod guard;
pub mod inbox;
pub mod issuer;
pub mod key;
pub mod path;
pub mod person;
pub mod policy;
pub mod reason;
pub mod revocation;
pub mod source;
pub mod time;
