#!/usr/bin/env bash
# Writes the bill of materials of the program, with everything that is linked into it, to .cache/sbom/banter.cdx.json.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .cache/sbom
cargo cyclonedx --quiet --manifest-path cli/Cargo.toml --format json --describe binaries --target x86_64-unknown-linux-gnu
mv cli/banter_bin.cdx.json .cache/sbom/banter.cdx.json
# It writes one for every program of the workspace.
rm -f ./*/*.cdx.json
printf '%s\n' .cache/sbom/banter.cdx.json
