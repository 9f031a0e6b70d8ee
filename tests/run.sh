#!/usr/bin/env bash
# Installs what the tests need (into target/, and as root on Debian also packages) and runs them all.
#
# usage: tests/run.sh [argument of `cargo test`]…       for example: tests/run.sh --test it envoy
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export OFFBOARD_PEERS="${OFFBOARD_PEERS:-$PWD/target/peers}"
tests/peers/install.sh
cargo test --locked --features faults "$@"
