package sim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of a load: memory (about 2 KiB for each request), descriptors, time.
const (
	LoadRequestsMax    = 1_000_000
	LoadConnectionsMax = 1024 // moverisd's own cap
	LoadDurationMax    = 10 * time.Minute
	loadTimeout        = 30 * time.Second // for one answer
)

// Load is a burst of signed deliveries, each with a body of its own. All are made and signed
// before the first is sent, so that making them takes nothing from the program under test,
// which shares the processors with us.
type Load struct {
	URL         string // loopback, http
	Secret      string
	Connections int           // requests that are under way at a time
	Duration    time.Duration // ends the load, unless the requests are used up before
	Requests    int           // prepared
	// Rate is in requests a second. 0 is a closed loop: each connection sends as soon as it has
	// its answer. Otherwise the loop is open: requests have their times whether or not the
	// earlier ones were answered, and what one waits for its turn counts as latency.
	Rate float64
	// First is the number of the first session, see [LoadID]. With Known, sessions are drawn from
	// [First, First+Known) instead of each being the next.
	First uint64
	Known uint64
	Size  int // bytes of a body, about; at least 400
	Seed  uint64
	// Before and After are called right before the first request and after the last answer.
	Before, After func()
}

// LoadResult is what came of a load.
type LoadResult struct {
	Answers map[int]int // by status
	Failed  int         // requests without an answer
	UsedUp  bool        // the requests ended before the time did
	Took    time.Duration
	// Latencies of all answers with a status of 2xx, in no order.
	Latencies []time.Duration
}

// Check says what is wrong with a load.
func (l *Load) Check() error {
	u, err := url.Parse(l.URL)
	switch {
	case err != nil || u.Scheme != "http" || !isLoopback(u.Hostname()) || u.Port() == "":
		return fmt.Errorf("load: the URL must be http on a loopback address with a port, such as http://127.0.0.1:8480/api/moveris/webhook")
	case l.Secret == "":
		return fmt.Errorf("load: the secret is empty")
	case l.Connections < 1 || l.Connections > LoadConnectionsMax:
		return fmt.Errorf("load: connections must be from 1 to %d", LoadConnectionsMax)
	case l.Requests < 1 || l.Requests > LoadRequestsMax:
		return fmt.Errorf("load: requests must be from 1 to %d", LoadRequestsMax)
	case l.Duration <= 0 || l.Duration > LoadDurationMax:
		return fmt.Errorf("load: the duration must be above 0 and at most %v", LoadDurationMax)
	case l.Rate < 0 || l.Rate > 1e6:
		return fmt.Errorf("load: the rate must be from 0 to 1000000 a second")
	case l.Size < loadSizeMin || l.Size > 256<<10:
		return fmt.Errorf("load: the size must be from %d to %d bytes", loadSizeMin, 256<<10)
	}
	return nil
}

// Run sends the load. An unanswered request is no error: it is in the result.
func (l *Load) Run(ctx context.Context) (LoadResult, error) {
	if err := l.Check(); err != nil {
		return LoadResult{}, err
	}
	requests := l.prepare()
	client := l.client()
	defer client.CloseIdleConnections()
	senders := make([]loadSender, l.Connections)
	runtime.GC() // now, not while we measure
	ctx, cancel := context.WithTimeout(ctx, l.Duration)
	defer cancel()
	if l.Before != nil {
		l.Before()
	}
	start := time.Now()
	var next atomic.Int64
	var all sync.WaitGroup
	for i := range senders {
		s := &senders[i]
		s.client, s.load, s.answers = client, l, map[int]int{}
		all.Go(func() { s.run(ctx, requests, &next, start) })
	}
	all.Wait()
	out := LoadResult{Answers: map[int]int{}, Took: time.Since(start), UsedUp: next.Load() > int64(len(requests))}
	if l.After != nil {
		l.After()
	}
	for i := range senders {
		s := &senders[i]
		out.Failed += s.failed
		out.Latencies = append(out.Latencies, s.latencies...)
		for status, n := range s.answers {
			out.Answers[status] += n
		}
	}
	return out, nil
}

// client has a connection for each sender and keeps it.
func (l *Load) client() *http.Client {
	return &http.Client{
		Timeout: loadTimeout,
		Transport: &http.Transport{MaxConnsPerHost: l.Connections, MaxIdleConnsPerHost: l.Connections,
			DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// loadRequest is a delivery that only has to be sent.
type loadRequest struct {
	body   []byte
	header http.Header
}

// prepare makes and signs all deliveries, on all processors.
func (l *Load) prepare() []loadRequest {
	requests := make([]loadRequest, l.Requests)
	now := time.Now().UTC()
	parts := runtime.GOMAXPROCS(0)
	var all sync.WaitGroup
	for part := range parts {
		all.Go(func() {
			draw := rand.New(rand.NewPCG(l.Seed, uint64(part)))
			for i := part; i < len(requests); i += parts {
				n := l.First + uint64(i)
				if l.Known > 0 {
					n = l.First + draw.Uint64N(l.Known)
				}
				// A time of its own makes each body another, also for a session that comes twice.
				at := now.Add(time.Duration(i) * time.Microsecond)
				s := Session{ID: LoadID(n), Outcome: Live, Model: "mixed-10-v2", CreatedAt: at.Add(-time.Second), FinishedAt: at}
				body := loadBody(s, l.Size)
				requests[i] = loadRequest{body, webhookHeader(s, Sign(l.Secret, body))}
			}
		})
	}
	all.Wait()
	return requests
}

// loadSender has one request under way at a time, and what it has seen.
type loadSender struct {
	client    *http.Client
	load      *Load
	answers   map[int]int
	failed    int
	latencies []time.Duration
}

// run sends requests until they are used up or the time is over. After that it takes no new
// one, but waits for the answer it is owed.
func (s *loadSender) run(ctx context.Context, requests []loadRequest, next *atomic.Int64, start time.Time) {
	for ctx.Err() == nil {
		i := next.Add(1) - 1
		if i >= int64(len(requests)) {
			return
		}
		due := time.Now()
		if rate := s.load.Rate; rate > 0 {
			due = start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
			if !sleepUntil(ctx, due) {
				return
			}
		}
		status, err := s.send(&requests[i])
		if err != nil {
			s.failed++
			continue
		}
		s.answers[status]++
		if status/100 == 2 {
			s.latencies = append(s.latencies, time.Since(due))
		}
	}
}

// send sends a delivery and waits for its answer. The end of the load does not interrupt it.
func (s *loadSender) send(r *loadRequest) (int, error) {
	req, err := http.NewRequest(http.MethodPost, s.load.URL, bytes.NewReader(r.body))
	if err != nil {
		return 0, err
	}
	req.Header = r.header
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, controlBodyMax)) // for the connection's next use
	return resp.StatusCode, err
}

// sleepUntil reports whether the time came before the end.
func sleepUntil(ctx context.Context, at time.Time) bool {
	wait := time.Until(at)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
