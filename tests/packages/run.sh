#!/usr/bin/env bash
# `make test-packages`: what is in target/packages, looked at and then installed and used on Debian machines of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
export P2P_DEBIAN="${P2P_DEBIAN:-$PWD/target/debian}"
rm -f target/packages-figures.txt

tests/packages/man.sh
tests/packages/lintian.sh
if [ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null && command -v systemd-nspawn >/dev/null; then
  tests/packages/roots.sh "$P2P_DEBIAN"
fi
cargo nextest run --package p2p-tests --test packages --profile packages "$@"
if [ "$(id -u)" = 0 ]; then
  tests/packages/cloud.sh "$P2P_DEBIAN/plain"
  tests/packages/containers.sh "$P2P_DEBIAN/plain" target/dist
else
  echo "NOT TESTED: containers and the user-data of clouds, for want of root"
fi

if [ -e target/packages-figures.txt ]; then
  printf '\nOf the packages:\n'
  sort -u target/packages-figures.txt
fi
