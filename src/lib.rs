//! Offboard: an Envoy external-authorization service that knows who has left.
//!
//! Two flows, one way each. Read the modules in this order and you follow them.
//!
//! ```text
//! check   Envoy ─CheckRequest─▶ request ─▶ authenticate ─▶ decide(&State, …, now) ─▶ envoy::response ─▶ Envoy
//!                                          (jose: keys)     (state: the fold)            └▶ audit, telemetry
//! leave   provider ─▶ source ─observation─▶ writer ─event─▶ log ─▶ state (fold, epoch) ─▶ acknowledge
//!         operator ─▶ control ───────────────┘
//! ```
//!
//! One check: [`envoy::ext_authz`] decodes it and keeps the deadline; [`app::check_handler`] is the flow in ten lines;
//! [`decide`] reads as the story. Where nobody is known, the person is looked up once, and it is decided again.
//!
//! One departure: [`source::poller`] asks a [`Directory`](source::directory::Directory) what changed (the providers, and
//! [`source::file`]); [`source::context`] hands the observations to [`Writer::run`](writer::Writer::run), which plans and
//! appends them; its follower reads them back, the fold in [`state`] takes them in, and only then are they acknowledged.
//! Nothing moves a cursor before that.
//!
//! One held listing: [`writer`] diffs and judges it at its end, `ListingHeld` stands in the feed of its source, and
//! `offboard source confirm` is a [`Command::Judge`](domain::command::Command::Judge) that drains it.
//!
//! # Words
//!
//! - **request** → **credential** (what a request shows) → [credential outcome](domain::credential::CredentialOutcome) →
//!   **verified credential**, with a [principal](domain::credential::Principal) for its owner and each actor → **decision**
//!   (with its reason, what determined it, and its [steps](domain::decision::steps::Steps), which `explain` tells) →
//!   **response**.
//! - **observation** (what a source saw) → [command](domain::command::Command) → **event** (in the log) → **state** (the
//!   fold of all events, at an **epoch**).
//! - **listing**: everybody in a source, read page by page. It is compared with the state; what it leaves out are
//!   [removals](domain::guard::Removals). Too many, and it is a [held listing](domain::guard::HeldListing).
//! - **block**: denied while it stands. **Cut-off**: what was issued at or before a time is denied. A block that ends leaves
//!   a residual cut-off.
//!
//! The laws (design section 2) have their tests in `tests/it/laws`, and the faults that prove them stand in [`faults`].
//!
//! Who may import whom stands in `tests/golden/imports.txt`, and a test holds the source to it.

pub mod domain;

pub mod request;
pub mod http;
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

pub mod faults;

// The company of tests and benches speaks of this crate by its name.
#[cfg(test)]
extern crate self as offboard;
#[cfg(test)]
#[path = "../tests/fixture/corp.rs"]
mod corp;
