package store

import "sync"

// sessionKey names a session across accounts.
type sessionKey struct {
	account string
	id      string
}

// wake lets readers wait for commits: one channel for each session somebody waits for,
// and one for all events. A channel is closed by the first commit that concerns it.
type wake struct {
	mu      sync.Mutex
	waiters map[sessionKey]*waiters
	next    chan struct{}
}

type waiters struct {
	ch chan struct{}
	n  int // how many wait; the last one to leave removes the entry
}

func newWake() *wake {
	return &wake{waiters: map[sessionKey]*waiters{}, next: make(chan struct{})}
}

// sessions wakes everyone who waits for one of the sessions.
func (w *wake) sessions(keys []sessionKey) {
	if len(keys) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiters) == 0 {
		return
	}
	for _, k := range keys {
		if e := w.waiters[k]; e != nil {
			close(e.ch)
			delete(w.waiters, k)
		}
	}
}

func (w *wake) events() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.next)
	w.next = make(chan struct{})
}

// SessionChanged returns a channel that is closed by the next commit that changes the
// session, and a function to call when it is waited for no more. Take the channel before
// reading the session, or a commit in between is missed.
func (s *Store) SessionChanged(account, id string) (<-chan struct{}, func()) {
	w, k := s.wake, sessionKey{account, id}
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.waiters[k]
	if e == nil {
		e = &waiters{ch: make(chan struct{})}
		w.waiters[k] = e
	}
	e.n++
	return e.ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if e.n--; e.n == 0 && w.waiters[k] == e {
			delete(w.waiters, k)
		}
	}
}

// EventsAdded returns a channel that is closed when the next event is committed. Take it
// before reading events.
func (s *Store) EventsAdded() <-chan struct{} {
	s.wake.mu.Lock()
	defer s.wake.mu.Unlock()
	return s.wake.next
}

// Waiters is how many calls of [Store.SessionChanged] have not been left yet.
func (s *Store) Waiters() int {
	s.wake.mu.Lock()
	defer s.wake.mu.Unlock()
	n := 0
	for _, e := range s.wake.waiters {
		n += e.n
	}
	return n
}
