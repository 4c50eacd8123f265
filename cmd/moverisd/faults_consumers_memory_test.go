package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// arrival is an event as an application was told of it.
type arrival struct {
	id      string
	body    []byte // all that was sent about it
	event   []byte // the event in it
	seq     int64
	store   string
	session string
}

// arrivalOf reads the event of an arrival.
func arrivalOf(id string, body, event []byte) (arrival, error) {
	var e struct {
		Seq       int64  `json:"seq"`
		Store     string `json:"store"`
		SessionID string `json:"session_id"`
	}
	if err := json.Unmarshal(event, &e); err != nil || e.Seq == 0 || e.Store == "" || e.SessionID == "" {
		return arrival{}, fmt.Errorf("no event: %.300s (%v)", event, err)
	}
	return arrival{id: id, body: bytes.Clone(body), event: bytes.Clone(event), seq: e.Seq, store: e.Store, session: e.SessionID}, nil
}

// application is what is told of events and remembers their ids. It has two memories: the
// test's, in which everything is that ever arrived, and its own, from which whatever it had
// not kept is gone when it is killed.
type application struct {
	name   string
	prefix string // of its ids

	mu       sync.Mutex
	arrived  map[string]arrival // by id, the first time
	told     map[string][]int64 // by session, sequences in the order of their first arrival
	applied  map[string]bool    // ids that it remembers
	effects  map[string][]int64 // by session, what it has made of the events whose ids it did not know
	arrivals int
	repeats  int // arrivals of what had arrived before
	deaths   int // of the application
	hangs    int
	wrong    error
}

func newApplication(name, prefix string) *application {
	return &application{name: name, prefix: prefix, arrived: map[string]arrival{}, told: map[string][]int64{},
		applied: map[string]bool{}, effects: map[string][]int64{}}
}

// fail keeps the first thing that went wrong.
func (a *application) fail(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failLocked(format, args...)
}

func (a *application) failLocked(format string, args ...any) {
	if a.wrong == nil {
		a.wrong = fmt.Errorf(a.name+": "+format, args...)
	}
}

func (a *application) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.wrong
}

// hear notes that an event has arrived. A repetition says what was said before, to the byte.
func (a *application) hear(in arrival) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.arrivals++
	if want := a.prefix + fmt.Sprintf("%s_%d", in.store, in.seq); in.id != want {
		a.failLocked("event %d has the id %q, not %q", in.seq, in.id, want)
	}
	if before, ok := a.arrived[in.id]; ok {
		a.repeats++
		if !bytes.Equal(before.body, in.body) {
			a.failLocked("event %s was first\n%s\nand then\n%s", in.id, before.body, in.body)
		}
		return
	}
	list := a.told[in.session]
	if n := len(list); n > 0 && list[n-1] > in.seq {
		a.failLocked("session %s: event %d came after event %d", in.session, in.seq, list[n-1])
	}
	a.arrived[in.id] = in
	a.told[in.session] = append(list, in.seq)
}

// apply keeps what events have made, with their ids; an id that is remembered makes nothing.
func (a *application) apply(list ...arrival) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, in := range list {
		if !a.applied[in.id] {
			a.applied[in.id] = true
			a.effects[in.session] = append(a.effects[in.session], in.seq)
		}
	}
}

func (a *application) died() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deaths++
}

func (a *application) hung() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hangs++
}

// history is what the store's own sequence says, as `moverisd events` prints it.
type history struct {
	store    string
	events   map[int64][]byte
	sessions map[string][]int64  // by session, sequences
	changes  map[string][]string // by session, what they say
	last     int64
}

// readHistory reads lines of JSON. They are without a gap, beginning with 1.
func readHistory(lines []byte) (*history, error) {
	s := &history{events: map[int64][]byte{}, sessions: map[string][]int64{}, changes: map[string][]string{}}
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSpace(line)
		var e struct {
			Change string `json:"change"`
		}
		in, err := arrivalOf("", nil, line)
		if err = errors.Join(err, json.Unmarshal(line, &e)); err != nil {
			return nil, err
		}
		if in.seq != s.last+1 {
			return nil, fmt.Errorf("the sequence has %d after %d", in.seq, s.last)
		}
		s.last, s.store, s.events[in.seq] = in.seq, in.store, in.event
		s.sessions[in.session] = append(s.sessions[in.session], in.seq)
		s.changes[in.session] = append(s.changes[in.session], e.Change)
	}
	return s, nil
}

// judge holds what an application was told, and what it has made of it, against the store.
func (a *application) judge(s *history) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.wrong != nil {
		return a.wrong
	}
	if a.repeats == 0 {
		return fmt.Errorf("%s: nothing came twice, the test tests nothing", a.name)
	}
	for _, session := range slices.Sorted(maps.Keys(s.sessions)) {
		want := s.sessions[session]
		if got := a.told[session]; !slices.Equal(got, want) {
			return fmt.Errorf("%s: of session %s came the events %v, the store has %v", a.name, session, got, want)
		}
		if got := a.effects[session]; !slices.Equal(got, want) {
			return fmt.Errorf("%s: by their ids it took the events %v of session %s, the store has %v", a.name, got, session, want)
		}
	}
	if int64(len(a.arrived)) != s.last || int64(len(a.applied)) != s.last {
		return fmt.Errorf("%s: %d ids came, it has taken %d, the store has %d events", a.name, len(a.arrived), len(a.applied), s.last)
	}
	for id, in := range a.arrived {
		if in.store != s.store || !bytes.Equal(in.event, s.events[in.seq]) {
			return fmt.Errorf("%s: the event %s was told as\n%s\nthe store has\n%s", a.name, id, in.event, s.events[in.seq])
		}
	}
	return nil
}
