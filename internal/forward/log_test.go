package forward

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// gate lets attempts through together, once that many are on their way, and fails them all.
type gate struct {
	want sync.WaitGroup
}

func (g *gate) RoundTrip(*http.Request) (*http.Response, error) {
	g.want.Done()
	g.want.Wait()
	return nil, http.ErrHandlerTimeout
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// That a target fails is told once, however many attempts were on their way.
func TestFailureIsLoggedOnce(t *testing.T) {
	r := newRig(t, "a")
	for _, id := range strings.Split("12345678", "") {
		r.settle(id)
	}
	g, log := &gate{}, &lines{}
	g.want.Add(sendersMax)
	r.fwd = New(Options{Store: r.store, Log: slog.New(slog.NewTextHandler(log, nil))})
	tm := quick()
	tm.backoffMin, tm.backoffMax, tm.pauseMin, tm.pauseMax = time.Hour, time.Hour, time.Hour, time.Hour
	r.fwd.timing = tm
	r.fwd.roundTripper = func() http.RoundTripper { return g }
	r.fwd.Configure([]Target{{Name: "a", URL: "http://127.0.0.1:1/", Keys: [][]byte{{1}}}})
	r.eventually("all attempts are recorded", func() bool {
		r.fwd.mu.Lock()
		to := r.fwd.targets["a"]
		r.fwd.mu.Unlock()
		to.mu.Lock()
		defer to.mu.Unlock()
		return to.health.failures >= steady && len(to.busy) == 0
	})
	if n := log.count("forwarding fails"); n != 1 {
		t.Errorf("it is told %d times", n)
	}
}

// An outbox that cannot be unpacked is tried again after a while, not with each delivery.
func TestFailingUnpackIsNotTriedWithEachDelivery(t *testing.T) {
	r, log := newRig(t, "a"), &lines{}
	out := forwardingOf("a")
	out.Render = nil
	r.store.SetForwarding(out)
	r.fwd = New(Options{Store: r.store, Log: slog.New(slog.NewTextHandler(log, nil))})
	r.fwd.Configure([]Target{{Name: "a", URL: "http://127.0.0.1:1/", Keys: [][]byte{{1}}}})
	start := time.Now()
	for range 200 {
		r.settle("one")
	}
	most := 2 + int(time.Since(start)/recordAgain)
	if n := log.count("cannot be unpacked"); n < 1 || n > most {
		t.Errorf("it was tried %d times, at most %d are due", n, most)
	}
}
