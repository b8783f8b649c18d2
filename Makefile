# The two commands of a fresh clone are `make demo` and `make test`; both set up what they need first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
SECONDS_EACH ?= 600
.PHONY: help setup demo test test-mutations test-kills test-faults test-long models test-export clean

target := $(or $(CARGO_TARGET_DIR),target)
export CARGO_TERM_COLOR ?= auto

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing: GStreamer, ONNX Runtime, the Rerun viewer
	@scripts/setup.sh

demo: setup ## replay the bundled flight and show how well it was located
	@cargo build --release --locked
	@"$(target)/release/skyfix" replay recordings/demo --out out/demo
	@printf '\nThe flight in pictures:\n\n    .venv/bin/rerun out/demo/flight.rrd\n\n'

test: setup ## format, lints, all tests (each binary says what it took), documentation
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --all-targets --no-default-features -- -D warnings
	cargo test --locked --lib --bins --tests --examples
	cargo test --locked --doc
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

test-mutations: setup ## every parser meets mutated files, $(SECONDS_EACH) s each
	SKYFIX_MUTATION_SECONDS=$(SECONDS_EACH) cargo test --locked --release --test parts mutations -- --test-threads 1 --nocapture
	SKYFIX_MUTATION_SECONDS=$(SECONDS_EACH) cargo test --locked --release --test live mutated -- --nocapture

test-kills: setup ## kill -9 at a hundred random times each of replay, run --record, map build and map index
	SKYFIX_KILLS=100 cargo test --locked --release --test flight killed -- --test-threads 1 --nocapture

test-faults: setup ## the fault matrix, written into docs/TESTING.md
	@cargo build --release --locked
	@.venv/bin/python -c 'import pymavlink' 2>/dev/null || .venv/bin/pip install --quiet pymavlink
	.venv/bin/python scripts/fault_matrix.py

test-long: test-mutations test-kills test-faults ## what takes longer than a change should wait for: those before, whole flights with every number of workers, exported networks
	cargo test --locked --tests -- --ignored
	@cargo build --release --locked
	@scripts/test_export.sh

models: setup ## train the bundled networks from $SKYFIX_DATA/train (hours; resumes)
	@cargo build --release --locked
	@scripts/train.sh

test-export: setup ## export DINOv2, SALAD and XFeat with random weights and run skyfix on them (minutes; not part of test)
	@cargo build --release --locked
	@scripts/test_export.sh

clean: ## remove what was built, installed into the clone and written by the demo
	cargo clean
	rm -rf .venv out
