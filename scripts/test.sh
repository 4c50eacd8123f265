#!/usr/bin/env bash
# Runs every check that needs nothing but Go. Slower ones are in .ci/run.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
need go "install Go 1.26 or newer from https://go.dev/dl/"

echo "== format"
unformatted=$(gofmt -l cmd internal)
if [ -n "$unformatted" ]; then
  echo "not formatted, run gofmt -w: $unformatted" >&2
  exit 1
fi

echo "== vet"
go vet ./...

echo "== the driver's C library"
libc_pin

staticcheck=$(command -v staticcheck || true)
[ -n "$staticcheck" ] || { [ -x "$(go env GOPATH)/bin/staticcheck" ] && staticcheck="$(go env GOPATH)/bin/staticcheck"; } || true
if [ -n "$staticcheck" ]; then
  echo "== staticcheck"
  "$staticcheck" ./...
elif [ "${CI:-}" = true ]; then
  echo "staticcheck is missing on CI" >&2
  exit 1
else
  echo "== staticcheck is not installed, left out (go install honnef.co/go/tools/cmd/staticcheck@v0.8.2)"
fi

echo "== tests"
go test "$@" ./...
