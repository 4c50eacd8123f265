package sim

import (
	"fmt"
	"sync"
	"time"
)

const (
	verificationsMax = 16 // of one session; a real id may see more, no test needs to
	defaultModel     = "mixed-10-v2"
)

// verification is one run of a check. done is closed when it finishes, which
// is what a long poll waits for.
type verification struct {
	Session
	done chan struct{}
}

// sessionStore holds every session in memory. It refuses new ones when full
// rather than forgetting old ones: a forgotten session would look to the
// daemon like one Moveris lost.
type sessionStore struct {
	mu    sync.Mutex
	max   int
	byID  map[string][]*verification // never empty slices; the last one is the latest
	byJob map[string]*verification
}

func newSessionStore(limit int) *sessionStore {
	return &sessionStore{max: limit, byID: map[string][]*verification{}, byJob: map[string]*verification{}}
}

// NewSession describes a session to create. Empty ids are made up, an empty
// model is mixed-10-v2.
type NewSession struct {
	ID    string `json:"session_id"`
	JobID string `json:"job_id"`
	Model string `json:"model"`
}

// Create starts a verification, under a new session or, where the latest one
// has finished, as a further one of a known session.
func (m *Moveris) Create(n NewSession) (Session, error) {
	if n.ID == "" {
		n.ID = NewID()
	}
	if n.JobID == "" {
		n.JobID = NewID()
	}
	if n.Model == "" {
		n.Model = defaultModel
	}
	if !validID(n.ID) || !validID(n.JobID) || len(n.Model) > 200 {
		return Session{}, fmt.Errorf("create session: ids are 1 to 200 bytes without control characters")
	}
	return m.sessions.create(n, m.now())
}

func (s *sessionStore) create(n NewSession, now time.Time) (Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	runs := s.byID[n.ID]
	switch {
	case len(s.byJob) >= s.max:
		return Session{}, ErrFull
	case len(runs) > 0 && !runs[len(runs)-1].Finished():
		return Session{}, fmt.Errorf("create session %s: %w", n.ID, ErrNotFinished)
	case len(runs) >= verificationsMax:
		return Session{}, fmt.Errorf("create session %s: it has %d verifications already", n.ID, len(runs))
	case s.byJob[n.JobID] != nil:
		return Session{}, fmt.Errorf("create session %s: job %s exists", n.ID, n.JobID)
	}
	v := &verification{
		Session: Session{ID: n.ID, JobID: n.JobID, Model: n.Model, Verification: len(runs) + 1, CreatedAt: wireTime(now)},
		done:    make(chan struct{}),
	}
	s.byID[n.ID] = append(runs, v)
	s.byJob[n.JobID] = v
	return v.Session, nil
}

// Finish decides the latest verification of a session.
func (m *Moveris) Finish(id string, outcome Outcome) (Session, error) {
	if _, err := ParseOutcome(string(outcome)); err != nil {
		return Session{}, fmt.Errorf("finish session %s: %w", id, err)
	}
	return m.sessions.finish(id, outcome, m.now())
}

func (s *sessionStore) finish(id string, outcome Outcome, now time.Time) (Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.latest(id)
	if v == nil {
		return Session{}, fmt.Errorf("finish session %s: %w", id, ErrUnknownSession)
	}
	if v.Finished() {
		return Session{}, fmt.Errorf("finish session %s: %w", id, ErrFinished)
	}
	v.Outcome, v.FinishedAt = outcome, wireTime(now)
	close(v.done)
	return v.Session, nil
}

// Session returns the latest verification of a session.
func (m *Moveris) Session(id string) (Session, bool) {
	return m.Verification(id, 0)
}

// Verification returns one verification of a session, counted from 1; 0 is the
// latest.
func (m *Moveris) Verification(id string, n int) (Session, bool) {
	s := m.sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	runs := s.byID[id]
	if n == 0 {
		n = len(runs)
	}
	if n < 1 || n > len(runs) {
		return Session{}, false
	}
	return runs[n-1].Session, true
}

// job finds what the result routes are asked for: a job, or where allowed the
// latest verification of a session. The channel is closed when it finishes.
func (s *sessionStore) job(id string, bySession bool) (Session, <-chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.byJob[id]
	if v == nil && bySession {
		v = s.latest(id)
	}
	if v == nil {
		return Session{}, nil, false
	}
	return v.Session, v.done, true
}

// latest needs the lock.
func (s *sessionStore) latest(id string) *verification {
	runs := s.byID[id]
	if len(runs) == 0 {
		return nil
	}
	return runs[len(runs)-1]
}

func (s *sessionStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID)
}

// wireTime cuts to what six fractional digits can say, so that a time read
// back from the wire equals the one kept.
func wireTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// unfinished counts the verifications still running.
func (s *sessionStore) unfinished() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, v := range s.byJob {
		if !v.Finished() {
			n++
		}
	}
	return n
}
