package store

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Under a load that never pauses the log is begun anew long before it reaches the length at which
// a commit itself would have to write it back.
func TestLogIsBegunAnew(t *testing.T) {
	f := newFixture(t)
	const each, senders = 100 << 10, 8 // bytes, and about 80 MB a second of them
	count := 8 * checkpointPages * 4096 / 5 / each
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for i := sender; i < count; i += senders {
				body := make([]byte, each)
				copy(body, fmt.Sprint(i))
				_, err := f.Apply(ctx(), Observed{Account: "production", SessionID: fmt.Sprint(i), Body: body,
					Observation: verdict.Observation{Source: verdict.Webhook, Form: verdict.FormCompleted, Verdict: "live",
						CreatedAt: f.now(), AsOf: f.now(), ObservedAt: f.now(), Digest: sha256.Sum256(body)}})
				if err != nil {
					t.Error(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	longest := int64(0)
	for over := false; !over; {
		select {
		case <-done:
			over = true
		case <-time.After(20 * time.Millisecond):
		}
		longest = max(longest, f.Disk().WALBytes)
	}
	// On a slow machine the load may pause after all, and the log begin anew by itself: how long it
	// was at least says only that it was looked at.
	if longest >= checkpointPages*4096 || longest < 1<<20 {
		t.Errorf("the log was %d MiB long, with %d MiB written", longest>>20, count*each>>20)
	}
}
