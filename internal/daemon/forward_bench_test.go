package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/forward"
	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
	"github.com/moverisd/moverisd/internal/webhook"
)

// BenchmarkIntake is how long a delivery takes over HTTP, 64 at a time, without a forward and
// with one whose target is dead. Issue 8 wants the second at 95 % of the first or more: run
// both several times (-count) and compare the medians.
func BenchmarkIntake(b *testing.B) {
	for _, c := range []struct{ name, url string }{{"none", ""}, {"dead", "http://127.0.0.1:1/"}} {
		b.Run(c.name, func(b *testing.B) { benchIntake(b, c.url) })
	}
}

func benchIntake(b *testing.B, target string) {
	cfg := &config.Config{}
	if target != "" {
		cfg.Forwards = []config.Forward{{Name: "backend", URL: target, Changes: []string{"settled", "reverified", "conflicted", "missing", "revived"}}}
	}
	st, err := store.Open(context.Background(), store.Options{Path: filepath.Join(b.TempDir(), "bench.db"), Forwarding: forwarding(cfg)})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	f := forward.New(forward.Options{Store: st})
	defer f.Stop(context.Background())
	if target != "" {
		f.Configure([]forward.Target{{Name: "backend", URL: target, Keys: [][]byte{{1}}}})
	}
	h := webhook.New(webhook.Settings{Path: "/", BodyMax: 1 << 16, Accounts: []string{"production"},
		Verifier:   moveris.NewVerifier([]moveris.Secret{{Account: 0, Label: "one", Key: []byte(testSecret)}}),
		StaleAfter: time.Hour, RepeatAfter: time.Second}, sink(st), time.Now)
	srv := webhook.NewServer(h, slog.New(slog.DiscardHandler), nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go srv.Serve(ln)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var n atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	before := cpu()
	defer func() { b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op") }()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			body, header := signed(completed(fmt.Sprintf("550e8400-e29b-41d4-a716-%012d", n.Add(1)), "live", time.Now()))
			req, err := http.NewRequest("POST", "http://"+ln.Addr().String()+"/", bytes.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header = header
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 204 {
				b.Errorf("status %d", resp.StatusCode)
			}
		}
	})
}

// cpu is the processor time of this process, clients included: less troubled by what else the
// machine does than the time on the wall.
func cpu() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkForwarding is what the JSON of an event costs inside the transaction.
func BenchmarkForwarding(b *testing.B) {
	score := 0.94
	at := time.Now()
	o := verdict.Observation{Source: verdict.Webhook, Form: verdict.FormCompleted, Verdict: "live", Model: "mixed-10-v2", Type: "VERY HIGH",
		CreatedAt: at, AsOf: at, ObservedAt: at, RealScore: &score, Score: &score, Confidence: &score, Label: "mixed-30-v2"}
	v := store.View{ID: "550e8400-e29b-41d4-a716-446655440000", Account: "production", State: verdict.Settled,
		Session: verdict.Fold(verdict.Evidence{Observations: []verdict.Observation{o}}),
		Entries: []store.Entry{{Observation: &o, Digest: make([]byte, 32)}}}
	e := store.Event{Seq: 17, At: at, SessionID: v.ID, Account: v.Account, Change: verdict.ChangeSettled, State: verdict.Settled}
	b.ReportAllocs()
	for range b.N {
		api.Forwarding("6f44f5bfb0b7", e, v)
	}
}
