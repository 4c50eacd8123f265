package api

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// jsonWriter writes what is forwarded as encoding/json would, at a fraction of its cost: this
// happens inside the transaction of a delivery, one after the other. A test holds the two
// against each other.
type jsonWriter struct {
	b   []byte
	err error
}

func (w *jsonWriter) raw(s string) { w.b = append(w.b, s...) }

// key begins a field: comma, name and colon, but for the first of its object.
func (w *jsonWriter) key(name string) {
	if last := w.b[len(w.b)-1]; last != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

// other writes whatever there is no short way for.
func (w *jsonWriter) other(v any) {
	data, err := json.Marshal(v)
	if err != nil {
		w.err = err
	}
	w.b = append(w.b, data...)
}

func (w *jsonWriter) text(name, s string) {
	w.key(name)
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			w.other(s)
			return
		}
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, s...)
	w.b = append(w.b, '"')
}

func (w *jsonWriter) number(name string, n int64) {
	w.key(name)
	w.b = strconv.AppendInt(w.b, n, 10)
}

func (w *jsonWriter) bool(name string, v bool) {
	w.key(name)
	w.b = strconv.AppendBool(w.b, v)
}

func (w *jsonWriter) float(name string, f *float64) {
	w.key(name)
	switch {
	case f == nil:
		w.raw("null")
	case math.Abs(*f) >= 1e-6 && math.Abs(*f) < 1e21:
		w.b = strconv.AppendFloat(w.b, *f, 'f', -1, 64)
	default:
		w.other(*f)
	}
}

// object writes canonical JSON; what is empty is null.
func (w *jsonWriter) object(name, v string) {
	w.key(name)
	if v == "" {
		v = "null"
	}
	w.raw(v)
}

// stamp writes a time of ours, as status.Stamp does.
func (w *jsonWriter) stamp(name string, t time.Time) { w.time(name, t, "2006-01-02T15:04:05.000Z") }

// theirs writes a time of Moveris'.
func (w *jsonWriter) theirs(name string, t time.Time) { w.time(name, t, time.RFC3339Nano) }

func (w *jsonWriter) time(name string, t time.Time, layout string) {
	w.key(name)
	if t.IsZero() {
		w.raw("null")
		return
	}
	w.b = append(w.b, '"')
	w.b = t.UTC().AppendFormat(w.b, layout)
	w.b = append(w.b, '"')
}

// word writes a text that is null where it is empty.
func (w *jsonWriter) word(name, s string) {
	if s == "" {
		w.key(name)
		w.raw("null")
		return
	}
	w.text(name, s)
}

// forwarded writes a [Forwarded].
func (w *jsonWriter) forwarded(storeID string, e *store.Event, v *store.View) {
	w.raw("{")
	w.text("type", "session."+string(e.Change))
	w.stamp("timestamp", e.At)
	w.key("data")
	w.raw("{")
	w.key("event")
	w.event(storeID, e)
	w.key("session")
	w.session(v)
	w.raw("}}")
}

func (w *jsonWriter) event(storeID string, e *store.Event) {
	w.raw("{")
	w.number("seq", e.Seq)
	w.text("store", storeID)
	w.stamp("at", e.At)
	w.text("session_id", e.SessionID)
	w.text("account", e.Account)
	w.text("change", string(e.Change))
	w.text("state", string(e.State))
	w.word("outcome", string(e.Outcome))
	w.word("first_by", string(e.FirstBy))
	w.bool("conflict", e.Conflict)
	w.object("metadata", e.Metadata)
	w.raw("}")
}

func (w *jsonWriter) session(v *store.View) {
	s := &v.Session
	w.raw("{")
	w.text("session_id", v.ID)
	w.text("account", v.Account)
	w.word("job_id", v.JobID)
	w.object("metadata", v.Metadata)
	w.text("state", string(v.State))
	w.word("outcome", string(s.Outcome))
	w.word("verdict", s.Verdict)
	w.float("score", s.Score)
	w.float("real_score", s.RealScore)
	w.float("confidence", s.Confidence)
	w.word("type", s.Type)
	w.word("model", s.Model)
	w.theirs("as_of", s.AsOf)
	w.stamp("expected_at", s.ExpectedAt)
	w.stamp("settled_at", s.SettledAt)
	w.word("first_by", string(s.FirstBy))
	w.key("told_at")
	w.raw("{")
	for _, source := range [...]verdict.Source{verdict.Poll, verdict.Submitted, verdict.Webhook} {
		w.stamp(string(source), s.ToldAt[source])
	}
	w.raw("}")
	w.bool("conflict", s.Conflict)
	w.number("verifications", int64(s.Verifications))
	w.number("attempts", int64(v.Attempts))
	w.stamp("next_poll_at", v.NextPollAt)
	w.bool("awaiting_again", s.AwaitingAgain)
	w.word("unknown_word", s.UnknownWord)
	w.key("observations")
	w.observations(v.Entries)
	w.raw("}")
}

// observations writes the newest observations of a history.
func (w *jsonWriter) observations(list []store.Entry) {
	more := -evidenceMax
	for i := range list {
		if list[i].Observation != nil {
			more++
		}
	}
	w.raw("[")
	for i := range list {
		if list[i].Observation == nil {
			continue
		}
		if more--; more >= 0 {
			continue
		}
		if w.b[len(w.b)-1] != '[' {
			w.raw(",")
		}
		w.observation(&list[i])
	}
	w.raw("]")
}

func (w *jsonWriter) observation(e *store.Entry) {
	o := e.Observation
	w.raw("{")
	w.text("source", string(o.Source))
	w.word("outcome", string(o.Ends().Outcome))
	w.theirs("as_of", o.AsOf)
	w.stamp("observed_at", o.ObservedAt)
	w.word("model", o.Model)
	w.word("label", o.Label)
	w.word("route", o.Route)
	w.bool("header_mismatch", o.HeaderMismatch)
	w.key("digest")
	w.raw(`"`)
	if len(e.Digest) > 0 {
		w.raw("sha256:")
		w.b = hex.AppendEncode(w.b, e.Digest)
	}
	w.raw(`"`)
	w.number("redelivered", e.Redelivered)
	w.raw("}")
}
