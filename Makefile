# Everything a person or CI runs. `make` lists the targets.
#
# CARGO_TARGET_DIR is respected everywhere; set it outside the clone to share builds between clones.

SHELL := /bin/bash
# Beside 100 searches a second, with services and load on the same two cores: these take some 1,560 at most, and at half
# of that nothing is left for recoveries.
CHAOS_WRITES ?= 440
.DEFAULT_GOAL := help
.PHONY: help deps test-deps run test bench chaos cluster-up cluster-down check fmt fmt-check clippy deny tidy lint-deploy

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what a build needs (apt and root), or name what is missing
	@scripts/deps.sh

test-deps: ## Install the services that tests start (apt and root), or name what is missing
	@scripts/test-deps.sh

run: deps ## Build, start everything, feed a folder, search it. DOCS="dir ..." PORT=7700 DATA_DIR=.nautilus ONCE=1
	cargo build --release --locked -p nautilus-cli
	@scripts/run.sh

test: deps test-deps ## Run all tests and say how many ran
	@scripts/test.sh

bench: deps ## One partition of the engine against Tantivy, two minutes. ARGS="--full --dir .bench", "--output json", ...
	cargo run --release --locked -p nautilus-bench --bin nautilus-bench -- engine $(ARGS)

chaos: deps test-deps ## Faults against a real cluster under load, the set that fits CI. CHAOS_WRITES=440
	cargo build --release --locked -p nautilus-cli -p nautilus-integration-tests --bins
	$${CARGO_TARGET_DIR:-target}/release/nautilus-chaos all --seconds 40 --rounds 4 --writes $(CHAOS_WRITES)

cluster-up: deps test-deps ## Start a real cluster of processes on this machine. CLUSTER_DIR=.cluster
	@scripts/cluster.sh up

cluster-down: ## Stop it
	@scripts/cluster.sh down

check: deps fmt-check clippy deny tidy lint-deploy ## What CI runs beside the tests: fmt, clippy, deny, tidy, lint-deploy

fmt: ## Format the code
	cargo fmt --all

fmt-check:
	cargo fmt --all -- --check

clippy: ## Lint all code, tests and benchmarks included; a warning fails
	cargo clippy --workspace --all-targets --locked -- -D warnings

deny: ## Check licences, sources and bans of dependencies; advisories where a database is at hand
	@scripts/deny.sh

tidy: ## Check links, the crate map, lints, ignored tests and file lengths
	@scripts/tidy.sh

lint-deploy: ## Check deploy/ with the linters that are here, and name the others
	@scripts/lint-deploy.sh
