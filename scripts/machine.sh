# shellcheck shell=bash
# A machine for tests: a Debian root file system, booted with its own systemd in a container
# that has a loopback interface and nothing else. Source it; it needs root.
#
#   machine_boot DIR    boot in DIR, which is the caller's to delete; root file system in $machine_root
#   machine COMMAND…    run a command in it
#   machine_stop        at the end

# What the root file system holds beside Debian's smallest.
machine_packages=systemd,systemd-sysv,ca-certificates,curl

# machine_needs: install what is needed here, where that is possible.
machine_needs() {
  [ "$(id -u)" = 0 ] || { echo "this test boots a container: run it as root" >&2; return 1; }
  command -v debootstrap >/dev/null && command -v systemd-nspawn >/dev/null && return
  command -v apt-get >/dev/null || { echo "debootstrap and systemd-nspawn are missing" >&2; return 1; }
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends debootstrap systemd-container; } \
    > "$1/apt.log" 2>&1 || { cat "$1/apt.log" >&2; return 1; }
}

# machine_mirror: where this machine gets its Debian packages from, or Debian's own.
machine_mirror() {
  local uri
  # shellcheck disable=SC2016 # apt-get expands it
  uri=$(apt-get indextargets --format '$(REPO_URI) $(SUITE)' 'Created-By: Packages' 2>/dev/null | awk '$2 == "bookworm" { print $1; exit }')
  echo "${uri:-http://deb.debian.org/debian}"
}

# machine_rootfs DIR: the root file system, made once on each computer and kept.
machine_rootfs() {
  local cache
  cache=${MOVERISD_TEST_CACHE:-/var/cache/moverisd-test}/bookworm-$(echo "$machine_packages" | sha256sum | cut -c1-12)
  if [ ! -d "$cache" ]; then
    mkdir -p "$(dirname "$cache")"
    local fresh
    fresh=$(mktemp -d "$(dirname "$cache")/making.XXXXXX")
    debootstrap --variant=minbase --include="$machine_packages" bookworm "$fresh" "$(machine_mirror)" > "$1/debootstrap.log" 2>&1 ||
      { tail -20 "$1/debootstrap.log" >&2; rm -rf "$fresh"; return 1; }
    rm -rf "$fresh"/var/cache/apt/archives/*.deb "$fresh"/var/lib/apt/lists/*
    chmod 755 "$fresh"
    mv -T "$fresh" "$cache" 2>/dev/null || rm -rf "$fresh" # somebody else was faster
  fi
  cp -a --reflink=auto "$cache" "$1/root"
  machine_root=$1/root
}

machine_boot() {
  machine_needs "$1" && machine_rootfs "$1" || return
  echo machine > "$machine_root/etc/hostname"
  systemd-nspawn -D "$machine_root" --register=no --keep-unit --boot --console=pipe --private-network --link-journal=no \
    --quiet < /dev/null > "$1/console.log" 2>&1 &
  machine_nspawn=$!
  local _ state
  for _ in $(seq 300); do
    machine_init=$(awk '{ print $1 }' "/proc/$machine_nspawn/task/$machine_nspawn/children" 2>/dev/null || true)
    if [ -n "$machine_init" ]; then
      state=$(machine systemctl is-system-running 2>/dev/null || true)
      case "$state" in running | degraded) return ;; esac
    fi
    sleep 0.2
  done
  echo "the machine does not come up (${state:-no systemd}); its console:" >&2
  tail -20 "$1/console.log" >&2
  return 1
}

machine() {
  nsenter -t "$machine_init" -a -- /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/root LANG=C.UTF-8 NO_COLOR=1 "$@"
}

machine_stop() {
  [ -n "${machine_nspawn:-}" ] || return 0
  machine systemctl poweroff --force --force >/dev/null 2>&1 || true
  local _
  for _ in $(seq 50); do
    kill -0 "$machine_nspawn" 2>/dev/null || break
    sleep 0.1
  done
  kill -9 "$machine_nspawn" 2>/dev/null || true
  wait "$machine_nspawn" 2>/dev/null || true
  machine_nspawn=
}
