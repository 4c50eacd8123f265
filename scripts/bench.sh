#!/usr/bin/env bash
# Measures moverisd beside a handler that stores nothing and a store as a first attempt would
# make it, and a large store beside a small one. Prints a table of loads and one of ratios;
# --json FILE writes every figure of every round.
#
#   scripts/bench.sh [--rounds 5] [--length 2s] [--large 1000000] [--keep DIR] [--parts load,open,overdue,size]
#                    [--json FILE] [--profile FILE]
#
# --profile writes a profile of moverisd's listener and store under load, for "go tool pprof".
# All that is compared runs in turns, on loopback, with the load generator on the same
# processors. --large 10000000 needs 8 GB of disk and about ten minutes to fill the store; with
# --keep it is filled once. A bound that is missed is said, and is no failure: machines differ.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

args=()
while [ $# -gt 0 ]; do
  case "$1" in
    --rounds | --length | --connections | --small | --large | --keep | --parts | --json | --profile)
      [ $# -ge 2 ] || { echo "$1 needs a value" >&2; exit 64; }
      case "$1" in
        --keep | --json | --profile) args+=("-${1#--}=$(realpath -m "$2")") ;;
        *) args+=("-${1#--}=$2") ;;
      esac
      shift 2 ;;
    *) sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
  esac
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/moverisd-bench.XXXXXX")
trap 'rm -rf "$dir"' EXIT
case "$(stat -f -c %T "$dir")" in
  tmpfs | ramfs) echo "$dir is in memory, where fsync costs nothing: set TMPDIR to a directory on a disk" >&2; exit 1 ;;
esac
echo "building …" >&2
build_into "$dir"
go test -c -o "$dir/bench" ./cmd/moverisd
"$dir/bench" -dir "$dir" "${args[@]}"
