#!/usr/bin/env bash
# Every path and function that ARCHITECTURE.md names exists, every Rust file says what it is for, and every promise has
# tests that exist.
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

# Every promise in docs/promises.md names tests, as `file::function`, and each is a test in that file.
promises=0
while IFS= read -r row; do
  promises=$((promises + 1))
  tests=${row%|*}
  tests=${tests##*|}
  [ -n "${tests// /}" ] || complain "docs/promises.md has a promise without a test: $row"
  for test in $tests; do
    if [[ ! $test =~ ^\`([A-Za-z0-9_./-]+\.rs)::([a-z0-9_]+)\`$ ]]; then
      complain "docs/promises.md: $test is not \`file.rs::function\`"
      continue
    fi
    file=${BASH_REMATCH[1]} function=${BASH_REMATCH[2]}
    [ -e "$file" ] || { complain "docs/promises.md names $file, which does not exist"; continue; }
    # The attribute of a test stands between it and the function before.
    awk -v name="fn $function(" '/^ *#\[(tokio::)?test/ { test = 1 }
      /^ *(pub )?(async )?fn / { if (test && index($0, name)) found = 1; test = 0 }
      END { exit !found }' "$file" ||
      complain "docs/promises.md names the test $function in $file, which is not there"
  done
done < <(grep '^| ' docs/promises.md | grep -vE '^\| (promise|---)')
[ "$promises" -gt 0 ] || complain "docs/promises.md has no promises"

# Every kind of failure and every health code is listed.
for word in $(grep -oE 'Self::[A-Za-z]+ => "[a-z_]+"' proto/src/failure.rs | grep -oE '"[a-z_]+"' | tr -d '"'); do
  grep -q "\`$word\`" docs/json.md || complain "docs/json.md does not list the kind $word"
done
for word in $(grep -oE 'Self::[A-Za-z]+ => \("[a-z_]+"' daemon/src/control/health/code.rs | grep -oE '"[a-z_]+"$' | tr -d '"'); do
  grep -q "\`$word\`" docs/json.md || complain "docs/json.md does not list the health code $word"
done
exit "$failed"
