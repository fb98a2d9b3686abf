# demo   a directory and three peers on this machine, and a file that travels between them (KEEP=1 leaves them running)
# test   everything that must hold: format, lints, licences, documents, unit and whole-system tests
# build  the three programs
# packages  deb and rpm of p2pd and p2p-directory, in target/packages
# test-packages  installs those on real Debian machines and uses them, as README's "Install" says; needs root
# tour   docs/tour.md anew: each command once, with what it says
# torture  kills daemons while work is in flight: SEED= COUNT= (240); POINT= runs one point alone, KEEP=1 leaves what was wrong
# fuzz   each fuzz target for TIME= seconds (60): needs nightly, cargo-fuzz and g++; TARGETS="names rest" runs those alone
.PHONY: build demo tour test lint torture fuzz packages test-packages

export CARGO_TERM_COLOR ?= never

build:
	cargo build --workspace --bins

demo: build
	tests/demo.sh

tour: build
	tests/tour.sh >docs/tour.new
	mv docs/tour.new docs/tour.md

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	rustfmt --check tests/fuzz/fuzz_targets/*.rs
	cargo metadata --locked --format-version 1 --manifest-path tests/fuzz/Cargo.toml >/dev/null
	cargo deny check bans licenses sources
	tests/documents.sh

test: lint build
	cargo nextest run --workspace $(NEXTEST_ARGS)

packages:
	packaging/build.sh

test-packages: packages build
	tests/packages/run.sh $(NEXTEST_ARGS)

torture: build
	SEED=$(SEED) COUNT=$(COUNT) POINT=$(POINT) cargo run --quiet --package p2p-tests --bin torture

fuzz:
	TIME=$(TIME) TARGETS="$(TARGETS)" tests/fuzz/run.sh
