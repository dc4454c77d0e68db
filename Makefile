# Everything that is built or installed goes into the cache folder, so that a fresh clone is quick too.
CACHE := $(shell tests/tools/setup --where)
export INSTANT_CACHE := $(CACHE)
export CARGO_TARGET_DIR ?= $(CACHE)/target

.PHONY: help setup test chaos fuzz bench bench-hub bench-micro lint demo wheel

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

setup: ## Install what the tests and the demo need: PostgreSQL, Centrifugo, Django, Chromium
	@tests/tools/setup

test: setup ## Run every test; POSTGRES_VERSIONS="14 15 16 17 18" for all versions
	@echo "test: PostgreSQL $(or $(POSTGRES_VERSIONS),15 18), Centrifugo and Django are started by the tests themselves"
	@# The starting point of the packaging tests; while other tests run, a full build would take too long.
	tests/tools/bare cargo build --locked --bin instant --target-dir $(CARGO_TARGET_DIR)/tmp/packaging
	cargo test

chaos: setup ## Kill, disconnect and crash everything for ROUNDS=200 rounds; SEED=n determines the faults
	CHAOS_ROUNDS=$(or $(ROUNDS),200) CHAOS_SEED=$(or $(SEED),1) cargo test --test instant through_every_fault -- --nocapture

fuzz: ## Mutate inputs of TARGET=configuration (or mapping, signed_value, cookie, client_protocol) for SECONDS=60; needs nightly Rust and cargo-fuzz
	cargo +nightly fuzz run $(or $(TARGET),configuration) -- -max_total_time=$(or $(SECONDS),60)

bench: setup ## Compare Instant with the alternatives and write docs/benchmarks.md; QUICK=1 and ONLY=backlog,latency only show figures
	cargo bench --bench instant

bench-hub: setup ## Compare the hub with Centrifugo on its own: publications, deliveries, latency, memory
	ONLY=hub cargo bench --bench instant

bench-micro: ## Measure a row's path through the mapping, with its allocations
	cargo bench --bench mapping

lint: ## Check formatting, lints, documentation and licences
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
	tests/tools/deny

demo: ## Run the demo until Ctrl-C; CENTRIFUGO=1, TRAFFIC=0, DEMO_DATABASE_URL=…, PORT=8000, INSTANT_PORT=8001, CENTRIFUGO_PORT=8002
	@tests/tools/setup --demo
	@echo "demo: building instant"
	@cargo build --bin instant
	@$(CACHE)/python/bin/python demo/run $(CACHE) $(CARGO_TARGET_DIR)/debug/instant

wheel: ## Build the wheel with the command and the Python package, into dist/
	@tests/tools/setup --wheel
	$(CACHE)/wheel/bin/maturin build --release --locked --out dist
