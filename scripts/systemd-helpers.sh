# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # some variables are set, and some used, by those who source it
# What the checks of scripts/test-systemd.sh are made of; it sources this after machine.sh.

hook=http://127.0.0.1:8480/api/moveris/webhook
# Beside the gateway, which has the address that the simulated Moveris would take.
api=http://127.0.0.1:8491
gateway=http://127.0.0.1:8490
socket=/run/moverisd/moverisd.sock
passed=0
failed=0

part() { printf '\n-- %s\n' "$1"; }

# check WHAT COMMAND…: one promise, and the output of the command where it is broken.
check() {
  local what=$1
  shift
  if "$@" > "$dir/check.out" 2>&1; then
    passed=$((passed + 1))
    echo "ok $what"
    return
  fi
  failed=$((failed + 1))
  echo "FAIL $what"
  sed 's/^/    | /' "$dir/check.out" | tail -15
}

# is HAVE WANT, within NUMBER MAX, more NUMBER MIN, refused COMMAND…: for check.
is() { [ "$1" = "$2" ] || { echo "it is \"$1\", not \"$2\""; return 1; }; }
within() { echo "it is \"$1\", at most $2 is right"; [ -n "$1" ] && [ "$1" -le "$2" ]; }
more() { echo "it is \"$1\", more than $2 is right"; [ -n "$1" ] && [ "$1" -gt "$2" ]; }
refused() { if "$@"; then echo "it was not refused"; return 1; fi; }
# says WORDS COMMAND…: whatever its exit code.
says() {
  local words=$1 text
  shift
  text=$("$@" 2>&1 || true)
  echo "$text"
  grep -qiE -- "$words" <<< "$text"
}

# eventually COMMAND…: within a minute.
eventually() {
  local _
  for _ in $(seq 250); do
    "$@" > "$dir/eventually.out" 2>&1 && return
    sleep 0.2
  done
  cat "$dir/eventually.out"
  return 1
}

property() { machine systemctl show -P "$1" "${2:-moverisd.service}"; }
active() { is "$(property ActiveState)" active; }
journal() { machine journalctl --no-pager -u moverisd.service "$@"; }
# fresh PID: the daemon is up again, as another process.
fresh() { active && [ "$(property MainPID)" != "$1" ]; }
# signal NAME PID: kill is no program in so small a machine.
signal() { machine sh -c "kill -$1 $2"; }
# figure NAME: a number of the status.
figure() { machine moverisd status -o json 2>/dev/null | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" | head -1; }
# reason CODE: the status names it.
reason() { says "\"code\": *\"$1\"" machine moverisd status -o json; }

# put PATH MODE OWNER: a file of the machine from standard input.
put() {
  cat > "$machine_root/$1"
  machine chown "$3" "$1"
  machine chmod "$2" "$1"
}

# configure [SED…]: the configuration, changed by sed's expressions.
configure() {
  local args=()
  for expression in "$@"; do args+=(-e "$expression"); done
  sed "${args[@]}" -e '' << 'TOML' | put /etc/moverisd/moverisd.toml 0640 root:moverisd
[poll]
schedule = "@every 1s"
grace_period = "10s"
backoff_min = "1s"
[[account]]
name = "production"
base_url = "http://127.0.0.1:8491"
api_key = "credential:moveris-api-key"
requests_per_minute = 6000
webhook_secrets = [
  { label = "first", secret = "credential:moveris-webhook-mixed-30" },
]
TOML
}

random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

# prepare puts the simulated Moveris, users and secrets into the machine.
prepare() {
  local name
  mkdir -p "$machine_root/root/test"
  machine chmod 700 /root/test
  cp "$dir"/0.0.1~test*/*.deb "$machine_root/root/test/"
  cp "$dir/sim/moveris-sim" "$machine_root/usr/local/bin/"
  machine useradd alice
  machine useradd bob
  for name in key first second third; do random | put "/root/test/$name" 0600 root:root; done
  put /etc/systemd/system/moveris-sim.service 0644 root:root << UNIT
[Service]
ExecStart=/usr/local/bin/moveris-sim serve --listen 127.0.0.1:8491 --api-key-file /root/test/key --rate -1
UNIT
  machine systemctl daemon-reload
  machine systemctl start moveris-sim.service
}

# traffic NAME FLAGS…: sessions at Moveris, compared in the end; the report is $dir/NAME.json.
traffic() {
  local name=$1
  shift
  machine moveris-sim traffic --api $api --socket $socket --webhook-url $hook --secret-file /root/test/first --output json \
    --lose 0 --delay 0 --duplicate 0 --reorder 0 --forge 0 --null 0 "$@" > "$dir/$name.json" 2> "$dir/$name.err"
}

# told NAME FIELD: a number of a report.
told() { sed -n "s/.*\"$2\": *\([0-9]*\).*/\1/p" "$dir/$1.json" | head -1; }

# complete NAME: every session is right, and whatever was sent was taken at the first try: the
# rescued sessions are those whose webhook was lost on purpose. (There are no null verdicts in
# the traffic: a second answer has to confirm them, which is a polled one.)
complete() {
  cat "$dir/$1.err" "$dir/$1.json"
  grep -q '"accounted": true' "$dir/$1.json" && is "$(told "$1" wrong) $(told "$1" absent)" "0 0" &&
    is "rescued $(told "$1" rescued)" "rescued $(told "$1" lost)"
}

# answered NAME: all deliveries were answered 204, forged ones 401. "none" is a refused or
# broken connection, 503 is a delivery that has to be sent again.
answered() {
  local answers
  answers=$(sed -n '/"answers"/,/}/p' "$dir/$1.json" | tr -d ' \n')
  echo "$answers; $(told "$1" forged) forged"
  ! grep -oE '"[a-z0-9]+":[0-9]+' <<< "$answers" | grep -qvE '^"(204|401)":' &&
    is "$(grep -oE '"401":[0-9]+' <<< "$answers" | cut -d: -f2)" "$(told "$1" forged | sed 's/^0$//')"
}

# callers announces sessions one after the other, each over a connection of its own, until
# $machine_root/root/test/stop is there; failures go into callers.err.
callers() {
  # shellcheck disable=SC2016 # the machine's shell expands it
  machine sh -c 'rm -f /root/test/stop; : > /root/test/callers.err; n=0
    while [ ! -e /root/test/stop ]; do
      n=$((n + 1))
      timeout 20 moverisd expect --grace 1h "$1-$n" >/dev/null 2>> /root/test/callers.err || echo "failed: $n" >> /root/test/callers.err
      code=$(curl -s -m 20 -o /dev/null -w "%{http_code}" -X POST -H "Content-Type: application/json" -d x "$2")
      [ "$code" = 401 ] || echo "failed: the listener answered $code" >> /root/test/callers.err
      sleep 0.05
    done; echo $n > /root/test/callers.count' callers "$1" $hook
}

stop_callers() {
  touch "$machine_root/root/test/stop"
  wait "$callers_pid" || true
}

no_caller_failed() {
  cat "$machine_root/root/test/callers.err"
  [ ! -s "$machine_root/root/test/callers.err" ] && [ "$(cat "$machine_root/root/test/callers.count")" -gt 10 ]
}
