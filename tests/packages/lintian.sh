#!/usr/bin/env bash
# What lintian and rpmlint say of the packages. What they may say is here, with the reason; anything else fails.
set -euo pipefail
cd "$(dirname "$0")/../../target/packages"

# 1: Rust programs are linked statically against Rust libraries, as all of them are.
# 2: no package archive has these packages yet, so no bug number was ever asked for.
allowed='statically-linked-binary|initial-upload-closes-no-bugs'

lintian --version
if ! lintian --no-tag-display-limit --fail-on error,warning --suppress-tags "${allowed//|/,}" ./*.deb; then
  echo "lintian complains of the packages" >&2
  exit 1
fi
if command -v rpmlint >/dev/null; then
  rpmlint ./*.rpm
else
  echo "NOT TESTED: rpmlint is not here"
fi
