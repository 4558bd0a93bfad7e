#!/usr/bin/env bash
# The tests of the pages: units, types, and the pages in Chromium against the program PROGRAM.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }

if ! command -v npm >/dev/null; then
  [ -z "${CI:-}" ] || die "npm is not on the PATH" "install Node.js 20.19 or newer with npm"
  echo "the pages were not tested: npm is not on the PATH"
  exit 0
fi
# CHROMIUM names another browser.
command -v "${CHROMIUM:=chromium}" >/dev/null || tools/debian.sh chromium fonts-dejavu-core
CHROMIUM=$(command -v "$CHROMIUM")
export CHROMIUM
tools/frontend.sh --required
cd frontend
npm run --silent check
npm test --silent
exec npx vitest run --config vitest.browser.config.ts
