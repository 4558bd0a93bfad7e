#!/usr/bin/env bash
# Builds the pages into frontend/dist, which the server embeds.
#   frontend.sh              where npm exists; elsewhere says what is missing, and the server runs without pages
#   frontend.sh --required   fails without npm
set -euo pipefail
cd "$(dirname "$0")/../frontend"

level=warning
[ "${1:-}" != --required ] || level=error

without() { # REASON HINT
  printf '%s: %s\nhint: %s\n' "$level" "$1" "$2" >&2
  [ "$level" = warning ] && exit 0 || exit 1
}

command -v npm >/dev/null || without "npm is not on the PATH, so the server has no pages" "install Node.js 20.19 or newer with npm"
version=$(node --version | tr -d v)
[ "$(printf '20.19.0\n%s\n' "$version" | sort -V | head -1)" = 20.19.0 ] ||
  without "Node.js is $version, but the pages need 20.19 or newer" "install a newer Node.js with npm"

# What the pages are made of. Nothing is built when it has not changed.
sources=$(find . -path ./node_modules -prune -o -path ./dist -prune -o -name schema.d.ts -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
stamp=../.cache/frontend.stamp
if [ -f dist/index.html ] && [ -f dist/widget.js ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sources" ]; then
  exit 0
fi

log=../.cache/frontend.log
mkdir -p ../.cache dist
failed() { tail -15 "$log" >&2; without "$1" "see .cache/frontend.log"; }
lock=$(sha256sum package-lock.json)
if [ "$(cat node_modules/.lock 2>/dev/null)" != "$lock" ]; then
  printf 'frontend: fetching packages\n' >&2
  # No package's own scripts run.
  npm ci --ignore-scripts --no-audit --no-fund >"$log" 2>&1 || failed "npm cannot fetch the packages of the pages"
  printf '%s' "$lock" >node_modules/.lock
fi
printf 'frontend: building the pages\n' >&2
npm run build >"$log" 2>&1 || failed "the pages cannot be built"
printf '%s' "$sources" >"$stamp"
