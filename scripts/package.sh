#!/usr/bin/env bash
# Makes what is released: static binaries, .deb and .rpm packages, a CycloneDX document for each
# binary, and SHA256SUMS over all of them. The same commit gives the same bytes.
#
#   scripts/package.sh [DIR] [--version V] [--arch amd64,arm64] [--format deb,rpm]
#
# DIR is .build unless given. The version is that of the commit's tag, vX.Y.Z; without one it is
# 0.0.0~git<date>.<commit>. SOURCE_DATE_EPOCH is the time of all files, that of the commit if it
# is not set; outside a clone, set it and --version.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
nfpm_version=v2.44.0

usage() {
  echo "usage: scripts/package.sh [DIR] [--version V] [--arch amd64,arm64] [--format deb,rpm]" >&2
  exit 64
}

out='' version='' archs=amd64,arm64 formats=deb,rpm
while [ $# -gt 0 ]; do
  case "$1" in
    --version) version=${2:?}; shift 2 ;;
    --arch) archs=${2:?}; shift 2 ;;
    --format) formats=${2:?}; shift 2 ;;
    -*) usage ;;
    *) [ -z "$out" ] || usage; out=$1; shift ;;
  esac
done
out=${out:-.build}
need go "install Go 1.26 or newer from https://go.dev/dl/"

# from_git WHAT COMMAND...: what only a clone knows.
from_git() {
  local what=$1
  shift
  git -c safe.directory='*' "$@" 2>/dev/null || { echo "this is no clone: set $what" >&2; exit 1; }
}

if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then SOURCE_DATE_EPOCH=$(from_git SOURCE_DATE_EPOCH log -1 --format=%ct); fi
if [ -z "$version" ]; then
  tag=$(git -c safe.directory='*' describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null || true)
  version=${tag#v}
fi
if [ -z "$version" ]; then
  version=0.0.0~git$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S).$(from_git --version rev-parse --short=12 HEAD)
fi
export SOURCE_DATE_EPOCH VERSION=$version
# Nothing of the builder's time zone, language or file modes gets into a package.
export TZ=UTC LC_ALL=C
umask 022

work=$(mktemp -d "${TMPDIR:-/tmp}/moverisd-package.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work/bin" "$work/result"
out=$(cd "$out" && pwd)

# build ARCH FILE: a static binary, without paths of the machine that builds it. The state of
# the clone is left out: the version says it, and a tarball has none.
build() {
  CGO_ENABLED=0 GOOS=linux GOARCH=$1 GOFLAGS='' GOAMD64=v1 GOARM64=v8.0 \
    go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$version" -o "$2" ./cmd/moverisd
}

# shared DIR: what lies under /usr/share, made by the program itself.
shared() {
  mkdir -p "$1/bash-completion/completions" "$1/zsh/vendor-completions" "$1/zsh/site-functions" \
    "$1/fish/vendor_completions.d" "$1/doc/moverisd"
  "$work/bin/native" completion bash > "$1/bash-completion/completions/moverisd"
  "$work/bin/native" completion fish > "$1/fish/vendor_completions.d/moverisd.fish"
  # Debian reads the first, others the second.
  "$work/bin/native" completion zsh > "$1/zsh/vendor-completions/_moverisd"
  cp "$1/zsh/vendor-completions/_moverisd" "$1/zsh/site-functions/_moverisd"
  cp README.md configs/moverisd.toml "$1/doc/moverisd/"
  cp -R configs/caddy configs/nginx "$1/doc/moverisd/"
  # Man pages go to $1/man/man1, as moverisd*.1.gz (gzip -9n), once the program makes them.
}

# stage ARCH: a directory with everything that nfpm.yaml names.
stage() {
  local dir=$work/$1
  mkdir -p "$dir"
  build "$1" "$dir/moverisd"
  cp configs/moverisd.toml systemd/moverisd* scripts/nfpm/* "$dir/"
  cp -R "$work/share" "$dir/share"
  find "$dir" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  find "$dir/share" -type d -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
}

echo "moverisd $version, $(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)"
GOBIN=$work/bin GOFLAGS='' go install "github.com/goreleaser/nfpm/v2/cmd/nfpm@$nfpm_version"
build "$(go env GOHOSTARCH)" "$work/bin/native"
shared "$work/share"
for arch in ${archs//,/ }; do
  stage "$arch"
  name=moverisd_${version}_linux_$arch
  cp "$work/$arch/moverisd" "$work/result/$name"
  scripts/sbom.sh "$work/$arch/moverisd" "$version" > "$work/result/$name.cdx.json"
  for format in ${formats//,/ }; do
    (cd "$work/$arch" && ARCH=$arch "$work/bin/nfpm" package --config nfpm.yaml --packager "$format" --target "$work/result/" >&2)
  done
done
(cd "$work/result" && sha256sum -- * > SHA256SUMS)
cp "$work/result"/* "$out/"
(cd "$out" && sha256sum --quiet -c SHA256SUMS)
sed "s|^[0-9a-f]*  |$out/|" "$out/SHA256SUMS"
