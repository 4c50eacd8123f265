package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/moverisd/moverisd/internal/store"
)

// heartbeat is how often a stream without events says that it is alive.
const heartbeat = 15 * time.Second

// listEvents answers with a page of events, after a while if there are none yet, or
// streams them.
func (s *Server) listEvents(w http.ResponseWriter, r *http.Request) error {
	after, err := s.cursor(r)
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
		if err != nil {
			return err
		}
		if len(list) > 0 || wait == 0 {
			return s.writeEvents(w, r, list, after)
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

func (s *Server) writeEvents(w http.ResponseWriter, r *http.Request, list []store.Event, after int64) error {
	out := EventList{Events: make([]Event, 0, len(list)), Next: after, Store: s.store.ID()}
	for _, e := range list {
		out.Events = append(out.Events, eventJSON(e, s.store.ID()))
		out.Next = e.Seq
	}
	if out.Next < 0 {
		// Nothing is kept: continue after what was given last.
		_, last, err := s.store.EventSpan(r.Context())
		if err != nil {
			return err
		}
		out.Next = last
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// cursor reads where to continue: after, or the id of the last event of a stream, which
// names its store. -1 means from the oldest kept.
func (s *Server) cursor(r *http.Request) (int64, error) {
	text, of := r.URL.Query().Get("after"), r.URL.Query().Get("store")
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		text = id
	}
	if name, seq, found := strings.Cut(text, "_"); found {
		of, text = name, seq
	}
	if of != "" && of != s.store.ID() {
		oldest, last, err := s.store.EventSpan(r.Context())
		if err != nil {
			return 0, err
		}
		return 0, &store.Gone{Oldest: oldest, Last: last}
	}
	if text == "" {
		return -1, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, problem(http.StatusBadRequest, "after is the sequence of the last event that was read")
	}
	return n, nil
}

// stream sends events as they come (text/event-stream) until the caller leaves.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, after int64) error {
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Time{})
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
