package daemon

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// systemd is the other end of $NOTIFY_SOCKET.
type systemd struct {
	t    *testing.T
	conn *net.UnixConn
	seen []string
}

func newSystemd(t *testing.T) *systemd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return &systemd{t: t, conn: conn}
}

// until waits for a message.
func (s *systemd) until(prefix string) {
	s.t.Helper()
	buf := make([]byte, 4096)
	for {
		if err := s.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			s.t.Fatal(err)
		}
		n, err := s.conn.Read(buf)
		if err != nil {
			s.t.Fatalf("%s never came, only %q", prefix, s.seen)
		}
		s.seen = append(s.seen, string(buf[:n]))
		if strings.HasPrefix(string(buf[:n]), prefix) {
			return
		}
	}
}

// The order in which systemd hears of a life: time to start, ready, what it does, reloads
// with their time, the end.
func TestNotifications(t *testing.T) {
	s := newSystemd(t)
	r := newRig(t, nil)
	s.until("EXTEND_TIMEOUT_USEC=30000000")
	s.until("READY=1")
	s.until("STATUS=")
	s.until("WATCHDOG=1")
	r.call(200, "POST", "/v1/admin/reload", nil)
	s.until("RELOADING=1\nMONOTONIC_USEC=")
	s.until("READY=1")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	s.until("STOPPING=1")
}

// No beat goes out when one of the three does not work, and each of them is named.
func TestBeatNamesEachFailure(t *testing.T) {
	s := newSystemd(t)
	r := &rig{t: t, log: &syncBuffer{}, dir: t.TempDir()}
	d := &daemon{log: r.options().Log}
	d.beat(errors.New("read-only"), errors.New("no answer"), true)
	for _, words := range []string{"the store does not commit", "the listener does not answer", "sweeps do not tick"} {
		if !strings.Contains(r.log.String(), words) {
			t.Errorf("the log does not say %q: %s", words, r.log)
		}
	}
	notifyStatus("nothing before")
	s.until("STATUS=nothing before")
	if len(s.seen) != 1 {
		t.Errorf("a beat went out: %q", s.seen)
	}
	d.beat(nil, nil, false)
	s.until("WATCHDOG=1")
}
