#!/bin/sh
# Before the files go, of a .deb ("remove", "upgrade", …) and of an .rpm (0 for the last, 1 for
# an upgrade). An upgrade leaves the daemon running; postinstall.sh restarts it.
set -e

case "$1" in
  remove | 0)
    if [ -d /run/systemd/system ]; then
      # The sockets in the same breath, or the next delivery would start the service again.
      systemctl disable --now moverisd.socket moverisd-api.socket moverisd-gateway.socket moverisd.service moverisd-gateway.service
    fi
    ;;
esac
