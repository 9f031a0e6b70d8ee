#!/usr/bin/env bash
# Kills a loaded Offboard (-9) again and again, and counts afterwards whether anything acknowledged was lost.
#
# usage: benches/kill.sh [KILLS]      (200: about two minutes)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
OFFBOARD_KILLS=${1:-200} cargo test --locked --features faults --test it -- --nocapture durability 2>&1 |
  grep --line-buffered -E '^\{"kills"|panicked|lost|test result'
