package daemon

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A delivery that was accepted, but not read, when the stop begins is answered; a connection
// that stays silent holds the stop up for a moment only.
func TestAcceptedIsAnsweredAtStop(t *testing.T) {
	r := newRig(t, nil)
	addr := strings.TrimSuffix(strings.TrimPrefix(r.webhook, "http://"), "/api/moveris/webhook")
	conns := make([]net.Conn, 8)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	time.Sleep(50 * time.Millisecond) // they are accepted
	start := time.Now()
	stopped := make(chan error)
	go func() { stopped <- r.stop() }()
	time.Sleep(50 * time.Millisecond) // the stop has begun
	for _, c := range conns[1:] {
		_, err := io.WriteString(c, "POST /api/moveris/webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("an accepted delivery was not answered: %v", err)
		}
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("answer %d", resp.StatusCode)
		}
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("stopping took %s", took)
	}
}
