package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	benchAccount = "production"
	benchSecret  = "whsec-bench-0123456789abcdef"
)

// lab is where the measured programs run: one directory, one port.
type lab struct {
	dir      string // of stores; on a real disk
	moverisd string // programs
	sim      string
	self     string
	addr     string
	api      string // the simulated Moveris, if one runs
	profile  string // for the twin "store"
	log      *os.File
}

func newLab(dir string) (*lab, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &lab{dir: dir, self: self, addr: ln.Addr().String(), api: "127.0.0.1:1",
		moverisd: filepath.Join(dir, "moverisd"), sim: filepath.Join(dir, "moveris-sim")}
	ln.Close()
	for name, text := range map[string]string{"secret": benchSecret, "key": testKey} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	l.log, err = os.Create(filepath.Join(dir, "log"))
	return l, err
}

// server is a program under test.
type server struct {
	cmd   *exec.Cmd
	ended chan error
	ready time.Duration // from its start
	sock  string        // moverisd's
}

// start runs a program on a store, whose directory is made if it is not there, and waits until
// it takes deliveries. kind is "moverisd" or that of a twin.
func (l *lab) start(kind, storeDir string, prefix ...string) (*server, error) {
	if err := os.MkdirAll(storeDir, 0o700); err != nil {
		return nil, err
	}
	if kind != "moverisd" {
		cmd := exec.Command(l.self, "-kind", kind, "-listen", l.addr, "-secret", filepath.Join(l.dir, "secret"), "-store", filepath.Join(storeDir, "twin.db"))
		cmd.Args[0] = "twin"
		if kind == "store" {
			cmd.Args = append(cmd.Args, "-cpuprofile", l.profile)
		}
		s := &server{cmd: cmd}
		return s, l.run(s, l.listening)
	}
	s := &server{sock: filepath.Join(storeDir, "s")}
	config := filepath.Join(storeDir, "moverisd.toml")
	text := fmt.Sprintf(`[webhook]
listen = %q
[api]
socket = %q
[store]
path = %q
[poll]
schedule = "@every 2s"
grace_period = "1s"
[[account]]
name = %q
base_url = "http://%s"
api_key = "file:%s"
requests_per_minute = 240
routes = ["/api/v1/result/{session_id}"]
webhook_secrets = [ { label = "bench", secret = "file:%s" } ]
`, l.addr, s.sock, filepath.Join(storeDir, "moverisd.db"), benchAccount, l.api, filepath.Join(l.dir, "key"), filepath.Join(l.dir, "secret"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	args := append(prefix, l.moverisd, "run", "--config", config)
	s.cmd = exec.Command(args[0], args[1:]...)
	// Ready is when the daemon tells systemd so.
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.sock + "n", Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer os.Remove(s.sock + "n")
	defer notify.Close()
	s.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.sock+"n")
	return s, l.run(s, func() bool {
		buf := make([]byte, 4096)
		_ = notify.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := notify.Read(buf)
		return err == nil && bytes.Contains(buf[:n], []byte("READY=1"))
	})
}

func (l *lab) listening() bool {
	conn, err := net.Dial("tcp", l.addr)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// run starts a program and asks every millisecond whether it is ready.
func (l *lab) run(s *server, ready func() bool) error {
	s.cmd.Stdout, s.cmd.Stderr = l.log, l.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	start := time.Now()
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.ended = make(chan error, 1)
	go func() { s.ended <- s.cmd.Wait() }()
	for time.Since(start) < time.Minute {
		if ready() {
			s.ready = time.Since(start)
			return nil
		}
		select {
		case err := <-s.ended:
			return fmt.Errorf("%s: %w\n%s", s.cmd.Args[0], err, l.tail())
		case <-time.After(time.Millisecond):
		}
	}
	return errors.Join(fmt.Errorf("%s is not ready after a minute\n%s", s.cmd.Args[0], l.tail()), s.stop())
}

// tail is the end of what the programs have logged.
func (l *lab) tail() string {
	data, _ := os.ReadFile(l.log.Name())
	return string(data[max(0, len(data)-2000):])
}

// stop ends the program and waits for it.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := <-s.ended; err != nil {
		return fmt.Errorf("%s: %w", s.cmd.Args[0], err)
	}
	return nil
}

// get calls moverisd's API.
func (s *server) get(method, path string, body io.Reader) ([]byte, error) {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", s.sock)
		}}}
	req, err := http.NewRequest(method, "http://moverisd"+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, data)
	}
	return data, err
}

// loadResult is what "moveris-sim load --output json" prints, as far as it is used here.
type loadResult struct {
	Acked     int     `json:"acked"`
	PerSecond float64 `json:"per_second"`
	Latency   struct {
		P50 float64 `json:"p50"`
		P95 float64 `json:"p95"`
		P99 float64 `json:"p99"`
		Max float64 `json:"max"`
	} `json:"latency_ms"`
	UsedUp bool `json:"used_up"`
	Server struct {
		CPU    float64 `json:"cpu_us"`
		Memory float64 `json:"memory_mib"`
		Peak   float64 `json:"memory_peak_mib"`
	} `json:"server"`
}

// load sends a load to a program; args are those of moveris-sim load.
func (l *lab) load(s *server, d time.Duration, args ...string) (r loadResult, err error) {
	args = append([]string{"load", "--webhook-url", "http://" + l.addr + "/api/moveris/webhook", "--secret-file", filepath.Join(l.dir, "secret"),
		"--duration", d.String(), "--requests", fmt.Sprint(int(d.Seconds()*60_000) + 1000), "--pid", fmt.Sprint(s.cmd.Process.Pid), "-o", "json"}, args...)
	cmd := exec.Command(l.sim, args...)
	cmd.Stderr = l.log
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("moveris-sim load: %w\n%s", err, l.tail())
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, err
	}
	if r.UsedUp {
		return r, errors.New("the load ran out of deliveries: it must be prepared larger")
	}
	return r, nil
}
