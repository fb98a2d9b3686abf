#!/usr/bin/env bash
# A directory and three peers on this machine, and two files that travel between them.
# KEEP=1 leaves it running.
. "$(dirname "$0")/stage.sh"

say() { printf '\n# %s\n' "$1"; }
if command -v b3sum >/dev/null; then sum=b3sum; else sum=sha256sum; fi
same() {
  local first second
  first=$($sum <"$1" | cut -d' ' -f1)
  second=$($sum <"$2" | cut -d' ' -f1)
  [ "$first" = "$second" ] || { echo "$1 and $2 differ" >&2; exit 1; }
  echo "$sum of both sides: ${first:0:16}… the same"
}

say "A directory"
start_directory
echo "p2p-directory runs at https://localhost:$dir_port, CA ${fingerprint:0:15}…"
echo '$ p2p-directory admin user add ana'
admin admin user add ana | tee account
sed -n 's/.*shown once: //p' account >password
chmod 600 password

say "Three peers, each logged in as ana"
for peer in ws1 gpu1 gpu2; do
  start_peer "$peer"
  on "$peer" login --directory "localhost:$dir_port" --user ana --password-file ../password --ca-fingerprint "$fingerprint"
done

say "Two files in on ws1"
cp bin/p2pd ws1/p2pd
head -c $((256 << 20)) /dev/urandom >ws1/scan.tar
on ws1 upload p2pd scan.tar

say "Found by name, and downloaded, on gpu1"
on gpu1 search scan
on gpu1 download scan.tar
same ws1/scan.tar gpu1/scan.tar
on gpu1 download ana/p2pd -o daemon
same ws1/p2pd gpu1/daemon

say "On gpu2 from both"
on gpu2 download scan.tar --json | tee download.json
[ "$(grep -o '"peer":"[a-z0-9]*","bytes":[1-9]' download.json | wc -l)" = 2 ] || { echo "not from two peers" >&2; exit 1; }
same ws1/scan.tar gpu2/scan.tar

say "What a person sees"
on gpu2 status
on gpu2 peers
on gpu2 search
on gpu2 list
on gpu2 info scan.tar

if [ -n "${KEEP:-}" ]; then
  say "It is still running"
  disown -a
  cat <<TEXT
export PATH=$P2P_STAGE/bin:\$PATH P2PCTL_SOCKET=$P2P_STAGE/gpu2/run/control.sock
p2pctl search
p2pctl upload FILE
p2pctl --socket $P2P_STAGE/ws1/run/control.sock download FILE
To end it: kill ${pids[*]}; rm -rf $P2P_STAGE
TEXT
else
  say "To play on: make demo KEEP=1"
fi
