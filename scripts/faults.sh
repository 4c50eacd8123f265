#!/usr/bin/env bash
# Runs the fault suite: real daemons that are killed, starved, lied to and given broken disks.
# It prints a table and ends with "faults: N passed, N failed".
#
#   scripts/faults.sh [--long] [--only NAME]
#
# The short form takes at most twelve minutes on two cores, the long one about an hour. NAME
# is a row of the table, its blanks as dashes. It needs root, for a small tmpfs, and strace.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

long=() limit=20m row=
while [ $# -gt 0 ]; do
  case "$1" in
    --long) long=(-faults.long) limit=120m; shift ;;
    --only) row="/^${2:?a row}\$"; shift 2 ;;
    *) echo "usage: scripts/faults.sh [--long] [--only NAME]" >&2; exit 64 ;;
  esac
done

need go "install Go 1.26 or newer from https://go.dev/dl/"
[ "$(id -u)" = 0 ] || { echo "the fault suite needs root, for a small tmpfs" >&2; exit 1; }
if ! command -v strace >/dev/null && [ "${CI:-}" = true ]; then
  apt-get update > /dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends strace > /dev/null
fi
need strace "apt-get install strace"

log=$(mktemp "${TMPDIR:-/tmp}/moverisd-faults.XXXXXX")
trap 'rm -f "$log"' EXIT
status=0
(cd cmd/moverisd && go test -count=1 -timeout "$limit" -run "^TestFaults\$$row" -faults "${long[@]}") | tee "$log" || status=1
grep '^faults: ' "$log" || { echo "faults: the suite did not end"; exit 1; }
exit "$status"
