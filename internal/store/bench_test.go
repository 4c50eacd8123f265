package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moverisd/moverisd/internal/verdict"
)

// benchObservation is a delivery of the guide's size for the n-th session.
func benchObservation(n int64) Observed {
	id := fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(n*2654435761), n)
	body := []byte(`{"event":"verification.completed","session_id":"` + id + `","pad":"` + strings.Repeat("x", 470) + `"}`)
	score := 0.94
	at := time.Now()
	return Observed{Account: "production", SessionID: id, Body: body, Observation: verdict.Observation{
		Source: verdict.Webhook, Form: verdict.FormCompleted, Verdict: "live", Model: "mixed-10-v2", Type: "VERY HIGH",
		CreatedAt: at, AsOf: at, ObservedAt: at, RealScore: &score, Score: &score, Confidence: &score,
		Label: "mixed-30-v2", Digest: sha256.Sum256(body)}}
}

// processorTime is what this process has used. On a machine that has other things to do it says
// more than the time on the wall.
func processorTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkApply is the group commit by the number of deliveries that wait at a time.
func BenchmarkApply(b *testing.B) {
	for _, waiting := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			var n atomic.Int64
			benchApply(b, openBench(b), waiting, func() Observed { return benchObservation(n.Add(1)) })
		})
	}
}

// BenchmarkApplyExpected is the same for sessions that were announced, which is what most are.
func BenchmarkApplyExpected(b *testing.B) {
	s := openBench(b)
	var expected, n atomic.Int64
	var all sync.WaitGroup
	for range batchMax {
		all.Go(func() {
			for i := expected.Add(1); i <= int64(b.N); i = expected.Add(1) {
				in := Expectation{Account: "production", SessionID: benchObservation(i).SessionID, At: time.Now()}
				if _, err := s.Expect(context.Background(), in); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	benchApply(b, s, 64, func() Observed { return benchObservation(n.Add(1)) })
}

func openBench(b *testing.B) *Store {
	s, err := Open(context.Background(), Options{Path: filepath.Join(b.TempDir(), "bench.db"), Policy: func(string) verdict.Policy {
		return verdict.Policy{GracePeriod: time.Hour, GiveUpAfter: time.Hour, BackoffMin: time.Second, BackoffMax: time.Minute}
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func benchApply(b *testing.B, s *Store, waiting int, next func() Observed) {
	b.SetParallelism(max(1, waiting/runtime.GOMAXPROCS(0)))
	b.ReportAllocs()
	commits, before := s.queue.commits.Load(), processorTime()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Apply(context.Background(), next()); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64((processorTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/float64(s.queue.commits.Load()-commits), "deliveries/commit")
}
