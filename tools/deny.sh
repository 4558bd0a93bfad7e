#!/usr/bin/env bash
# deny.sh CHECK…: checks the dependencies of the workspace, the plugins and the tests' guests against deny.toml with
# cargo-deny, which is compiled once. The checks `bans licenses sources` need no network; `advisories` does.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/cargo_tool.sh cargo-deny 0.20.2
for lock in Cargo.lock $(git ls-files '*/Cargo.lock'); do
  printf '%s: ' "$(dirname "$lock")"
  .cache/cargo-tools/bin/cargo-deny --manifest-path "${lock%lock}toml" --locked --config deny.toml \
    check --hide-inclusion-graph "$@"
done
