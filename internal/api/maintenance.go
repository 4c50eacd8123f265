package api

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/moverisd/moverisd/internal/store"
)

// MaintenanceLine is one line of what a long call of an operator tells: progress, a finding, or
// the end.
type MaintenanceLine struct {
	Done       *int64            `json:"done,omitempty"` // sessions so far
	Difference *store.Difference `json:"difference,omitempty"`
	Wrong      string            `json:"wrong,omitempty"` // of verify
	Finished   bool              `json:"finished,omitempty"`
	Problem    *Problem          `json:"problem,omitempty"`
}

// rebuild folds every session again, telling progress and differences as NDJSON.
func (s *Server) rebuild(w http.ResponseWriter, r *http.Request) error {
	return s.lines(w, r, func(say func(MaintenanceLine)) error {
		return s.store.Rebuild(r.Context(), r.URL.Query().Get("apply") == "1",
			func(d store.Difference) { say(MaintenanceLine{Difference: &d}) },
			func(done int64) { say(MaintenanceLine{Done: &done}) })
	})
}

// verify checks the whole file.
func (s *Server) verify(w http.ResponseWriter, r *http.Request) error {
	return s.lines(w, r, func(say func(MaintenanceLine)) error {
		wrong, err := s.store.Verify(r.Context())
		for _, line := range wrong {
			say(MaintenanceLine{Wrong: line})
		}
		return err
	})
}

// lines answers a long call with a line for each thing it has to say.
func (s *Server) lines(w http.ResponseWriter, _ *http.Request, do func(say func(MaintenanceLine)) error) error {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	rc := http.NewResponseController(w)
	say := func(l MaintenanceLine) {
		// A caller that has left ends the work through its context.
		if enc.Encode(l) == nil {
			_ = rc.Flush()
		}
	}
	if err := do(say); err != nil {
		s.log.Error("maintenance failed", "err", err)
		say(MaintenanceLine{Problem: s.problemOf(err)})
		return nil
	}
	say(MaintenanceLine{Finished: true})
	return nil
}

// prune applies the retention now.
func (s *Server) prune(w http.ResponseWriter, r *http.Request) error {
	out, err := s.Prune(r.Context(), r.URL.Query().Get("all") == "1")
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// backup sends a consistent copy of the store. It is made beside the store first, so the
// caller decides where it ends up, with the caller's rights.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) error {
	dir, err := os.MkdirTemp(filepath.Dir(s.store.Path()), ".backup-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "copy.db")
	if err := s.store.Backup(r.Context(), path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/vnd.sqlite3")
	w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	// A copy that ends early is noticed by its length.
	_, _ = io.Copy(w, f)
	return nil
}
