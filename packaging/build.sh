#!/usr/bin/env bash
# `make packages`: deb and rpm of p2pd and p2p-directory for this machine's architecture, in target/packages.
# PROFILE=dev takes what `make build` makes, for who tries something.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${PROFILE:-dist}
out=target/packages
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
grep -q "^p2pd ($version) " packaging/deb/changelog || { echo "packaging/deb/changelog does not begin with $version" >&2; exit 1; }
mkdir -p "$out"
rm -f "$out"/*.deb "$out"/*.rpm

members=(-p p2p-daemon -p p2pctl -p p2p-directory -p p2p-packaging)
folder=target/$profile
# What `make build` has made.
if [ "$profile" = dev ]; then members=(--workspace) folder=target/debug; fi
cargo build --locked --profile "$profile" --bins "${members[@]}"

# Man pages and completions are made from the command lines themselves.
rm -rf "$out/files"
mkdir -p "$out"/files/{p2pd,p2p-directory}
"$folder/p2pd" package-files "$out/files/p2pd"
"$folder/p2pctl" package-files "$out/files/p2pd"
"$folder/p2p-directory" package-files "$out/files/p2p-directory"
"$folder/third-party" p2p-daemon p2pctl >"$out/files/p2pd/third-party.txt"
"$folder/third-party" p2p-directory >"$out/files/p2p-directory/third-party.txt"
for page in packaging/man/*.end; do
  [ -e "$page" ] || continue
  name=$(basename "$page" .end)
  for made in "$out"/files/*/"$name"; do cat "$page" >>"$made"; done
done
gzip --best --no-name --stdout packaging/deb/changelog >"$out/files/changelog.gz"
cp packaging/man/p2pd.toml.5 "$out/files/p2pd"
cp packaging/man/p2p-directory.toml.5 "$out/files/p2p-directory"
# cargo-deb presses its own.
find "$out/files" \( -name '*.[158]' -o -name third-party.txt \) -exec gzip --keep --best --no-name {} +

for member in daemon directory; do
  package=p2p-$member
  cargo deb --quiet --no-build --locked --profile "$profile" --package "$package" --output "$out/" ${DEB_OPTIONS:-}
  cargo generate-rpm --package "$member" --profile "$profile" --output "$out/"
done
rm -rf "$out/files"
ls -l "$out"
