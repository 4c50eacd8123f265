package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/poll"
	"github.com/moverisd/moverisd/internal/sim"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// Issue 4, promise 2: whatever Moveris does, the daemon stops within five seconds, while it
// sweeps and while somebody waits for a poll by hand and a probe.
func TestStopUnderEveryFault(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("long")
	}
	width := make(chan struct{}, 16) // daemons at a time: the machine is not what is tested
	for fault := range worstDay {
		t.Run(strings.ReplaceAll(fault, "/", "_"), func(t *testing.T) {
			t.Parallel()
			width <- struct{}{}
			defer func() { <-width }()
			r := newRig(t, nil)
			faults, err := sim.ParseFaults(fault)
			if err != nil {
				t.Fatal(err)
			}
			r.sim.SetFaults(faults)
			for _, id := range ids("stop", 10) {
				r.call(201, "PUT", "/v1/sessions/"+id, api.Expectation{})
			}
			answered := make(chan struct{}, 2)
			for _, path := range []string{"/v1/sessions/stop-00001/poll", "/v1/admin/sessions/stop-00002/probe?account=production"} {
				go func() {
					r.tryCall("POST", path, nil)
					answered <- struct{}{}
				}()
			}
			r.eventually("a session is asked about", func() bool { return len(r.sim.Requests()) > 0 })
			time.Sleep(1500 * time.Millisecond) // sweeps are under way too
			start := time.Now()
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("stopping took %s", took)
			}
			for range 2 {
				select {
				case <-answered:
				case <-time.After(2 * time.Second):
					t.Error("a caller still waits after the stop")
				}
			}
		})
	}
}

// The whole daemon is sent to another host, which must hear nothing.
func TestRedirectTakesNoKeyElsewhere(t *testing.T) {
	t.Parallel()
	var heard atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard.Add(1) }))
	defer other.Close()
	r := newRig(t, nil)
	faults, err := sim.ParseFaults("redirect=" + strings.Replace(other.URL, "127.0.0.1", "localhost", 1) + "/x")
	if err != nil {
		t.Fatal(err)
	}
	r.sim.SetFaults(faults)
	r.call(201, "PUT", "/v1/sessions/"+id1, api.Expectation{})
	r.eventually("it was asked about", func() bool { return len(r.sim.Requests()) > 6 })
	r.tryCall("POST", "/v1/sessions/"+id1+"/poll", nil)
	r.tryCall("POST", "/v1/admin/sessions/"+id1+"/probe?account=production", nil)
	if s := r.session(id1); s.State != "overdue" || s.Outcome != nil || s.Attempts != 0 {
		t.Errorf("%+v", s)
	}
	if n := heard.Load(); n != 0 {
		t.Errorf("the other host heard %d requests", n)
	}
}

// A certificate that has run out is refused although its issuer is trusted, once for each
// attempt, and no request gets through.
func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	ln, err := sim.Listen("127.0.0.1:0", true)
	if err != nil {
		t.Fatal(err)
	}
	m := sim.New(sim.Config{APIKey: testKey, ResultBySession: true})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- m.Serve(ctx, ln) }()
	defer func() { cancel(); <-served }()
	if _, err := m.Create(sim.NewSession{ID: id1}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Finish(id1, sim.Live); err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(conn.ConnectionState().PeerCertificates[0])
	conn.Close()

	client, err := moveris.Open(moveris.Config{Account: "production", BaseURL: "https://" + ln.Addr().String(), APIKey: testKey,
		RequestsPerMinute: 6000, Routes: nightRoutes[1:2], RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	policy := verdict.Policy{GracePeriod: time.Second, GiveUpAfter: time.Second, BackoffMin: time.Second, BackoffMax: time.Second}
	var ahead time.Duration // of our clock; only the schedule heeds it
	now := func() time.Time { return time.Now().Add(ahead) }
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "moverisd.db"),
		Now: now, Policy: func(string) verdict.Policy { return policy }})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	p := poll.New(st, now, slog.New(slog.DiscardHandler))
	p.Configure(poll.Settings{Accounts: []poll.Account{{Name: "production", Client: client}}, Concurrency: 1})
	if _, err := st.Expect(t.Context(), store.Expectation{Account: "production", SessionID: id1, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		ahead += 5 * time.Second
		time.Sleep(150 * time.Millisecond) // a token
		if err := p.Sweep(t.Context(), time.Now().Add(ahead+time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	h := client.Health()
	if h.TransportErrors != 5 || h.Breaker != "open" || h.UsedLastMinute != 5 {
		t.Errorf("%+v", h)
	}
	if n := len(m.Requests()); n != 0 {
		t.Errorf("%d requests got through", n)
	}
	v, err := st.Get(t.Context(), "production", id1, false)
	if err != nil || v.State != verdict.Overdue || v.Attempts != 0 {
		t.Errorf("%v, %s after %d attempts", err, v.State, v.Attempts)
	}
	for _, route := range client.Probe(t.Context(), moveris.Asked{SessionID: id1}) {
		if route.Err == nil || !strings.Contains(fmt.Sprint(route.Err), "expired") {
			t.Errorf("%+v does not say what is wrong", route)
		}
	}
}
