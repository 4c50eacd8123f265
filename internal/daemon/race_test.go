package daemon

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/poll"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
	"github.com/moverisd/moverisd/internal/webhook"
)

var raceRounds = flag.Int("race.rounds", 200, "how often webhook and poll race for a session, with equal and with opposite verdicts each")

// TestWebhookAndPollAtTheSameInstant lets a delivery and a polled answer about one session
// arrive together (issue 2, "what must hold"): one settles it, the webhook's word counts, and
// a contradiction is recorded and told once.
func TestWebhookAndPollAtTheSameInstant(t *testing.T) {
	r := newRacing(t)
	firsts := map[verdict.Source]int{}
	for round := range *raceRounds {
		for _, says := range []string{"live", "fake"} {
			id := fmt.Sprint(says, round)
			created := time.Now().Add(-time.Second)
			r.moveris.set(id, &modelTruth{status: "complete", verdict: "live", created: created})
			_, err := r.st.Expect(context.Background(), store.Expectation{Account: "production", SessionID: id, At: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			r.both(id, says, created, round%4 > 0)
			firsts[r.judge(id, says)]++
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	r.events()
	t.Logf("first: %v", firsts)
	if wrong, err := r.st.Verify(context.Background()); err != nil || len(wrong) > 0 {
		t.Errorf("verify: %q %v", wrong, err)
	}
	if err := r.st.Rebuild(context.Background(), false, func(d store.Difference) { t.Errorf("rebuild: %+v", d) }, func(int64) {}); err != nil {
		t.Error(err)
	}
}

// racing is a listener and a poller over one store.
type racing struct {
	t       *testing.T
	st      *store.Store
	moveris *modelMoveris
	handler *webhook.Handler
	poller  *poll.Poller
}

func newRacing(t *testing.T) *racing {
	r := &racing{t: t, moveris: newModelMoveris()}
	policy := verdict.Policy{GracePeriod: time.Minute, GiveUpAfter: time.Hour, BackoffMin: 15 * time.Second, BackoffMax: time.Hour}
	st, err := store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "race.db"),
		Policy: func(string) verdict.Policy { return policy }})
	if err != nil {
		t.Fatal(err)
	}
	r.st = st
	client, err := moveris.Open(moveris.Config{Account: "production", BaseURL: "https://api.moveris.test", APIKey: testKey,
		RequestsPerMinute: 6_000_000, Routes: []string{"/api/v1/result/{session_id}"}, Transport: r.moveris})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	r.handler = webhook.New(webhook.Settings{Path: "/hook", BodyMax: 1 << 16, Accounts: []string{"production"},
		Verifier: moveris.NewVerifier([]moveris.Secret{{Label: "one", Key: []byte(testSecret)}})}, sink(st), time.Now)
	r.poller = poll.New(st, time.Now, slog.New(slog.DiscardHandler))
	r.poller.Configure(poll.Settings{Accounts: []poll.Account{{Name: "production", Client: client}}, RepeatAfter: policy.BackoffMin})
	return r
}

// both lets the delivery and the polled answer loose at once, and waits for both. With meet,
// the delivery arrives when Moveris answers, so that they meet in the store.
func (r *racing) both(id, says string, created time.Time, meet bool) {
	raw, header := signed(modelWebhook("verification.completed", id, says, created))
	req := httptest.NewRequest("POST", "/hook", strings.NewReader(string(raw)))
	req.Header = header
	start, arrive := make(chan struct{}), make(chan struct{})
	r.moveris.answering(sync.OnceFunc(func() {
		if meet {
			close(arrive)
		}
	}))
	var wg sync.WaitGroup
	wg.Go(func() {
		if <-start; meet {
			<-arrive
			time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
		}
		rec := httptest.NewRecorder()
		if r.handler.ServeHTTP(rec, req); rec.Code != http.StatusNoContent {
			r.t.Errorf("%s: the delivery was answered %d", id, rec.Code)
		}
	})
	wg.Go(func() {
		<-start
		if _, err := r.poller.Ask(context.Background(), "production", id); err != nil {
			r.t.Errorf("%s: %v", id, err)
		}
	})
	close(start)
	wg.Wait()
}

// judge holds what has become of a session against the rule, and returns who told first.
func (r *racing) judge(id, says string) verdict.Source {
	v, err := r.st.Get(context.Background(), "production", id, false)
	if err != nil {
		r.t.Fatal(err)
	}
	s := &v.Session
	if v.State != verdict.Settled || s.Outcome != verdict.Outcome(says) || s.Verifications != 1 || s.Conflict != (says != "live") {
		r.t.Errorf("%s: %s %s, %d verifications, conflict %v", id, v.State, s.Outcome, s.Verifications, s.Conflict)
	}
	hook, polled := s.ToldAt[verdict.Webhook], s.ToldAt[verdict.Poll]
	first := verdict.Webhook
	if polled.Before(hook) {
		first = verdict.Poll
	}
	if hook.IsZero() || polled.IsZero() || s.FirstBy != first || !v.NextPollAt.IsZero() {
		r.t.Errorf("%s: first by %s, told at %v, asked again at %s", id, s.FirstBy, s.ToldAt, v.NextPollAt)
	}
	return s.FirstBy
}

// events holds the changes of all sessions against what must have been told.
func (r *racing) events() {
	told := map[string][]verdict.Change{}
	for after := int64(0); ; {
		list, err := r.st.Events(context.Background(), after, 0)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			after = e.Seq
			told[e.SessionID] = append(told[e.SessionID], e.Change)
		}
	}
	for id, changes := range told {
		want := []verdict.Change{verdict.ChangeExpected, verdict.ChangeSettled}
		if strings.HasPrefix(id, "fake") {
			want = append(want, verdict.ChangeConflicted)
		}
		if !slices.Equal(changes, want) {
			r.t.Errorf("%s: %v, want %v", id, changes, want)
		}
	}
	if len(told) != 2**raceRounds {
		r.t.Errorf("events of %d sessions", len(told))
	}
}
