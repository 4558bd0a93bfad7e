# `make run` is the main job, `make test` all that CI runs.
SHELL := /bin/bash
TARGET := $(or $(CARGO_TARGET_DIR),target)
RUN ?=

.PHONY: help run setup plugins test test-engine lint bench services-up services-down services-env faults clean

help: ## This list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

run: ## Fetch what is needed, build, and serve the demo bot on 127.0.0.1:8000 (RUN="--port 8001" passes options)
	@tools/setup.sh --build
	@cargo build --release --locked -p banter-server
	@$(TARGET)/release/banter plugin build --available
	@exec $(TARGET)/release/banter serve $(RUN)

setup: ## Fetch ONNX Runtime and the model into .cache/
	@tools/setup.sh

test: ## All that CI runs
	@tools/test.sh

plugins: ## Build the demo bot's plugins, those whose languages are on this machine
	@tools/setup.sh --build
	@cargo build --release --locked -p banter-server
	@$(TARGET)/release/banter plugin build --available

test-engine: ## The engine's tests alone: no server is compiled
	@cargo test -q -p banter-engine --lib --tests

lint: ## Format and clippy
	@cargo fmt --all --check && cargo clippy --workspace --all-targets --locked -- -D warnings

bench: ## All measurements, with their baselines
	@for bench in accuracy index serve fleet plugins replay reload; do echo "== $$bench"; bench/$$bench || exit 1; done

services-up: ## Start PostgreSQL, MongoDB and Redis on spare ports, and print their URLs
	@services/services.sh up

services-down: ## Stop them
	@services/services.sh down

services-env: ## Export lines for them: eval "$$(make -s services-env)"
	@services/services.sh env

faults: ## Break servers and stores under load, and count what was lost
	@tools/setup.sh && cargo test -q --workspace --locked --test faults -- --nocapture --test-threads 1

clean: ## Remove all that was built and fetched
	@services/services.sh reset; rm -rf target .cache .banter
