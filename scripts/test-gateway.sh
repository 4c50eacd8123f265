#!/usr/bin/env bash
# Runs Moveris' own client, npm @moveris/shared, through `moverisd gateway` against
# moveris-sim, with a daemon that records. Without Node, npm or the registry it says so: that
# is an error in CI, where CI=true, and left out elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

# leave_out WHY: the end, where something is missing.
leave_out() {
  echo "the gateway is not tested with the official client: $1" >&2
  if [ "${CI:-}" = true ]; then exit 1; fi
  exit 0
}

command -v node >/dev/null 2>&1 || leave_out "node is missing, install Node.js 20 or newer"
command -v npm >/dev/null 2>&1 || leave_out "npm is missing, it comes with Node.js"
need go "install Go 1.26 or newer from https://go.dev/dl/"

dir=$(mktemp -d "${TMPDIR:-/tmp}/moverisd-gateway.XXXXXX")
pids=()
cleanup() {
  trap - EXIT INT TERM
  for pid in "${pids[@]}"; do kill -CONT "$pid" 2>/dev/null || true; kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cp scripts/npm-client/package.json scripts/npm-client/gateway.test.mjs "$dir/"
(cd "$dir" && npm install --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error) ||
  leave_out "npm could not install @moveris/shared, see above"
build_into "$dir"

# await LOG PATTERN: the first match of a sed pattern in a log, which some program is to write.
await() {
  local found
  for _ in $(seq 100); do
    found=$(sed -n "$2" "$1" | head -n 1)
    if [ -n "$found" ]; then
      echo "$found"
      return
    fi
    sleep 0.1
  done
  echo "it did not start; its log:" >&2
  cat "$1" >&2
  return 1
}

key=sk-npm-client-test
printf '%s' "$key" > "$dir/key"
printf 'whsec-npm-client-test' > "$dir/secret"
"$dir/moveris-sim" serve --listen 127.0.0.1:0 --api-key "$key" --rate -1 2> "$dir/sim.log" &
pids+=($!)
sim=$(await "$dir/sim.log" 's/^moveris-sim: Moveris on \([^,]*\),.*/\1/p')

cat > "$dir/moverisd.toml" <<TOML
[webhook]
listen = "127.0.0.1:0"
[api]
socket = "$dir/moverisd.sock"
[store]
path = "$dir/moverisd.db"
[gateway]
listen = "127.0.0.1:0"
[[account]]
base_url = "$sim"
api_key = "file:$dir/key"
webhook_secrets = [ { label = "one", secret = "file:$dir/secret" } ]
TOML
"$dir/moverisd" run --config "$dir/moverisd.toml" 2> "$dir/daemon.log" &
daemon=$!
pids+=("$daemon")
await "$dir/daemon.log" '/ready/p' > "$dir/ready"
"$dir/moverisd" gateway --config "$dir/moverisd.toml" 2> "$dir/gateway.log" &
pids+=($!)
listen=$(await "$dir/gateway.log" 's/.*ready.* listen=\([0-9.:]*\).*/\1/p')

cd "$dir"
SIM_URL=$sim SIM_KEY=$key GATEWAY_URL=http://$listen SOCKET=$dir/moverisd.sock DAEMON_PID=$daemon node --test gateway.test.mjs
if grep -q "$key\|pixels" "$dir/gateway.log"; then
  echo "the gateway's log holds what it must not" >&2
  exit 1
fi
