# `make run` builds and serves the demo bot; `make test` runs everything that CI runs.
SHELL := /bin/bash
TARGET := $(or $(CARGO_TARGET_DIR),target)
PREFIX ?= $(HOME)/.local
# Every command builds the whole workspace, so that all share one set of features and nothing compiles twice.
BUILD := cargo build --release --locked --workspace --bin banter
RUN ?=

.PHONY: help run install setup frontend pictures plugins test test-engine lint bench services-up services-down services-env faults instructions fuzz deny sbom clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

run: ## Fetch dependencies, build, and serve the demo bot on 127.0.0.1:8000 (RUN="--port 8001" passes options)
	@tools/setup.sh --build
	@tools/frontend.sh
	@$(BUILD)
	@$(TARGET)/release/banter plugin build --available
	@exec $(TARGET)/release/banter serve $(RUN)

install: ## Put the program, the runtime, the encoders and the plugin tools under PREFIX (~/.local)
	@tools/setup.sh --build
	@tools/frontend.sh
	@$(BUILD)
	@tools/install.sh "$(TARGET)/release/banter" "$(PREFIX)"

setup: ## Fetch ONNX Runtime and the encoders into .cache/
	@tools/setup.sh

frontend: ## Build the pages (chat, console, widget) into frontend/dist
	@tools/frontend.sh --required

pictures: ## Test the pages in Chromium, and take the README's pictures of them
	@PROGRAM=$(TARGET)/debug/banter tools/browser_tests.sh && cp .cache/pictures/chat.png .cache/pictures/console.png docs/pictures/

test: ## Run everything that CI runs
	@tools/test.sh

plugins: ## Build the demo bot's plugins whose languages are available on this machine
	@tools/setup.sh --build
	@tools/frontend.sh
	@$(BUILD)
	@$(TARGET)/release/banter plugin build --available

test-engine: ## Run only the engine's tests, without compiling the server
	@cargo test -q --workspace --locked --test engine --test meaning --test paraphrases

lint: ## Check formatting and run clippy
	@cargo fmt --all --check && cargo clippy --workspace --all-targets --locked -- -D warnings

bench: ## Run all benchmarks and compare with their baselines
	@for bench in accuracy scope noise peers model index scale serve overload dialogue values memory waiting reports pages fleet plugins replay reload sync; do echo "== $$bench"; bench/$$bench || exit 1; done

services-up: ## Start PostgreSQL, MongoDB and Redis on spare ports, and print their URLs
	@services/services.sh up

services-down: ## Stop the services
	@services/services.sh down

services-env: ## Print export lines for the services: eval "$$(make -s services-env)"
	@services/services.sh env

faults: ## Break servers and stores under load, and count lost messages
	@tools/setup.sh && cargo test -q --workspace --locked --test faults -- --nocapture --test-threads 1

instructions: ## Count the instructions of a turn, and compare with those recorded
	@tools/instructions.sh

fuzz: ## Give each parser a minute of damaged inputs (FUZZ_SECONDS=600 for ten, FUZZ_TARGET=bot for one)
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) cargo test -q --workspace --locked --test fuzz -- --nocapture

deny: ## Check licences, bans, sources and advisories of the dependencies (needs the advisory database)
	@tools/deny.sh bans licenses sources advisories

sbom: ## Write the bill of materials (CycloneDX) of the program to .cache/sbom/
	@tools/cargo_tool.sh cargo-cyclonedx 0.5.9
	@PATH="$(CURDIR)/.cache/cargo-tools/bin:$$PATH" tools/sbom.sh

clean: ## Remove everything that was built or fetched
	@services/services.sh reset; rm -rf target .cache .banter frontend/dist frontend/node_modules
