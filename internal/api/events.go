package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/moverisd/moverisd/internal/store"
)

// heartbeat is how often a stream without events says that it is alive.
const heartbeat = 15 * time.Second

// streamWriteMax is how long a page of a stream may take to be sent.
const streamWriteMax = 30 * time.Second

// listEvents answers with a page of events, after a while if there are none yet, or
// streams them.
func (s *Server) listEvents(w http.ResponseWriter, r *http.Request) error {
	after, given, err := s.cursor(r)
	if err != nil {
		return err
	}
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return s.stream(w, r, after)
	}
	limit, err := limitOf(r, 100, store.EventsMax)
	if err != nil {
		return err
	}
	wait, err := waitOf(r)
	if err != nil {
		return err
	}
	timeout := time.After(wait)
	for {
		added := s.store.EventsAdded()
		list, err := s.store.Events(r.Context(), after, limit)
		if gone, ok := errors.AsType[*store.Gone](err); ok && !given {
			after = gone.Oldest - 1 // the oldest was pruned just now, and nobody asked for it by number
			continue
		}
		if err != nil {
			return err
		}
		if len(list) > 0 || wait == 0 {
			s.writeEvents(w, list, after)
			return nil
		}
		select {
		case <-added:
		case <-timeout:
			wait = 0
		case <-s.stop:
			wait = 0
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
}

func (s *Server) writeEvents(w http.ResponseWriter, list []store.Event, after int64) {
	out := EventList{Events: make([]Event, 0, len(list)), Next: after, Store: s.store.ID()}
	for _, e := range list {
		out.Events = append(out.Events, eventJSON(e, s.store.ID()))
		out.Next = e.Seq
	}
	writeJSON(w, http.StatusOK, out)
}

// cursor reads where to continue: after, or the id of the last event of a stream, which
// names its store. Without either it is before the oldest kept, and given is false.
func (s *Server) cursor(r *http.Request) (after int64, given bool, err error) {
	text, of := r.URL.Query().Get("after"), r.URL.Query().Get("store")
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		text = id
	}
	if name, seq, found := strings.Cut(text, "_"); found {
		if of != "" && of != name {
			return 0, false, problem(http.StatusBadRequest, "store differs from the store of the cursor")
		}
		of, text = name, seq
		if seq == "" {
			return 0, false, notACursor()
		}
	}
	oldest, last, err := s.store.EventSpan(r.Context())
	if err != nil {
		return 0, false, err
	}
	if of != "" && of != s.store.ID() {
		return 0, false, &store.Gone{Oldest: oldest, Last: last}
	}
	if text == "" {
		return oldest - 1, false, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, false, notACursor()
	}
	return n, true, nil
}

func notACursor() error {
	return problem(http.StatusBadRequest, "after is the sequence of the last event that was read, or its store, _ and its sequence")
}

// stream sends events as they come (text/event-stream) until the caller leaves.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, after int64) error {
	rc := http.NewResponseController(w)
	started := false
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		added := s.store.EventsAdded()
		list, err := s.store.Events(r.Context(), after, store.EventsMax)
		if err != nil {
			if !started {
				return err
			}
			return nil // the caller comes back with Last-Event-ID and is told
		}
		if !started {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusOK)
			started = true
		}
		// A reader that stands still is cut off; it comes back with Last-Event-ID.
		_ = rc.SetWriteDeadline(time.Now().Add(streamWriteMax))
		for _, e := range list {
			if err := s.writeStreamed(w, e); err != nil {
				return nil
			}
			after = e.Seq
		}
		if rc.Flush() != nil {
			return nil
		}
		if len(list) == store.EventsMax {
			continue
		}
		select {
		case <-added:
		case <-tick.C:
			_ = rc.SetWriteDeadline(time.Now().Add(streamWriteMax))
			if _, err := fmt.Fprint(w, ": alive\n\n"); err != nil {
				return nil
			}
		case <-s.stop:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}

func (s *Server) writeStreamed(w http.ResponseWriter, e store.Event) error {
	data, err := json.Marshal(eventJSON(e, s.store.ID()))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "id: %s_%d\nevent: session.%s\ndata: %s\n\n", s.store.ID(), e.Seq, e.Change, data)
	return err
}
