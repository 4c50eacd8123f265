# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # variables are set and used by systemd-helpers.sh and those who source it
# The checks of scripts/test-systemd.sh that concern the gateway, and the README's words on
# credentials.

# fast_check URL SESSION: a check with thirty frames, and the answer with its status. The same
# request once more has the same answer.
fast_check() {
  # shellcheck disable=SC2016 # the machine's shell expands it
  machine sh -c 'frames=$(seq 0 29 | sed "s/.*/{\"index\":&,\"timestamp_ms\":&,\"pixels\":\"aGk=\"}/" | paste -sd, -)
    printf "{\"session_id\":\"%s\",\"model\":\"mixed-30-v2\",\"frames\":[%s]}" "$2" "$frames" |
      curl -s -m 20 -w "\n%{http_code}\n" -H "X-API-Key: $(cat /root/test/key)" -H "Content-Type: application/json" --data-binary @- \
      "$1/api/v1/fast-check"' fast_check "$@"
}

# same_answer SESSION: the gateway answers as Moveris does.
same_answer() {
  local through
  through=$(fast_check "$gateway" "$1")
  echo "$through"
  is "$(tail -1 <<< "$through")" 200 && is "$(fast_check "$api" "$1")" "$through"
}

# checks makes one check after the other through the gateway, over connections of their own, as
# fast as they are answered, until $machine_root/root/test/stop is there.
checks() {
  # shellcheck disable=SC2016 # the machine's shell expands it
  machine sh -c 'rm -f /root/test/stop; : > /root/test/callers.err; n=0
    while [ ! -e /root/test/stop ]; do
      n=$((n + 1))
      code=$(curl -s -m 20 -o /dev/null -w "%{http_code}" -H "X-API-Key: $(cat /root/test/key)" -d "{\"session_id\":\"loop-$n\"}" \
        "$1/api/v1/fast-check-stream")
      [ "$code" = 422 ] || echo "failed: $n was answered $code" >> /root/test/callers.err
    done; echo $n > /root/test/callers.count' checks "$gateway"
}

# as_gateway COMMAND…: with the gateway's user, groups and view of the files.
as_gateway() {
  local pid ids
  pid=$(property MainPID moverisd-gateway.service)
  # shellcheck disable=SC2016 # awk expands it
  ids=$(machine awk '/^(Uid|Gid):/ { print $2 } /^Groups:/ { $1 = ""; gsub(/^ | $/, ""); gsub(/ /, ","); print }' "/proc/$pid/status" | xargs)
  # shellcheck disable=SC2086 # three words
  set -- $ids "$@"
  machine nsenter -t "$pid" -m -- setpriv --reuid "$1" --regid "$2" --groups "$3" -- "${@:4}"
}

# as_root_there COMMAND…: as root in the gateway's view of the files.
as_root_there() { machine nsenter -t "$(property MainPID moverisd-gateway.service)" -m -- "$@"; }

# dynamic_user: systemd.exec(5) says from which ids it takes them.
dynamic_user() {
  local uid
  uid=$(machine stat -c %u "/proc/$(property MainPID moverisd-gateway.service)")
  more "$uid" 61183 && within "$uid" 65519
}

test_gateway() {
  local restarts=0
  check "the daemon has not brought it up" is \
    "$(machine systemctl is-enabled moverisd-gateway.service moverisd-gateway.socket 2>&1 | xargs) $(property ActiveState moverisd-gateway.socket)" "disabled disabled inactive"
  check "it is enabled by its socket" machine systemctl enable --now moverisd-gateway.socket
  check "… and not started before a request comes" is "$(property ActiveState moverisd-gateway.socket) $(property ActiveState moverisd-gateway.service)" "active inactive"
  check "a check through it has Moveris' answer to the byte" same_answer through-gateway
  check "… the request started it" is "$(property ActiveState moverisd-gateway.service)" active
  check "… the daemon has its session and its verdict" eventually says '"outcome": *"live"' machine moverisd sessions show through-gateway -o json
  check "… as submitted, after it was expected" says 'expected' machine moverisd sessions show through-gateway
  machine systemctl stop moverisd.service moverisd.socket moverisd-api.socket
  check "without the daemon it answers the same" same_answer without-daemon
  machine systemctl start moverisd.service
  checks & callers_pid=$!
  sleep 0.5
  while [ $restarts -lt 4 ] && machine systemctl restart moverisd-gateway.service; do restarts=$((restarts + 1)); sleep 0.3; done
  machine systemctl kill --kill-who=main -s HUP moverisd-gateway.service
  sleep 0.3
  machine systemctl stop moverisd-gateway.service 2> /dev/null # its socket stays: the next request starts it again
  sleep 0.5
  stop_callers
  check "$restarts restarts, a SIGHUP and a stop: all of $(cat "$machine_root/root/test/callers.count") requests were answered" no_caller_failed
  check "its user can read the configuration and reach the daemon's socket" as_gateway sh -c "test -r /etc/moverisd/moverisd.toml && test -w $socket"
  check "… not the store" refused as_gateway sh -c 'cat /var/lib/moverisd/moverisd.db || ls /var/lib/moverisd/'
  check "… not even as root in its place" refused as_root_there sh -c 'cat /var/lib/moverisd/moverisd.db || ls -A /var/lib/moverisd | grep .'
  check "… nor other credentials" refused as_root_there sh -c 'ls -A /etc/moverisd/credentials | grep .'
  check "… nor write a file" refused as_root_there sh -c 'touch /etc/moverisd/x || touch /usr/x || touch /var/lib/x'
  check "it runs as a user of its own" dynamic_user
  check "there is no reload: a changed configuration takes a restart" says 'not applicable|not supported|no.*reload' machine systemctl reload moverisd-gateway.service
  check "its log has the counts, and no key" gateway_log_is_clean
}

gateway_log_is_clean() {
  machine journalctl --no-pager -u moverisd-gateway.service > "$dir/gateway.log"
  hides "$dir/gateway.log" && says 'passed on so far.*requests=[1-9].*expected=[1-9][0-9]* submitted=[1-9]' cat "$dir/gateway.log"
}

# The words of the README for the secret of a forward.
test_forward_secret() {
  # shellcheck disable=SC2016 # sed's last line
  local forward='$a\[[forward]]\nname = "backend"\nurl = "http://127.0.0.1:3000/moveris-results"\nsecrets = ["credential:forward-backend"]'
  random | put /etc/moverisd/credentials/forward-backend 0600 root:root
  configure "$forward"
  check "a credential that the unit does not load is refused" refused machine systemctl restart moverisd.service
  check "… with 78, and named" eventually says 'credential:forward-backend' journal -p err
  # The lines of the README.
  sed -n '/^sudo mkdir -p .*moverisd.service.d$/,/^sudo systemctl restart moverisd$/p' README.md | sed 's/sudo //g' > "$machine_root/root/test/readme.sh"
  check "the README's lines bring it in" machine sh -e /root/test/readme.sh
  check "… and the daemon forwards with it" says 'backend' machine moverisd forward list
  machine rm /etc/systemd/system/moverisd.service.d/forward-backend.conf /etc/moverisd/credentials/forward-backend
  configure
  machine systemctl daemon-reload
  machine systemctl restart moverisd.service
}
