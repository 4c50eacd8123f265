#!/usr/bin/env bash
# Builds moverisd from this source and installs it as a systemd service. Run it again to
# upgrade: what is there already, data and configuration above all, is never touched.
#
#   sudo scripts/install.sh [--prefix /usr/local]
#   sudo scripts/install.sh --uninstall [--prefix /usr/local]
#
# The program goes to PREFIX/bin, the units to PREFIX/lib/systemd/system (to /etc/systemd/system
# if systemd does not look there), the configuration to /etc/moverisd. With DESTDIR set, files
# are put below it and nothing of this machine is changed.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"

usage() {
  echo "usage: scripts/install.sh [--prefix /usr/local] [--uninstall]" >&2
  exit 64
}

prefix=/usr/local uninstall=
while [ $# -gt 0 ]; do
  case "$1" in
    --prefix) prefix=${2:?--prefix needs a directory}; shift 2 ;;
    --prefix=*) prefix=${1#--prefix=}; shift ;;
    --uninstall) uninstall=1; shift ;;
    *) usage ;;
  esac
done
prefix=${prefix%/}
# Whatever else would have to be quoted in a unit.
[[ $prefix =~ ^(/[A-Za-z0-9._/-]*)?$ ]] || { echo "--prefix must be an absolute path of plain characters" >&2; exit 64; }
cd "$(dirname "$0")/.."
dest=${DESTDIR:-}
[ "$(id -u)" = 0 ] || [ -n "$dest" ] || { echo "run this as root, or set DESTDIR" >&2; exit 1; }

# Where systemd looks for units, beside /etc/systemd/system.
case "$prefix" in
  '' | /usr | /usr/local) lib=$prefix/lib units=$prefix/lib/systemd/system ;;
  *) lib=/etc units=/etc/systemd/system ;;
esac
names=(moverisd.service moverisd.socket moverisd-api.socket moverisd-gateway.service moverisd-gateway.socket)
completions=("$prefix/share/bash-completion/completions/moverisd" "$prefix/share/zsh/site-functions/_moverisd"
  "$prefix/share/fish/vendor_completions.d/moverisd.fish")
files=("$prefix/bin/moverisd" "${names[@]/#/$units/}" "$lib/sysusers.d/moverisd.conf" "$lib/tmpfiles.d/moverisd.conf"
  "${completions[@]}")

# live: there is a systemd here that is to know of the change.
live() { [ -z "$dest" ] && [ -d /run/systemd/system ]; }

uninstall() {
  if live; then
    # The sockets in the same breath, or the next delivery would start the service again.
    systemctl disable --now "${names[@]}" 2>/dev/null || true
  fi
  rm -f "${files[@]/#/$dest}"
  if live; then systemctl daemon-reload; fi
  echo "moverisd is removed. Kept: /etc/moverisd, /var/lib/moverisd and the user moverisd."
}

build() {
  CGO_ENABLED=0 go build -trimpath -o "$1" ./cmd/moverisd
}

# put MODE SOURCE FILE: replaced as a whole, so that a running program is not written over.
put() {
  install -d -m 0755 "$dest$(dirname "$3")"
  install -m "$1" "$2" "$dest$3.new"
  mv -f "$dest$3.new" "$dest$3"
}

make_user() {
  if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers "$lib/sysusers.d/moverisd.conf"
  elif ! getent passwd moverisd >/dev/null; then
    groupadd --system moverisd
    useradd --system --gid moverisd --home-dir /var/lib/moverisd --shell /usr/sbin/nologin moverisd
  fi
}

# configuration makes what is missing, and leaves alone what is there.
configuration() {
  local group=root
  if [ -z "$dest" ]; then group=moverisd; fi
  local owner=()
  if [ "$(id -u)" = 0 ]; then owner=(-o root -g "$group"); fi
  [ -d "$dest/etc/moverisd" ] || install -d -m 0750 "${owner[@]}" "$dest/etc/moverisd"
  [ -d "$dest/etc/moverisd/credentials" ] || install -d -m 0700 "$dest/etc/moverisd/credentials"
  if [ ! -e "$dest/etc/moverisd/moverisd.toml" ]; then
    install -m 0640 "${owner[@]}" configs/moverisd.toml "$dest/etc/moverisd/moverisd.toml"
  fi
}

if [ -n "$uninstall" ]; then
  uninstall
  exit
fi

need go "install Go 1.26 or newer from https://go.dev/dl/, and see that root's PATH has it"
work=$(mktemp -d "${TMPDIR:-/tmp}/moverisd-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "building …"
build "$work/moverisd"
put 0755 "$work/moverisd" "$prefix/bin/moverisd"
for name in "${names[@]}"; do
  sed "s|/usr/bin/moverisd|$prefix/bin/moverisd|g" "systemd/$name" > "$work/$name"
  put 0644 "$work/$name" "$units/$name"
done
put 0644 systemd/moverisd.sysusers "$lib/sysusers.d/moverisd.conf"
put 0644 systemd/moverisd.tmpfiles "$lib/tmpfiles.d/moverisd.conf"
shells=(bash zsh fish)
for i in "${!shells[@]}"; do
  "$work/moverisd" completion "${shells[$i]}" > "$work/completion"
  put 0644 "$work/completion" "${completions[$i]}"
done
# Man pages go to $prefix/share/man/man1 once the program makes them.

if [ -z "$dest" ]; then make_user; fi
configuration
if live; then
  systemd-tmpfiles --create "$lib/tmpfiles.d/moverisd.conf"
  systemctl daemon-reload
  # An upgrade; the socket units keep what arrives meanwhile.
  systemctl try-restart moverisd.service moverisd-gateway.service
fi
echo "moverisd is installed in $prefix/bin. README.md says how to configure and enable it."
