package webhook

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/verdict"
)

// Limits of the edge. Those of the server are in server.go.
const (
	// commitTimeout is how long a delivery waits for its commit. Moveris' own timeout is
	// undocumented; ten seconds in all is what senders of webhooks commonly allow.
	commitTimeout = 6 * time.Second
	// inFlightMax bounds the memory that bodies take together, in bytes.
	inFlightMax = 32 << 20
	// retryAfter is what a 503 asks for, in seconds.
	retryAfter = 5
)

// Accepted is a signed delivery that tells something about a session.
type Accepted struct {
	Account     string
	SessionID   string
	Observation verdict.Observation
	Body        []byte
}

// Loose is a signed delivery that makes no session.
type Loose struct {
	Account string
	Label   string
	Event   string
	Reason  string // why it is a dead letter; empty for an unknown event
	At      time.Time
	Digest  [sha256.Size]byte
	Body    []byte
}

// Sink takes what was accepted. Apply and Keep return after the commit; an error means
// that the delivery is to be sent again.
type Sink struct {
	Apply  func(context.Context, Accepted) error
	Keep   func(context.Context, Loose) error
	Reject func(reason string) // counts a refusal
	// Acked is told how long it took from the header of a delivery to its 204; nil: nobody.
	Acked func(time.Duration)
	// Tested reports whether a signed delivery is a test of our own that somebody waits for; it
	// is kept nowhere. nil: none is.
	Tested func(testID string) bool
}

// Settings are what a reload may change.
type Settings struct {
	Path     string
	BodyMax  int64
	Accounts []string // names, in the order of the verifier's account numbers
	Verifier *moveris.Verifier
	// StaleAfter is the age of a signed time stamp beyond which a delivery is a dead
	// letter: its session may have been pruned, and a captured delivery never expires. 0:
	// never.
	StaleAfter time.Duration
	// RepeatAfter is the backoff in force, see verdict.Observation.
	RepeatAfter time.Duration
}

// Handler answers deliveries. It must be made by New.
type Handler struct {
	sink     Sink
	now      func() time.Time
	settings atomic.Pointer[Settings]
	inFlight atomic.Int64
	draining atomic.Bool
}

// New returns a handler; now is the clock.
func New(settings Settings, sink Sink, now func() time.Time) *Handler {
	h := &Handler{sink: sink, now: now}
	h.Configure(settings)
	return h
}

// Configure replaces the settings. Deliveries that are being answered keep theirs.
func (h *Handler) Configure(s Settings) { h.settings.Store(&s) }

// Drain makes the handler answer 503 from now on: the time for stopping is over.
func (h *Handler) Drain() { h.draining.Store(true) }

// refusal is an answer other than 204.
type refusal struct {
	status int
	reason string // counted; see store.Rejections
	text   string
}

// The answers to deliveries that are not accepted. The one to a wrong signature is the
// same for every reason, so that it teaches nothing.
func refuseSignature() *refusal {
	return &refusal{http.StatusUnauthorized, "signature", "the signature is missing or wrong"}
}

func refuseTooLarge() *refusal {
	return &refusal{http.StatusRequestEntityTooLarge, "too_large", "the body is too large"}
}

func refuseStore() *refusal {
	return &refusal{http.StatusServiceUnavailable, "store", "the delivery cannot be stored now; send it again"}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := h.settings.Load()
	if r.URL.Path != s.Path {
		answer(w, http.StatusNotFound, "there is nothing here")
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answer(w, http.StatusMethodNotAllowed, "deliveries are sent with POST")
		return
	}
	start := h.now()
	if no := h.deliver(w, r, s); no != nil {
		h.sink.Reject(no.reason)
		if no.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		}
		answer(w, no.status, no.text)
		return
	}
	w.WriteHeader(http.StatusNoContent)
	if h.sink.Acked != nil {
		h.sink.Acked(h.now().Sub(start))
	}
}

// deliver takes a delivery to its commit. A nil result means that it is on disk.
func (h *Handler) deliver(w http.ResponseWriter, r *http.Request, s *Settings) *refusal {
	if h.draining.Load() {
		return &refusal{http.StatusServiceUnavailable, "draining", "stopping; send it again"}
	}
	if no := checkHeaders(r); no != nil {
		return no
	}
	body, release, no := h.read(w, r, s.BodyMax)
	if no != nil {
		return no
	}
	defer release()
	secret, ok := s.Verifier.Match(body, r.Header.Get("X-Webhook-Signature"))
	if !ok || len(r.Header.Values("X-Webhook-Signature")) != 1 {
		return refuseSignature()
	}
	ctx, cancel := context.WithTimeout(r.Context(), commitTimeout)
	defer cancel()
	if err := h.commit(ctx, r, s, secret, body); err != nil {
		return refuseStore()
	}
	return nil
}

// commit hands a signed delivery on: to its session, or to what is kept beside them.
func (h *Handler) commit(ctx context.Context, r *http.Request, s *Settings, secret moveris.Secret, body []byte) error {
	now := h.now().UTC().Truncate(time.Millisecond)
	loose := Loose{Account: s.Accounts[secret.Account], Label: secret.Label, At: now,
		Digest: sha256.Sum256(body), Body: body}
	d, reason, err := read(body, now, s)
	loose.Event, loose.Reason = d.Event, reason
	switch {
	case err != nil:
		return err
	case d.TestID != "" && h.sink.Tested != nil && h.sink.Tested(d.TestID):
		return nil
	case reason != "" || !d.Known:
		return h.sink.Keep(ctx, loose)
	}
	d.Observation.HeaderMismatch = !moveris.HeadersAgree(d, r.Header.Get("X-Webhook-Event"), r.Header.Get("X-Webhook-Session"))
	return h.sink.Apply(ctx, accepted(d, loose, s))
}

// read parses a signed body; reason says why it cannot be used.
func read(body []byte, now time.Time, s *Settings) (d moveris.Delivery, reason string, err error) {
	d, err = moveris.ParseWebhook(body)
	var unusable *moveris.Unusable
	switch {
	case errors.As(err, &unusable):
		return d, unusable.Reason, nil
	case err != nil:
		return d, "", err
	case s.StaleAfter > 0 && !d.Timestamp.IsZero() && now.Sub(d.Timestamp) > s.StaleAfter:
		return d, "stale", nil
	}
	return d, "", nil
}

func accepted(d moveris.Delivery, l Loose, s *Settings) Accepted {
	o := d.Observation
	o.ObservedAt, o.Label, o.Digest, o.RepeatAfter = l.At, l.Label, l.Digest, s.RepeatAfter
	return Accepted{l.Account, d.SessionID, o, l.Body}
}

// Replay reads a dead letter again, as heard when it came. It returns the session it belongs
// to now, or the reason why it still cannot be used.
func (h *Handler) Replay(ctx context.Context, l Loose) (sessionID, reason string, err error) {
	s := h.settings.Load()
	d, reason, err := read(l.Body, h.now(), s)
	switch {
	case err != nil || reason != "":
		return "", reason, err
	case !d.Known:
		return "", "unknown event " + d.Event, nil
	}
	return d.SessionID, "", h.sink.Apply(ctx, accepted(d, l, s))
}

// answer writes a JSON error body without internals.
func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The texts are constants without quotes.
	_, _ = w.Write([]byte(`{"error":"` + text + `"}` + "\n"))
}
