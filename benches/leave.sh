#!/usr/bin/env bash
# How long somebody gets in who has left: from the answer to what was done at a real provider to the first refusal by a
# real Envoy, for each act. Prints a Markdown table.
#
# usage: benches/leave.sh [TIMES] [keycloak|ldap]      (20 times each: about three minutes for each provider)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export OFFBOARD_PEERS="${OFFBOARD_PEERS:-$PWD/target/peers}"
OFFBOARD_LEAVES=${1:-20} cargo test --locked --features faults --test it -- --nocapture "leave::${2:-}" 2>&1 |
  grep --line-buffered -E '^\||panicked|skipped|test result'
