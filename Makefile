# demo   a directory and three peers on this machine, and a file that travels between them (KEEP=1 leaves them running)
# test   everything that must hold: format, lints, licences, documents, unit and whole-system tests
# build  the three programs
.PHONY: build demo test lint

export CARGO_TERM_COLOR ?= never

build:
	cargo build --workspace --bins

demo: build
	tests/demo.sh

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo deny check bans licenses sources
	tests/documents.sh

test: lint build
	cargo nextest run --workspace $(NEXTEST_ARGS)
