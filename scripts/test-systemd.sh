#!/usr/bin/env bash
# Tests moverisd as a service under a real systemd: Debian 12 in a container, the package
# installed, a simulated Moveris beside it. Each promise is a line "ok …" or "FAIL …"; the last
# line counts them. It needs root and takes about five minutes.
#
#   scripts/test-systemd.sh [--keep]
#
# The root file system is kept in $MOVERISD_TEST_CACHE (/var/cache/moverisd-test).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/machine.sh
. scripts/systemd-helpers.sh
. scripts/systemd-checks.sh
. scripts/systemd-gateway.sh

keep=
case "${1:-}" in
  '') ;;
  --keep) keep=1 ;;
  *) echo "usage: scripts/test-systemd.sh [--keep]" >&2; exit 64 ;;
esac

dir=$(mktemp -d "${TMPDIR:-/var/tmp}/moverisd-systemd.XXXXXX")
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
  machine_stop
  if [ -n "$keep" ]; then echo "kept: $dir"; else rm -rf "$dir"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

echo "making two versions of the package …"
for version in 0.0.1~test1 0.0.1~test2; do
  SOURCE_DATE_EPOCH=$(date +%s) scripts/package.sh "$dir/$version" --version "$version" --arch "$(go env GOHOSTARCH)" --format deb \
    > "$dir/package.log" 2>&1 || { cat "$dir/package.log" >&2; exit 1; }
done
mkdir "$dir/sim"
CGO_ENABLED=0 go build -trimpath -o "$dir/sim/" ./cmd/moveris-sim
echo "booting Debian 12 …"
machine_boot "$dir"
prepare

set +e # from here on the checks tell what fails
part "install"
test_install
part "configure and start"
test_start
part "deliveries and polls"
test_traffic
part "who may ask"
test_users
part "the gateway"
test_gateway
part "killed and hung"
test_kill
part "reload"
test_reload
part "rotation of secrets"
test_rotation
part "a secret of a forward"
test_forward_secret
part "restarts under load"
test_restarts
part "upgrade under load"
test_upgrade
part "starts that are refused"
test_refused
part "without the socket units"
test_without_sockets
part "nothing secret shows"
test_secrets
part "remove and purge"
test_remove

printf '\nsystemd: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] || [ -z "$keep" ] || { machine journalctl --no-pager -u 'moverisd*' > "$dir/journal.txt"; }
[ "$failed" -eq 0 ]
