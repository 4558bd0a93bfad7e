#!/usr/bin/env bash
# Installs Debian packages by name, if this is root on Debian; else says how: debian.sh PACKAGE…
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }

[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || die "$1 is not installed" "on Debian: sudo apt-get install $*"
printf 'apt-get install %s\n' "$*"
mkdir -p .cache
log=.cache/$1.log
{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >"$log" 2>&1 ||
  die "cannot install $1" "see $log"
