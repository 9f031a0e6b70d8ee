//! Where people come from, and how we learn that they left.
//!
//! A source sends observations and never compares them with anything: the writer does. One module for each
//! kind. Those that are asked ([`directory::Directory`]) share one machinery: [`poller`] asks, tells and reports, and
//! `schedule` says when; `listing` is one full listing. What they need besides exists once: `http`, `token` (sign in,
//! renew), `address` (make, follow), `outbox` (what is not acknowledged yet), `visited` (pages that come again), `names`
//! (shared ones), `staged` (groups of a listing, until it is accepted), `pace` (pauses), `report` (of `source check`).

mod address;
pub mod context;
pub mod directory;
pub mod entra;
pub mod error;
pub mod file;
pub mod health;
pub mod http;
pub mod keycloak;
pub mod ldap;
mod listing;
mod names;
pub mod okta;
pub mod outbox;
mod pace;
pub mod page;
pub mod poller;
pub mod report;
mod schedule;
mod staged;
mod token;
mod visited;
