//! The vocabulary: plain values that every other module speaks in.
//!
//! Nothing here waits, reads a file or looks at a clock. Reading order:
//! [`time`] → [`secret`] → [`key`] → [`person`] → [`credential`] → [`epoch`] → [`id`] → [`call`] → [`revocation`] →
//! [`guard`] → [`event`] → [`chain`] → [`policy`] → [`issuer`] → [`settings`] → [`claim`] → [`reason`] → [`detail`] → [`decision`] →
//! [`command`].

pub mod binding;
pub mod call;
pub mod chain;
pub mod claim;
pub mod claimed;
pub mod credential;
pub mod decision;
pub mod destination;
pub mod detail;
pub mod epoch;
pub mod event;
pub mod few;
pub mod guard;
pub mod command;
pub mod id;
pub mod issuer;
pub mod jwt;
pub mod key;
pub mod method;
pub mod name;
pub mod path;
pub mod person;
pub mod policy;
pub mod rate;
pub mod reason;
pub mod revocation;
pub mod secret;
pub mod settings;
pub mod source;
pub mod time;
pub mod yaml;
