//! Where people come from, and how we learn that they left.
//!
//! A source sends observations and never compares them with anything: the writer does. One module for each
//! kind.

pub mod file;
