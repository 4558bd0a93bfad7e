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
if ! command -v "${CHROMIUM:=chromium}" >/dev/null; then
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
    die "Chromium is not installed" "on Debian: sudo apt-get install chromium; or name another with CHROMIUM"
  echo "apt-get install chromium"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } \
    >.cache/chromium.log 2>&1 || die "cannot install chromium" "see .cache/chromium.log"
fi
CHROMIUM=$(command -v "$CHROMIUM")
export CHROMIUM
tools/frontend.sh --required
cd frontend
npm run --silent check
npm test --silent
exec npx vitest run --config vitest.browser.config.ts
