# The table of contents of this repository. `make` alone prints it.
# A fresh machine needs Rust (rustup) and Node; what the tests need beyond that, scripts/setup.sh installs where it can.

PORT ?= 8080
DATA ?= ./data
WEB_BIN := web/node_modules/.bin

.DEFAULT_GOAL := help
.PHONY: help setup build run test check fmt clippy proto web-check deny advisories \
        test-rust test-peers test-web test-macos test-windows test-e2e test-readme bench clean web-modules web-dist

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- Use it ------------------------------------------------------------------------------------------------------

setup: ## Install what the tests need and is missing
	@scripts/setup.sh

build: web-dist ## Build the release binaries, web pages included: target/release/millrace and millrace-runner
	cargo build --release -p millrace-server -p millrace-runner

run: build ## Start a server and a runner on PORT (8080), run examples/self.yml, serve until Ctrl-C
	@PORT=$(PORT) DATA=$(DATA) scripts/run.sh

# --- Check it ----------------------------------------------------------------------------------------------------

test: setup check test-rust test-web test-macos test-readme test-e2e ## Every check and every test, quick ones first

check: fmt proto web-check deny clippy ## Formatting, lints, types, licences: nothing is run

fmt: ## Rust formatting
	cargo fmt --all --check

proto: web-modules ## Lint of the .proto files, and nothing in them breaks those on main
	$(WEB_BIN)/buf lint
	scripts/proto-breaking.sh

web-check: web-modules ## Lint and types of the web pages
	npm --prefix web run --silent lint
	npm --prefix web run --silent typecheck

deny: ## Licences, bans and sources of the dependencies (no network)
	scripts/deny.sh licenses bans sources

advisories: ## Known vulnerabilities of the dependencies (needs the network)
	scripts/deny.sh advisories

# The web pages are embedded in the server, so that it compiles only when they are built.
clippy: web-dist ## Lints of the Rust code
	cargo clippy --workspace --all-targets --locked -- -D warnings

# No doc tests: there are none, and rustdoc would read all of the generated code to find that out.
test-rust: web-dist ## Unit and integration tests, those of the Windows runner under Wine among them
	cargo test --workspace --locked --lib --bins --tests

test-web: web-modules ## Unit tests of the web pages
	npm --prefix web run --silent test

test-macos: ## The runner type-checks for macOS
	cargo check --locked -p millrace-runner --target aarch64-apple-darwin

test-windows: web-dist ## The runner for Windows under Wine, alone (on Linux, test-rust has it too)
	cargo test --workspace --locked --test it wine

test-peers: setup web-dist ## Bazel, bgd, grpcio, connect-es, curl, ccache, sccache and Gradle, alone (test-rust has them too)
	cargo test --workspace --locked --test it peers::

test-readme: web-dist ## The README's commands, as they stand there
	scripts/with-server.sh scripts/readme-test.sh

test-e2e: web-dist ## The web pages in a real browser against a real server
	scripts/e2e.sh

bench: build ## Latency and throughput on this machine; bench/README.md says what each figure means
	cargo run --release --locked -p millrace-bench
	node web/bench/latency.mjs

clean: ## Remove what was built (not the data)
	cargo clean
	rm -rf web/dist web/node_modules web/src/gen web/test-results web/playwright-report

# --- Not for hands -----------------------------------------------------------------------------------------------

web-modules:
	@scripts/web-modules.sh

web-dist: web-modules
	@scripts/web-dist.sh
