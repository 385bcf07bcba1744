# The words a person would guess. `make run` and `make test` do all the set-up they need.

CARGO ?= cargo
CLIENTS := tests/clients
PYTHON ?= python3
BENCH_ARGS ?=
ROWS ?= 10000000

.PHONY: run test check fmt bench chaos cluster fuzz clients

## Build and start the demo: a hub, simulated stores and receivers; prints the links.
run:
	$(CARGO) build --locked -p tillstream
	./target/debug/tillstream demo

## Everything that must hold on every change; the black-box tests once on each engine.
test: clients
	RUST_TEST_THREADS=6 tests/postgres/with $(CARGO) test --locked --workspace
	RUST_TEST_THREADS=6 TILLSTREAM_TEST_ENGINE=postgres tests/postgres/with $(CARGO) test --locked --workspace --test it

## What a reviewer would ask for first: formatting, lints, and that the tests build.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

fmt:
	$(CARGO) fmt --all

## The speed table: each figure beside its baseline, as ratios. ROWS: events in the large fixtures.
bench:
	$(CARGO) build --locked --release -p tillstream -p tillstream-bench
	tests/postgres/with ./target/release/tillstream-bench --rows $(ROWS) $(BENCH_ARGS)

## What is handed out, in dist/: a Debian package, an archive and their sums.
.PHONY: dist
dist:
	deploy/dist

## The long runs of what `make test` does briefly.
chaos: clients
	TILLSTREAM_CHAOS_ROUNDS=100 TILLSTREAM_REPLAY_EVENTS=1000000 $(CARGO) test --locked -p tillstream --test chaos -- --nocapture
	TILLSTREAM_CHAOS_ROUNDS=100 tests/postgres/with $(CARGO) test --locked -p tillstream --test cluster chaos -- --nocapture
	TILLSTREAM_SCHEMATHESIS_EXAMPLES=200 $(CARGO) test --locked -p tillstream --test it schemathesis -- --nocapture
	PROPTEST_CASES=20000 $(CARGO) test --locked -p tillstream-model

## Three hubs on a PostgreSQL with a synchronous standby, to play with.
cluster:
	$(CARGO) build --locked -p tillstream
	tests/postgres/cluster target/debug/tillstream

## Coverage-guided fuzzing of every parser of outside input, SECONDS each (needs cargo-fuzz and a nightly-capable toolchain).
SECONDS ?= 60
fuzz:
	fuzz/run $(SECONDS)

## Independent Standard Webhooks clients, from npm and PyPI, pinned.
clients: $(CLIENTS)/node_modules/.done $(CLIENTS)/.venv/.done

$(CLIENTS)/node_modules/.done: $(CLIENTS)/package-lock.json
	cd $(CLIENTS) && npm ci --no-audit --no-fund --ignore-scripts
	touch $@

$(CLIENTS)/.venv/.done: $(CLIENTS)/requirements.txt
	$(PYTHON) -m venv $(CLIENTS)/.venv
	$(CLIENTS)/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $(CLIENTS)/requirements.txt
	touch $@
