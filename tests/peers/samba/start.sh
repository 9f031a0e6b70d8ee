#!/usr/bin/env bash
# A real Active Directory domain controller that is not Microsoft's: Samba, on one loopback address, for tests.
#
# usage: start.sh DIR [ADDRESS]     DIR: its files, made where they are missing (10 to 25 s); ADDRESS: default 127.0.0.1
#        start.sh --make DIR        only makes them; DIR may be copied then, and started from there
# Runs in the foreground until it is stopped (TERM). LDAP on ADDRESS:389 (StartTLS with its own certificate), LDAPS on :636.
# Needs root, and samba with its tools (install.sh samba); no service of theirs has to run.
set -euo pipefail
[ "${1:-}" != --make ] || { make=yes && shift; }
dir=$(realpath -m "$1") address=${2:-127.0.0.1}
conf=$dir/dc/etc/smb.conf

# `reader` may hear what changes (DirSync) and is deleted, `changes` only what changes, and `plain` no more than everybody.
add_readers() {
  local sam=(-s "$conf" -H "$dir/dc/private/sam.ldb")
  for reader in reader changes plain; do samba-tool user create "${sam[@]}" $reader 'Read3r-secret!'; done
  for reader in reader changes; do
    samba-tool dsacl set "${sam[@]}" --objectdn=DC=example,DC=org --action=allow --car=get-changes \
      --trusteedn=CN=$reader,CN=Users,DC=example,DC=org
  done
  # What `dsacls "CN=Deleted Objects,…" /g EXAMPLE\reader:LCRP` does elsewhere: samba-tool does not find the container.
  sid=$(samba-tool user show "${sam[@]}" reader --attributes=objectSid | sed -n 's/^objectSid: //p')
  /usr/bin/python3 - "$conf" "$dir/dc/private/sam.ldb" "$sid" <<'PYTHON'
import sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB
from samba.sd_utils import SDUtils

conf, database, sid = sys.argv[1:]
settings = LoadParm()
settings.load(conf)
sd = SDUtils(SamDB(database, lp=settings, session_info=system_session(settings)))
container, controls = "CN=Deleted Objects,DC=example,DC=org", ["show_deleted:1"]
rights = sd.read_sd_on_dn(container, controls=controls).as_sddl(sd.domain_sid)
first = rights.index("(")
rights = f"{rights[:first]}(A;CI;LCRP;;;{sid}){rights[first:]}"
sd.modify_sd_on_dn(container, rights, controls=controls + ["sd_flags:1:4"])
PYTHON
}

if [ ! -e "$dir/made" ]; then
  rm -rf "$dir/dc"
  mkdir -p "$dir"
  samba-tool domain provision --realm=EXAMPLE.ORG --domain=EXAMPLE --server-role=dc --dns-backend=NONE \
    --host-ip="$address" --host-name=dc1 --adminpass='Adm1n-secret!' --targetdir="$dir/dc" --use-rfc2307 \
    --option="interfaces=$address/8" --option="bind interfaces only=yes" \
    --option="server services=ldap" >"$dir/provision.log" 2>&1
  # Plain simple binds for tests beside StartTLS, and no file outside DIR.
  sed -i '/log file = .var.log/d' "$conf"
  sed -i "/^\[global\]/a\\
\tldap server require strong auth = no\\
\tlog file = $dir/log.samba\\
\tpid directory = $dir/run\\
\tncalrpc dir = $dir/run/ncalrpc\\
\tntp signd socket directory = $dir/run/ntp" "$conf"
  add_readers >>"$dir/provision.log" 2>&1
  echo "$dir $address" >"$dir/made"
fi
[ -z "${make:-}" ] || exit 0

read -r made_in made_for <"$dir/made"
if [ "$made_in $made_for" != "$dir $address" ]; then
  sed -i "s#$made_in/#$dir/#g; s#\b${made_for//./\\.}/8#$address/8#g" "$conf"
  echo "$dir $address" >"$dir/made"
fi
mkdir -p "$dir/run"
exec samba -i --debug-stdout -s "$conf"
