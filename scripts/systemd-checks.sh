# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # variables are set and used by systemd-helpers.sh and those who source it
# The checks of scripts/test-systemd.sh, which sources it after systemd-helpers.sh.

test_install() {
  check "the package installs" machine sh -c 'dpkg -i /root/test/*test1*.deb'
  check "the units verify cleanly" is "$(machine systemd-analyze verify /usr/lib/systemd/system/moverisd.service \
    /usr/lib/systemd/system/moverisd.socket /usr/lib/systemd/system/moverisd-api.socket \
    /usr/lib/systemd/system/moverisd-gateway.service /usr/lib/systemd/system/moverisd-gateway.socket 2>&1)" ""
  check "the exposure is at most 1.2" machine systemd-analyze security --offline=true --threshold=12 --no-pager \
    /usr/lib/systemd/system/moverisd.service
  check "… that of the gateway at most 1.3" machine systemd-analyze security --offline=true --threshold=13 --no-pager \
    /usr/lib/systemd/system/moverisd-gateway.service
  check "it is not enabled before it is configured" is "$(machine systemctl is-enabled moverisd.service moverisd.socket moverisd-api.socket \
    moverisd-gateway.service moverisd-gateway.socket 2>&1 | sort -u)" disabled
  check "it is not started" is "$(property ActiveState) $(property ActiveState moverisd.socket)" "inactive inactive"
  check "the user is a system user without a shell" says ':/var/lib/moverisd:/usr/sbin/nologin' machine getent passwd moverisd
  check "configuration root:moverisd 0640, credentials root 0700" is \
    "$(machine stat -c '%U:%G %a' /etc/moverisd /etc/moverisd/moverisd.toml /etc/moverisd/credentials | xargs)" \
    "root:moverisd 750 root:moverisd 640 root:root 700"
  check "completions are there" machine test -s /usr/share/bash-completion/completions/moverisd
}

test_start() {
  configure
  check "config check leaves credentials to the service" says 'unchecked.*credential:moveris-api-key' machine moverisd config check
  machine sh -c 'cd /etc/moverisd/credentials; umask 077; cp /root/test/key moveris-api-key; cp /root/test/first moveris-webhook-mixed-30'
  machine usermod -aG moverisd bob
  check "it enables with both sockets, and starts" machine systemctl enable --now moverisd.service
  check "all three are enabled and active" is \
    "$(machine systemctl is-enabled moverisd.service moverisd.socket moverisd-api.socket | xargs) $(property ActiveState) $(property ActiveState moverisd.socket) $(property ActiveState moverisd-api.socket)" \
    "enabled enabled enabled active active active"
  check "READY came: the start waited for it" says 'Started|msg=ready' journal
  check "it took over systemd's sockets" is "$(machine sh -c 'ls -l /proc/'"$(property MainPID)"'/fd | grep -c socket:' | awk '{ print ($1 >= 3) }')" 1
  check "it may keep as many connections open as its unit says" may_open
  check "the status line is for a person" says 'awaiting|session' property StatusText
  check "the store is 0600, its directory 0750, the socket 0660" is \
    "$(machine stat -c '%U:%G %a' /var/lib/moverisd /var/lib/moverisd/moverisd.db /run/moverisd "$socket" | xargs)" \
    "moverisd:moverisd 750 moverisd:moverisd 600 moverisd:moverisd 750 moverisd:moverisd 660"
  check "the journal has priorities, and no time twice" log_is_clean
}

# may_open: what the unit says, or what this machine has to give.
# shellcheck disable=SC2016 # awk expands it
may_open() {
  local unit most
  unit=$(property LimitNOFILE)
  most=$(machine awk '/^Max open files/ { print $5 }' /proc/1/limits)
  is "$(machine awk '/^Max open files/ { print $5 }' "/proc/$(property MainPID)/limits")" $((unit < most ? unit : most))
}

log_is_clean() {
  local lines
  lines=$(journal -o json | grep '"PRIORITY":"6"' | grep 'msg=ready') || { journal -o json; return 1; }
  echo "$lines"
  ! grep -qE 'time=|level=|<6>' <<< "$lines"
}

test_traffic() {
  traffic mixed --sessions 150 --duration 10s --processing-max 1s --lose 0.3 --duplicate 0.1 --forge 0.05 --seed 11 || true
  check "every session is right, a third of them by polling" complete mixed
  check "every delivery was answered 204, forged ones 401" answered mixed
}

# status_of USER: with its exit code in the end.
status_of() { machine runuser -u "$1" -- sh -c 'moverisd status "$@"; echo "exit code $?"' status "${@:2}" 2>&1; }

test_users() {
  check "status as root, over the socket" says '"via": *"socket"' machine moverisd status -o json
  check "status as a member of the group, over the socket" says '"via": *"socket"' status_of bob -o json
  check "expect as a member of the group" machine runuser -u bob -- moverisd expect from-bob
  check "status as another user: unknown (3)" says 'exit code 3' status_of alice
  check "… with a clear text" says 'member of the group|give the file the group' status_of alice
  check "another user cannot use the socket" says 'permission denied' machine runuser -u alice -- moverisd expect from-alice --socket "$socket"
}

test_kill() {
  local pid settled
  pid=$(property MainPID)
  settled=$(figure settled)
  signal KILL "$pid"
  check "after kill -9 it is started again" eventually fresh "$pid"
  check "… and has lost no session" is "$(figure settled)" "$settled"
  mkdir -p "$machine_root/etc/systemd/system/moverisd.service.d"
  printf '[Service]\nWatchdogSec=4s\n' | put /etc/systemd/system/moverisd.service.d/watchdog.conf 0644 root:root
  machine systemctl daemon-reload
  machine systemctl restart moverisd.service
  pid=$(property MainPID)
  sleep 9
  check "a healthy daemon beats: no restart in twice the watchdog's time" is "$(property MainPID)" "$pid"
  signal STOP "$pid"
  check "a hung one (SIGSTOP) is ended by the watchdog and started again" eventually fresh "$pid"
  check "… and the journal says so" says 'Watchdog timeout' journal
  check "… and has lost no session" is "$(figure settled)" "$settled"
  rm "$machine_root/etc/systemd/system/moverisd.service.d/watchdog.conf"
  machine systemctl daemon-reload
  machine systemctl restart moverisd.service
}

test_reload() {
  local pid
  pid=$(property MainPID)
  configure 's/^grace_period.*/grace_period = "11s"/'
  check "systemctl reload with a good configuration" machine systemctl reload moverisd.service
  check "… is told in the journal" says 'configuration was read again' journal
  configure 's/^grace_period/grace_perid/'
  check "systemctl reload with a broken one fails" refused machine systemctl reload moverisd.service
  check "moverisd reload says which line, and exits 78" says 'exit code 78' machine sh -c 'moverisd reload; echo "exit code $?"'
  check "… names the key" says 'moverisd.toml:3.*grace_perid' machine moverisd reload
  check "the status has the reason config_rejected" reason config_rejected
  check "the old configuration serves on: same process, active" is "$(property MainPID) $(property ActiveState)" "$pid active"
  traffic after --sessions 10 --duration 1s --processing-max 500ms || true
  check "… and takes deliveries" complete after
  configure
  machine systemctl kill --kill-who=main -s HUP moverisd.service
  check "a good one by SIGHUP clears the reason" eventually refused reason config_rejected
  check "… in the same process, which systemd takes for running" is "$(property MainPID) $(property ActiveState) $(property SubState)" "$pid active running"
  sed -i 's/^name = .*/name = "another"/' "$machine_root/etc/moverisd/moverisd.toml"
  machine moverisd expect --grace 1h left-open > /dev/null
  check "a reload that would orphan open sessions is refused with their number" says '[0-9]+ of account "production"' machine moverisd reload
  configure
  machine systemctl reload moverisd.service
}

# switch_portal SECRET: deliveries are signed with another secret from now on.
switch_portal() {
  printf '{"url":"%s","secret":"%s"}' "$hook" "$(cat "$machine_root/root/test/$1")" |
    machine curl -sf -X PUT --data @- "$api/_sim/webhook"
}

# used LABEL: a delivery was signed with its secret.
used() {
  local report
  report=$(machine moverisd status -o json | tr -d ' \n')
  grep -oE '"secrets":\[[^]]*' <<< "$report"
  grep -qE "\"label\":\"$1\",\"last_used_at\":\"2" <<< "$report"
}

test_rotation() {
  local second='/label = "first"/a\  { label = "second", secret = "file:/etc/moverisd/second" },'
  local third='/label = "first"/a\  { label = "third", secret = "credential:third" },'
  put /etc/moverisd/second 0640 root:moverisd < "$machine_root/root/test/second"
  traffic file --sessions 400 --duration 16s --processing-max 500ms &
  local running=$!
  sleep 3
  configure "$second"
  check "file: (1) the new secret beside the old one, by reload" machine systemctl reload moverisd.service
  check "file: (2) the portal switches" switch_portal second
  check "file: (3) the new label's last_used_at appears" eventually used second
  sleep 2
  configure "$second" '/label = "first"/d'
  check "file: (4) the old one goes, by reload" machine systemctl reload moverisd.service
  wait $running || true
  check "file: nothing was lost, nothing waited for a poll" complete file
  check "file: every delivery was answered 204" answered file

  configure
  machine systemctl reload moverisd.service
  machine sh -c 'umask 077; cp /root/test/third /etc/moverisd/credentials/third'
  traffic credential --sessions 400 --duration 16s --processing-max 500ms &
  running=$!
  sleep 3
  printf '[Service]\nLoadCredential=third:/etc/moverisd/credentials/third\n' |
    put /etc/systemd/system/moverisd.service.d/third.conf 0644 root:root
  configure "$third"
  machine systemctl daemon-reload
  check "credential: a reload alone says that it takes a restart" says 'start the service again' machine moverisd reload
  check "credential: (1) the new secret beside the old one, by restart" machine systemctl restart moverisd.service
  check "credential: (2) the portal switches" switch_portal third
  check "credential: (3) the new label's last_used_at appears" eventually used third
  sleep 2
  configure "$third" '/label = "first"/d'
  check "credential: (4) the old one goes, by restart" machine systemctl restart moverisd.service
  wait $running || true
  check "credential: nothing was lost, nothing waited for a poll" complete credential
  check "credential: every delivery was answered 204" answered credential
  configure
  machine systemctl restart moverisd.service
}

test_restarts() {
  local done=0 start=$SECONDS
  callers restart & callers_pid=$!
  traffic restarts --sessions 4000 --duration 100s --processing-max 500ms --lose 0.1 --duplicate 0.1 --forge 0.05 --seed 5 &
  local running=$!
  sleep 2
  while [ $done -lt 50 ] && machine systemctl restart moverisd.service; do
    done=$((done + 1))
    # One every 1.4 seconds, or as fast as a slow machine can.
    [ $(((SECONDS - start) * 10)) -ge $((done * 14)) ] || sleep 0.7
  done
  check "50 restarts ($((SECONDS - start)) s)" is $done 50
  check "… while the traffic was running" kill -0 $running
  stop_callers
  wait $running || true
  check "0 lost: of $(told restarts sessions) sessions every one is right, polled ones are those lost on purpose" complete restarts
  check "0 refused: $(told restarts sent) deliveries were all answered 204, forged ones 401" answered restarts
  check "0 refused: $(cat "$machine_root/root/test/callers.count") announcements and new connections were all answered" no_caller_failed
}

test_upgrade() {
  local settled
  callers upgrade & callers_pid=$!
  traffic upgrade --sessions 400 --duration 12s --processing-max 500ms &
  local running=$!
  sleep 2
  settled=$(figure settled)
  check "the newer package installs over a running daemon" machine sh -c 'dpkg -i /root/test/*test2*.deb'
  check "… which is restarted as the new version" says '"version": *"0.0.1~test2"' machine moverisd status -o json
  check "… still enabled" is "$(machine systemctl is-enabled moverisd.service)" enabled
  stop_callers
  wait $running || true
  check "the data is kept" more "$(figure settled)" "$settled"
  check "the changed configuration is kept" says '@every 1s' machine cat /etc/moverisd/moverisd.toml
  check "0 lost" complete upgrade
  check "0 refused deliveries" answered upgrade
  check "0 refused announcements" no_caller_failed
}

is_failed() { is "$(property ActiveState "$1")" failed; }
failed_with() { is "$(property ActiveState) $(property ExecMainStatus)" "failed $1"; }

test_refused() {
    machine systemctl stop moverisd.service moverisd.socket moverisd-api.socket
  configure 's/^grace_period/grace_perid/'
  check "a broken configuration fails the start" refused machine systemctl start moverisd.service
  check "… with 78" eventually failed_with 78
  check "… named in the journal, as an error" says 'moverisd.toml:3.*grace_perid' journal -p err
  sleep 5
  check "… and it is not started again" failed_with 78
  machine systemctl start moverisd.socket
  machine curl -s -m 2 -o /dev/null "$hook"
  check "a delivery that waits starts it, but not for ever: the socket closes" eventually is_failed moverisd.socket
  check "… after 60 starts" within "$(machine journalctl --no-pager -o cat --since -60s -u moverisd.service | grep -c '^Starting')" 70
  configure
  check "starting the mended service opens the sockets again" machine systemctl start moverisd.service
  check "… all of them" is "$(property ActiveState) $(property ActiveState moverisd.socket) $(property ActiveState moverisd-api.socket)" "active active active"

  configure '1i[webhook]\nlisten = "127.0.0.1:8499"'
  check "a socket elsewhere than the configuration says" refused machine systemctl restart moverisd.service
  check "… is exit code 78" eventually failed_with 78
  check "… and both addresses are named" says '127.0.0.1:8480.*127.0.0.1:8499' journal -p err
  configure
  machine systemctl start moverisd.service
}

test_without_sockets() {
  machine systemctl mask --now moverisd.socket moverisd-api.socket
  check "with the sockets masked it starts" machine systemctl restart moverisd.service
  check "… and answers on both" says '"via": *"socket"' machine moverisd status -o json
  traffic alone --sessions 10 --duration 1s --processing-max 500ms || true
  check "… and takes deliveries" complete alone
  machine systemctl stop moverisd.service
  machine systemctl unmask moverisd.socket moverisd-api.socket
  machine systemctl start moverisd.service
}

# hides FILE: no secret is in a text.
hides() {
  local name
  for name in key first second third; do
    grep -qaF -f "$machine_root/root/test/$name" "$1" && { echo "the secret \"$name\" is in it"; return 1; }
  done
  return 0
}

test_secrets() {
  local pid
  pid=$(property MainPID)
  machine cat "/proc/$pid/cmdline" > "$dir/cmdline"
  machine cat "/proc/$pid/environ" > "$dir/environ"
  journal -o export -a > "$dir/journal"
  machine journalctl --no-pager -a -o export >> "$dir/journal"
  check "no secret in the arguments" hides "$dir/cmdline"
  check "no secret in the environment" hides "$dir/environ"
  check "no secret in the journal ($(wc -c < "$dir/journal") bytes)" hides "$dir/journal"
  check "no core dumps" says '^Max core file size +0 +0' machine cat "/proc/$pid/limits"
  # As nobody, who reads what the world can read.
  cat "$machine_root"/root/test/{key,first,second,third} | sed 's/.\{48\}/&\n/g' > "$dir/patterns"
  machine runuser -u nobody -- grep -rlaF -f - /etc /var /run /tmp /usr/share /dev/shm < "$dir/patterns" > "$dir/readable" 2>/dev/null || true
  check "no secret in what the world can read" is "$(cat "$dir/readable")" ""
  check "credentials are for the service alone" refused machine runuser -u bob -- ls /run/credentials/moverisd.service
  check "the process has no capability and cannot gain one" is \
    "$(machine grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$pid/status" | awk '{ print $2 }' | xargs)" \
    "0000000000000000 0000000000000000 1 2"
}

test_remove() {
  check "it is removed" machine dpkg -r moverisd
  check "… and stopped, with its sockets" is \
    "$(machine systemctl is-active moverisd.service moverisd.socket moverisd-api.socket \
      moverisd-gateway.service moverisd-gateway.socket 2>/dev/null | sort -u)" inactive
  check "… nobody listens any more" refused machine sh -c "curl -s -m 2 $hook || curl -s -m 2 $gateway"
  check "… its data and its configuration are kept" machine test -s /var/lib/moverisd/moverisd.db -a -s /etc/moverisd/moverisd.toml
  check "installed again it has its data" machine sh -c 'dpkg -i /root/test/*test2*.deb && systemctl start moverisd.service'
  check "… all of it" more "$(figure settled)" 4000
  check "it is purged" machine dpkg --purge moverisd
  check "… with its data, secrets and programs" refused machine sh -c \
    'ls -d /var/lib/moverisd /etc/moverisd/credentials /etc/moverisd/moverisd.toml /usr/bin/moverisd /usr/lib/systemd/system/moverisd* /run/moverisd 2>/dev/null | grep .'
}
