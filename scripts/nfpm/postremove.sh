#!/bin/sh
# After the files are gone. Data stays until a .deb is purged; an .rpm knows no purge, so there
# it stays for good. The user stays as well: files of its may be elsewhere, in backups.
set -e

case "$1" in
  remove | 0)
    if [ -d /run/systemd/system ]; then
      systemctl daemon-reload
    fi
    ;;
  purge)
    rm -rf /var/lib/moverisd /run/moverisd /etc/moverisd/credentials
    # Drop-ins and configurations of an administrator's own making are not ours to delete.
    rmdir --ignore-fail-on-non-empty /etc/moverisd 2>/dev/null || true
    ;;
esac
