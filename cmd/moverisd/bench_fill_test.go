package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/sim"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

const (
	fillSpan = 30 * 24 * time.Hour // before now, over which the sessions of a store have come
	// fillChunk sessions at a time are written in the order of their ids. Ids in random order
	// touch a page each once the index is large, and filling would take hours.
	fillChunk = 500_000
	fillDue   = 2000 // sessions that come due far in the future
)

// fillStore makes a store with n settled sessions in a directory, unless it is there already, and
// reports the bytes of its file for each session. Everything goes through the store's own front
// door.
func fillStore(dir string, n int) (perSession float64, err error) {
	path, mark := filepath.Join(dir, "moverisd.db"), filepath.Join(dir, "filled")
	size := func() (float64, error) {
		info, err := os.Stat(path)
		if err != nil {
			return 0, err
		}
		return float64(info.Size()) / float64(n), nil
	}
	if text, err := os.ReadFile(mark); err == nil {
		return strconv.ParseFloat(string(text), 64)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	st, err := store.Open(context.Background(), store.Options{Path: path})
	if err != nil {
		return 0, err
	}
	start := time.Now()
	for from := 0; from < n && err == nil; from += fillChunk {
		err = fillSettled(st, from, min(from+fillChunk, n), n)
		progress("filling %s: %d of %d sessions after %s", dir, min(from+fillChunk, n), n, time.Since(start).Round(time.Second))
	}
	if err2 := st.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return 0, err
	}
	if perSession, err = size(); err != nil {
		return 0, err
	}
	if err := fillExpected(path); err != nil {
		return 0, err
	}
	return perSession, os.WriteFile(mark, []byte(fmt.Sprint(perSession)), 0o600)
}

// fillSettled applies the deliveries of the sessions [from, to) of n.
func fillSettled(st *store.Store, from, to, n int) error {
	type session struct {
		id string
		at time.Time
	}
	list := make([]session, to-from)
	begin := time.Now().Add(-fillSpan)
	for i := range list {
		at := begin.Add(time.Duration(float64(fillSpan-time.Hour) * float64(from+i) / float64(n)))
		list[i] = session{sim.LoadID(uint64(from + i)), at.UTC().Truncate(time.Millisecond)}
	}
	slices.SortFunc(list, func(a, b session) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return concurrently(len(list), func(i int) error {
		s := list[i]
		body := deliveryOf(s.id, "live", s.at)
		body = append(body, make([]byte, max(0, 550-len(body)))...) // only its length matters now
		d, err := moveris.ParseWebhook(deliveryOf(s.id, "live", s.at))
		if err != nil {
			return err
		}
		o := d.Observation
		o.ObservedAt, o.Label = s.at, "bench"
		copy(o.Digest[:], s.id)
		_, err = st.Apply(context.Background(), store.Observed{Account: benchAccount, SessionID: s.id, Observation: o, Body: body})
		return err
	})
}

// fillExpected adds sessions that come due in ten hours, so that a daemon leaves them alone.
func fillExpected(path string) error {
	st, err := store.Open(context.Background(), store.Options{Path: path, Policy: func(string) verdict.Policy {
		return verdict.Policy{GracePeriod: 10 * time.Hour, GiveUpAfter: 24 * time.Hour, BackoffMin: time.Second, BackoffMax: time.Minute}
	}})
	if err != nil {
		return err
	}
	defer st.Close()
	return concurrently(fillDue, func(i int) error {
		_, err := st.Expect(context.Background(), store.Expectation{Account: benchAccount, SessionID: fmt.Sprintf("due-%d", i), At: time.Now()})
		return err
	})
}

// concurrently calls f for each of n, many at a time, and returns one of the errors.
func concurrently(n int, f func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && failed.Load() == nil; i = next.Add(1) - 1 {
				if err := f(int(i)); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
