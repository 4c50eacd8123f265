package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
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
			s, err := Open(context.Background(), Options{Path: filepath.Join(b.TempDir(), "bench.db")})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var n atomic.Int64
			b.SetParallelism(max(1, waiting/2))
			b.ReportAllocs()
			b.ResetTimer()
			before := processorTime()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Apply(context.Background(), benchObservation(n.Add(1))); err != nil {
						b.Error(err)
					}
				}
			})
			b.StopTimer()
			b.ReportMetric(float64((processorTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(b.N)/float64(s.queue.commits.Load()), "deliveries/commit")
			d := s.Disk()
			b.ReportMetric(float64(d.Bytes+d.WALBytes)/float64(b.N), "bytes/delivery")
		})
	}
}
