#!/usr/bin/env bash
# Counts the instructions of a turn under Valgrind, and fails if there are more than recorded (tools/instructions.txt).
# Counts do not depend on what else the machine does.
#   instructions.sh            compares
#   instructions.sh --record   records this build's counts; set CARGO_INCREMENTAL=0 as CI does, because incremental builds
#                              take up to 1.5 % fewer
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }

tolerance=3 # percent; two runs of one build differ by a tenth of a percent
recorded=tools/instructions.txt
rustc=$(rustc --version | cut -d' ' -f2)
if [ "${1:-}" != --record ] && [ "$(sed -n 's/^rustc //p' "$recorded")" != "$rustc" ]; then
  printf 'instructions were not compared: they were recorded with rustc %s, and this is %s\n' \
    "$(sed -n 's/^rustc //p' "$recorded")" "$rustc"
  exit 0
fi
command -v valgrind >/dev/null || tools/debian.sh valgrind libc6-dbg

cargo build --quiet --locked --workspace --example instructions
program=${CARGO_TARGET_DIR:-$PWD/target}/debug/examples/instructions
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$program" "$work" plain >/dev/null # fits the classifier once

count() { # KIND: prints the instructions of a turn
  local turns
  turns=$(RAYON_NUM_THREADS=1 valgrind --tool=callgrind --callgrind-out-file="$work/out" --collect-atstart=no \
    --toggle-collect='*guarded_turn*' "$program" "$work" "$1" 2>"$work/log") || die "Valgrind failed: $(tail -1 "$work/log")" "run $program under valgrind"
  echo $(($(sed -n 's/.*Collected : //p' "$work/log") / turns))
}

kinds=(plain form unclear)
if [ "${1:-}" = --record ]; then
  printf 'rustc %s\n' "$rustc" >"$work/new"
  for kind in "${kinds[@]}"; do
    now=$(count "$kind")
    printf '%s %s\n' "$kind" "$now" >>"$work/new"
  done
  mv "$work/new" "$recorded"
  exit 0
fi
more=
for kind in "${kinds[@]}"; do
  now=$(count "$kind")
  before=$(sed -n "s/^$kind //p" "$recorded")
  permille=$((now * 1000 / before))
  printf '%-8s %9d instructions a turn, recorded %9d, ratio %d.%03d\n' "$kind" "$now" "$before" $((permille / 1000)) $((permille % 1000))
  [ "$permille" -le $((1000 + tolerance * 10)) ] || more=1
done
[ -z "$more" ] ||
  die "a turn takes more instructions than recorded (tolerance $tolerance %)" \
      "make it cheaper, or record the new counts with tools/instructions.sh --record and say why in the commit"
