#!/usr/bin/env bash
# Shows that the tests notice when a promise is broken: applies each patch of
# scripts/mutants to a copy of the tree and runs the tests that it names until one fails.
#
#   scripts/mutants.sh [NAME...]
#
# A patch begins with what it breaks, and a line "Tests:" with packages and rows of the fault
# suite. A patch that does not apply, or does not build, is an error, not a kill.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
need go "install Go 1.26 or newer from https://go.dev/dl/"
need patch "apt-get install patch"

dir=$(mktemp -d "${TMPDIR:-/tmp}/moverisd-mutants.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

# survives TEST: the mutant passes it. A package, or a row of the fault suite.
survives() {
  case "$1" in
    ./*) (cd "$dir/tree" && timeout 180 go test -count=1 -failfast -timeout 150s "$1") ;;
    *) (cd "$dir/tree" && timeout 180 go test -count=1 -timeout 150s ./cmd/moverisd -run "^TestFaults\$/^$1\$" -faults) ;;
  esac > "$dir/log" 2>&1
}

killed=0 survived=()
patches=(scripts/mutants/*.patch)
[ $# -eq 0 ] || patches=("${@/#/scripts/mutants/}") patches=("${patches[@]/%/.patch}")
for patch in "${patches[@]}"; do
  name=$(basename "$patch" .patch)
  rm -rf "$dir/tree"
  mkdir "$dir/tree"
  cp -r cmd internal configs scripts systemd go.mod go.sum README.md "$dir/tree/"
  if ! patch -d "$dir/tree" -p1 --quiet --forward < "$patch" > "$dir/log" 2>&1 ||
    ! (cd "$dir/tree" && go vet ./cmd/moverisd > "$dir/log" 2>&1); then
    echo "$name does not apply or does not build: make the patch again" >&2
    cat "$dir/log" >&2
    exit 1
  fi
  by='' start=$SECONDS
  read -r -a tests < <(sed -n 's/^Tests: //p' "$patch")
  for test in "${tests[@]}"; do
    if ! survives "$test"; then
      if grep -q 'build failed\|setup failed\|no tests to run\|mend the mutant' "$dir/log"; then
        cat "$dir/log" >&2
        exit 1
      fi
      by="$test $(grep -o -m1 -e '--- FAIL: [^ ]*' "$dir/log" | head -1 | cut -c10- || true)"
      break
    fi
  done
  if [ -n "$by" ]; then
    killed=$((killed + 1))
    printf '%-20s killed by %s (%d s)\n' "$name" "$by" $((SECONDS - start))
  else
    survived+=("$name")
    printf '%-20s SURVIVED: %s\n' "$name" "$(head -1 "$patch")"
  fi
done
echo "mutants: $killed killed, ${#survived[@]} survived"
[ "${#survived[@]}" -eq 0 ]
