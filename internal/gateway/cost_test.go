package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	frames    = 30
	frameSize = 200 << 10
)

// check is a request of 30 frames of 200 KB that takes no memory: it is made as it is read.
func check(id string) (io.Reader, int64) {
	head := fmt.Sprintf(`{"session_id":%q,"frames":[""`, id)
	parts := []io.Reader{strings.NewReader(head)}
	length := int64(len(head))
	for range frames {
		parts = append(parts, strings.NewReader(`,"`), strings.NewReader(pixels()), strings.NewReader(`"`))
		length += 3 + frameSize
	}
	parts = append(parts, strings.NewReader("]}"))
	return io.MultiReader(parts...), length + 2
}

var pixels = sync.OnceValue(func() string { return strings.Repeat("A", frameSize) })

func sendCheck(t testing.TB, c *http.Client, url, id string) {
	body, length := check(id)
	req, err := http.NewRequest("POST", url+"/api/v1/fast-check", body)
	if err != nil {
		t.Error(err)
		return
	}
	req.ContentLength = length
	req.Header.Set("X-API-Key", testKey)
	resp, err := c.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || string(raw) != answered {
		t.Errorf("%v, %.100s", err, raw)
	}
}

func swallow(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(w, answered)
}

// added compares calls through the gateway with direct ones, in turn, and returns the
// difference of the medians and the medians.
func added(t testing.TB, direct, through string, n int) (diff, a, b time.Duration) {
	c := &http.Client{}
	defer c.CloseIdleConnections()
	var times [2][]time.Duration
	for i := range n {
		for j, url := range []string{direct, through} {
			start := time.Now()
			sendCheck(t, c, url, fmt.Sprintf("s%d", i))
			times[j] = append(times[j], time.Since(start))
		}
	}
	for j := range times {
		slices.Sort(times[j])
	}
	a, b = times[0][n/2], times[1][n/2]
	return b - a, a, b
}

// Thirty frames of 200 KB each add less than 5 ms: with the daemon there, stopped and
// hanging. (The race detector slows the copying down tenfold, and is let be.)
func TestAddedTime(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(swallow))
	t.Cleanup(up.Close)
	rounds := 31
	if raceDetector {
		rounds = 5
	}
	for _, daemon := range []string{"there", "stopped", "hanging", "failing"} {
		r := newRig(t, up.URL, daemon != "stopped")
		switch daemon {
		case "hanging":
			hang := make(chan struct{})
			t.Cleanup(func() { close(hang) })
			r.daemon.misbehaves(hang, 0)
		case "failing":
			r.daemon.misbehaves(nil, 503)
		}
		diff, a, b := added(t, up.URL, r.url, rounds)
		t.Logf("daemon %s: %s directly, %s through: %s added", daemon, a, b, diff)
		if diff > 5*time.Millisecond && !raceDetector {
			t.Errorf("daemon %s: %s added", daemon, diff)
		}
	}
}

// A request under way takes less than 2 MB, of whatever size it is.
func TestAddedMemory(t *testing.T) {
	const requests = 20
	arrived, release := make(chan struct{}, requests), make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Half of it, then it stands still: what is under way is in the buffers.
		_, _ = io.CopyN(io.Discard, r.Body, frames*frameSize/2)
		arrived <- struct{}{}
		<-release
		swallow(w, r)
	}))
	t.Cleanup(up.Close)
	r := newRig(t, up.URL, true)
	measure := func(url string) (held, allocated uint64) {
		c := &http.Client{}
		defer c.CloseIdleConnections()
		before := heap()
		var all sync.WaitGroup
		for i := range requests {
			all.Go(func() { sendCheck(t, c, url, fmt.Sprintf("m%d", i)) })
		}
		for range requests {
			<-arrived
		}
		time.Sleep(50 * time.Millisecond) // until the buffers are full
		held = heap().HeapInuse + heap().StackInuse - before.HeapInuse - before.StackInuse
		for range requests {
			release <- struct{}{}
		}
		all.Wait()
		return held / requests, (heap().TotalAlloc - before.TotalAlloc) / requests
	}
	directHeld, directAllocated := measure(up.URL)
	held, allocated := measure(r.url)
	t.Logf("a request holds %d KB directly and %d KB through; in all it takes %d and %d KB", directHeld>>10, held>>10, directAllocated>>10, allocated>>10)
	if int64(held)-int64(directHeld) > 2<<20 || int64(allocated)-int64(directAllocated) > 2<<20 {
		t.Error("a request adds 2 MB or more")
	}
}

func heap() runtime.MemStats {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m
}

// What cannot be told is dropped and counted: the queue has its bound, and nobody waits for
// it.
func TestQueueIsBounded(t *testing.T) {
	r := newRig(t, "http://127.0.0.1:9", false)
	start := time.Now()
	for n := range queueMax + 200 {
		r.recorder.add(note{account: "production", id: fmt.Sprintf("q%d", n)})
	}
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("noting took %s", took)
	}
	if c := r.Counts(); c.Dropped < 100 {
		t.Errorf("the queue has no bound: %+v", c)
	}
}

// What passes with each request.
func BenchmarkThrough(b *testing.B) {
	up := httptest.NewServer(http.HandlerFunc(swallow))
	b.Cleanup(up.Close)
	r := newRig(b, up.URL, false)
	for name, url := range map[string]string{"direct": up.URL, "through": r.url} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(frames * frameSize)
			for b.Loop() {
				sendCheck(b, http.DefaultClient, url, "s")
			}
		})
	}
}
