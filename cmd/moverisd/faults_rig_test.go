package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
)

// victim is a directory with a store, on which real daemons run one after another while
// faults happen to them. Its ledger remembers over all of them what was acknowledged.
type victim struct {
	t       *testing.T
	dir     string
	bin     string
	hook    string // host and port of the deliveries
	sim     *sim.Moveris
	ledger  *ledger
	client  *http.Client // delivers
	control *http.Client // calls the API
	running *process     // the latest

	receiver *receiver // of forwarded results, if the scenario has one

	poll    string   // TOML of [poll]
	extra   string   // TOML appended
	command []string // what to run: "run"
}

const slowPoll = "schedule = \"@every 1h\"\n"

const quickPoll = `schedule = "@every 1s"
grace_period = "1s"
backoff_min = "1s"
backoff_max = "5s"
`

// newVictim makes a victim whose daemon is not running. With dir empty it gets one.
func newVictim(t *testing.T, dir string, change func(*victim)) *victim {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	v := &victim{t: t, dir: dir, bin: program(t, "moverisd", nil), ledger: newLedger(), poll: slowPoll, command: []string{"run"}}
	v.sim = sim.New(sim.Config{APIKey: testKey, WebhookSecret: testSecret, ResultBySession: true, RequestsPerMinute: -1})
	srv := httptest.NewServer(v.sim.Handler())
	t.Cleanup(srv.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	v.hook = ln.Addr().String()
	must(t, ln.Close())
	if change != nil {
		change(v)
	}
	for name, text := range map[string]string{"key": testKey, "secret": testSecret, "moverisd.toml": v.config(srv.URL)} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	v.client = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
	v.control = &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "s"))
		}}}
	t.Cleanup(v.kill)
	return v
}

func (v *victim) store() string { return filepath.Join(v.dir, "moverisd.db") }

func (v *victim) config(api string) string {
	return fmt.Sprintf(`[webhook]
listen = %q
[api]
socket = "%[2]s/s"
[store]
path = "%[2]s/moverisd.db"
[poll]
%[3]s
[[account]]
name = "production"
base_url = %[4]q
api_key = "file:%[2]s/key"
requests_per_minute = 6000
routes = ["/api/v1/result/{session_id}"]
webhook_secrets = [ { label = "one", secret = "file:%[2]s/secret" } ]
%[5]s`, v.hook, v.dir, v.poll, api, v.extra)
}

// process is a daemon, perhaps under strace.
type process struct {
	cmd    *exec.Cmd
	traced bool
	log    *os.File
	ended  chan struct{}
}

// start runs the daemon without waiting for anything. Arguments are strace's; none means that
// it runs by itself. Both are a process group of their own.
func (v *victim) start(strace ...string) *process {
	v.t.Helper()
	args := append([]string{v.bin, "--config", filepath.Join(v.dir, "moverisd.toml")}, v.command...)
	if len(strace) > 0 {
		how := []string{"strace", "-f", "-qq"}
		if !strings.Contains(strings.Join(strace, " "), "signal=") {
			how = append(how, "--seccomp-bpf") // faster, but it delivers no signals
		}
		args = append(append(how, strace...), args...)
	}
	log, err := os.CreateTemp(v.dir, "log-*")
	must(v.t, err)
	p := &process{cmd: exec.Command(args[0], args[1:]...), traced: len(strace) > 0, log: log, ended: make(chan struct{})}
	p.cmd.Stderr = log
	p.cmd.Env = append(os.Environ(), "NO_COLOR=1")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	must(v.t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // its state is asked for
		log.Close()
		close(p.ended)
	}()
	v.running = p
	return p
}

// up starts the daemon and waits until it is ready; false means that it has ended before.
func (v *victim) up(strace ...string) (*process, bool) {
	v.t.Helper()
	p := v.start(strace...)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if p.over() {
			return p, false
		}
		if code, _ := v.call("GET", "/livez"); code == 200 {
			return p, true
		}
	}
	v.t.Fatalf("the daemon is not ready after 30 s:\n%s", p.text())
	return p, false
}

// run starts the daemon, which must become ready.
func (v *victim) run(strace ...string) *process {
	v.t.Helper()
	p, ok := v.up(strace...)
	if !ok {
		v.t.Fatalf("the daemon ended at its start: %v\n%s", p.cmd.ProcessState, p.text())
	}
	return p
}

func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// wait waits for the end and returns the exit code; that of a signal is 128 and its number.
func (p *process) wait(limit time.Duration) (int, error) {
	select {
	case <-p.ended:
	case <-time.After(limit):
		return 0, fmt.Errorf("it has not ended in %s:\n%s", limit, p.text())
	}
	ws := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

// text is what the process has logged, its end if it is long.
func (p *process) text() string {
	data, _ := os.ReadFile(p.log.Name())
	return string(data[max(0, len(data)-4000):])
}

// pid is that of the daemon itself, 0 if it is gone.
func (p *process) pid() int {
	if !p.traced {
		return p.cmd.Process.Pid
	}
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.cmd.Process.Pid))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return pid
}

// kill ends what runs with SIGKILL and waits for it.
func (v *victim) kill() {
	if p := v.running; p != nil && !p.over() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
	}
}

// stop ends the daemon with SIGTERM and returns its exit code.
func (v *victim) stop() int {
	v.t.Helper()
	if pid := v.running.pid(); pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	code, err := v.running.wait(20 * time.Second)
	must(v.t, err)
	return code
}

// call calls the API; a code of 0 means that there was no answer.
func (v *victim) call(method, path string) (int, []byte) { return v.send(v.control, method, path, nil) }

func (v *victim) send(c *http.Client, method, path string, body io.Reader) (int, []byte) {
	req, err := http.NewRequest(method, "http://moverisd"+path, body)
	must(v.t, err)
	resp, err := c.Do(req)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, []byte(err.Error())
	}
	return resp.StatusCode, data
}

// expect announces a session.
func (v *victim) expect(id string) int {
	code, _ := v.call("PUT", "/v1/sessions/"+id)
	if code == 200 || code == 201 {
		v.ledger.expect(id)
	}
	return code
}

// deliver sends a signed delivery and enters a 204 into the ledger. 0 means no answer.
func (v *victim) deliver(id, verdict string) int {
	body := deliveryOf(id, verdict, time.Now())
	req, err := http.NewRequest("POST", "http://"+v.hook+"/api/moveris/webhook", bytes.NewReader(body))
	must(v.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Webhook-Signature", sim.Sign(testSecret, body))
	resp, err := v.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode == http.StatusNoContent {
		v.ledger.ack(id, verdict)
	}
	return resp.StatusCode
}

// deliveryOf is a delivery's body.
func deliveryOf(id, verdict string, created time.Time) []byte {
	at := created.UTC().Format("2006-01-02T15:04:05.000000Z")
	return fmt.Appendf(nil, `{"event":"verification.completed","session_id":%q,"timestamp":%q,"data":{"verdict":%q,"real_score":0.94,"score":94.0,"confidence":0.94,"type":"VERY HIGH","model":"mixed-10-v2","input_source":"rest_frames","processing_ms":845,"frames_processed":10,"tenant_metadata":null,"warning":null,"created_at":%q}}`,
		id, at, verdict, at)
}
