package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/store"
)

func (r *rig) expectN(from, to int) {
	r.t.Helper()
	for n := from; n < to; n++ {
		r.call(201, "PUT", fmt.Sprintf("/v1/sessions/s%d", n), `{"metadata":{"n":7}}`, nil)
	}
}

// A page after a cursor, in order and without gaps, whose next continues it; metadata comes
// back with every event and is gone once erased.
func TestEvents(t *testing.T) {
	r := newRig(t)
	var l EventList
	r.call(200, "GET", "/v1/events", "", &l)
	if l.Next != 0 || l.Store != r.st.ID() || l.Events == nil {
		t.Fatalf("of an empty store: %+v", l)
	}
	r.expectN(0, 5)
	var seqs []int64
	for after := ""; len(seqs) < 5; after = fmt.Sprintf("&after=%d&store=%s", l.Next, l.Store) {
		r.call(200, "GET", "/v1/events?limit=2"+after, "", &l)
		for _, e := range l.Events {
			if e.Change != "expected" || e.Store != r.st.ID() || string(e.Metadata) != `{"n":7}` {
				t.Errorf("%+v", e)
			}
			seqs = append(seqs, e.Seq)
		}
	}
	if !slices.Equal(seqs, []int64{1, 2, 3, 4, 5}) {
		t.Errorf("%v", seqs)
	}
	r.call(200, "GET", "/v1/events?after="+l.Cursor(), "", &l)
	if len(l.Events) != 0 || l.Next != 5 {
		t.Errorf("at the end: %+v", l)
	}
	r.call(200, "POST", "/v1/admin/sessions/s0/erase", "", nil)
	r.call(200, "GET", "/v1/events?limit=1", "", &l)
	if string(l.Events[0].Metadata) != "null" {
		t.Errorf("metadata came back after it was erased: %s", l.Events[0].Metadata)
	}
}

// A consumer that was away for too long, or comes with the cursor of another store, is told
// so, with the oldest sequence.
func TestEventsGone(t *testing.T) {
	r := newRig(t)
	old := time.Now().Add(-48 * time.Hour)
	r.clock.Store(old.UnixMilli())
	r.expectN(0, 3)
	r.clock.Store(0)
	r.expectN(3, 5)
	if _, err := r.st.Prune(context.Background(), store.Retention{Events: 24 * time.Hour, All: true}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"after=0", "after=2", "after=6", "after=4&store=another", "after=another_4", "store=another"} {
		if p := r.refused(410, "GET", "/v1/events?"+c, ""); p.Oldest == nil || *p.Oldest != 4 || p.Store != r.st.ID() {
			t.Errorf("%s: %+v", c, p)
		}
	}
	var l EventList
	r.call(200, "GET", "/v1/events?after=3", "", &l)
	if len(l.Events) != 2 || l.Events[0].Seq != 4 {
		t.Errorf("%+v", l)
	}
	r.call(200, "GET", "/v1/events", "", &l)
	if len(l.Events) != 2 {
		t.Errorf("from the oldest kept: %+v", l)
	}
	// All of them gone: the sequence goes on nonetheless.
	if _, err := r.st.Prune(context.Background(), store.Retention{Events: time.Hour, All: true}, time.Now().Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	r.call(200, "GET", "/v1/events", "", &l)
	if l.Next != 5 || len(l.Events) != 0 {
		t.Errorf("of none kept: %+v", l)
	}
	r.expectN(5, 6)
	r.call(200, "GET", fmt.Sprintf("/v1/events?after=%d", l.Next), "", &l)
	if len(l.Events) != 1 || l.Events[0].Seq != 6 {
		t.Errorf("after all were pruned: %+v", l)
	}
}

// No event is skipped by a consumer that begins while events are written.
func TestEventsNoGapAtTheStart(t *testing.T) {
	r := newRig(t)
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for n := range 200 {
			r.do("PUT", fmt.Sprintf("/v1/sessions/s%d", n), "")
		}
	}()
	var l EventList
	r.call(200, "GET", "/v1/events", "", &l)
	seen := int64(len(l.Events))
	for seen < 200 {
		r.call(200, "GET", fmt.Sprintf("/v1/events?wait=5s&after=%d", l.Next), "", &l)
		for _, e := range l.Events {
			if seen++; e.Seq != seen {
				t.Fatalf("event %d after %d", e.Seq, seen-1)
			}
		}
	}
	<-stop
}

// A long poll answers with the event it waited for, and with none when its time is up.
func TestEventsWait(t *testing.T) {
	r := newRig(t)
	var l EventList
	start := time.Now()
	r.call(200, "GET", "/v1/events?wait=100ms", "", &l)
	if took := time.Since(start); len(l.Events) != 0 || took < 100*time.Millisecond {
		t.Errorf("%+v after %s", l, took)
	}
	time.AfterFunc(100*time.Millisecond, func() { r.do("PUT", "/v1/sessions/a", "") })
	r.call(200, "GET", "/v1/events?wait=30s&after=0", "", &l)
	if len(l.Events) != 1 {
		t.Errorf("%+v", l)
	}
}

// readStream reads a stream up to n events and returns their ids.
func readStream(t *testing.T, c *Client, lastID string, n int) (ids []string, events []Event, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://moverisd/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	for len(events) < n && in.Scan() {
		if id, ok := strings.CutPrefix(in.Text(), "id: "); ok {
			ids = append(ids, id)
		}
		if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
			var e Event
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		}
	}
	return ids, events, resp.StatusCode
}

// A stream begins with what is there, goes on with what comes, and continues after its
// Last-Event-ID; 410 where it cannot.
func TestStream(t *testing.T) {
	r := newRig(t)
	c := serve(t, r)
	r.expectN(0, 2)
	time.AfterFunc(50*time.Millisecond, func() { r.expectN(2, 4) })
	ids, events, code := readStream(t, c, "", 4)
	if code != 200 || len(events) != 4 || events[3].Seq != 4 || ids[3] != r.st.ID()+"_4" {
		t.Fatalf("%d, %v, %+v", code, ids, events)
	}
	if _, events, _ = readStream(t, c, ids[1], 2); len(events) != 2 || events[0].Seq != 3 {
		t.Errorf("%+v", events)
	}
	for _, id := range []string{"another_2", r.st.ID() + "_9"} {
		if _, _, code = readStream(t, c, id, 1); code != 410 {
			t.Errorf("%s: %d", id, code)
		}
	}
}
