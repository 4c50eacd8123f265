package daemon

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/moverisd/moverisd/internal/api"
)

const forwardSecret = "a secret of the application"

// application is a receiver of results.
type application struct {
	*httptest.Server
	status atomic.Int64
	mu     sync.Mutex
	got    []api.Forwarded
	raw    []string
	ids    []string
}

func newApplication(t *testing.T, wh *standardwebhooks.Webhook) *application {
	a := &application{}
	a.status.Store(204)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		if err := wh.Verify(raw, r.Header); err != nil {
			t.Errorf("signature: %v", err)
		}
		var in api.Forwarded
		if err := json.Unmarshal(raw, &in); err != nil {
			t.Error(err)
		}
		if a.status.Load() < 300 {
			a.mu.Lock()
			a.got, a.raw, a.ids = append(a.got, in), append(a.raw, string(raw)), append(a.ids, r.Header.Get("webhook-id"))
			a.mu.Unlock()
		}
		w.WriteHeader(int(a.status.Load()))
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *application) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.got)
}

func rawWebhook(t *testing.T, secret string) *standardwebhooks.Webhook {
	t.Helper()
	wh, err := standardwebhooks.NewWebhookRaw([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return wh
}

func forwardTable(name, url, dir, secret string) string {
	return fmt.Sprintf("[[forward]]\nname = %q\nurl = %q\nsecrets = [\"file:%s/%s\"]\n", name, url, dir, secret)
}

// A delivery goes on to the application with what the contract says, and the status, the
// commands' calls and a reload do what they should.
func TestForward(t *testing.T) {
	app := newApplication(t, rawWebhook(t, forwardSecret))
	r := newRig(t, func(r *rig) {
		r.write("forward", forwardSecret+"\n")
		r.extra = forwardTable("backend", app.URL, r.dir, "forward")
	})
	r.call(201, "PUT", "/v1/sessions/one", map[string]any{"metadata": map[string]any{"customer": "c-17"}})
	if code := r.deliver(signed(completed("one", "live", time.Now()))); code != 204 {
		t.Fatal(code)
	}
	r.eventually("the result arrives", func() bool { return app.count() == 1 })
	got := app.got[0]
	s, e := got.Data.Session, got.Data.Event
	if got.Type != "session.settled" || got.Late || s.SessionID != "one" || s.State != "settled" || *s.Outcome != "live" ||
		string(s.Metadata) != `{"customer":"c-17"}` || e.Change != "settled" || *got.Timestamp != *e.At {
		t.Errorf("%s", app.raw[0])
	}
	if len(s.Observations) != 1 || s.Observations[0].Body != nil || s.Observations[0].Source != "webhook" {
		t.Errorf("evidence: %+v", s.Observations)
	}
	if want := fmt.Sprintf("evt_%s_%d", e.Store, e.Seq); app.ids[0] != want {
		t.Errorf("id %s, want %s", app.ids[0], want)
	}
	if last := r.events()[len(r.events())-1]; last.Seq != e.Seq || last.Store != e.Store || *last.At != *e.At {
		t.Errorf("%+v is not the event of the log %+v", e, last)
	}

	app.status.Store(500)
	if code := r.deliver(signed(completed("two", "live", time.Now()))); code != 204 {
		t.Fatal(code)
	}
	r.eventually("it is pending", func() bool {
		f := r.status().Forward
		return len(f) == 1 && f[0].Name == "backend" && f[0].Pending == 1 && f[0].LastError != nil
	})
	var list api.LetterList
	if err := json.Unmarshal(r.call(200, "GET", "/v1/admin/forwards/backend/events", nil), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Events) != 1 || list.Events[0].SessionID != "two" || list.Events[0].LastStatus != 500 {
		t.Errorf("%+v", list)
	}
	r.call(404, "GET", "/v1/admin/forwards/nobody/events", nil)
	r.call(400, "POST", "/v1/admin/forwards/backend/skip", map[string]any{})
	r.call(400, "POST", "/v1/admin/forwards/backend/skip", map[string]any{"ids": []string{"x"}})

	// A removed forward keeps what is pending; with another name nothing of it is sent.
	other := newApplication(t, rawWebhook(t, "another secret, longer"))
	r.write("other", "another secret, longer")
	r.extra = forwardTable("other", other.URL, r.dir, "other")
	r.writeConfig()
	r.call(200, "POST", "/v1/admin/reload", nil)
	app.status.Store(204)
	if code := r.deliver(signed(completed("three", "live", time.Now()))); code != 204 {
		t.Fatal(code)
	}
	r.eventually("the new one gets it", func() bool { return other.count() == 1 })
	found := false
	for _, reason := range r.status().Reasons {
		found = found || reason.Code == "forward_stuck" && strings.Contains(reason.Text, "backend")
	}
	if !found || app.count() != 1 {
		t.Errorf("%+v, %d", r.status().Reasons, app.count())
	}

	// It goes on where it stood, with a new key, over a restart.
	r.write("forward", "another secret, longer")
	r.extra = forwardTable("backend", other.URL, r.dir, "forward") + strings.ReplaceAll(r.extra, `/other"`, `/other2"`)
	r.write("other2", "a secret that nobody needs")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.writeConfig()
	r.start()
	r.eventually("what was pending arrives", func() bool { return other.count() == 2 })
	if id := other.got[1].Data.Session.SessionID; id != "two" {
		t.Errorf("%s came", id)
	}
	r.eventually("nothing is pending", func() bool {
		for _, f := range r.status().Forward {
			if f.Pending > 0 {
				return false
			}
		}
		return true
	})
}

// A secret that cannot be a key is refused at a reload, and the old ones stay.
func TestForwardBadSecret(t *testing.T) {
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("twenty-four bytes of key"))
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	app := newApplication(t, wh)
	r := newRig(t, func(r *rig) {
		r.write("forward", secret)
		r.extra = forwardTable("backend", app.URL, r.dir, "forward")
	})
	r.write("forward", "whsec_this is not base64")
	if data, code := r.tryCall("POST", "/v1/admin/reload", nil); code == 200 {
		t.Fatalf("%s", data)
	}
	r.deliver(signed(completed("one", "live", time.Now())))
	r.eventually("the old secret signs", func() bool { return app.count() == 1 })
}
