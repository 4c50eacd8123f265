package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moverisd/moverisd/internal/api"
)

// Limits of the recording.
const (
	queueMax   = 4096 // notes that wait; about 1 KB each
	workers    = 2
	daemonCall = 5 * time.Second // one call of the daemon
	tries      = 3
	tryPause   = time.Second // a restart of the daemon takes no longer
	lastCalls  = 5 * time.Second
	recentMax  = 4096 // sessions that are known to be expected
)

// note is what is to be recorded about a session.
type note struct {
	account, id, jobID string
	result             []byte // nil: it is only expected
}

// Counts are what has become of the requests and the notes.
type Counts struct {
	Requests   int64 // all that were passed on
	UnknownKey int64 // passed on unrecorded: with the key of no account, or none
	Expected   int64 // sessions that the daemon was told of
	Submitted  int64 // verdicts that it was given
	Refused    int64 // notes that it did not want
	Dropped    int64 // notes that were lost: the queue was full, or the daemon away
	Unread     int64 // answers that could not be looked at
}

// recorder tells the daemon, best effort. Nothing that passes waits for it.
type recorder struct {
	client *api.Client
	log    *slog.Logger
	queue  chan note

	requests, unknownKey, expected, submitted, refused, dropped, unread atomic.Int64

	mu     sync.Mutex // guards the fields below
	recent [2]map[string]struct{}
}

func newRecorder(socket string, log *slog.Logger) *recorder {
	r := &recorder{client: api.NewClient(socket), log: log, queue: make(chan note, queueMax)}
	r.recent[0], r.recent[1] = map[string]struct{}{}, map[string]struct{}{}
	return r
}

// add notes something, or drops it if too much waits already.
func (r *recorder) add(n note) {
	if n.id == "" || n.result == nil && n.jobID == "" && r.known(n) {
		return
	}
	select {
	case r.queue <- n:
	default:
		r.dropped.Add(1)
	}
}

// run works on the queue until ctx ends, then for a moment on what is left.
func (r *recorder) run(ctx context.Context) {
	var all sync.WaitGroup
	for range workers {
		all.Go(func() { r.work(ctx) })
	}
	all.Wait()
	left, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCalls)
	defer cancel()
	for {
		select {
		case n := <-r.queue:
			r.tell(left, n, 1)
		default:
			return
		}
	}
}

func (r *recorder) work(ctx context.Context) {
	for {
		select {
		case n := <-r.queue:
			// A note under way is told to its end.
			r.tell(context.WithoutCancel(ctx), n, tries)
		case <-ctx.Done():
			return
		}
	}
}

// tell tells the daemon of one note; after some tries it is dropped.
func (r *recorder) tell(ctx context.Context, n note, tries int) {
	for try := 1; ; try++ {
		err := r.once(ctx, n)
		_, said := errors.AsType[*api.Problem](err)
		switch {
		case err == nil:
			return
		case said && !passing(err):
			r.refused.Add(1)
			r.log.Debug("the daemon does not want it", "session", n.id, "account", n.account, "err", err)
			return
		case try >= tries || ctx.Err() != nil:
			r.dropped.Add(1)
			r.log.Debug("the daemon cannot be told", "session", n.id, "account", n.account, "err", err)
			return
		}
		time.Sleep(tryPause)
	}
}

// passing reports whether the daemon may want it later.
func passing(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Status >= 500
}

// once expects the session and submits its verdict, if there is one. To repeat it does no harm.
func (r *recorder) once(ctx context.Context, n note) error {
	ctx, cancel := context.WithTimeout(ctx, daemonCall)
	defer cancel()
	if !r.known(n) || n.jobID != "" {
		_, created, err := r.client.Expect(ctx, n.id, api.Expectation{Account: n.account, JobID: n.jobID})
		if p, ok := errors.AsType[*api.Problem](err); ok && p.Status == 409 {
			err = nil // it is known, with another job: the session may have had several checks
		}
		if err != nil {
			return err
		}
		r.remember(n)
		if created {
			r.expected.Add(1)
		}
	}
	if n.result == nil {
		return nil
	}
	_, created, err := r.client.Submit(ctx, n.account, n.id, n.result)
	if err == nil && created {
		r.submitted.Add(1)
	}
	return err
}

// known reports whether the daemon was told of the session lately: a check that is streamed
// names its session with each frame.
func (r *recorder) known(n note) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, new := r.recent[0][n.key()]
	_, old := r.recent[1][n.key()]
	return new || old
}

func (r *recorder) remember(n note) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.recent[0]) >= recentMax/2 {
		r.recent[0], r.recent[1] = map[string]struct{}{}, r.recent[0]
	}
	r.recent[0][n.key()] = struct{}{}
}

func (n note) key() string { return n.account + "\x00" + n.id }

// counts reads the counts.
func (r *recorder) counts() Counts {
	return Counts{Requests: r.requests.Load(), UnknownKey: r.unknownKey.Load(), Expected: r.expected.Load(),
		Submitted: r.submitted.Load(), Refused: r.refused.Load(), Dropped: r.dropped.Load(), Unread: r.unread.Load()}
}
