package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/poll"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
	"github.com/moverisd/moverisd/internal/webhook"
)

var (
	modelSteps = flag.Int("model.steps", 3000, "steps of the model-based test")
	modelTime  = flag.Duration("model.time", 5*time.Minute, "when the model-based test ends at the latest")
	modelSeed  = flag.Uint64("model.seed", 0, "seed of the model-based test; 0 draws one")
)

// modelRun is how many steps share one store.
const modelRun = 1000

// TestModel does random things to store, listener and poller, with a fake Moveris and fake
// time, and holds what must be true against a simple model of it (issue 2, "what must hold").
func TestModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-model.seed %d", seed)
	start, steps := time.Now(), 0
	for ; steps < *modelSteps && time.Since(start) < *modelTime && !t.Failed(); seed++ {
		dir := t.TempDir()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, dir, seed)
				n := min(modelRun, *modelSteps-steps)
				for m.done = 0; m.done < n && !t.Failed(); m.done++ {
					m.step()
					m.follow()
				}
				m.check()
				m.close()
			})
		})
		steps += modelRun
		_ = os.RemoveAll(dir)
	}
	t.Logf("%d steps in %s", min(steps, *modelSteps), time.Since(start).Round(time.Millisecond))
}

// model is the system under test with what must be true of it.
type model struct {
	t       *testing.T
	rnd     *rand.Rand
	dir     string
	opened  int
	moveris *modelMoveris
	st      *store.Store
	handler *webhook.Handler
	poller  *poll.Poller
	client  *moveris.Client
	policy  verdict.Policy

	done      int
	ids       int // sessions known so far to anyone
	known     map[string]*modelSession
	loose     map[[32]byte]bool // signed deliveries that make no session
	sent      []string          // bodies sent before
	rejected  int
	cursor    int64
	lastEvent map[string]store.Event
}

// modelSession is what must be there of a session.
type modelSession struct {
	expected bool
	ledger   map[[32]byte]verdict.Source // what was acknowledged
}

const modelKeep = 6 * time.Hour // retention of everything

func newModel(t *testing.T, dir string, seed uint64) *model {
	m := &model{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), dir: dir, moveris: newModelMoveris(),
		known: map[string]*modelSession{}, loose: map[[32]byte]bool{}, lastEvent: map[string]store.Event{},
		policy: verdict.Policy{GracePeriod: time.Minute, GiveUpAfter: time.Hour, BackoffMin: 15 * time.Second, BackoffMax: 10 * time.Minute}}
	m.open(filepath.Join(dir, "0.db"))
	return m
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("step %d: %v", m.done, err)
	}
}

func (m *model) open(path string) {
	m.t.Helper()
	st, err := store.Open(context.Background(), store.Options{Path: path, Policy: func(string) verdict.Policy { return m.policy }})
	m.must(err)
	m.st = st
	m.handler = webhook.New(m.webhookSettings(), sink(st), time.Now)
	m.poller = poll.New(st, time.Now, slog.New(slog.DiscardHandler))
	m.reload()
}

func (m *model) webhookSettings() webhook.Settings {
	return webhook.Settings{Path: "/hook", BodyMax: 1 << 16, Accounts: []string{"production"}, StaleAfter: modelKeep,
		Verifier:    moveris.NewVerifier([]moveris.Secret{{Label: "one", Key: []byte(testSecret)}}),
		RepeatAfter: m.policy.BackoffMin}
}

// reload replaces the client and the settings, as SIGHUP does.
func (m *model) reload() {
	m.t.Helper()
	learned, err := m.st.LoadLearned(context.Background(), "production")
	m.must(err)
	if m.client != nil {
		m.client.Close()
	}
	m.client, err = moveris.Open(moveris.Config{Account: "production", BaseURL: "https://api.moveris.test", APIKey: testKey,
		RequestsPerMinute: 2400, Routes: []string{"/api/v1/result/{job_id}", "/api/v1/result/{session_id}"},
		Transport: m.moveris, Learned: moveris.Learned{Rate: learned.Rate}})
	m.must(err)
	m.handler.Configure(m.webhookSettings())
	m.poller.Configure(poll.Settings{Accounts: []poll.Account{{Name: "production", Client: m.client}}, Concurrency: 2,
		RepeatAfter: m.policy.BackoffMin})
	m.st.SetPolicy(func(string) verdict.Policy { return m.policy })
}

func (m *model) close() {
	m.client.Close()
	m.must(m.st.Close())
}

// crash goes on with a copy of the files as they are, without the end that Close makes.
func (m *model) crash() {
	m.t.Helper()
	m.opened++
	from, to := m.st.Path(), filepath.Join(m.dir, fmt.Sprint(m.opened, ".db"))
	for _, suffix := range []string{"-wal", ""} { // in this order a checkpoint in between does no harm
		data, err := os.ReadFile(from + suffix)
		m.must(err)
		m.must(os.WriteFile(to+suffix, data, 0o600))
	}
	m.must(m.st.Close())
	for _, suffix := range []string{"", ".lock"} {
		m.must(os.Remove(from + suffix))
	}
	m.open(to)
}

// deliver sends a body to the listener and returns its answer.
func (m *model) deliver(body string, change func(http.Header)) int {
	raw, header := signed(body)
	req := httptest.NewRequest("POST", "/hook", strings.NewReader(string(raw)))
	req.Header = header
	if change != nil {
		change(req.Header)
	}
	rec := httptest.NewRecorder()
	m.handler.ServeHTTP(rec, req)
	return rec.Code
}

func (m *model) session(id string) *modelSession {
	if m.known[id] == nil {
		m.known[id] = &modelSession{ledger: map[[32]byte]verdict.Source{}}
	}
	return m.known[id]
}

// acknowledged sends a signed body of a session, which must be acknowledged.
func (m *model) acknowledged(id, body string, signedAt time.Time, change func(http.Header)) {
	m.t.Helper()
	if code := m.deliver(body, change); code != http.StatusNoContent {
		m.t.Fatalf("step %d: a delivery was answered %d: %s", m.done, code, body)
	}
	digest := sha256.Sum256([]byte(body))
	if time.Since(signedAt) > modelKeep {
		m.loose[digest] = true
		return
	}
	m.session(id).ledger[digest] = verdict.Webhook
	m.sent = append(m.sent, body)
}

func (m *model) submit(id string, truth *modelTruth) {
	body := []byte(modelJob(id, truth))
	_, o, err := moveris.ParseSubmission(body)
	var unusable *moveris.Unusable
	if errors.As(err, &unusable) {
		return
	}
	m.must(err)
	o.ObservedAt, o.RepeatAfter, o.WebhookDueAt = time.Now(), m.policy.BackoffMin, time.Now().Add(time.Minute)
	_, err = m.st.Apply(context.Background(), store.Observed{Account: "production", SessionID: id, Observation: o, Body: body})
	m.must(err)
	m.session(id).ledger[o.Digest] = verdict.Submitted
}
