# shellcheck shell=bash
# Helpers that the scripts share. Source it from the repository's root.

# need NAME HINT: stop with a hint if a program is missing.
need() {
  command -v "$1" >/dev/null 2>&1 && return
  echo "$1 is missing: $2" >&2
  exit 1
}

# build_into DIR: build the daemon and the simulated Moveris as static binaries.
build_into() {
  need go "install Go 1.26 or newer from https://go.dev/dl/"
  CGO_ENABLED=0 go build -trimpath -o "$1/" ./cmd/moverisd ./cmd/moveris-sim
}

# libc_pin: the driver's C library must be the version the driver was made with.
libc_pin() {
  local pin want have
  go mod download modernc.org/sqlite
  pin=$(go list -m -f '{{.GoMod}}' modernc.org/sqlite)
  want=$(awk '/modernc.org\/libc v/ { for (i = 1; i <= NF; i++) if ($i ~ /^v[0-9]/) { print $i; exit } }' "$pin")
  have=$(go list -m -f '{{.Version}}' modernc.org/libc)
  if [ -z "$want" ] || [ "$want" != "$have" ]; then
    echo "modernc.org/libc is $have, but modernc.org/sqlite needs ${want:-an unknown version}" >&2
    return 1
  fi
}
