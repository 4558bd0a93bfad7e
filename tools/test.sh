#!/usr/bin/env bash
# All that CI runs; each step with the time it took. Stops at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."

steps=()
step() { # NAME COMMAND…
  local name=$1 start=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  if ! "$@"; then
    printf '\n%s failed after %d s\n' "$name" $((SECONDS - start)) >&2
    exit 1
  fi
  steps+=("$(printf '%6d s  %s' $((SECONDS - start)) "$name")")
}

check_python() { python3 -m py_compile tools/*.py && rm -rf tools/__pycache__; }
check_shell() { for file in tools/*.sh bench/run .ci/run; do bash -n "$file" || return 1; done; }

step "runtime and model" tools/setup.sh --build
step "scripts" check_shell
step "python" check_python
step "format" cargo fmt --all --check
step "clippy" cargo clippy --workspace --all-targets --locked -- -D warnings
step "docs" env RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked --quiet
step "tests" env INSTA_CI=1 INSTA_UPDATE=no cargo test --workspace --locked
step "demo bot" cargo run --quiet --locked -p banter-server -- check --data-dir .cache/check

printf '\n== time\n'
printf '%s\n' "${steps[@]}"
