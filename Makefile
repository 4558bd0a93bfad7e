# `make run` is the main job, `make test` all that CI runs.
SHELL := /bin/bash
TARGET := $(or $(CARGO_TARGET_DIR),target)
RUN ?=

.PHONY: help run setup test test-engine lint bench clean

help: ## This list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

run: ## Fetch what is needed, build, and serve the demo bot on 127.0.0.1:8000 (RUN="--port 8001" passes options)
	@tools/setup.sh --build
	@cargo build --release --locked -p banter-server
	@exec $(TARGET)/release/banter serve $(RUN)

setup: ## Fetch ONNX Runtime and the model into .cache/
	@tools/setup.sh

test: ## All that CI runs
	@tools/test.sh

test-engine: ## The engine's tests alone: no server is compiled
	@cargo test -q -p banter-engine --lib --tests

lint: ## Format and clippy
	@cargo fmt --all --check && cargo clippy --workspace --all-targets --locked -- -D warnings

bench: ## All measurements, with their baselines
	@for bench in accuracy index serve; do echo "== $$bench"; bench/$$bench || exit 1; done

clean: ## Remove all that was built and fetched
	@rm -rf target .cache .banter
