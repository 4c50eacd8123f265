#!/usr/bin/env bash
# Runs Moveris' own client, npm @moveris/shared, against moveris-sim. Without Node, npm or
# the registry it says so: that is an error in CI, where CI=true, and left out elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

# leave_out WHY: the end, where something is missing.
leave_out() {
  echo "the official client is not tested: $1" >&2
  if [ "${CI:-}" = true ]; then exit 1; fi
  exit 0
}

command -v node >/dev/null 2>&1 || leave_out "node is missing, install Node.js 20 or newer"
command -v npm >/dev/null 2>&1 || leave_out "npm is missing, it comes with Node.js"
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || leave_out "node is version $(node --version), 20 or newer is needed"
need go "install Go 1.26 or newer from https://go.dev/dl/"

dir=$(mktemp -d "${TMPDIR:-/tmp}/moverisd-npm.XXXXXX")
sim=
cleanup() {
  trap - EXIT INT TERM
  if [ -n "$sim" ]; then
    kill "$sim" 2>/dev/null || true
    wait "$sim" 2>/dev/null || true
  fi
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cp scripts/npm-client/package.json scripts/npm-client/client.test.mjs "$dir/"
(cd "$dir" && npm install --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error) ||
  leave_out "npm could not install @moveris/shared, see above"

CGO_ENABLED=0 go build -trimpath -o "$dir/" ./cmd/moveris-sim
key=sk-npm-client-test
"$dir/moveris-sim" serve --listen 127.0.0.1:0 --api-key "$key" --rate -1 2> "$dir/sim.log" &
sim=$!
url=
for _ in $(seq 100); do
  url=$(sed -n 's/^moveris-sim: Moveris on \([^,]*\),.*/\1/p' "$dir/sim.log")
  [ -z "$url" ] || break
  sleep 0.1
done
if [ -z "$url" ]; then
  echo "moveris-sim did not start; its log:" >&2
  cat "$dir/sim.log" >&2
  exit 1
fi

cd "$dir"
SIM_URL=$url SIM_KEY=$key node --test client.test.mjs
