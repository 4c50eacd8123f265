package sim

import (
	"crypto/subtle"
	"math"
	"net/http"
	"strconv"
	"time"
)

// page makes the answer to one request; it writes nothing.
type page func(*http.Request) *answer

// routes is the whole API that is played.
func (m *Moveris) routes() http.Handler {
	api := http.NewServeMux()
	handle := func(pattern string, p page) { api.Handle(pattern, m.serve(p)) }
	handle("GET /health", health)
	handle("GET /api/v1/result/{id}", m.keyed(m.result))
	handle("GET /api/v1/result/{id}/wait", m.keyed(m.resultWait))
	handle("GET /api/v1/sessions/{id}", m.keyed(m.sessionPage))
	handle("GET /api/v1/models", m.keyed(models))
	handle("GET /api/v1/queue/stats", m.keyed(m.queueStats))
	handle("POST /api/v1/fast-check", m.keyed(m.fastCheck))
	handle("POST /api/v1/fast-check-stream", m.keyed(m.fastCheckStream))
	handle("/", notThere)

	root := http.NewServeMux()
	root.Handle("/", api)
	root.Handle("/_sim/", m.control())
	return root
}

// serve is the one way through: log the arrival, let faults replace the
// answer, make it, let faults change it, write it.
func (m *Moveris) serve(p page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := m.now()
		n := m.log.add(Request{At: now, Method: r.Method, Path: r.URL.Path})
		struck := m.faults.strike(now, r)
		a := struck.replace()
		if a == nil {
			a = p(r)
		}
		a.header.Set("Date", now.UTC().Format(http.TimeFormat))
		struck.change(a)
		// The status is logged before the bytes go out, so that whoever has the
		// answer, or the end of the connection, finds it in the log.
		if a.manner != closed && a.manner != reset && a.manner != silent {
			m.log.done(n, a.status)
		}
		if a.write(w, r) == 0 {
			m.log.done(n, 0)
		}
	})
}

// keyed checks X-API-Key and the limit of that key.
func (m *Moveris) keyed(p page) page {
	return func(r *http.Request) *answer {
		key := r.Header.Get("X-API-Key")
		if m.cfg.APIKey != "" && subtle.ConstantTimeCompare([]byte(key), []byte(m.cfg.APIKey)) != 1 {
			return errStatus(http.StatusUnauthorized)
		}
		ok, wait := m.limit.admit(m.now())
		if !ok {
			return errRetryAfter(http.StatusTooManyRequests, int(math.Ceil(wait.Seconds())))
		}
		return p(r)
	}
}

// health has the fields of the SDK's HealthResponse. The words differ between sources; the
// key is the status.
func health(*http.Request) *answer {
	return newAnswer(http.StatusOK, map[string]string{"status": "healthy", "version": "2.0.0", "environment": "simulated"})
}

func notThere(r *http.Request) *answer {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return errDetail(http.StatusMethodNotAllowed, "Method Not Allowed")
	}
	return errDetail(http.StatusNotFound, "Not Found")
}

func (m *Moveris) result(r *http.Request) *answer {
	s, _, ok := m.sessions.job(r.PathValue("id"), m.cfg.ResultBySession)
	if !ok {
		return errStatus(http.StatusNotFound)
	}
	return m.resultOf(s)
}

// resultOf answers for a known job. Sessions that ended without a job have no
// result; the code is documented, its status is our choice.
func (m *Moveris) resultOf(s Session) *answer {
	switch s.Outcome {
	case Expired:
		return errEnvelope(http.StatusNotFound, "session_expired", "Session expired")
	case Cancelled:
		return errStatus(http.StatusNotFound)
	}
	return good(jobStatusOf(s, m.now()))
}

// resultWait is the long poll. What Moveris answers when the time is up is
// UNDOC; our choice is the unfinished status.
func (m *Moveris) resultWait(r *http.Request) *answer {
	seconds := waitDefault
	if text := r.URL.Query().Get("timeout"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return errEnvelope(http.StatusUnprocessableEntity, "validation_error", "timeout must be a number of seconds")
		}
		seconds = min(n, waitMax)
	}
	s, done, ok := m.sessions.job(r.PathValue("id"), m.cfg.ResultBySession)
	if !ok {
		return errStatus(http.StatusNotFound)
	}
	t := time.NewTimer(time.Duration(seconds) * time.Second)
	defer t.Stop()
	select {
	case <-done:
		s, _, _ = m.sessions.job(s.JobID, false)
	case <-t.C:
	case <-r.Context().Done():
	}
	return m.resultOf(s)
}

func (m *Moveris) sessionPage(r *http.Request) *answer {
	if !m.cfg.SessionRoute {
		return errDetail(http.StatusNotFound, "Not Found")
	}
	s, ok := m.Session(r.PathValue("id"))
	if !ok {
		return errStatus(http.StatusNotFound)
	}
	return good(sessionStateOf(s, m.now()))
}

// models is the registry, in the form of the SDK's ModelEntry. The names are documented,
// the texts are our choice.
func models(*http.Request) *answer {
	type model struct {
		ID          string   `json:"id"`
		Label       string   `json:"label"`
		Description string   `json:"description"`
		MinFrames   int      `json:"min_frames"`
		Deprecated  bool     `json:"deprecated"`
		Aliases     []string `json:"aliases"`
	}
	var list []model
	for _, n := range []int{10, 30, 60, 90, 120} {
		frames := strconv.Itoa(n)
		list = append(list, model{
			ID: "mixed-" + frames + "-v2", Label: "Mixed " + frames, Description: frames + " frames",
			MinFrames: n, Aliases: []string{},
		})
	}
	return good(list)
}

func (m *Moveris) queueStats(*http.Request) *answer {
	return good(struct {
		QueueLength int    `json:"queue_length"`
		QueueKey    string `json:"queue_key"`
	}{m.sessions.unfinished(), "detection"})
}
