package sim

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// guideBody is the sample of the webhook setup guide without its line breaks;
// the signatures were computed with the guide's own Python function.
const guideBody = `{"event":"verification.completed","session_id":"550e8400-e29b-41d4-a716-446655440000","timestamp":"2026-02-10T15:26:42.123456Z","data":{"verdict":"live","real_score":0.94,"score":94.0,"confidence":0.94,"type":"VERY HIGH","model":"mixed-10-v2","input_source":"rest_frames","processing_ms":845,"frames_processed":10,"tenant_metadata":null,"warning":null,"created_at":"2026-02-10T15:26:42.123456Z"}}`

// ourBody is the same with the data.session_id of the later sample.
var ourBody = strings.Replace(guideBody, `"data":{`, `"data":{"session_id":"550e8400-e29b-41d4-a716-446655440000",`, 1)

// guideSession is the session of the guide's sample. The job id is one that
// happens to give its score.
func guideSession() Session {
	at := time.Date(2026, 2, 10, 15, 26, 42, 123456000, time.UTC)
	return Session{
		ID: "550e8400-e29b-41d4-a716-446655440000", JobID: "job-126", Model: "mixed-10-v2", Verification: 1,
		Outcome: Live, CreatedAt: at.Add(-845 * time.Millisecond), FinishedAt: at,
	}
}

func TestSign(t *testing.T) {
	for _, c := range []struct{ secret, body, want string }{
		{"whsec_test_0123456789", guideBody, "9191f6378c109e7a6a026aab9cfd08c2708d27da06749c8f373660cdc0773be8"},
		{"whsec_test_0123456789", ourBody, "323acd114e591fc19df03b28e1e41a98016fa3687ee7669d6b4a550e55c9366b"},
		{"schlüssel-✓", ourBody, "2e6e0d1335c93a17e197430bdbc253f9e4d7c7d66faebbb008b6baf434671250"},
	} {
		if got := Sign(c.secret, []byte(c.body)); got != "sha256="+c.want {
			t.Errorf("Sign(%q) = %s, want sha256=%s", c.secret, got, c.want)
		}
	}
}

func TestDeliveryIsTheSample(t *testing.T) {
	m := New(Config{WebhookSecret: "whsec_test_0123456789"})
	body, header := m.BuildDelivery(guideSession())
	if string(body) != ourBody {
		t.Errorf("body:\n%s\nwant\n%s", body, ourBody)
	}
	want := http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"Moveris-Webhook/1.0"},
		"X-Webhook-Event":     {"verification.completed"},
		"X-Webhook-Session":   {"550e8400-e29b-41d4-a716-446655440000"},
		"X-Webhook-Signature": {"sha256=323acd114e591fc19df03b28e1e41a98016fa3687ee7669d6b4a550e55c9366b"},
	}
	if len(header) != len(want) {
		t.Errorf("headers: %v", header)
	}
	for name := range want {
		if header.Get(name) != want.Get(name) {
			t.Errorf("%s: %q, want %q", name, header.Get(name), want.Get(name))
		}
	}
}

func TestDeliveryOfOutcomes(t *testing.T) {
	m := New(Config{})
	for outcome, want := range map[Outcome]string{
		Live:         `"verdict":"live"`,
		Fake:         `"verdict":"fake"`,
		Inconclusive: `"verdict":"inconclusive"`,
		Null:         `"verdict":null,"real_score":null,"score":null,"confidence":null,"type":null`,
		Failed:       `{"event":"verification.failed"`,
		Expired:      "",
		Cancelled:    "",
		"":           "",
	} {
		s := guideSession()
		s.Outcome = outcome
		body, header := m.BuildDelivery(s)
		if !strings.Contains(string(body), want) || (want == "") != (body == nil) || (want == "") != (header == nil) {
			t.Errorf("%q: %s", outcome, body)
		}
		if outcome == Failed && strings.Contains(string(body), "verdict") {
			t.Errorf("a failed verification has no verdict: %s", body)
		}
	}
}

func TestScoreFitsVerdict(t *testing.T) {
	for range 500 {
		s := Session{JobID: NewID(), Outcome: Live}
		if score := s.score(); score < 65 || score > 100 {
			t.Fatalf("live with score %v", score)
		}
		s.Outcome = Fake
		if score := s.score(); score < 0 || score >= 65 {
			t.Fatalf("fake with score %v", score)
		}
	}
}

func TestForgeriesDoNotHold(t *testing.T) {
	m := New(Config{WebhookSecret: "right"})
	for _, how := range []Forgery{WrongSecret, FlippedBit} {
		body, header := m.BuildForgery(guideSession(), how)
		if !strings.Contains(string(body), `"verdict":"fake"`) {
			t.Errorf("%s tells the truth: %s", how, body)
		}
		got := header.Get("X-Webhook-Signature")
		if got == Sign("right", body) || len(got) != len(Sign("right", body)) || got != strings.ToLower(got) {
			t.Errorf("%s: signature %s", how, got)
		}
	}
}

func TestDeliver(t *testing.T) {
	var bodies []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
		if r.Header.Get("X-Webhook-Signature") != Sign("s", body) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	m := New(Config{})
	ctx := context.Background()
	if _, err := m.Deliver(ctx, "nobody", 0, Genuine); !errors.Is(err, ErrUnknownSession) {
		t.Errorf("unknown session: %v", err)
	}
	s := mustCreate(t, m)
	if _, err := m.Deliver(ctx, s.ID, 0, Genuine); !errors.Is(err, ErrNotFinished) {
		t.Errorf("running session: %v", err)
	}
	mustFinish(t, m, s.ID, Fake)
	if _, err := m.Deliver(ctx, s.ID, 0, Genuine); !errors.Is(err, ErrNoWebhook) {
		t.Errorf("no webhook: %v", err)
	}
	if err := m.Register(receiver.URL, "s"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		how  Forgery
		want int
	}{{Genuine, 204}, {Genuine, 204}, {WrongSecret, 401}, {FlippedBit, 401}} {
		r, err := m.Deliver(ctx, s.ID, 0, c.how)
		if err != nil || r.Status != c.want || !r.Sent {
			t.Errorf("%q: %+v %v", c.how, r, err)
		}
	}
	if bodies[0] != bodies[1] {
		t.Error("a redelivery has other bytes")
	}
	m.SetFaults([]Fault{{Name: "webhooks-off", Share: 1}})
	if r, err := m.Deliver(ctx, s.ID, 0, Genuine); err != nil || r.Sent {
		t.Errorf("webhooks-off: %+v %v", r, err)
	}
	c := m.Deliveries()
	if c.Sent != 4 || c.Lost != 1 || c.Answers["204"] != 2 || c.Answers["401"] != 2 || len(bodies) != 4 {
		t.Errorf("counts %+v, %d bodies", c, len(bodies))
	}
}

func TestDeliverToNobody(t *testing.T) {
	m := New(Config{WebhookURL: "http://127.0.0.1:1/", WebhookSecret: "s"})
	s := mustCreate(t, m)
	mustFinish(t, m, s.ID, Live)
	r, err := m.Deliver(context.Background(), s.ID, 1, Genuine)
	if err != nil || !r.Sent || r.Status != 0 || r.Error == "" || m.Deliveries().Answers["none"] != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestRegisterLoopbackOnly(t *testing.T) {
	m := New(Config{})
	for _, u := range []string{"http://192.0.2.1/x", "http://example.com/", "ftp://127.0.0.1/", "127.0.0.1:80", "http://127.0.0.1.example.com/"} {
		if m.Register(u, "s") == nil {
			t.Errorf("%s was taken", u)
		}
	}
	if m.Register("http://127.0.0.1/", "") == nil {
		t.Error("an empty secret was taken")
	}
	for _, u := range []string{"http://127.0.0.1:8480/x", "http://localhost/", "https://[::1]:1/"} {
		if err := m.Register(u, "s"); err != nil {
			t.Error(err)
		}
	}
}

func mustCreate(t *testing.T, m *Moveris) Session {
	t.Helper()
	s, err := m.Create(NewSession{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustFinish(t *testing.T, m *Moveris, id string, o Outcome) Session {
	t.Helper()
	s, err := m.Finish(id, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
