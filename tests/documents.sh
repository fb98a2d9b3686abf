#!/usr/bin/env bash
# Every path and function that ARCHITECTURE.md names exists, and every Rust file says what it is for.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
complain() { echo "documents: $1" >&2; failed=1; }

# `path` and `path::function` in ARCHITECTURE.md, where path has a slash or an ending.
while IFS= read -r name; do
  path=${name%%::*}
  function=${name##*::}
  [ -e "$path" ] || { complain "ARCHITECTURE.md names $path, which does not exist"; continue; }
  if [ "$name" != "$path" ] && ! grep -qE "(fn|struct|enum|trait) $function\b" "$path"; then
    complain "ARCHITECTURE.md names $function in $path, which is not there"
  fi
done < <(grep -oE '`[A-Za-z0-9_./-]+(::[A-Za-z_]+)?`' ARCHITECTURE.md | tr -d '`' |
  grep -vE '^p2p-data/' |
  grep -E '^[a-z.][A-Za-z0-9_.-]*/[A-Za-z0-9_./-]*(::|$)|\.(rs|toml|md|proto|sh|service)(::|$)' | sort -u)

for file in $(git ls-files --cached --others --exclude-standard '*.rs' | sort -u); do
  [ -e "$file" ] || continue
  head -n 1 "$file" | grep -q '^//!' || complain "$file does not begin with what it is for"
done

# Every kind of failure and every health code is listed.
for word in $(grep -oE 'Self::[A-Za-z]+ => "[a-z_]+"' proto/src/failure.rs | grep -oE '"[a-z_]+"' | tr -d '"'); do
  grep -q "\`$word\`" docs/json.md || complain "docs/json.md does not list the kind $word"
done
for word in $(grep -oE '^ *(lines\.push\()?line\("[a-z]+", "[a-z_]+"|line\("[a-z]+", "[a-z_]+"' daemon/src/control/health.rs | grep -oE '"[a-z_]+"$' | tr -d '"'); do
  grep -q "\`$word\`" docs/json.md || complain "docs/json.md does not list the health code $word"
done
exit "$failed"
