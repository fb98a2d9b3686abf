#!/usr/bin/env bash
# Asks every endpoint of a real directory what its OpenAPI document says, with a real session: 0 failures and each endpoint
# seen to succeed, or this fails.
# Needs python3 with venv and openssl; makes a venv beside the caches of the user, with one version of schemathesis.
# SEED= and EXAMPLES= (per endpoint) change what is asked; KEEP=1 leaves the folder.
set -euo pipefail
cd "$(dirname "$0")/.."
version=4.32.5
bin=${P2P_BIN:-$PWD/target/debug}
checks=$PWD/tests/schemathesis

for tool in python3 openssl; do
  if ! command -v "$tool" >/dev/null; then
    echo "schemathesis: NOT RUN, the REST API is not checked against its document: $tool is missing" >&2
    exit 1
  fi
done
venv=${XDG_CACHE_HOME:-$HOME/.cache}/p2p-tests/schemathesis-$version
if [ ! -x "$venv/bin/schemathesis" ]; then
  rm -rf "$venv"
  if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"; }; then
    rm -rf "$venv"
    echo "schemathesis: NOT RUN, the REST API is not checked against its document: no venv with schemathesis $version" >&2
    exit 1
  fi
fi

folder=$(mktemp -d /tmp/p2p-schemathesis.XXXXXX)
directory=
finish() {
  local code=$?
  trap - EXIT
  [ -z "$directory" ] || { kill "$directory" 2>/dev/null; wait "$directory" 2>/dev/null || true; }
  [ "$code" = 0 ] || tail -n 20 "$folder/log" >&2 || true
  [ -n "${KEEP:-}" ] || rm -rf "$folder"
  exit "$code"
}
trap finish EXIT

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$folder/directory.toml" <<END
state_dir = "$folder/state"
runtime_dir = "$folder/run"
[api]
listen = ["127.0.0.1:$port"]
names = ["127.0.0.1"]
[limits]
requests_per_second = 100000
# The document tells the most that these may be.
addresses_per_peer = 64
index_changes = 50000
END
"$bin/p2p-directory" serve --config "$folder/directory.toml" >"$folder/log" 2>&1 &
directory=$!
for _ in $(seq 200); do
  [ -S "$folder/run/admin.sock" ] && break
  kill -0 "$directory" || exit 1
  sleep 0.1
done
password="a password of $RANDOM$RANDOM"
printf %s "$password" | "$bin/p2p-directory" admin user add ana --password-stdin --config "$folder/directory.toml"
for name in main other; do
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout "$folder/$name.key" \
    -out "$folder/$name.csr" 2>/dev/null
done

export DIRECTORY_URL="https://127.0.0.1:$port" DIRECTORY_CA="$folder/state/ca.pem" DIRECTORY_PASSWORD="$password"
export DIRECTORY_CALLS="$folder/calls" DIRECTORY_CSRS="$folder/main.csr:$folder/other.csr" SCHEMATHESIS_HOOKS="$checks/hooks.py" PYTHONPATH="$checks"
cd "$folder"
timeout 300 "$venv/bin/schemathesis" --config-file "$checks/schemathesis.toml" run "$DIRECTORY_URL/api/v1/openapi.json" \
  --tls-verify "$DIRECTORY_CA" --max-examples "${EXAMPLES:-25}" --seed "${SEED:-1}" --workers 1 \
  --request-retries 2 --no-color
# Nothing was learnt of an endpoint that refused everything.
cut -d ' ' -f 2- calls | sort -u >called
sed -n 's/^2[0-9][0-9] //p' calls | sort -u >succeeded
never=$(comm -23 called succeeded)
if [ -n "$never" ]; then
  printf 'schemathesis: never seen to succeed: %s\n' "$never" >&2
  exit 1
fi
echo "schemathesis: every endpoint does what the document says, and $(wc -l <succeeded) of $(wc -l <called) were seen to succeed"
