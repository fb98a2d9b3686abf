#!/usr/bin/env bash
# A directory and three peers on this machine, and two files that travel between them. Everything is in a temporary
# folder, on free ports, under an ordinary user. KEEP=1 leaves it running.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${P2P_BIN:-$PWD/target/debug}

if [ -z "${P2P_DEMO:-}" ]; then
  P2P_DEMO=$(mktemp -d /tmp/p2p-demo.XXXXXX)
  export P2P_DEMO
  mkdir "$P2P_DEMO/bin"
  cp "$bin/p2pd" "$bin/p2pctl" "$bin/p2p-directory" "$0" "$P2P_DEMO/bin/"
  if [ "$(id -u)" = 0 ]; then
    # Nothing here needs root.
    chown -R nobody:nogroup "$P2P_DEMO"
    exec setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$P2P_DEMO" P2P_DEMO="$P2P_DEMO" KEEP="${KEEP:-}" \
      bash "$P2P_DEMO/bin/$(basename "$0")"
  fi
  exec bash "$P2P_DEMO/bin/$(basename "$0")"
fi

cd "$P2P_DEMO"
PATH=$P2P_DEMO/bin:$PATH
pids=()
finish() {
  local code=$?
  trap - EXIT INT TERM
  if [ "$code" != 0 ]; then
    echo "The demo failed; the logs:" >&2
    tail -n 20 "$P2P_DEMO"/*/log >&2 || true
  fi
  if [ "$code" = 0 ] && [ -n "${KEEP:-}" ]; then
    exit 0
  fi
  [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$P2P_DEMO"
  exit "$code"
}
trap finish EXIT INT TERM

say() { printf '\n# %s\n' "$1"; }
# Shows a command as a person types it, and runs it on one of the peers.
on() {
  local peer=$1
  shift
  printf '%s$ p2pctl %s\n' "$peer" "$*"
  (cd "$P2P_DEMO/$peer" && p2pctl --socket "$P2P_DEMO/$peer/run/control.sock" "$@")
}
# A port that nobody listens on.
port() {
  local p
  while :; do
    p=$((20000 + RANDOM % 20000))
    (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo "$p"; return; }
  done
}
# Waits until a program has made its socket.
await() {
  for _ in $(seq 300); do
    [ -S "$1" ] && return
    sleep 0.1
  done
  echo "nothing listens at $1" >&2
  return 1
}
if command -v b3sum >/dev/null; then sum=b3sum; else sum=sha256sum; fi
same() {
  local first second
  first=$($sum <"$1" | cut -d' ' -f1)
  second=$($sum <"$2" | cut -d' ' -f1)
  [ "$first" = "$second" ] || { echo "$1 and $2 differ" >&2; exit 1; }
  echo "$sum of both sides: ${first:0:16}… the same"
}

say "A directory"
mkdir directory
dir_port=$(port)
cat >directory/p2p-directory.toml <<CONF
state_dir = "$P2P_DEMO/directory/state"
runtime_dir = "$P2P_DEMO/directory/run"
[api]
listen = ["127.0.0.1:$dir_port"]
names = ["localhost", "127.0.0.1"]
CONF
p2p-directory serve --config directory/p2p-directory.toml >directory/log 2>&1 &
pids+=($!)
await directory/run/admin.sock
admin() { p2p-directory "$@" --config directory/p2p-directory.toml; }
fingerprint=$(admin ca-fingerprint)
echo "p2p-directory runs at https://localhost:$dir_port, CA ${fingerprint:0:15}…"
echo '$ p2p-directory admin user add ana'
admin admin user add ana | tee account
sed -n 's/.*shown once: //p' account >password
chmod 600 password

say "Three peers, each logged in as ana"
for peer in ws1 gpu1 gpu2; do
  mkdir "$peer"
  cat >"$peer/p2pd.toml" <<CONF
peer_name = "$peer"
state_dir = "$P2P_DEMO/$peer/state"
runtime_dir = "$P2P_DEMO/$peer/run"
[peer]
listen = ["127.0.0.1:$(port)"]
CONF
  p2pd --config "$peer/p2pd.toml" >"$peer/log" 2>&1 &
  pids+=($!)
  await "$peer/run/control.sock"
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
export PATH=$P2P_DEMO/bin:\$PATH P2PCTL_SOCKET=$P2P_DEMO/gpu2/run/control.sock
p2pctl search
p2pctl upload FILE
p2pctl --socket $P2P_DEMO/ws1/run/control.sock download FILE
To end it: kill ${pids[*]}; rm -rf $P2P_DEMO
TEXT
else
  say "To play on: make demo KEEP=1"
fi
