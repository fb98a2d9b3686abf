# What the demo and the tour share, sourced by them first: a temporary folder with the programs, left under an ordinary
# user; a directory and peers on free ports; and everything ended and removed at the end. KEEP=1 leaves it running.
set -euo pipefail

if [ -z "${P2P_STAGE:-}" ]; then
  own=$(cd "$(dirname "$0")" && pwd)
  built=${P2P_BIN:-$own/../target/debug}
  P2P_STAGE=$(mktemp -d "/tmp/p2p-$(basename "$0" .sh).XXXXXX")
  export P2P_STAGE
  mkdir "$P2P_STAGE/bin"
  cp "$built/p2pd" "$built/p2pctl" "$built/p2p-directory" "$0" "$own/stage.sh" "$P2P_STAGE/bin/"
  if [ "$(id -u)" = 0 ]; then
    # Nothing here needs root.
    chown -R nobody:nogroup "$P2P_STAGE"
    exec setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$P2P_STAGE" P2P_STAGE="$P2P_STAGE" \
      KEEP="${KEEP:-}" bash "$P2P_STAGE/bin/$(basename "$0")"
  fi
  exec bash "$P2P_STAGE/bin/$(basename "$0")"
fi

cd "$P2P_STAGE"
PATH=$P2P_STAGE/bin:$PATH
pids=()
finish() {
  local code=$?
  trap - EXIT INT TERM
  if [ "$code" != 0 ]; then
    echo "It failed; the logs:" >&2
    tail -n 20 "$P2P_STAGE"/*/log >&2 || true
  fi
  if [ "$code" = 0 ] && [ -n "${KEEP:-}" ]; then
    exit 0
  fi
  if [ ${#pids[@]} != 0 ]; then
    kill "${pids[@]}" 2>/dev/null || true
    wait "${pids[@]}" 2>/dev/null || true
  fi
  rm -rf "$P2P_STAGE"
  exit "$code"
}
trap finish EXIT INT TERM

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

# A directory in ./directory, on the port $dir_port.
start_directory() {
  mkdir directory
  dir_port=$(port)
  cat >directory/p2p-directory.toml <<CONF
state_dir = "$P2P_STAGE/directory/state"
runtime_dir = "$P2P_STAGE/directory/run"
[api]
listen = ["127.0.0.1:$dir_port"]
names = ["localhost", "127.0.0.1"]
CONF
  p2p-directory serve --config directory/p2p-directory.toml >directory/log 2>&1 &
  pids+=($!)
  await directory/run/admin.sock
  fingerprint=$(admin ca-fingerprint)
}
admin() { p2p-directory "$@" --config "$P2P_STAGE/directory/p2p-directory.toml"; }

# A peer of that name in a folder of that name.
start_peer() {
  mkdir "$1"
  cat >"$1/p2pd.toml" <<CONF
peer_name = "$1"
state_dir = "$P2P_STAGE/$1/state"
runtime_dir = "$P2P_STAGE/$1/run"
[peer]
listen = ["127.0.0.1:$(port)"]
CONF
  p2pd --config "$1/p2pd.toml" >"$1/log" 2>&1 &
  pids+=($!)
  await "$1/run/control.sock"
}

# Shows a command as a person types it, and runs it on one of the peers.
on() {
  local peer=$1
  shift
  printf '%s$ p2pctl %s\n' "$peer" "$*"
  (cd "$P2P_STAGE/$peer" && p2pctl --socket "$P2P_STAGE/$peer/run/control.sock" "$@")
}
