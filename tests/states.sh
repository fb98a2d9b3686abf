#!/bin/sh
# Makes the state of this version anew: what its programs leave in tests/tests/states. Each release does that once, after the
# programs are built, and its state is never made again: a later version has to take it over as it is.
set -eu
cd "$(dirname "$0")/.."
cargo run --quiet -p p2p-tests --bin release-state
