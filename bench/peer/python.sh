#!/usr/bin/env bash
# Installs semantic-router with its numpy, tokenizers and onnxruntime, pinned and checked by hash, into
# .cache/bench/peers/python, and prints that folder. Needs Python 3.11 with pip.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$here/../../.cache/bench/peers
mkdir -p "$folder"
lock=$(python3 --version; sha256sum "$here/semantic_router/requirements.txt")
if [ "$(cat "$folder/python.lock" 2>/dev/null)" != "$lock" ]; then
  rm -rf "$folder/python"
  python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps --require-hashes \
    --only-binary=:all: --target "$folder/python" -r "$here/semantic_router/requirements.txt" >&2
  printf '%s' "$lock" >"$folder/python.lock"
fi
printf '%s\n' "$folder/python"
