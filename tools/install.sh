#!/usr/bin/env bash
# Installs banter: install.sh PROGRAM PREFIX
#   PREFIX/bin/banter                the program
#   PREFIX/lib/banter/onnxruntime    the runtime
#   PREFIX/lib/banter/encoders       the encoders
#   PREFIX/lib/banter/plugin-tools   the compilers of plugins, as far as `banter plugin build` has fetched them
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1 prefix=$2
die() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }

mkdir -p "$prefix/bin" "$prefix/lib/banter" 2>/dev/null && [ -w "$prefix/bin" ] && [ -w "$prefix/lib/banter" ] ||
  die "cannot write to $prefix" "choose another folder: make install PREFIX=DIR"

# Copies beside the old and swaps, so that a running server never reads half a file.
place() { # FROM TO
  rm -rf "$2.new" && cp -R "$1" "$2.new" && rm -rf "$2" && mv "$2.new" "$2"
}
place "$program" "$prefix/bin/banter"
place .cache/onnxruntime "$prefix/lib/banter/onnxruntime"
rm -rf "$prefix/lib/banter/model" # of versions with one encoder
place .cache/encoders "$prefix/lib/banter/encoders"
mkdir -p "$prefix/lib/banter/plugin-tools"
for language in js python; do
  [ ! -f ".cache/plugin-tools/$language/stamp" ] ||
    place ".cache/plugin-tools/$language" "$prefix/lib/banter/plugin-tools/$language"
done

printf 'banter is installed in %s\n' "$prefix/bin"
case ":$PATH:" in
  *":$prefix/bin:"*) ;;
  *) printf 'hint: add it to the PATH: export PATH="%s:$PATH"\n' "$prefix/bin" ;;
esac
