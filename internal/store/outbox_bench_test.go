package store

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// BenchmarkApplyForwarded is the group commit without a forward, and with one whose target is
// dead: the outbox only grows.
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

// BenchmarkUnpack is what an event costs the writer when it is made ready to be sent, beside what
// its delivery costs, by 64 senders. The JSON is made by package api, and not part of it.
func BenchmarkUnpack(b *testing.B) {
	body := []byte(`{"type":"` + strings.Repeat("x", 1200) + `"}`)
	s, err := Open(context.Background(), Options{Path: filepath.Join(b.TempDir(), "bench.db"), Forwarding: Forwarding{
		Forwards: []Forward{{Name: "backend", Changes: []verdict.Change{verdict.ChangeSettled}}},
		Render:   func(string, Event, View) []byte { return body }}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const round = 6400
	var n atomic.Int64
	var apply, unpack time.Duration
	for i := range int64(b.N) {
		start := time.Now()
		var senders sync.WaitGroup
		for range 64 {
			senders.Go(func() {
				for k := n.Add(1); k <= (i+1)*round; k = n.Add(1) {
					if _, err := s.Apply(context.Background(), benchObservation(k)); err != nil {
						b.Error(err)
					}
				}
			})
		}
		senders.Wait()
		n.Store((i + 1) * round)
		apply += time.Since(start)
		start = time.Now()
		if err := s.unpackAll(context.Background()); err != nil {
			b.Fatal(err)
		}
		unpack += time.Since(start)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(apply.Nanoseconds())/float64(b.N*round), "apply-ns")
	b.ReportMetric(float64(unpack.Nanoseconds())/float64(b.N*round), "unpack-ns")
}
