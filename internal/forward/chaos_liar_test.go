package forward

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// liar is a target that is killed, hangs, answers 500, 410, 429 and lies, at random. It
// notes what it has really taken.
type liar struct {
	t     *testing.T
	wh    *standardwebhooks.Webhook
	mu    sync.Mutex
	first map[string][]int64           // by session, the events in the order in which they first came
	seen  map[string]map[string][]byte // by session and id, what came first
	dups  int
	did   [14]int // by kind of fault
}

func (l *liar) take(r *http.Request, raw []byte, b body) {
	if err := l.wh.Verify(raw, r.Header); err != nil {
		l.t.Errorf("signature: %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	id, s := r.Header.Get("webhook-id"), b.Data.Event.SessionID
	if l.seen[s] == nil {
		l.seen[s] = map[string][]byte{}
	}
	if before, ok := l.seen[s][id]; ok {
		l.dups++
		if !bytes.Equal(before, raw) {
			l.t.Errorf("event %s was first %s and then %s", id, before, raw)
		}
		return
	}
	l.seen[s][id] = raw
	l.first[s] = append(l.first[s], b.Data.Event.Seq)
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := &receiver{}
	v.take(r.Header, r.Body)
	q := v.got[0]
	what := rand.IntN(len(l.did))
	l.mu.Lock()
	l.did[what]++
	l.mu.Unlock()
	switch what {
	case 0:
		w.WriteHeader(500)
	case 1:
		w.WriteHeader(410)
	case 2:
		w.Header().Set("Retry-After", []string{"1", "-1", "9999999999", "soon"}[rand.IntN(4)])
		w.WriteHeader(429)
	case 3: // hangs, and takes it too late for the sender to know
		time.Sleep(400 * time.Millisecond)
		l.take(r, q.raw, q.body)
	case 4: // takes it and says no
		l.take(r, q.raw, q.body)
		w.WriteHeader(503)
	case 5: // takes it and breaks the connection
		l.take(r, q.raw, q.body)
		panic(http.ErrAbortHandler)
	case 6:
		panic(http.ErrAbortHandler)
	case 7: // lies about its length
		l.take(r, q.raw, q.body)
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(200)
	case 8:
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(307)
	default:
		l.take(r, q.raw, q.body)
		w.WriteHeader(200)
	}
}

// check holds what came against what was made, and says how much that was.
func (l *liar) check() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.first) != *chaosSessions {
		l.t.Errorf("events of %d sessions came, want %d", len(l.first), *chaosSessions)
	}
	for s, seqs := range l.first {
		if len(seqs) != eventsEach {
			l.t.Errorf("session %s: %d events came, want %d", s, len(seqs), eventsEach)
		}
		for i := 1; i < len(seqs); i++ {
			if seqs[i] <= seqs[i-1] {
				l.t.Errorf("session %s: out of order: %v", s, seqs)
			}
		}
	}
	if l.dups == 0 {
		l.t.Error("nothing came twice: the test tests nothing")
	}
	return fmt.Sprintf("%d events came more than once; answers by kind %v", l.dups, l.did)
}
