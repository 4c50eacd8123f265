package daemon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// asService, set in the environment, makes TestServiceProcess a daemon to which systemd has
// passed sockets; its value is the path of the configuration.
const asService = "MOVERISD_TEST_SERVICE"

// TestServiceProcess is no test of its own but the daemon of TestInheritedSockets: descriptors
// are inherited by processes only.
func TestServiceProcess(t *testing.T) {
	path := os.Getenv(asService)
	if path == "" {
		t.Skip("the daemon of another test")
	}
	// systemd sets it between fork and exec.
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	r := &rig{t: t, dir: filepath.Dir(path), log: &syncBuffer{}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := Run(ctx, r.options())
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
	}
	os.Exit(ExitCode(err))
}

// service runs a daemon with descriptors and returns its exit code and what it said.
func (r *rig) service(names string, files ...*os.File) (int, string) {
	r.t.Helper()
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestServiceProcess$")
	cmd.Env = append(os.Environ(), asService+"="+filepath.Join(r.dir, "moverisd.toml"),
		"LISTEN_FDS="+strconv.Itoa(len(files)), "LISTEN_FDNAMES="+names)
	cmd.ExtraFiles = files
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		r.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func listening(t *testing.T, network, address string) *os.File {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	f, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// early sends a delivery to a socket that nobody serves yet; nil is no answer.
func early(t *testing.T, addr string) <-chan *http.Response {
	t.Helper()
	answer := make(chan *http.Response, 1)
	go func() {
		resp, err := http.Post("http://"+addr+"/api/moveris/webhook", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Log(err)
			answer <- nil
			return
		}
		resp.Body.Close()
		answer <- resp
	}()
	return answer
}

// A descriptor of systemd that contradicts the configuration, or that nobody knows, is exit
// code 78 naming both sides, before anything is touched; one that fits is served, also to
// who came before the start, and each of its connections once.
func TestInheritedSockets(t *testing.T) {
	r := idle(t)
	configured := strings.TrimSuffix(strings.TrimPrefix(r.webhook, "http://"), "/api/moveris/webhook")
	elsewhere := freeAddress(t)
	for _, c := range []struct {
		name  string
		names string
		files func(t *testing.T) []*os.File
		code  int
		says  []string
	}{
		{"webhook elsewhere", "webhook", func(t *testing.T) []*os.File {
			return []*os.File{listening(t, "tcp", elsewhere)}
		}, 78, []string{elsewhere, configured, "webhook.listen"}},
		{"api elsewhere", "api", func(t *testing.T) []*os.File {
			return []*os.File{listening(t, "unix", filepath.Join(r.dir, "other.sock"))}
		}, 78, []string{"other.sock", r.socket(), "api.socket"}},
		{"unknown name", "moverisd.socket", func(t *testing.T) []*os.File {
			return []*os.File{listening(t, "tcp", elsewhere)}
		}, 78, []string{`"moverisd.socket"`, elsewhere, "FileDescriptorName"}},
		{"two of a name", "webhook:webhook", func(t *testing.T) []*os.File {
			return []*os.File{listening(t, "tcp", configured), listening(t, "tcp", elsewhere)}
		}, 78, []string{"2 sockets", configured, elsewhere}},
		{"both fit", "webhook:api", func(t *testing.T) []*os.File {
			return []*os.File{listening(t, "tcp", configured), listening(t, "unix", r.socket())}
		}, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := c.files(t)
			var answer <-chan *http.Response
			if c.code == 0 {
				answer = early(t, configured)
			}
			code, out := r.service(c.names, files...)
			if answer != nil {
				if resp := <-answer; resp == nil || resp.StatusCode != 401 || !resp.Close {
					t.Errorf("a delivery before the start: %+v", resp)
				}
			}
			if code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, out)
			}
			for _, word := range c.says {
				if !strings.Contains(out, word) {
					t.Errorf("it does not name %q: %s", word, out)
				}
			}
			_, err := os.Stat(filepath.Join(r.dir, "moverisd.db"))
			if opened := err == nil; opened != (c.code == 0) {
				t.Errorf("the store was made: %t", opened)
			}
		})
	}
}

func TestSameTCP(t *testing.T) {
	for _, c := range []struct {
		have, want string
		fits       bool
	}{
		{"127.0.0.1:8480", "127.0.0.1:8480", true},
		{"127.0.0.1:8480", "127.0.0.1:8481", false},
		{"127.0.0.1:8480", "127.0.0.2:8480", false},
		{"127.0.0.1:8480", "localhost:8480", true},
		{"127.0.0.1:8480", "127.0.0.1:0", true},
		{"127.0.0.1:8480", ":8480", false}, // one address is not all of them
		{"[::]:8480", ":8480", true},
		{"[::]:8480", "0.0.0.0:8480", true},
		{"[::]:8480", "127.0.0.1:8480", false},
	} {
		a, err := net.ResolveTCPAddr("tcp", c.have)
		if err != nil {
			t.Fatal(err)
		}
		if got := sameTCP(a, c.want); got != c.fits {
			t.Errorf("%s for %s: %t", c.have, c.want, got)
		}
	}
	if sameTCP(&net.UnixAddr{Name: "/run/s"}, "127.0.0.1:8480") {
		t.Error("a unix socket fits a port")
	}
}
