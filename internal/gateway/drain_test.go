package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// caller is a connection to a gateway.
type caller struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func (r *rig) dial() *caller {
	r.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return &caller{r.t, c, bufio.NewReader(c)}
}

func (c *caller) ask(path string) {
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nContent-Length: 2\r\n\r\n{}", path, testKey)
}

// answer is the status and the body of an answer, and whether the connection ends with it.
func (c *caller) answer() (status int, body string, last bool) {
	c.t.Helper()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Error("no answer: ", err)
		return 0, "", false
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Error(err)
	}
	return resp.StatusCode, string(raw), resp.Close
}

// A stop loses no request that is under way, however far it is, nor one that was on its way
// over a connection that is open; whoever comes later is told to use another one.
func TestStopLosesNothing(t *testing.T) {
	release := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
		_, _ = io.WriteString(w, r.URL.Path)
	}))
	defer up.Close()
	r := newRig(t, up.URL, false)
	silent, used, slow, half := r.dial(), r.dial(), r.dial(), r.dial()
	used.ask("/first")
	if status, body, last := used.answer(); status != 200 || body != "/first" || last {
		t.Fatal(status, body, last)
	}
	slow.ask("/slow")
	fmt.Fprintf(half, "POST /half HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nContent-Le", testKey)
	for r.Counts().Requests < 2 {
		time.Sleep(time.Millisecond)
	}
	stopped := make(chan struct{})
	go func() {
		r.stop()
		close(stopped)
	}()
	for !r.stopping.Load() {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond)
	silent.ask("/silent")
	used.ask("/again")
	_, _ = io.WriteString(half, "ngth: 0\r\n\r\n")
	for want, c := range map[string]*caller{"/silent": silent, "/again": used, "/half": half} {
		if status, body, last := c.answer(); status != 200 || body != want || !last {
			t.Errorf("%s: %d %q, the last one: %t", want, status, body, last)
		}
	}
	time.Sleep(silentMax + 100*time.Millisecond)
	select {
	case <-stopped:
		t.Error("it has not waited for the slow one")
	default:
	}
	close(release)
	if status, body, _ := slow.answer(); status != 200 || body != "/slow" {
		t.Errorf("slow: %d %q", status, body)
	}
	<-stopped
}

// Connections that bring nothing hold a stop up for a moment only.
func TestStopDoesNotWaitForTheSilent(t *testing.T) {
	up := httptest.NewServer(http.NotFoundHandler())
	defer up.Close()
	r := newRig(t, up.URL, false)
	silent, used := r.dial(), r.dial()
	used.ask("/first")
	used.answer()
	start := time.Now()
	r.stop()
	if took := time.Since(start); took > 10*silentMax {
		t.Errorf("it took %s", took)
	}
	for _, c := range []*caller{silent, used} {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.in.ReadByte(); err == nil {
			t.Error("it is still open")
		}
	}
}
