#!/usr/bin/env bash
# Shows moverisd at work: a simulated Moveris runs checks and loses, delays, repeats and
# forges webhooks; moverisd receives what arrives and polls for the rest; at the end every
# session is compared. Exit code 1 if one verdict is wrong or absent.
#
#   scripts/demo.sh [--sessions N] [--duration 30s] [--seed N] [--keep]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

sessions=300 duration=30s seed=$RANDOM keep=
while [ $# -gt 0 ]; do
  case "$1" in
    --sessions) sessions=$2; shift 2 ;;
    --duration) duration=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --keep) keep=1; shift ;;
    *) echo "usage: scripts/demo.sh [--sessions N] [--duration 30s] [--seed N] [--keep]" >&2; exit 64 ;;
  esac
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/moverisd-demo.XXXXXX")
pids=()
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
  trap - EXIT INT TERM
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [ -n "$keep" ]; then echo "kept: $dir"; else rm -rf "$dir"; fi
}
trap cleanup EXIT
trap 'echo; echo "interrupted" >&2; exit 130' INT TERM

# wait_for WHAT COMMAND...: until it succeeds, at most ten seconds.
wait_for() {
  local what=$1 _
  shift
  for _ in $(seq 100); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  echo "$what did not start; its log:" >&2
  cat "$dir"/*.log >&2
  exit 1
}

echo "building …"
build_into "$dir"

umask 077
head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$dir/key"
head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$dir/secret"
port=$((20000 + RANDOM % 20000))
api=127.0.0.1:$port hook=127.0.0.1:$((port + 1))
cat > "$dir/moverisd.toml" <<TOML
[webhook]
listen = "$hook"
[api]
socket = "$dir/moverisd.sock"
[store]
path = "$dir/moverisd.db"
[poll]
schedule = "@every 2s"
grace_period = "3s"
backoff_min = "2s"
[[account]]
name = "demo"
base_url = "http://$api"
api_key = "file:$dir/key"
requests_per_minute = 240
webhook_secrets = [ { label = "demo-1", secret = "file:$dir/secret" } ]
TOML

"$dir/moveris-sim" serve --listen "$api" --api-key-file "$dir/key" 2> "$dir/sim.log" &
pids+=($!)
"$dir/moverisd" run --config "$dir/moverisd.toml" 2> "$dir/moverisd.log" &
pids+=($!)
export MOVERISD_CONFIG=$dir/moverisd.toml
wait_for "the simulated Moveris" grep -q 'Moveris on' "$dir/sim.log"
wait_for moverisd "$dir/moverisd" sessions

echo "running $sessions checks in $duration; of their webhooks 30 % are lost, 10 % repeated, 10 % late, 5 % forged"
echo
result=0
"$dir/moveris-sim" traffic --api "http://$api" --socket "$dir/moverisd.sock" \
  --webhook-url "http://$hook/api/moveris/webhook" --secret-file "$dir/secret" \
  --sessions "$sessions" --duration "$duration" --seed "$seed" \
  --lose 0.30 --delay 0.10 --duplicate 0.10 --reorder 0.05 --forge 0.05 > "$dir/traffic.out" || result=$?

echo
echo "── moverisd status"
"$dir/moverisd" status || true
rescued=$(sed -n 's/^rescued example: //p' "$dir/traffic.out" | head -1)
if [ -n "$rescued" ]; then
  echo
  echo "── a session whose webhook was lost: moverisd sessions show $rescued"
  "$dir/moverisd" sessions show "$rescued"
fi
echo
echo "── the comparison of every session with what Moveris decided"
cat "$dir/traffic.out"
exit "$result"
