#!/usr/bin/env bash
# Each key of a packaged configuration is in its manual page, and no other; the pages are clean for man and, where it is
# installed, mandoc.
set -euo pipefail
cd "$(dirname "$0")/../.."
failed=0
complain() { echo "man: $1" >&2; failed=1; }

# The keys of a configuration, with their tables; what is commented out counts.
keys_of_file() {
  sed -nE -e 's/^\[([a-z_]+)\]$/[\1]/p' -e 's/^#?([a-z_]+) = .*/\1/p' "$1" | with_tables
}

# The keys that a page tells of.
keys_of_page() {
  sed -nE -e '/^\.SH KEYS/,/^\.SH FILES/{' -e 's/^\.SS (\[[a-z_]+\])$/\1/p' \
    -e 's/^\\fB([a-z_]+)\\fR \(.*; (reload|restart)\)$/\1/p' -e '}' "$1" | with_tables
}

with_tables() {
  awk '/^\[/ { table = substr($0, 2, length - 2) "."; next } { print table $0 }' | sort
}

# Key, default and when a change counts, as docs/config.md and the page have them.
rows_of_docs() {
  sed -n "/^## $1/,/^## /p" docs/config.md | sed -nE 's/^\| `([a-z_.]+)` \| .* \| `([^|]*)` \| (reload|restart) \|.*/\1 \2 \3/p' | sort
}

rows_of_page() {
  sed -nE -e '/^\.SH KEYS/,/^\.SH FILES/{' -e 's/\\-/-/g' -e 's/^\.SS (\[[a-z_]+\])$/\1/p' \
    -e 's/^\\fB([a-z_]+)\\fR \(.*; default \\fB([^;]*)\\fR; (reload|restart)\)$/\1 \2 \3/p' \
    -e "s/^.fB(peer_name).fR .*; default: the host's name; (reload)\)$/\1 \"\" \2/p" -e '}' "$1" |
    awk '/^\[[a-z]+\]$/ { table = substr($0, 2, length - 2) "."; next } { print table $0 }' | sort
}

# Both lists would be equal if none were read.
[ "$(rows_of_docs p2pd.toml | wc -l)" -gt 10 ] || complain "docs/config.md has no table of keys"
for name in p2pd p2p-directory; do
  page=packaging/man/$name.toml.5
  [ -n "$(keys_of_file "packaging/$name.toml")" ] || complain "packaging/$name.toml has no keys"
  diff <(keys_of_file "packaging/$name.toml") <(keys_of_page "$page") >&2 ||
    complain "$page and packaging/$name.toml have different keys"
  diff <(rows_of_docs "$name.toml") <(rows_of_page "$page") >&2 ||
    complain "$page and docs/config.md tell different things of a key"
  if command -v man >/dev/null; then
    warnings=$(MANWIDTH=80 LC_ALL=C.UTF-8 man --warnings -l "$page" 2>&1 >/dev/null)
    [ -z "$warnings" ] || complain "$warnings"
  fi
  if command -v mandoc >/dev/null; then
    warnings=$(mandoc -T lint "$page") || complain "$warnings"
  fi
done
exit "$failed"
