#!/usr/bin/env bash
# What lintian and rpmlint say of the packages. What they may say is in packaging/deb/lintian-overrides and
# packaging/rpm/rpmlint.toml, each with its reason; anything else fails.
set -euo pipefail
cd "$(dirname "$0")/../../target/packages"

lintian --version
if ! lintian --allow-root --tag-display-limit 0 --fail-on error,warning ./*.deb; then
  echo "lintian complains of the packages" >&2
  exit 1
fi
if command -v rpmlint >/dev/null; then
  rpmlint --strict --config ../../packaging/rpm/rpmlint.toml ./*.rpm
else
  echo "NOT TESTED: rpmlint is not here"
fi
