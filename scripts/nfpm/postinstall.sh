#!/bin/sh
# After the files are there, of a .deb ("configure", the version of before) and of an .rpm (1
# for the first, 2 for an upgrade).
set -e

case "$1" in
  configure) [ -n "$2" ] && upgrade=yes || upgrade= ;;
  1) upgrade= ;;
  2) upgrade=yes ;;
  *) exit 0 ;; # abort-upgrade and the like change nothing
esac

if command -v systemd-sysusers >/dev/null; then
  systemd-sysusers moverisd.conf
elif ! getent passwd moverisd >/dev/null; then
  # A machine without systemd, such as a container.
  groupadd --system moverisd
  useradd --system --gid moverisd --home-dir /var/lib/moverisd --shell /usr/sbin/nologin moverisd
fi

# The commands of the group's members read the configuration; secrets are not in it. Only what
# is still root's alone is given away: an administrator may have decided otherwise.
for path in /etc/moverisd /etc/moverisd/moverisd.toml; do
  if [ -e "$path" ] && [ "$(stat -c %U:%G "$path")" = root:root ]; then
    chgrp moverisd "$path"
  fi
done

if [ -d /run/systemd/system ]; then
  systemd-tmpfiles --create moverisd.conf
  systemctl daemon-reload
  if [ -n "$upgrade" ]; then
    # The socket units keep what arrives meanwhile.
    systemctl try-restart moverisd.service moverisd-gateway.service
  fi
fi

if [ -z "$upgrade" ]; then
  cat <<'TEXT'
moverisd is installed and not enabled: it needs an API key and a webhook secret first.
  1. put them into /etc/moverisd/credentials/
  2. write /etc/moverisd/moverisd.toml, and run: moverisd config check
  3. systemctl enable --now moverisd.service
TEXT
fi
