package store

import (
	"context"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/moverisd/moverisd/internal/verdict"
)

// BenchmarkApplyForwarded is the group commit without a forward, and with one whose target is
// dead: the outbox only grows. The JSON is made by package api; see its benchmark.
func BenchmarkApplyForwarded(b *testing.B) {
	body := []byte(`{"type":"` + strings.Repeat("x", 1200) + `"}`)
	for name, f := range map[string]Forwarding{
		"none": {},
		"dead": {Forwards: []Forward{{Name: "backend", Changes: []verdict.Change{verdict.ChangeSettled}}},
			Render: func(string, Event, View) []byte { return body }},
	} {
		b.Run(name, func(b *testing.B) {
			s, err := Open(context.Background(), Options{Path: filepath.Join(b.TempDir(), "bench.db"), Forwarding: f})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var n atomic.Int64
			b.SetParallelism(128)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Apply(context.Background(), benchObservation(n.Add(1))); err != nil {
						b.Error(err)
					}
				}
			})
			b.StopTimer()
			d := s.Disk()
			b.ReportMetric(float64(d.Bytes+d.WALBytes)/float64(b.N), "bytes/delivery")
		})
	}
}
