#!/usr/bin/env bash
# cargo_tool.sh NAME VERSION: compiles a tool of cargo into .cache/cargo-tools, unless it is there. Cargo checks every
# package against the hash in the tool's own lock file.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1 version=$2 root=$PWD/.cache/cargo-tools
grep -qs "^\"$name $version " "$root/.crates.toml" && exit 0
printf 'compiling %s %s; this takes some minutes\n' "$name" "$version" >&2
# Without optimisation: they run for seconds, and compile in a fraction of the time.
cargo install --quiet --debug --locked --root "$root" --target-dir "$root/target" "$name" --version "=$version"
