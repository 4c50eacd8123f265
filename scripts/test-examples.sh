#!/usr/bin/env bash
# Runs the examples of the README's section "Tell it what to expect" as they stand there, but
# for the path of the socket, against a daemon that is told an outcome while they wait.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
for program in curl python3 node go; do need "$program" "the README has an example for it"; done

dir=$(mktemp -d "${TMPDIR:-/tmp}/moverisd-examples.XXXXXX")
daemon=
cleanup() {
  trap - EXIT INT TERM
  if [ -n "$daemon" ]; then kill "$daemon" 2>/dev/null || true; wait "$daemon" 2>/dev/null || true; fi
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# example LANGUAGE N: the N-th block of a language in that section.
example() {
  awk -v lang="$1" -v n="$2" '
    /^## / { here = ($0 == "## Tell it what to expect") }
    here && $0 == "```" lang { if (++seen == n) { on = 1; next } }
    on && $0 == "```" { exit }
    on' README.md | sed "s#/run/moverisd/moverisd.sock#$dir/moverisd.sock#"
}

build_into "$dir"
echo sk-of-the-examples > "$dir/key"
echo whsec-of-the-examples > "$dir/secret"
cat > "$dir/moverisd.toml" <<TOML
[webhook]
listen = "127.0.0.1:0"
[api]
socket = "$dir/moverisd.sock"
[store]
path = "$dir/moverisd.db"
[[account]]
base_url = "http://127.0.0.1:9"
api_key = "file:$dir/key"
webhook_secrets = [ { label = "one", secret = "file:$dir/secret" } ]
TOML
"$dir/moverisd" run --config "$dir/moverisd.toml" 2> "$dir/log" &
daemon=$!
for _ in $(seq 100); do [ -S "$dir/moverisd.sock" ] && break; sleep 0.1; done

mkdir "$dir/go"
example sh 2 > "$dir/example.sh"
example python 1 > "$dir/example.py"
example js 1 > "$dir/example.js"
example go 1 > "$dir/go/main.go"
go build -o "$dir/example" "$dir/go/main.go"

# try NAME SESSION COMMAND...: run an example, tell an outcome once it waits, and look at what
# it printed.
try() {
  local name=$1 session=$2 out
  shift 2
  (
    until curl --fail --silent --unix-socket "$dir/moverisd.sock" "http://moverisd/v1/sessions/$session" > /dev/null; do sleep 0.1; done
    sleep 0.3
    echo "{\"session_id\":\"$session\",\"verdict\":\"live\"}" | "$dir/moverisd" submit - --socket "$dir/moverisd.sock" > /dev/null
  ) &
  out=$("$@")
  wait $!
  case $out in
    *settled*live*) echo "$name: passed" ;;
    *) echo "$name: FAILED: $out" >&2; return 1 ;;
  esac
}

try curl my-session-1 bash -e "$dir/example.sh"
try python my-session-2 python3 "$dir/example.py"
try node my-session-3 node "$dir/example.js"
try go my-session-4 "$dir/example"
example sh 3 > "$dir/submit.sh"
bash -e "$dir/submit.sh" 2> /dev/null | grep -q '"submitted"'
echo "submit: passed"
