# Everything a person or CI runs. `make` lists the targets.
#
# CARGO_TARGET_DIR is respected everywhere; set it outside the clone to share builds between clones.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help deps test-deps run test check fmt fmt-check clippy deny tidy

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what a build needs (apt and root), or name what is missing
	@scripts/deps.sh

test-deps: ## Install the services that tests start (apt and root), or name what is missing
	@scripts/test-deps.sh

run: deps ## Build, start everything, feed a folder, search it. DOCS="dir ..." PORT=7700 DATA_DIR=.nautilus ONCE=1
	cargo build --release --locked -p nautilus-cli
	@scripts/run.sh

test: deps test-deps ## Run all tests and say how many ran
	@scripts/test.sh

check: deps fmt-check clippy deny tidy ## What CI runs beside the tests: fmt, clippy, deny, tidy

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
