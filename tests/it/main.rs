//! The one integration-test binary: real processes on loopback, started by `support`, stopped when a test ends.
//!
//! `tests/run.sh` installs the peers and runs all. By hand: `OFFBOARD_PEERS=target/peers cargo test --test it`.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice, reason = "tests")]

#[path = "../fixture/corp.rs"]
mod corp;
mod support;

mod active_directory;
mod adoption;
mod allocations;
mod chart;
mod conformance;
mod counts;
mod directory;
mod durability;
mod entra;
mod envoy_files;
mod explain;
mod full_disk;
mod gate;
mod help;
mod imports;
mod histories;
mod image;
mod ipv6;
mod jwks;
mod jwks_odd;
mod keycloak;
mod laws;
mod ldap;
mod leave;
mod links;
mod log_fields;
mod manifests;
mod mesh;
mod model;
mod monitoring;
mod mtls;
mod named_operators;
mod night;
mod observed;
mod okta;
mod operators;
mod outage;
mod panics;
mod paths;
mod people;
mod precedence;
mod providers;
mod proxies;
mod races;
mod recorded;
mod reload;
mod restart;
mod rules;
mod samba;
mod silent;
mod sources;
mod tokens;
mod store;
mod troubles;
mod turns;
mod upgrade;
